"""What state remembers of the market."""

from __future__ import annotations

import datetime as dt

from services.state.memory import Memory
from shared.contracts.market import Bar, Bars, DailyBar, DailyHistory, SymbolHalted
from tests.unit.state.world import CLOSE, MINUTE, OPEN, SESSION, opened


def memory(*followed: str) -> Memory:
    fresh = Memory(span=10)
    fresh.take(opened())
    fresh.follow(followed)
    return fresh


def bars(minute: int, closes: dict[str, float], part: int = 0, parts: int = 1, partition: int = 0) -> Bars:
    """The minute that starts `minute` minutes after the opening."""
    start = OPEN + minute * MINUTE
    return Bars(
        id=f"bars-{minute}-{part}",
        at=start + MINUTE,
        partition=partition,
        minute=start,
        rows=tuple(Bar(symbol, close, close, close, close, 100.0) for symbol, close in closes.items()),
        part=part,
        parts=parts,
    )


def test_the_last_close_is_known_of_every_symbol() -> None:
    market = memory("AAPL")
    market.take(bars(0, {"AAPL": 10.0, "OTHER": 5.0}))
    market.take(bars(1, {"AAPL": 11.0}))
    assert (market.last_close("AAPL"), market.last_close("OTHER"), market.last_close("NONE")) == (11.0, 5.0, None)


def test_ten_minute_closes_are_those_that_closed_after_a_time() -> None:
    market = memory("AAPL")
    for minute in range(30):
        market.take(bars(minute, {"AAPL": 100.0 + minute}))
    assert market.spans_since("AAPL", OPEN) == (109.0, 119.0, 129.0)
    assert market.spans_since("AAPL", OPEN + 10 * MINUTE) == (119.0, 129.0)
    assert market.spans_since("AAPL", OPEN + 30 * MINUTE) == ()


def test_a_symbol_that_did_not_trade_in_ten_minutes_has_no_bar_for_them() -> None:
    market = memory("AAPL")
    market.take(bars(3, {"AAPL": 100.0}))
    for minute in range(4, 25):
        market.take(bars(minute, {}))
    market.take(bars(25, {"AAPL": 101.0}))
    for minute in range(26, 30):
        market.take(bars(minute, {}))
    assert market.spans_since("AAPL", OPEN) == (100.0, 101.0)


def test_a_minute_that_comes_twice_counts_once_and_parts_count_each() -> None:
    market = memory("AAPL", "MSFT")
    for minute in range(9):
        market.take(bars(minute, {"AAPL": 1.0}))
        market.take(bars(minute, {"AAPL": 2.0}))
    market.take(bars(9, {"AAPL": 3.0}, part=0, parts=2))
    assert market.spans_since("AAPL", OPEN) == ()
    market.take(bars(9, {"MSFT": 4.0}, part=1, parts=2))
    assert (market.spans_since("AAPL", OPEN), market.spans_since("MSFT", OPEN)) == ((3.0,), (4.0,))
    assert market.last_close("AAPL") == 3.0


def test_silence_is_that_of_followed_symbols() -> None:
    market = memory("AAPL")
    market.take(bars(0, {"OTHER": 5.0}))
    assert silence(market) == (None, None)
    market.take(bars(1, {"AAPL": 10.0}))
    assert silence(market) == (OPEN + 2 * MINUTE, OPEN + 2 * MINUTE)


def silence(market: Memory) -> tuple[dt.datetime | None, dt.datetime | None]:
    return market.feed_at, market.traded_at("AAPL")


def test_bars_outside_the_session_are_no_reference() -> None:
    market = memory("AAPL")
    market.take(bars(-5, {"AAPL": 1.0}))
    market.take(bars(390, {"AAPL": 1.0}))
    assert market.last_close("AAPL") is None


def test_a_halt_lasts_until_trading_resumes() -> None:
    market = memory("AAPL")
    halted = SymbolHalted(id="h", at=OPEN, partition=0, symbol="AAPL", halted=True, code="T12")
    market.take(halted)
    assert market.halted("AAPL")
    market.take(SymbolHalted(id="r", at=OPEN, partition=0, symbol="AAPL", halted=False))
    assert not market.halted("AAPL")


def test_a_new_session_forgets_the_bars_and_keeps_the_last_close() -> None:
    market = memory("AAPL")
    for minute in range(10):
        market.take(bars(minute, {"AAPL": 100.0}))
    day = dt.timedelta(days=3)
    market.take(opened(SESSION + day, OPEN + day, CLOSE + day))
    assert market.spans_since("AAPL", OPEN) == ()
    assert market.feed_at is None
    assert market.last_close("AAPL") == 100.0


def test_daily_closes_are_the_last_ones() -> None:
    market = memory()
    first = dt.date(2025, 1, 1)
    rows = tuple(DailyBar(first + dt.timedelta(days=day), 1.0, 1.0, 1.0, float(day), 1.0) for day in range(250))
    market.take(DailyHistory(id="d", at=OPEN, session=SESSION, symbol="AAPL", bars=rows))
    closes = market.daily_closes("AAPL")
    assert (len(closes), closes[-1]) == (130, (rows[-1].session, 249.0))
    assert market.last_daily_close("AAPL") == 249.0
    assert market.daily_closes("NONE") == ()


def test_a_market_is_remembered_as_far_as_the_ledger_when_every_partition_has_its_last_decided_minute() -> None:
    market = memory("AAPL")
    decided = {0: OPEN + 2 * MINUTE, 1: OPEN + MINUTE}
    assert not market.reaches(decided)
    market.take(bars(0, {}, partition=0))
    market.take(bars(0, {}, partition=1))
    assert not market.reaches(decided)
    market.take(bars(1, {}, partition=0))
    assert market.reaches(decided)


def test_what_was_decided_before_this_session_need_not_be_remembered() -> None:
    assert memory("AAPL").reaches({0: OPEN - 60 * MINUTE})
    assert not Memory(span=10).reaches({0: OPEN - 60 * MINUTE})
    assert Memory(span=10).reaches({})
