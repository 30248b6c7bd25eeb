"""A small market for the tests of signals: one session, prices that can be checked by eye.

`ABC` stands below a pivot of 10.00: R1 10.09, R2 10.18, swing low 9.80 (first stop 9.70), AVWAP near 9.91. SPY rises.
The session is 2024-01-03, 14:30 to 21:00 UTC.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from services.signals.service import Signals
from shared.contracts import ids
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import Decided, Verdict
from shared.contracts.market import Bar, Bars, DailyBar, DailyHistory, SessionOpened
from shared.contracts.message import Message
from shared.contracts.rules import Rules
from shared.contracts.views import CandidateChanged, PartitionDecided, PositionChanged
from shared.contracts.vocabulary import StopMode, TrimState

SESSION: Final = dt.date(2024, 1, 3)
PREVIOUS: Final = dt.date(2024, 1, 2)
OPENS: Final = dt.datetime(2024, 1, 3, 14, 30, tzinfo=dt.UTC)
CLOSES: Final = dt.datetime(2024, 1, 3, 21, 0, tzinfo=dt.UTC)
PIVOT: Final = 10.00
SYMBOL: Final = "ABC"


def after(minutes: float) -> dt.datetime:
    """The instant `minutes` after the opening."""
    return OPENS + dt.timedelta(minutes=minutes)


def daily(changes: Mapping[int, Mapping[str, float]] | None = None, count: int = 30) -> tuple[DailyBar, ...]:
    """ABC's completed sessions. changes: by place from the end (-1 is the last), prices that differ."""
    prices: list[dict[str, float]] = [
        {"open": 9.88, "high": 9.98, "low": 9.85, "close": 9.90, "volume": 1000.0} for _ in range(count)
    ]
    for place, change in ({-6: {"high": PIVOT}, -10: {"low": 9.80}, -1: {"high": 9.99, "low": 9.81}}).items():
        if count >= -place:
            prices[place].update(change)
    for place, given in (changes or {}).items():
        prices[place].update(given)
    first = PREVIOUS - dt.timedelta(days=count - 1)
    return tuple(DailyBar(first + dt.timedelta(days=place), **row) for place, row in enumerate(prices))


def rising(count: int = 30, step: float = 0.5) -> tuple[DailyBar, ...]:
    """SPY: each close `step` above the one before."""
    first = PREVIOUS - dt.timedelta(days=count - 1)
    closes = [100 + step * place for place in range(count)]
    return tuple(
        DailyBar(first + dt.timedelta(days=place), close - 0.2, close + 1, close - 1, close, 1e6)
        for place, close in enumerate(closes)
    )


def opened(**changes: Any) -> SessionOpened:
    facts: dict[str, Any] = {
        "id": "session",
        "at": OPENS,
        "session": SESSION,
        "opens_at": OPENS,
        "closes_at": CLOSES,
        "early": False,
        "previous": PREVIOUS,
        "following": dt.date(2024, 1, 4),
        "following_opens_at": OPENS + dt.timedelta(days=1),
    }
    return SessionOpened(**(facts | changes))


def history(bars: Sequence[DailyBar], symbol: str = SYMBOL) -> DailyHistory:
    return DailyHistory(id=f"history-{symbol}", at=OPENS, session=SESSION, symbol=symbol, bars=tuple(bars))


def candidate(symbol: str = SYMBOL, **changes: Any) -> CandidateChanged:
    facts: dict[str, Any] = {
        "id": f"candidate-{symbol}",
        "at": OPENS,
        "symbol": symbol,
        "strategy": "boh",
        "source": "watchlist",
        "session": SESSION,
        "active": True,
        "since": OPENS,
    }
    return CandidateChanged(**(facts | changes))


def position(symbol: str = SYMBOL, **changes: Any) -> PositionChanged:
    """100 shares bought at 10.02 a minute after the opening, stop 9.70 resting at the broker."""
    facts: dict[str, Any] = {
        "id": f"position-{symbol}",
        "at": OPENS,
        "symbol": symbol,
        "position_id": f"{symbol}-1",
        "session": SESSION,
        "strategy": "boh",
        "qty": 100,
        "avg_price": Decimal("10.02"),
        "pivot": PIVOT,
        "r1": 10.09,
        "r2": 10.18,
        "stop": Decimal("9.70"),
        "stop_resting": True,
        "stop_mode": StopMode.OPEN,
        "high_water": 10.02,
        "invalidations": 0,
        "r1_state": TrimState.OPEN,
        "r2_state": TrimState.OPEN,
        "entered_at": after(1),
        "decided_through": after(1),
    }
    return PositionChanged(**(facts | changes))


def bar(close: float, symbol: str = SYMBOL, **changes: float) -> Bar:
    facts: dict[str, float] = {"open": close, "high": close, "low": close, "close": close, "volume": 100.0}
    return Bar(symbol, **(facts | changes))


def bars(end: int, rows: Sequence[Bar], partition: int = 0) -> Bars:
    """The minute that ends `end` minutes after the opening."""
    return Bars(
        id=ids.minute_id("bars", partition, after(end)),
        at=after(end),
        partition=partition,
        minute=after(end - 1),
        rows=tuple(rows),
    )


def tick(end: int, phase: TickPhase = TickPhase.DECIDE, **upto: str) -> Tick:
    return Tick(id=f"tick-{end}-{phase}", at=after(end), session=SESSION, phase=phase, upto=upto)


def taken(end: int, partition: int = 0) -> PartitionDecided:
    return PartitionDecided(id=f"taken-{partition}-{end}", at=after(end), partition=partition, through=after(end))


class Market:
    """Drives one service with one partition; every minute that is fed is decided at once."""

    def __init__(
        self,
        *first: Message,
        rules: Rules | None = None,
        session: SessionOpened | None = None,
        spy: Sequence[DailyBar] | None = None,
    ) -> None:
        self.signals = Signals(1, rules or Rules(), lambda _: 7)
        self.end = 0
        self.decided: list[Decided] = []
        self.tell(session or opened(), history(rising() if spy is None else spy, "SPY"), history(daily()), *first)

    def tell(self, *messages: Message) -> None:
        for message in messages:
            assert list(self.signals.handle(message)) == []

    def minute(self, *rows: Bar) -> Decided:
        """Feed and decide the next minute."""
        self.end += 1
        self.tell(bars(self.end, rows))
        [decided] = self.signals.handle(tick(self.end))
        assert isinstance(decided, Decided)
        self.decided.append(decided)
        return decided

    def ten(self, *closes: float | None, symbol: str = SYMBOL) -> Decided:
        """Ten-minute bars with these closes (None: no bar), minute by minute; the last minute's decisions."""
        for close in closes:
            for _ in range(10):
                self.minute(*([bar(close, symbol)] if close is not None else []))
        return self.decided[-1]

    def verdict(self, *closes: float | None) -> Verdict:
        """The one verdict at the close of the last of these ten-minute bars."""
        [verdict] = self.ten(*closes).verdicts
        return verdict


def market(*first: Message, rules: Rules | None = None) -> Market:
    """A market in which ABC is a candidate."""
    return Market(candidate(), *first, rules=rules)
