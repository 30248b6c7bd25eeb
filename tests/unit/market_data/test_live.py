"""Market data in a live run: minutes closed by the clock (docs/strategy.md section 4), whatever the feed does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_data.arrivals import BarArrived, Beat, FeedDown, FeedSaid, HaltArrived
from services.market_data.checks import Fault
from services.market_data.live import LiveMarketData
from services.market_data.source import History, Row
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.market import Bar, BarRevised, Bars, DailyHistory, SessionClosed, SessionOpened, SymbolHalted
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.domain.calendar import MINUTE, Session
from tests.unit.market_data.making import DAY, Shelf, at, bar, candidate, row

GRACE = dt.timedelta(seconds=2)
SECOND = dt.timedelta(seconds=1)
_NUMBER = count()


class Wire:
    """A feed whose history is a shelf, up to its end; `down` while it cannot be asked."""

    def __init__(self, rows: Sequence[Row] = (), followed: Collection[str] = ()) -> None:
        self._shelf = Shelf(rows, symbols=("AAPL", "FB", "SPY"), closes={"AAPL": 100.0, "SPY": 100.0})
        self._followed = frozenset(followed)
        self.down = False
        self.asked: list[tuple[str, ...]] = []

    def follow(self, symbols: Collection[str]) -> None:
        self._followed = frozenset(symbols)

    def followed(self) -> frozenset[str]:
        return self._followed

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        if self.down:
            raise FeedDown("no answer")
        return self._shelf.histories(session, symbols)

    def so_far(self, session: Session, symbols: Collection[str], until: dt.datetime) -> Sequence[Row]:
        if self.down:
            raise FeedDown("no answer")
        self.asked.append(tuple(symbols))
        return [row for row in self._shelf.day(session, symbols).rows if row.start + MINUTE <= until]

    def arrivals(self) -> Sequence[Message]:
        return []


def market_data(wire: Wire) -> LiveMarketData:
    return LiveMarketData(wire, 2, grace=GRACE, max_jump=0.25)


def beat(when: dt.datetime) -> Beat:
    return Beat(id=f"beat-{next(_NUMBER)}", at=when, connected=True)


def arrived(
    minute: int, symbol: str = "AAPL", *, late: dt.timedelta = SECOND, revised: bool = False, told: Bar | None = None
) -> BarArrived:
    return BarArrived(
        id=f"bar-{next(_NUMBER)}",
        at=at(minute + 1) + late,
        start=at(minute),
        bar=told or bar(symbol),
        revised=revised,
    )


def run(service: LiveMarketData, *messages: Message) -> list[Outgoing]:
    return [out for message in messages for out in service.handle(message)]


def kinds(told: Sequence[Outgoing]) -> list[str]:
    return [type(message).__name__ for message in told if type(message).__name__ != "Latest"]


def batches(told: Sequence[Outgoing]) -> dict[int, list[str]]:
    """Symbols by the minute's number."""
    found: dict[int, list[str]] = {}
    for message in told:
        if isinstance(message, Bars):
            found.setdefault((message.minute - DAY.opens_at) // MINUTE, []).extend(bar.symbol for bar in message.rows)
    return found


def opened(wire: Wire, *symbols: str) -> LiveMarketData:
    """Market data at the opening, following `symbols` and the index."""
    service = market_data(wire)
    run(service, *(candidate(symbol) for symbol in symbols), beat(at(0)), beat(at(0)))
    return service


def test_nothing_is_said_before_the_session_opens() -> None:
    service = market_data(Wire())
    assert run(service, beat(at(-30)), beat(at(-1))) == []


def test_the_session_opens_by_the_clock_with_the_histories_of_what_is_followed() -> None:
    wire = Wire()
    service = market_data(wire)
    assert run(service, candidate("AAPL"), beat(at(-1)), beat(at(-1) + SECOND)) == []
    told = run(service, beat(at(0)))
    assert kinds(told) == ["SessionOpened", "DailyHistory", "VolumeProfile", "DailyHistory", "VolumeProfile"]
    assert isinstance(told[0], SessionOpened)
    assert told[0].at == at(0)
    assert [message.symbol for message in told if isinstance(message, DailyHistory)] == ["AAPL", "SPY"]
    assert wire.followed() == {"AAPL", "SPY"}
    assert run(service, beat(at(0) + SECOND)) == []


def test_a_minute_is_closed_when_its_grace_is_over_and_not_before() -> None:
    service = opened(Wire(), "AAPL")
    assert run(service, arrived(0), beat(at(1) + GRACE - SECOND)) == []
    told = run(service, beat(at(1) + GRACE))
    assert kinds(told) == ["Bars", "Bars"]
    assert batches(told) == {0: ["AAPL"]}


def test_a_bar_within_the_grace_is_in_the_batch_and_one_after_it_is_a_revision() -> None:
    service = opened(Wire(), "AAPL", "FB")
    told = run(
        service,
        arrived(0, late=GRACE - SECOND),
        beat(at(1) + GRACE),
        arrived(0, "FB", late=3 * GRACE),
        beat(at(2) + GRACE),
    )
    assert kinds(told) == ["Bars", "Bars", "BarRevised", "Bars", "Bars"]
    assert batches(told) == {0: ["AAPL"], 1: []}
    assert [message.bar.symbol for message in told if isinstance(message, BarRevised)] == ["FB"]


def test_the_same_bar_by_socket_and_by_history_is_one_bar() -> None:
    service = opened(Wire(), "AAPL")
    told = run(service, arrived(0), arrived(0), beat(at(1) + GRACE), arrived(0), beat(at(1) + 2 * GRACE))
    assert kinds(told) == ["Bars", "Bars"]
    assert service.quarantined == {}


def test_a_correction_of_an_open_minute_replaces_its_bar_and_of_a_closed_one_is_told() -> None:
    service = opened(Wire(), "AAPL")
    corrected, again = bar(volume=2000.0), bar(volume=3000.0)
    told = run(
        service,
        arrived(0),
        arrived(0, revised=True, told=corrected),
        beat(at(1) + GRACE),
        arrived(0, revised=True, told=again),
        arrived(0, revised=True, told=again),
    )
    rows = [row for message in told if isinstance(message, Bars) for row in message.rows]
    assert rows == [corrected]
    assert [(message.id, message.bar) for message in told if isinstance(message, BarRevised)] == [
        ("revised-AAPL-150211T1431-1", again)
    ]


def test_a_bad_bar_is_quarantined_when_it_comes() -> None:
    service = opened(Wire(), "AAPL")
    told = run(service, arrived(0, told=bar(low=-1.0)), beat(at(1) + GRACE))
    assert kinds(told) == ["DeadLetter", "Bars", "Bars"]
    assert batches(told) == {0: []}
    assert service.quarantined == {Fault.NOT_POSITIVE: 1}


def test_a_bar_nobody_asked_for_is_quarantined() -> None:
    service = opened(Wire(), "AAPL")
    [told] = run(service, arrived(0, "FB"))
    assert isinstance(told, DeadLetter)
    assert told.reason == "bar quarantined: unknown symbol"


def test_of_extended_hours_the_first_bar_is_told_and_all_are_counted() -> None:
    service = market_data(Wire())
    told = run(service, *(arrived(minute) for minute in range(-60, -50)), candidate("AAPL"), beat(at(0)), beat(at(0)))
    told += run(service, *(arrived(minute) for minute in range(-5, 0)))
    assert [(message.symbol, message.reason) for message in told if isinstance(message, DeadLetter)] == [
        ("AAPL", "bar quarantined: outside the session")
    ]
    assert service.quarantined == {Fault.OUTSIDE_SESSION: 15}


def test_halts_are_passed_on() -> None:
    service = opened(Wire(), "AAPL")
    [told] = run(service, HaltArrived(id="h", at=at(7), symbol="AAPL", halted=True, code="T12"))
    assert isinstance(told, SymbolHalted)
    assert (told.symbol, told.halted, told.code, told.at) == ("AAPL", True, "T12", at(7))


def test_what_the_feed_says_becomes_an_alert() -> None:
    [told] = run(market_data(Wire()), FeedSaid(id="s", at=at(1), level="critical", key="stream-405", text="too many"))
    assert isinstance(told, Alert)
    assert (told.level, told.key, told.text) == ("critical", "market_data-stream-405", "too many")


def test_the_last_minute_is_told_and_then_the_session_is_closed_once() -> None:
    service = opened(Wire(), "AAPL")
    told = run(service, beat(at(390) + GRACE), beat(at(391)), beat(at(450)))
    assert len([message for message in told if isinstance(message, Bars)]) == 2 * 390
    assert kinds(told)[-1] == "SessionClosed"
    assert len([message for message in told if isinstance(message, SessionClosed)]) == 1


def test_a_restart_in_the_session_tells_it_again_from_its_opening() -> None:
    rows = [row(minute, symbol) for minute in range(30) for symbol in ("AAPL", "SPY")]
    before = opened(Wire(), "AAPL")
    live = run(
        before,
        *(
            message
            for minute in range(30)
            for message in (arrived(minute), arrived(minute, "SPY"), beat(at(minute + 1) + GRACE))
        ),
    )
    after = market_data(Wire(rows))
    again = run(after, candidate("AAPL"), beat(at(30) + GRACE), beat(at(30) + GRACE))
    assert [message for message in again if isinstance(message, Bars)] == [
        message for message in live if isinstance(message, Bars)
    ]
    assert kinds(again)[0] == "SessionOpened"


def test_a_restart_waits_until_it_knows_whom_to_follow() -> None:
    rows = [row(minute, "SPY") for minute in range(30)]
    service = market_data(Wire(rows))
    assert kinds(run(service, beat(at(30) + GRACE)))[:1] == ["SessionOpened"]
    assert run(service, beat(at(30) + 2 * GRACE)) == []
    told = run(service, beat(at(30) + dt.timedelta(seconds=13)))
    assert len(batches(told)) == 30


def test_a_new_bus_goes_on_with_those_who_were_followed_on_the_old_one() -> None:
    rows = [row(minute, symbol) for minute in range(30) for symbol in ("AAPL", "SPY")]
    service = market_data(Wire(rows, followed=("AAPL", "SPY")))
    told = run(service, beat(at(30) + GRACE))
    assert len(batches(told)) == 30
    assert all(sorted(symbols) == ["AAPL", "SPY"] for symbols in batches(told).values())


def test_a_start_soon_after_the_close_tells_the_session_to_its_end() -> None:
    service = market_data(Wire([row(389, "SPY")], followed=("SPY",)))
    told = run(service, beat(at(395)), beat(at(396)))
    assert isinstance(told[0], SessionOpened)
    assert len(batches(told)) == 390
    assert isinstance(told[-1], SessionClosed)
    assert run(market_data(Wire()), beat(at(390 + 31))) == []


def test_while_history_cannot_be_had_minutes_wait_and_the_trouble_is_said_once() -> None:
    wire = Wire([row(minute) for minute in range(10)])
    service = market_data(wire)
    wire.down = True
    told = run(
        service, candidate("AAPL"), beat(at(10)), beat(at(10)), *(beat(at(10) + n * SECOND) for n in range(1, 20))
    )
    assert kinds(told) == ["SessionOpened", "Alert"]
    wire.down = False
    told = run(service, beat(at(10) + 25 * SECOND))
    assert kinds(told)[:4] == ["DailyHistory", "VolumeProfile"] * 2
    assert batches(told)[9] == ["AAPL"]


def test_minutes_do_not_wait_for_ever() -> None:
    wire = Wire()
    service = market_data(wire)
    wire.down = True
    run(service, candidate("AAPL"), beat(at(10)), beat(at(10)), arrived(10))
    told = run(service, beat(at(11) + GRACE))
    assert len(batches(told)) == 11
    assert batches(told)[10] == ["AAPL"]


def test_a_symbol_followed_late_has_its_earlier_bars_recorded_and_its_later_ones_told() -> None:
    wire = Wire([row(minute, "FB") for minute in range(6)])
    service = opened(wire, "AAPL")
    run(service, beat(at(5) + GRACE))
    soon = beat(at(5) + 2 * GRACE)
    told = run(service, candidate("FB", minute=5), soon, soon, arrived(5, "FB"), beat(at(6) + GRACE))
    assert [message.minute for message in told if isinstance(message, BarRevised)] == [at(n) for n in range(5)]
    assert batches(told) == {5: ["FB"]}
    assert wire.asked == [("FB",)]


def test_silence_is_said_once_and_again_after_it_was_over() -> None:
    service = opened(Wire(), "AAPL")
    told = run(service, arrived(0), *(beat(at(1) + n * 10 * SECOND) for n in range(20)))
    assert [message.text for message in told if isinstance(message, Alert)] == [
        "no bar of any followed symbol since 14:31:01 UTC"
    ]
    told = run(service, arrived(4), beat(at(7)), beat(at(8)))
    assert len([message for message in told if isinstance(message, Alert)]) == 1


def test_a_clock_that_falls_is_not_followed() -> None:
    service = opened(Wire(), "AAPL")
    assert batches(run(service, beat(at(2) + GRACE))) == {0: [], 1: []}
    assert run(service, beat(at(1))) == []
    assert batches(run(service, beat(at(3) + GRACE))) == {2: []}


EVENT = st.tuples(st.integers(0, 5), st.sampled_from(["AAPL", "SPY"]), st.integers(1, 400), st.booleans())


@given(st.lists(EVENT, max_size=40))
@settings(max_examples=100, deadline=None)
def test_every_minute_is_told_once_and_complete_whatever_comes_when(events: list[tuple[int, str, int, bool]]) -> None:
    service = opened(Wire(), "AAPL")
    moments: list[tuple[dt.datetime, Message]] = []
    for minute, symbol, late, revised in events:
        message = arrived(minute, symbol, late=late * SECOND / 2, revised=revised, told=bar(symbol, volume=float(late)))
        moments.append((message.at, message))
    moments += [(at(0) + n * SECOND, beat(at(0) + n * SECOND)) for n in range(600)]
    told = run(service, *(message for _, message in sorted(moments, key=lambda moment: moment[0])))
    closed = [message for message in told if isinstance(message, Bars)]
    assert [(message.minute, message.partition) for message in closed] == [
        (at(minute), partition) for minute in range(9) for partition in range(2)
    ]
    in_time = {(minute, symbol) for minute, symbol, late, _ in events if late * SECOND / 2 < GRACE}
    assert {(number, symbol) for number, symbols in batches(told).items() for symbol in symbols} >= in_time
    identities = [message.id for message in told if isinstance(message, Bars | BarRevised | DeadLetter)]
    assert len(identities) == len(set(identities))
