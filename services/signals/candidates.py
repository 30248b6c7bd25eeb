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
        if candidate.spent:
            return True
        confirmed_at = self._confirmed_at.get(candidate.symbol)
        if confirmed_at is None:
            return False
        released_at = _released_by(candidate, at)
        return released_at is None or confirmed_at > released_at


def counts_from(candidate: CandidateChanged, at: dt.datetime) -> dt.datetime:
    """The instant up to which, seen from `at`, closed bars confirm nothing: its ingest, or its latest release."""
    released_at = _released_by(candidate, at)
    return candidate.since if released_at is None else max(candidate.since, released_at)


def _counts(candidate: CandidateChanged, session: dt.date, at: dt.datetime) -> bool:
    return (
        candidate.active
        and candidate.session == session
        and candidate.since < at
        and (candidate.expires_at is None or at <= candidate.expires_at)
    )


def _released_by(candidate: CandidateChanged, at: dt.datetime) -> dt.datetime | None:
    released_at = candidate.released_at
    return released_at if released_at is not None and released_at < at else None
