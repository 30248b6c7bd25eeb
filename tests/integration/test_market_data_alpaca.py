"""Alpaca as a feed, through the real client libraries against a local server that speaks its protocol."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from services.market_data.alpaca_history import AlpacaHistory
from services.market_data.alpaca_source import AlpacaSource
from services.market_data.arrivals import BarArrived, Beat, FeedDown, FeedSaid, HaltArrived
from services.market_data.live import LiveMarketData
from services.market_data.source import Row
from shared.contracts.journal import Alert
from shared.contracts.market import Bar, BarRevised, Bars, DailyBar, DailyHistory, SessionOpened, VolumeProfile
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.domain import calendar
from shared.domain.calendar import MINUTE
from shared.runtime.settings import AlpacaFeed, BadSettings
from tests.integration.market_data_server import KEY, SECRET, DataServer, live_bar, status, wait_for

DAY = calendar.session(dt.date(2026, 1, 13))
KEYS = (SecretStr(KEY), SecretStr(SECRET))


def at(minute: int) -> dt.datetime:
    return DAY.opens_at + minute * MINUTE


class Clock:
    """A wall clock that the test sets."""

    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def server() -> Iterator[DataServer]:
    logging.getLogger("alpaca").setLevel(logging.CRITICAL)
    made = DataServer()
    yield made
    made.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(at(10))


@pytest.fixture
def source(server: DataServer, clock: Clock) -> Iterator[AlpacaSource]:
    feed = AlpacaFeed(key=KEYS[0], secret=KEYS[1], rest_url=server.rest_url, stream_url=server.stream_url)
    made = AlpacaSource.from_settings(feed, clock)
    made.start()
    yield made
    made.stop()


def history(server: DataServer, read_timeout_s: float = 5.0) -> AlpacaHistory:
    return AlpacaHistory(*KEYS, "iex", server.rest_url, read_timeout_s=read_timeout_s)


class Collected:
    """What the feed brought so far."""

    def __init__(self, source: AlpacaSource) -> None:
        self._source = source
        self.all: list[Message] = []

    def bars(self) -> list[tuple[str, dt.datetime, float, bool]]:
        self._more()
        found = [message for message in self.all if isinstance(message, BarArrived)]
        return [(message.bar.symbol, message.start, message.bar.close, message.revised) for message in found]

    def halts(self) -> list[HaltArrived]:
        self._more()
        return [message for message in self.all if isinstance(message, HaltArrived)]

    def said(self, key: str) -> list[FeedSaid]:
        self._more()
        return [message for message in self.all if isinstance(message, FeedSaid) and message.key == key]

    def connected(self) -> bool:
        self._more()
        return [message.connected for message in self.all if isinstance(message, Beat)][-1]

    def _more(self) -> None:
        self.all.extend(self._source.arrivals())


# REST


def test_minutes_are_read_page_by_page_in_order_of_time(server: DataServer) -> None:
    server.minutes = [(symbol, at(minute), 100.0 + minute) for symbol in ("AAPL", "FB") for minute in range(30)]
    server.page = 7
    rows = history(server).so_far(DAY, ["AAPL", "FB"], at(20))
    assert len(rows) == 40
    assert rows[0] == Row(at(0), Bar("AAPL", 100.0, 100.0, 100.0, 100.0, 1000.0))
    assert [(row.start, row.bar.symbol) for row in rows[:3]] == [(at(0), "AAPL"), (at(0), "FB"), (at(1), "AAPL")]
    assert rows[-1].start == at(19)
    assert {request["feed"] for request in server.requests} == {"iex"}
    assert {request["adjustment"] for request in server.requests} == {"raw"}


def test_daily_history_is_split_adjusted_and_ends_before_the_session(server: DataServer) -> None:
    midnight = dt.datetime(2026, 1, 13, 5, 0, tzinfo=dt.UTC)
    server.days = [("AAPL", midnight - dt.timedelta(days=days), 100.0) for days in (0, 1, 4)]
    found = history(server).histories(DAY, ["AAPL", "FB"])
    assert [bar.session for bar in found["AAPL"].daily] == [dt.date(2026, 1, 9), dt.date(2026, 1, 12)]
    assert found["AAPL"].daily[-1] == DailyBar(dt.date(2026, 1, 12), 100.0, 100.0, 100.0, 100.0, 1000.0)
    assert found["FB"].daily == ()
    [days] = [request for request in server.requests if request["timeframe"] == "1Day"]
    assert days["adjustment"] == "split"
    assert dt.datetime.fromisoformat(days["start"]).date() == calendar.previous(DAY.session, 250).session


def test_the_volume_profile_is_the_mean_of_twenty_sessions(server: DataServer) -> None:
    sessions = calendar.sessions(calendar.previous(DAY.session, 20).session, calendar.previous(DAY.session).session)
    server.spans = [
        ("AAPL", session.opens_at + span * 10 * MINUTE, 100.0)
        for session in sessions
        for span in range(session.minutes // 10)
    ]
    known = history(server).histories(DAY, ["AAPL"])["AAPL"]
    assert known.volume_sessions == 20
    assert known.cumulative[9] == pytest.approx(1000.0)
    assert known.cumulative[4] == pytest.approx(500.0)
    half_days = sum(session.early for session in sessions)
    assert half_days == 1
    assert known.cumulative[-1] == pytest.approx(1000.0 * (39 * 19 + 21) / 20)


def test_many_symbols_are_asked_for_in_several_requests(server: DataServer) -> None:
    history(server).so_far(DAY, [f"S{number}" for number in range(250)], at(5))
    assert [len(request["symbols"].split(",")) for request in server.requests] == [100, 100, 50]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('{"bars": null, "next_page_token": null}', "not readable"),
        ('{"next_page_token": null}', "not readable"),
        ("<html>", "not readable|does not answer"),
        ('{"bars": {"AAPL": [{"t": "yesterday"}]}, "next_page_token": null}', "not readable"),
        ('{"bars": {"AAPL": [{"t": "2026-01-13T14:30:00Z"}]}, "next_page_token": null}', "not readable"),
    ],
)
def test_an_unreadable_reply_is_no_history_and_no_crash(server: DataServer, body: str, reason: str) -> None:
    server.rest_body = body
    with pytest.raises(FeedDown, match=reason):
        history(server).so_far(DAY, ["AAPL"], at(5))


def test_a_symbol_without_bars_is_no_fault(server: DataServer) -> None:
    server.rest_body = '{"bars": {"AAPL": null}, "next_page_token": null}'
    with pytest.raises(FeedDown):
        history(server).so_far(DAY, ["AAPL"], at(5))
    server.rest_body = '{"bars": {}, "next_page_token": null}'
    assert history(server).so_far(DAY, ["AAPL"], at(5)) == []


def test_a_server_in_trouble_is_said_in_one_line(server: DataServer) -> None:
    server.rest_fault = 500
    with pytest.raises(FeedDown, match="Alpaca refused the request for bars"):
        history(server).so_far(DAY, ["AAPL"], at(5))


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(server: DataServer) -> None:
    server.rest_delay_s = 1.0
    with pytest.raises(FeedDown, match="does not answer"):
        history(server, read_timeout_s=0.1).so_far(DAY, ["AAPL"], at(5))


def test_no_key_stands_in_a_fault_or_a_representation(server: DataServer) -> None:
    server.rest_fault = 403
    feed = AlpacaFeed(key=KEYS[0], secret=KEYS[1])
    with pytest.raises(FeedDown) as caught:
        history(server).so_far(DAY, ["AAPL"], at(5))
    for text in (str(caught.value), repr(caught.value), repr(feed), repr(AlpacaSource.from_settings(feed).__dict__)):
        assert KEY not in text
        assert SECRET not in text


def test_keys_come_from_the_environment_under_alpacas_own_names() -> None:
    AlpacaSource.from_env({"APCA_API_KEY_ID": KEY, "APCA_API_SECRET_KEY": SECRET})
    with pytest.raises(BadSettings, match="APCA_API_KEY_ID"):
        AlpacaSource.from_env({})


# The socket


def test_bars_corrections_and_halts_of_followed_symbols_come_in(server: DataServer, source: AlpacaSource) -> None:
    seen = Collected(source)
    source.follow(["AAPL", "SPY"])
    wait_for(seen.connected)
    assert server.subscribed == {channel: {"AAPL", "SPY"} for channel in ("bars", "updatedBars", "statuses")}
    server.send(live_bar("AAPL", at(9), 101.0), live_bar("SPY", at(9), 500.0))
    server.send(live_bar("AAPL", at(9), 102.0, "u"), status("AAPL", at(10), "H", "T12"))
    server.send(status("AAPL", at(11), "T", "C3"), status("AAPL", at(11), "Q", ""))
    wait_for(lambda: len(seen.bars()) == 3 and len(seen.halts()) == 2)
    assert seen.bars() == [
        ("AAPL", at(9), 101.0, False),
        ("SPY", at(9), 500.0, False),
        ("AAPL", at(9), 102.0, True),
    ]
    assert [(halt.symbol, halt.at, halt.halted, halt.code) for halt in seen.halts()] == [
        ("AAPL", at(10), True, "T12"),
        ("AAPL", at(11), False, "C3"),
    ]


def test_symbols_may_be_followed_and_left_while_it_streams(server: DataServer, source: AlpacaSource) -> None:
    seen = Collected(source)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    source.follow(["AAPL", "FB"])
    wait_for(lambda: server.subscribed["bars"] == {"AAPL", "FB"})
    source.follow(["FB"])
    wait_for(lambda: server.subscribed["bars"] == {"FB"})


def test_an_unreadable_bar_is_said_and_the_rest_of_its_frame_still_counts(
    server: DataServer, source: AlpacaSource
) -> None:
    seen = Collected(source)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    wrong = live_bar("AAPL", at(9), 101.0)
    wrong["o"] = "a lot"
    server.send(wrong, live_bar("AAPL", at(10), 102.0))
    wait_for(lambda: len(seen.bars()) == 1)
    assert len(seen.said("bar")) == 1


def test_a_cut_socket_comes_back_with_its_subscription_and_rest_fills_the_hole(
    server: DataServer, source: AlpacaSource, clock: Clock
) -> None:
    seen = Collected(source)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    server.minutes = [("AAPL", at(minute), 100.0 + minute) for minute in range(20)]
    server.hang_up()
    clock.now = at(11) + dt.timedelta(seconds=1.5)
    wait_for(lambda: ("AAPL", at(10), 110.0, False) in seen.bars())
    wait_for(lambda: bool(server.connections), 15)
    assert server.subscribed["bars"] == {"AAPL"}


@pytest.mark.parametrize(
    ("code", "text"), [(402, "auth failed"), (406, "connection limit exceeded"), (409, "insufficient subscription")]
)
def test_a_refusal_at_the_door_is_said_and_rest_serves_meanwhile(
    server: DataServer, source: AlpacaSource, clock: Clock, code: int, text: str
) -> None:
    seen = Collected(source)
    server.door = (code, text)
    server.minutes = [("AAPL", at(10), 110.0)]
    source.follow(["AAPL"])
    clock.now = at(11) + dt.timedelta(seconds=1.5)
    wait_for(lambda: bool(seen.said("stream-at the door")))
    assert text in seen.said("stream-at the door")[0].text
    wait_for(lambda: bool(seen.bars()))
    assert not seen.connected()
    assert seen.bars() == [("AAPL", at(10), 110.0, False)]


def test_a_subscription_above_the_limit_is_said_and_rest_serves_the_rest(
    server: DataServer, source: AlpacaSource, clock: Clock
) -> None:
    seen = Collected(source)
    server.on_subscribe = (405, "symbol limit exceeded")
    server.minutes = [("AAPL", at(10), 110.0)]
    source.follow(["AAPL"])
    clock.now = at(11) + dt.timedelta(seconds=1.5)
    wait_for(lambda: bool(seen.said("stream-405")) and bool(seen.bars()))
    assert "follow fewer" in seen.said("stream-405")[0].text


def test_a_mute_socket_is_helped_by_rest(server: DataServer, source: AlpacaSource, clock: Clock) -> None:
    seen = Collected(source)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    server.send(live_bar("AAPL", at(9), 101.0))
    wait_for(lambda: bool(seen.bars()))
    server.minutes = [("AAPL", at(11), 111.0)]
    clock.now = at(12) + dt.timedelta(seconds=1.5)
    wait_for(lambda: ("AAPL", at(11), 111.0, False) in seen.bars())


def test_rest_that_fails_is_said_once_and_asked_again(server: DataServer, source: AlpacaSource, clock: Clock) -> None:
    seen = Collected(source)
    server.door = (406, "connection limit exceeded")
    server.rest_fault = 500
    server.minutes = [("AAPL", at(10), 110.0)]
    source.follow(["AAPL"])
    clock.now = at(11) + dt.timedelta(seconds=1.5)
    wait_for(lambda: bool(seen.said("poll")))
    asked = len(server.requests)
    wait_for(lambda: len(server.requests) > asked)
    server.rest_fault = None
    wait_for(lambda: bool(seen.bars()))
    assert len(seen.said("poll")) == 1


def test_outside_the_session_nothing_is_polled(server: DataServer, source: AlpacaSource, clock: Clock) -> None:
    seen = Collected(source)
    clock.now = at(-60)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    assert server.requests == []


def test_it_ends_within_seconds_also_where_the_server_is_gone(server: DataServer, source: AlpacaSource) -> None:
    seen = Collected(source)
    source.follow(["AAPL"])
    wait_for(seen.connected)
    server.close()
    source.stop()
    assert not seen.connected()


def test_a_session_goes_from_the_socket_to_complete_minutes(
    server: DataServer, source: AlpacaSource, clock: Clock
) -> None:
    """The whole live half: back-fill of a start in mid-session, then the socket, a late bar, a correction."""
    server.minutes = [("SPY", at(minute), 100.0) for minute in range(10)]
    server.days = [("SPY", dt.datetime(2026, 1, 12, 5, 0, tzinfo=dt.UTC), 100.0)]
    service = LiveMarketData(source, 1, grace=dt.timedelta(seconds=2), max_jump=0.25)
    told: list[Outgoing] = []

    def minutes() -> dict[dt.datetime, list[float]]:
        for message in source.arrivals():
            told.extend(service.handle(message))
        return {batch.minute: [row.close for row in batch.rows] for batch in told if isinstance(batch, Bars)}

    clock.now = at(10) + dt.timedelta(seconds=13)
    wait_for(lambda: minutes() == {} and bool(server.connections))
    assert [type(message) for message in told if not isinstance(message, Alert)] == [
        SessionOpened,
        DailyHistory,
        VolumeProfile,
    ]
    clock.now = at(10) + dt.timedelta(seconds=30)
    wait_for(lambda: minutes() == {at(minute): [100.0] for minute in range(10)})
    server.send(live_bar("SPY", at(10), 100.5))
    wait_for(lambda: source.last_data() is not None)
    clock.now = at(11) + dt.timedelta(seconds=2)
    wait_for(lambda: minutes().get(at(10)) == [100.5])
    server.send(live_bar("SPY", at(10), 100.6, "u"))
    wait_for(lambda: bool(minutes()) and isinstance(told[-1], BarRevised))
