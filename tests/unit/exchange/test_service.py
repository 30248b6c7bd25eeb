"""The exchange on the bus: each tick is answered, each minute matched once, whatever is read twice."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from services.exchange.book import Changes
from services.exchange.exchange import Exchange
from services.exchange.market import Market
from services.exchange.service import PROGRESS, BusSteps, Progress, read_progress, ticks_after
from services.exchange.venue import TickClock, Venue
from shared.contracts.clock import Matched, Tick, TickPhase
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bar, BarRevised, Bars, DailyBar, DailyHistory, SymbolHalted
from shared.runtime.bus import Entry
from tests.unit.exchange.market import MINUTE, OPEN, an_exchange, flat, placed


class Notes:
    """Keeps what a book file would keep beside the book."""

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def keep(self, changes: Changes, exchange: Exchange, notes: Any) -> None:
        self.notes |= notes


class Told:
    """Subscribers of market data."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def bars(self, minute: datetime, rows: Any) -> None:
        self.heard += [("bar", bar.symbol) for bar in rows]

    def revised(self, minute: datetime, bar: Bar) -> None:
        self.heard.append(("revised", bar.symbol))

    def halted(self, symbol: str, at: datetime, *, halted: bool, code: str = "") -> None:
        self.heard.append(("halted" if halted else "resumed", symbol))


class Room:
    def __init__(self) -> None:
        self.notes, self.told = Notes(), Told()
        self.clock = TickClock(OPEN)
        self.venue = Venue(an_exchange(), Market(), self.clock, self.notes)
        self.steps = BusSteps(self.venue, self.told, Progress(), ["bars:0", "bars:1"], self.clock.move_to)
        self._entry = 0

    def entry(self, stream: str, message: Any) -> Entry:
        self._entry += 1
        return Entry(stream, f"{self._entry}-0", message)

    def read(self, *entries: Entry) -> list[Any]:
        return list(self.steps.step(entries))

    def restarted(self) -> None:
        progress = read_progress(self.notes.notes[PROGRESS], "")
        self.steps = BusSteps(self.venue, self.told, progress, ["bars:0", "bars:1"], self.clock.move_to)


def bars(number: int, *rows: Bar, partition: int = 0) -> Bars:
    at = OPEN + number * MINUTE
    name = f"bars-{partition}-{number}"
    return Bars(id=name, at=at, partition=partition, minute=at - MINUTE, rows=rows)


def tick(number: int, phase: TickPhase = TickPhase.MATCH) -> Tick:
    return Tick(id=f"tick-{number}-{phase}", at=OPEN + number * MINUTE, session=OPEN.date(), phase=phase)


def test_a_match_tick_matches_the_minutes_that_came_before_it() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN)
    out = room.read(room.entry("bars:0", bars(1, flat(100.0))), room.entry("clock", tick(1)))
    assert out == [
        Matched(id="tick-1-match-exchange", at=OPEN + MINUTE, cause="tick-1-match", service="exchange", events=3)
    ]
    assert room.told.heard == [("bar", "AAPL")]
    assert room.clock.now() == OPEN + MINUTE


def test_bars_wait_for_their_tick() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN)
    assert room.read(room.entry("bars:0", bars(1, flat(100.0)))) == []
    assert room.venue.exchange.book.executions() == []
    room.read(room.entry("clock", tick(1, TickPhase.DECIDE)))
    assert room.venue.exchange.book.executions() == []
    room.read(room.entry("clock", tick(1)))
    assert len(room.venue.exchange.book.executions()) == 1


def test_a_minute_that_is_read_again_is_answered_and_not_matched_again() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN, qty=30)
    batch = bars(1, flat(100.0, volume=100))
    first = room.read(room.entry("bars:0", batch), room.entry("clock", tick(1)))
    again = room.read(room.entry("bars:0", batch), room.entry("clock", tick(1)))
    assert first == again
    assert [execution.qty for execution in room.venue.exchange.book.executions()] == [10]


