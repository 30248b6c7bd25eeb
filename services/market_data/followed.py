"""Which symbols must be fed: the candidates, what is held, and the index of the global regime."""

from __future__ import annotations

from shared.contracts.views import CandidateChanged, PositionChanged


class Followed:
    """Candidates and positions as state last told them; two strategies may name the same symbol."""

    def __init__(self, always: str) -> None:
        self._always = always
        self._candidates: set[tuple[str, str]] = set()
        self._held: set[str] = set()

    def candidate(self, told: CandidateChanged) -> None:
        key = (told.symbol, told.strategy)
        if told.active:
            self._candidates.add(key)
        else:
            self._candidates.discard(key)

    def position(self, told: PositionChanged) -> None:
        if told.qty:
            self._held.add(told.symbol)
        else:
            self._held.discard(told.symbol)

    def symbols(self) -> list[str]:
        """In alphabetical order, so that what is published has one order."""
        return sorted({self._always, *self._held, *(symbol for symbol, _ in self._candidates)})
