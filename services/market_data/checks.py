"""Bar checks: what a bar must be before anything may trade on it. Pure; one instance for one session.

A bar that fails is quarantined with its fault, never repaired and never dropped in silence.

The jump rule has a theory. A price far from the last one is real where it was traded: of the moves beyond 25 % in
five-minute bars of 29 stocks over half of 2026, the smallest real one had 4.3 times the median volume of the thirty
bars before it, and the one bad print (low 18.39 in a 567 market) had 0.99 times. So a jump needs three times the usual
volume behind it. Bars that follow at the new level add theirs: a real move with ordinary volume is believed at its
third bar, and the wick of a bad print never is, since the next bar is back where the price was.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import deque
from collections.abc import Collection
from enum import StrEnum
from statistics import median
from typing import Final

from shared.contracts import ids
from shared.contracts.market import Bar
from shared.domain.calendar import Session

VOLUME_BEHIND_A_JUMP: Final = 3.0
"""Times the usual volume of a bar."""
REMEMBERED_VOLUMES: Final = 30
ENOUGH_VOLUMES: Final = 5


class Fault(StrEnum):
    """Why a bar is quarantined; asked in this order."""

    UNKNOWN_SYMBOL = "unknown symbol"
    NOT_FINITE = "a price or the volume is not a finite number"
    NOT_POSITIVE = "a price is not positive"
    NEGATIVE_VOLUME = "the volume is negative"
    DISORDER = "open, high, low and close are out of order"
    OFF_THE_MINUTE = "it does not start on a whole minute"
    OUTSIDE_SESSION = "outside the session"
    DUPLICATE = "a bar of this symbol and minute was taken before"
    OUT_OF_ORDER = "a later bar of this symbol was taken before"
    JUMP = "a jump against the previous close without the volume behind it"


class _Memory:
    """What is known of one symbol. waiting: volume of the jumped bars in a row that agree with each other."""

    __slots__ = ("close", "last_start", "starts", "usual", "volumes", "waiting", "waiting_close")

    def __init__(self) -> None:
        self.close: float | None = None
        self.usual: float | None = None
        self.last_start: dt.datetime | None = None
        self.starts: set[dt.datetime] = set()
        self.volumes: deque[float] = deque(maxlen=REMEMBERED_VOLUMES)
        self.waiting = 0.0
        self.waiting_close: float | None = None


class Checks:
    """known: symbols that may come; None where any well-formed one may. max_jump: fraction of the previous close."""

    def __init__(self, session: Session, max_jump: float, known: Collection[str] | None = None) -> None:
        self._session = session
        self._max_jump = max_jump
        self._known = known
        self._memory: dict[str, _Memory] = {}

    def expect(self, symbol: str, close: float | None, minute_volume: float | None) -> None:
        """What the history says: the previous session's close, dollars, and the mean volume of a minute, shares."""
        memory = self._of(symbol)
        if memory.close is None:
            memory.close = close
        memory.usual = minute_volume

    def take(self, start: dt.datetime, bar: Bar) -> Fault | None:
        """The bar's fault, or None where it is taken; bars of a symbol are given in the order in which they came."""
        fault = self.fault_alone(start, bar)
        if fault is not None:
            return fault
        memory = self._of(bar.symbol)
        if memory.last_start is not None and start <= memory.last_start:
            return Fault.DUPLICATE if start in memory.starts else Fault.OUT_OF_ORDER
        if self._is_unbacked_jump(memory, bar):
            return Fault.JUMP
        memory.last_start = start
        memory.starts.add(start)
        memory.close = bar.close
        if bar.volume > 0:  # zero-volume bars fill a halt in some feeds; they say nothing about what is usual
            memory.volumes.append(bar.volume)
        return None

    def fault_alone(self, start: dt.datetime, bar: Bar) -> Fault | None:
        """What is wrong with the bar whatever came before it; for corrections, which come in any order."""
        low, high, volume = bar.low, bar.high, bar.volume
        if (self._known is not None and bar.symbol not in self._known) or not ids.is_symbol(bar.symbol):
            return Fault.UNKNOWN_SYMBOL
        if not math.isfinite(bar.open + high + low + bar.close + volume):
            return Fault.NOT_FINITE
        if low <= 0 or high <= 0 or bar.open <= 0 or bar.close <= 0:
            return Fault.NOT_POSITIVE
        if volume < 0:
            return Fault.NEGATIVE_VOLUME
        if not (low <= bar.open <= high and low <= bar.close <= high):
            return Fault.DISORDER
        if start.second or start.microsecond:
            return Fault.OFF_THE_MINUTE
        if not self._session.is_open(start):
            return Fault.OUTSIDE_SESSION
        return None

    def _is_unbacked_jump(self, memory: _Memory, bar: Bar) -> bool:
        close = memory.close
        if close is None or max(bar.high - close, close - bar.low) <= self._max_jump * close:
            memory.waiting, memory.waiting_close = 0.0, None
            return False
        agrees = memory.waiting_close is not None and self._is_near(bar.close, memory.waiting_close)
        backing = bar.volume + (memory.waiting if agrees else 0.0)
        if backing >= VOLUME_BEHIND_A_JUMP * _usual_volume(memory):
            memory.waiting, memory.waiting_close = 0.0, None
            return False
        # A bar that closes where the price was has only a wick in the distance: no later bar can be "also there".
        memory.waiting = 0.0 if self._is_near(bar.close, close) else backing
        memory.waiting_close = None if self._is_near(bar.close, close) else bar.close
        return True

    def _is_near(self, price: float, other: float) -> bool:
        return abs(price - other) <= self._max_jump * other

    def _of(self, symbol: str) -> _Memory:
        found = self._memory.get(symbol)
        if found is None:
            found = self._memory[symbol] = _Memory()
        return found


def _usual_volume(memory: _Memory) -> float:
    """Shares in a usual bar: the median of the last ones, else the history's mean; 0 where nothing is known."""
    if len(memory.volumes) >= ENOUGH_VOLUMES or memory.usual is None:
        return median(memory.volumes) if memory.volumes else 0.0
    return memory.usual
