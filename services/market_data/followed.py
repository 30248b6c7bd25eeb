"""Which symbols must be fed: the candidates, what is held, and the index of the global regime."""

from __future__ import annotations

from collections.abc import Iterable

from shared.contracts.views import CandidateChanged, PositionChanged


class Followed:
    """Candidates and positions as state last told them; two strategies may name the same symbol.

    always: the index. before: symbols that were followed on the bus's last life; state may not have told them again.
    """

    def __init__(self, always: str, before: Iterable[str] = ()) -> None:
        self._always = {always, *before}
        self._candidates: set[tuple[str, str]] = set()
        self._held: set[str] = set()
        self._all = self._always

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._all

    def candidate(self, told: CandidateChanged) -> None:
        key = (told.symbol, told.strategy)
        if told.active:
            self._candidates.add(key)
        else:
            self._candidates.discard(key)
        self._count()

    def position(self, told: PositionChanged) -> None:
        if told.qty:
            self._held.add(told.symbol)
        else:
            self._held.discard(told.symbol)
        self._count()

    def symbols(self) -> list[str]:
        """In alphabetical order, so that what is published has one order."""
        return sorted(self._all)

    def _count(self) -> None:
        self._all = {*self._always, *self._held, *(symbol for symbol, _ in self._candidates)}
