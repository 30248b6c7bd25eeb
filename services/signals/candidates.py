"""Who may be bought this session, and whose confirmation is used up (docs/strategy.md sections 1 and 5).

Everything is asked *as of* a minute, because after a restart a candidate's last word arrives before the bars of the
whole session are folded again: a release at 10:22 must not be seen by the verdict of 10:10.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from shared.contracts.views import CandidateChanged


class Candidates:
    """Candidates by symbol, and the use of each symbol's one confirmation."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, CandidateChanged]] = {}
        self._confirmed_at: dict[str, dt.datetime] = {}

    def tell(self, message: CandidateChanged) -> None:
        """The ledger's latest word on one symbol and strategy."""
        self._told.setdefault(message.symbol, {})[message.strategy] = message

    def new_session(self, session: dt.date) -> None:
        """Forget uses, and candidates of earlier sessions."""
        self._confirmed_at.clear()
        for symbol, strategies in list(self._told.items()):
            kept = {name: told for name, told in strategies.items() if told.session >= session}
            if kept:
                self._told[symbol] = kept
            else:
                del self._told[symbol]

    def counting(self, session: dt.date, at: dt.datetime) -> Iterator[CandidateChanged]:
        """One candidate a symbol, in symbol order, of those that count at `at`. Of two strategies the lower id."""
        for symbol in sorted(self._told):
            strategies = self._told[symbol]
            for name in sorted(strategies):
                if _counts(strategies[name], session, at):
                    yield strategies[name]
                    break

    def use(self, symbol: str, at: dt.datetime) -> None:
        """A confirmation at `at` used up the symbol's session, unless the ledger releases it later."""
        self._confirmed_at[symbol] = at

    def is_used(self, candidate: CandidateChanged, at: dt.datetime) -> bool:
        return candidate.spent or (candidate.symbol in self._confirmed_at and self._lifted_at(candidate, at) is None)

    def counts_from(self, candidate: CandidateChanged, at: dt.datetime) -> dt.datetime:
        """The instant up to which, seen from `at`, closed bars confirm nothing: its ingest, or its latest release."""
        lifted_at = self._lifted_at(candidate, at)
        return candidate.since if lifted_at is None else max(candidate.since, lifted_at)

    def _lifted_at(self, candidate: CandidateChanged, at: dt.datetime) -> dt.datetime | None:
        """When the ledger gave a used confirmation back; None where it did not, or not yet at `at`."""
        released_at, confirmed_at = candidate.released_at, self._confirmed_at.get(candidate.symbol)
        if released_at is None or confirmed_at is None:
            return None
        return released_at if confirmed_at <= released_at < at else None


def _counts(candidate: CandidateChanged, session: dt.date, at: dt.datetime) -> bool:
    return (
        candidate.active
        and candidate.session == session
        and candidate.since < at
        and (candidate.expires_at is None or at <= candidate.expires_at)
    )
