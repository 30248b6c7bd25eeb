"""Asked before a process works: do these keys, at this address, lead to the account that is meant?

A no ends the process before it sent anything. Where nobody answers, nobody knows, and it is asked again: a broker that
is down for a while is no reason to leave shares alone for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.executor.broker import Answer, Replied
from services.executor.broker_words import Unreadable, read_account
from shared.domain.accounts import wrong_account, wrong_address

ASK_AGAIN_S: Final = 0.2
UNAUTHORIZED_S: Final = 1.0
UNAUTHORIZED_TIMES: Final = 3
"""One 401 may be a bad minute of the broker's; several in a row are the keys."""


class Gate:
    """kind: exchange, paper or live. url: the REST address. account: the configured number; empty: none.

    asked: how often. seen: number of the account that answered; empty: none did.
    """

    def __init__(self, kind: str, url: str, account: str) -> None:
        self._kind = kind
        self._url = url
        self._account = account
        self._unauthorized = 0
        self.asked = 0
        self.seen = ""

    def pass_through(self, ask: Callable[[], Answer], wait: Callable[[float], None], stop: Callable[[], bool]) -> str:
        """Why this process must not work; empty: it may, or was asked to stop. wait: seconds, beating."""
        why: str | None = wrong_address(self._kind, self._url)
        while not why and not stop():
            why = self.objection(ask())
            if why is not None:
                return why
            wait(UNAUTHORIZED_S if self._unauthorized else ASK_AGAIN_S)
        return why or ""

    def objection(self, answer: Answer) -> str | None:
        """Why the account in `answer` must not be traded on; empty: it is right; None: that is not known yet."""
        self.asked += 1
        if not isinstance(answer, Replied):
            return None
        if answer.status == 401 or (answer.status == 403 and answer.code is None and answer.body is not None):
            self._unauthorized += 1
            return None if self._unauthorized < UNAUTHORIZED_TIMES else self._keys_refused()
        if answer.status != 200:
            return None
        try:
            account = read_account(answer.body)
        except Unreadable:
            return None
        self.seen = account.account_number
        if self._kind == "exchange" and answer.events_seen is None:
            return f"broker.kind is exchange, and who answers at {self._url} is not the paper exchange"
        return wrong_account(self._kind, self._account, "", account.account_number)

    def _keys_refused(self) -> str:
        return (
            f"broker.kind is {self._kind}, and its keys are not accepted at {self._url}: keys of a paper account open "
            "no live one, nor the reverse; correct broker.key and broker.secret, or broker.kind"
        )