def test_after_a_restart_the_last_answer_is_given_again_and_positions_are_those_kept() -> None:
    room = Room()
    [answer] = room.read(room.entry("bars:0", bars(1, flat(100.0))), room.entry("clock", tick(1)))
    room.read(room.entry("bars:0", bars(2, flat(100.0))))  # read, and not kept: no tick took it
    room.restarted()
    assert room.steps.positions() == {"bars:0": "1-0", "clock": "2-0"}
    assert room.read() == [answer]
    assert room.read() == []


def test_on_a_new_bus_positions_are_forgotten_and_minutes_are_not() -> None:
    kept = Progress(life="a/1", positions={"clock": "9-0"}, matched={0: OPEN}, at=OPEN)
    text = msgspec.json.encode(kept).decode()
    assert read_progress(text, "a/1") == kept
    assert read_progress(text, "b/2") == Progress(life="b/2", matched={0: OPEN}, at=OPEN)


def test_what_another_partition_brings_late_is_matched_with_its_own_tick_in_the_free_pace() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN, symbol="AAPL", client_order_id="a")
    placed(room.venue.exchange, OPEN, symbol="MSFT", client_order_id="m")
    for partition, symbol in ((0, "AAPL"), (1, "MSFT")):
        batch = bars(1, flat(100.0, symbol), partition=partition)
        room.read(
            room.entry(f"bars:{partition}", batch), *(room.entry("", follower) for follower in ticks_after(batch))
        )
    assert len(room.venue.exchange.book.executions()) == 2


def test_a_minute_in_parts_is_matched_with_its_last_part() -> None:
    part = msgspec.structs.replace(bars(1), part=0, parts=2)
    assert ticks_after(part) == []
    assert len(ticks_after(msgspec.structs.replace(part, part=1))) == 1


def test_a_bar_without_a_usable_price_goes_to_dead_and_the_rest_is_matched() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN)
    bad = Bar("BAD", float("nan"), 1, 1, 1, 1)
    out = room.read(room.entry("bars:0", bars(1, bad, flat(100.0))), room.entry("clock", tick(1)))
    assert [type(item) for item in out] == [DeadLetter, Matched]
    assert "BAD" in out[0].reason
    assert len(room.venue.exchange.book.executions()) == 1


def test_an_unreadable_entry_goes_to_dead() -> None:
    room = Room()
    [letter] = room.read(Entry("bars:0", "1-0", None, "no readable type", "raw"))
    assert isinstance(letter, DeadLetter)


def test_halts_and_revisions_are_told_and_a_halted_symbol_does_not_trade() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN)
    halt = SymbolHalted(id="h", at=OPEN, partition=0, symbol="AAPL", halted=True, code="T12")
    revised = BarRevised(id="r", at=OPEN, partition=0, minute=OPEN, bar=flat(1.0))
    room.read(room.entry("bars:0", halt), room.entry("bars:0", revised))
    room.read(room.entry("bars:0", bars(1, flat(100.0))), room.entry("clock", tick(1)))
    assert room.told.heard == [("halted", "AAPL"), ("revised", "AAPL"), ("bar", "AAPL")]
    assert room.venue.exchange.book.executions() == []


def test_daily_history_gives_the_price_before_the_first_bar() -> None:
    room = Room()
    day = DailyBar(OPEN.date(), 90, 91, 89, 90.5, 1e6)
    history = DailyHistory(id="d", at=OPEN, session=OPEN.date(), symbol="AAPL", bars=(day,))
    room.read(room.entry("daily", history))
    assert str(room.venue.exchange.book.last_price("AAPL")) == "90.5"


def test_day_orders_end_with_the_expire_tick_not_before() -> None:
    room = Room()
    order = placed(room.venue.exchange, OPEN, type="limit", limit_price="9")
    room.read(room.entry("clock", tick(390, TickPhase.SETTLE)))
    assert room.venue.exchange.book.order(order.id) == order
    [answer] = room.read(room.entry("clock", tick(390, TickPhase.EXPIRE)))
    ended = room.venue.exchange.book.order(order.id)
    assert ended is not None
    assert (ended.status.value, answer.events) == ("expired", 3)


def test_memory_of_the_day_is_rebuilt_without_matching() -> None:
    room = Room()
    placed(room.venue.exchange, OPEN)
    room.steps.remember(bars(1, flat(100.0)))
    assert room.venue.exchange.book.executions() == []
    assert room.venue.market.latest("AAPL") is not None
