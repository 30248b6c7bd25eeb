"""Market data in a conducted run: what each tick brings (docs/strategy.md section 4, 5 and 11)."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal

from services.market_data.checks import Fault
from services.market_data.service import MarketData
from services.market_data.source import Halt, Revision, SessionSource
from shared.contracts.clock import Fed, Tick, TickPhase
from shared.contracts.journal import DeadLetter
from shared.contracts.market import (
    BarRevised,
    Bars,
    DailyHistory,
    SessionClosed,
    SessionOpened,
    SymbolHalted,
    VolumeProfile,
)
from shared.contracts.outgoing import Outgoing
from shared.contracts.views import PositionChanged
from shared.contracts.vocabulary import StopMode, TrimState
from tests.unit.market_data.making import DAY, Shelf, at, bar, candidate, row, tick


def market_data(source: SessionSource, whole_market: int = 500) -> MarketData:
    return MarketData(source, 2, max_jump=0.25, whole_market=whole_market)


def rows_of(told: Sequence[Outgoing]) -> dict[dt.datetime, list[str]]:
    """Symbols by minute."""
    found: dict[dt.datetime, list[str]] = {}
    for message in told:
        if isinstance(message, Bars):
            found.setdefault(message.minute, []).extend(bar.symbol for bar in message.rows)
    return found


def test_the_opening_announces_the_session_with_its_neighbours() -> None:
    opened, fed = market_data(Shelf()).handle(tick(TickPhase.OPEN))
    assert opened == SessionOpened(
        id="opened-150211",
        at=DAY.opens_at,
        cause="tick-150211T1430-open",
        session=dt.date(2015, 2, 11),
        opens_at=dt.datetime(2015, 2, 11, 14, 30, tzinfo=dt.UTC),
        closes_at=dt.datetime(2015, 2, 11, 21, 0, tzinfo=dt.UTC),
        early=False,
        previous=dt.date(2015, 2, 10),
        following=dt.date(2015, 2, 12),
        following_opens_at=dt.datetime(2015, 2, 12, 14, 30, tzinfo=dt.UTC),
    )
    assert fed == Fed(
        id="tick-150211T1430-open-market_data", at=DAY.opens_at, cause="tick-150211T1430-open", service="market_data"
    )


def test_history_is_told_of_the_index_the_candidates_and_what_is_held() -> None:
    service = market_data(Shelf(symbols=("AAPL", "FB", "QQQ", "SPY"), closes={"AAPL": 120.0}))
    service.handle(tick(TickPhase.OPEN))
    assert service.handle(candidate("AAPL")) == []
    assert service.handle(held("FB")) == []
    told = service.handle(tick(TickPhase.HISTORY))
    assert [(message.symbol, len(message.bars)) for message in told if isinstance(message, DailyHistory)] == [
        ("AAPL", 1),
        ("FB", 0),
        ("SPY", 0),
    ]
    assert [message.symbol for message in told if isinstance(message, VolumeProfile)] == ["AAPL", "FB", "SPY"]
    assert isinstance(told[-1], Fed)


def test_a_candidate_of_the_middle_of_the_session_gets_its_history_at_once_and_once() -> None:
    service = market_data(Shelf(symbols=("AAPL", "FB", "SPY")))
    service.handle(tick(TickPhase.OPEN))
    service.handle(tick(TickPhase.HISTORY))
    told = service.handle(candidate("FB", minute=30))
    assert [type(message).__name__ for message in told] == ["DailyHistory", "VolumeProfile"]
    assert service.handle(candidate("FB", minute=31)) == []


def test_each_minute_is_one_batch_of_each_partition_also_when_empty() -> None:
    service = market_data(Shelf([row(0, "SPY"), row(0, "AAPL"), row(2, "AAPL")]))
    service.handle(tick(TickPhase.OPEN))
    for minute, symbols in ((1, ["AAPL", "SPY"]), (2, []), (3, ["AAPL"])):
        told = service.handle(tick(TickPhase.FEED, minute))
        assert [type(message) for message in told] == [Bars, Bars, Fed]
        assert sorted(rows_of(told)[at(minute - 1)]) == symbols


def test_the_close_ends_the_session() -> None:
    service = market_data(Shelf())
    service.handle(tick(TickPhase.OPEN))
    closed, fed = service.handle(tick(TickPhase.CLOSE, 390))
    assert isinstance(closed, SessionClosed)
    assert (closed.session, closed.at) == (DAY.session, DAY.closes_at)
    assert isinstance(fed, Fed)


def test_ticks_of_other_services_are_not_answered() -> None:
    service = market_data(Shelf())
    for phase in (TickPhase.INGEST, TickPhase.MATCH, TickPhase.FOLD, TickPhase.DECIDE, TickPhase.ACT, TickPhase.SETTLE):
        assert service.handle(tick(phase, 1)) == []


def test_a_quarantined_bar_goes_to_dead_with_its_minute_and_is_not_in_the_batch() -> None:
    service = market_data(Shelf([row(0), row(1, low=math.nan), row(1, "SPY")]))
    service.handle(tick(TickPhase.OPEN))
    service.handle(tick(TickPhase.FEED, 1))
    told = service.handle(tick(TickPhase.FEED, 2))
    [dead] = [message for message in told if isinstance(message, DeadLetter)]
    assert (dead.symbol, dead.entry) == ("AAPL", "AAPL 2015-02-11 14:31 UTC")
    assert dead.reason == "bar quarantined: a price or the volume is not a finite number"
    assert rows_of(told)[at(1)] == ["SPY"]
    assert service.quarantined == {Fault.NOT_FINITE: 1}


def test_duplicates_of_one_minute_each_have_a_letter_of_their_own() -> None:
    service = market_data(Shelf([row(0), row(0), row(0)]))
    service.handle(tick(TickPhase.OPEN))
    told = service.handle(tick(TickPhase.FEED, 1))
    assert [message.id for message in told if isinstance(message, DeadLetter)] == [
        "quarantine-AAPL-150211T1430-duplicate-1",
        "quarantine-AAPL-150211T1430-duplicate-2",
    ]


def test_bars_outside_the_session_are_told_once_for_each_symbol_and_side_with_their_number() -> None:
    service = market_data(Shelf([row(-2), row(-1), row(0), row(390), row(391), row(392), row(390, "SPY")]))
    told = service.handle(tick(TickPhase.OPEN))
    assert [(message.symbol, message.reason) for message in told if isinstance(message, DeadLetter)] == [
        ("AAPL", "bar quarantined: outside the session (2 bars, this is the first)"),
        ("AAPL", "bar quarantined: outside the session (3 bars, this is the first)"),
        ("SPY", "bar quarantined: outside the session"),
    ]
    assert service.quarantined == {Fault.OUTSIDE_SESSION: 6}


def test_a_jump_is_held_against_the_close_of_the_day_before() -> None:
    service = market_data(Shelf([row(0, price=50.0, volume=10.0)], closes={"AAPL": 100.0}))
    service.handle(tick(TickPhase.OPEN))
    told = service.handle(tick(TickPhase.FEED, 1))
    assert [message.reason for message in told if isinstance(message, DeadLetter)] == [
        "bar quarantined: a jump against the previous close without the volume behind it"
    ]


def test_a_correction_is_told_when_it_comes_and_the_minute_stays_as_it_was() -> None:
    right = bar(volume=2000.0)
    service = market_data(Shelf([row(0)], revisions=[Revision(at(3), at(0), right)]))
    service.handle(tick(TickPhase.OPEN))
    first, _, third = (service.handle(tick(TickPhase.FEED, minute)) for minute in (1, 2, 3))
    assert rows_of(first)[at(0)] == ["AAPL"]
    [revised] = [message for message in third if isinstance(message, BarRevised)]
    assert (revised.id, revised.minute, revised.bar) == ("revised-AAPL-150211T1431-1", at(0), right)


def test_a_halt_is_told_in_its_minute() -> None:
    service = market_data(Shelf(halts=[Halt(at(1), "AAPL", True, "T1"), Halt(at(6), "AAPL", False, "T1")]))
    service.handle(tick(TickPhase.OPEN))
    told = [
        (minute, message.halted, message.code, message.at)
        for minute in range(1, 8)
        for message in service.handle(tick(TickPhase.FEED, minute))
        if isinstance(message, SymbolHalted)
    ]
    assert told == [(2, True, "T1", at(1)), (7, False, "T1", at(6))]


def test_the_same_ticks_again_give_the_same_messages_again() -> None:
    shelf = Shelf([row(0), row(1), row(1)], closes={"AAPL": 100.0})
    ticks = [tick(TickPhase.OPEN), candidate("AAPL"), tick(TickPhase.HISTORY), *feeds(3), tick(TickPhase.CLOSE, 390)]
    one, two = market_data(shelf), market_data(shelf)
    first = [one.handle(message) for message in ticks]
    assert [two.handle(message) for message in ticks] == first
    assert [one.handle(message) for message in ticks[-3:]] == first[-3:]
    identities = [message.id for told in first for message in told if hasattr(message, "id")]
    assert len(identities) == len(set(identities))


def test_a_tick_in_the_middle_of_a_session_on_a_new_bus_brings_all_before_it() -> None:
    service = market_data(Shelf([row(0), row(1), row(2)]))
    service.handle(candidate("AAPL"))
    told = service.handle(tick(TickPhase.FEED, 3))
    assert [type(message).__name__ for message in told] == (
        ["SessionOpened"] + ["DailyHistory", "VolumeProfile"] * 2 + ["Bars", "Bars"] * 3 + ["Fed"]
    )
    assert list(rows_of(told)) == [at(0), at(1), at(2)]
    assert [type(message) for message in service.handle(tick(TickPhase.FEED, 4))] == [Bars, Bars, Fed]


def test_of_a_large_market_only_what_is_followed_is_published() -> None:
    rows = [row(minute, symbol) for minute in range(4) for symbol in ("AAPL", "FB", "SPY")]
    service = market_data(Shelf(rows, symbols=("AAPL", "FB", "SPY")), whole_market=2)
    service.handle(tick(TickPhase.OPEN))
    service.handle(candidate("AAPL"))
    service.handle(tick(TickPhase.HISTORY))
    assert sorted(rows_of(service.handle(tick(TickPhase.FEED, 1)))[at(0)]) == ["AAPL", "SPY"]


def test_a_symbol_followed_late_in_a_large_market_has_its_earlier_bars_recorded() -> None:
    rows = [row(minute, symbol) for minute in range(4) for symbol in ("AAPL", "FB", "SPY")]
    service = market_data(Shelf(rows, symbols=("AAPL", "FB", "SPY")), whole_market=2)
    for message in (tick(TickPhase.OPEN), tick(TickPhase.HISTORY), *feeds(2), candidate("FB", minute=2)):
        service.handle(message)
    told = service.handle(tick(TickPhase.FEED, 3))
    assert [(message.bar.symbol, message.minute) for message in told if isinstance(message, BarRevised)] == [
        ("FB", at(0)),
        ("FB", at(1)),
    ]
    assert sorted(rows_of(told)[at(2)]) == ["FB", "SPY"]


def test_a_new_session_starts_afresh() -> None:
    service = market_data(Shelf([row(0)]))
    for message in (tick(TickPhase.OPEN), tick(TickPhase.HISTORY), *feeds(1), tick(TickPhase.CLOSE, 390)):
        service.handle(message)
    told = service.handle(tick(TickPhase.OPEN, day=DAY))
    assert [type(message) for message in told] == [SessionOpened, Fed]
    assert len(service.handle(tick(TickPhase.HISTORY))) == 3


def feeds(count: int) -> list[Tick]:
    return [tick(TickPhase.FEED, minute) for minute in range(1, count + 1)]


def held(symbol: str) -> PositionChanged:
    return PositionChanged(
        id=f"position-{symbol}",
        at=at(0),
        symbol=symbol,
        position_id="p",
        session=DAY.session,
        strategy="boh",
        qty=10,
        avg_price=Decimal(100),
        pivot=None,
        r1=None,
        r2=None,
        stop=None,
        stop_resting=False,
        stop_mode=StopMode.OPEN,
        high_water=100.0,
        invalidations=0,
        r1_state=TrimState.OPEN,
        r2_state=TrimState.OPEN,
        entered_at=at(0),
        decided_through=None,
    )
