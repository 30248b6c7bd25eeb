"""The broker's stream through the real alpaca-py over a real socket, in every situation of ALPACA's that we know of."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from services.executor.alpaca_listener import TradeUpdates
from services.executor.heard import Ended, Heard, KeysRefused, Listening, Lost, Update
from tests.orders.loopback_broker import NOW, order
from tests.orders.update_server import DROP, Plan, UpdateServer, update

DEADLINE_S = 8.0


class Ear:
    """Collects what is heard; waits for it with a deadline."""

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self.tell = self._heard.put

    def next(self, *kinds: type[Heard]) -> Heard:
        """The next thing heard of these kinds; others are passed over."""
        end = time.monotonic() + DEADLINE_S
        while True:
            heard = self._heard.get(timeout=max(end - time.monotonic(), 0.01))
            if isinstance(heard, kinds):
                return heard

    def updates(self, count: int) -> list[object]:
        found: list[object] = []
        while len(found) < count:
            heard = self.next(Update)
            assert isinstance(heard, Update)
            found.append(heard.raw)
        return found


@contextmanager
def listening_to(url: str) -> Iterator[tuple[TradeUpdates, Ear]]:
    ear = Ear()
    stream = TradeUpdates(SecretStr("demo"), SecretStr("demo"), url, paper=True, tell=ear.tell)
    stream.start()
    try:
        yield stream, ear
    finally:
        stream.stop()


def data(event: str, number: int, **changes: object) -> dict[str, object]:
    base: dict[str, object] = {"event": event, "timestamp": NOW, "order": order(f"o-{number}")}
    return base | changes


def test_the_subscription_is_announced_before_its_updates() -> None:
    said = [update(data("new", 1)), update(data("fill", 1))]
    with UpdateServer(Plan(say=said)) as server, listening_to(server.url) as (_, ear):
        assert isinstance(ear.next(Listening, Update), Listening)
        assert ear.updates(2) == [data("new", 1), data("fill", 1)]
        assert server.keys == ["demo"]


def test_text_frames_are_read_like_binary_ones() -> None:
    with UpdateServer(Plan(say=[update(data("new", 1))], text=True)) as server, listening_to(server.url) as (_, ear):
        assert ear.updates(1) == [data("new", 1)]


def test_doubled_and_unordered_updates_come_as_they_were_sent() -> None:
    sent = [data("fill", 1), data("new", 1), data("fill", 1), data("fill", 1)]
    with UpdateServer(Plan(say=[update(raw) for raw in sent])) as server, listening_to(server.url) as (_, ear):
        assert ear.updates(4) == sent


def test_an_update_without_data_is_heard_and_the_next_one_too() -> None:
    with UpdateServer(Plan(say=[update(None), update(data("new", 1))])) as server, listening_to(server.url) as (_, ear):
        assert ear.updates(2) == [None, data("new", 1)]


def test_what_is_no_message_of_the_broker_breaks_nothing() -> None:
    said = [["no", "object"], "text", 7, {"stream": "unknown"}, {}, update(data("new", 1))]
    with UpdateServer(Plan(say=said)) as server, listening_to(server.url) as (_, ear):
        assert ear.updates(1) == [data("new", 1)]
        assert server.connections == 1


def test_a_cut_connection_is_announced_and_made_again() -> None:
    first = Plan(say=[update(data("new", 1)), DROP])
    second = Plan(say=[update(data("fill", 1))])
    with UpdateServer(first, second) as server, listening_to(server.url) as (_, ear):
        assert isinstance(ear.next(Listening, Lost), Listening)
        assert isinstance(ear.next(Listening, Lost), Lost)
        assert isinstance(ear.next(Listening), Listening)
        assert ear.updates(1) == [data("fill", 1)]
        assert server.connections == 2


def test_refused_keys_are_told_and_tried_again() -> None:
    with UpdateServer(Plan(refuse_keys=True)) as server, listening_to(server.url) as (_, ear):
        assert isinstance(ear.next(KeysRefused, Listening), KeysRefused)
        assert isinstance(ear.next(KeysRefused, Listening), Listening)
        assert server.connections == 2


@pytest.mark.parametrize("status", [429, 503, 406])
def test_a_refused_upgrade_is_a_lost_connection_and_tried_again(status: int) -> None:
    with UpdateServer(Plan(status=status)) as server, listening_to(server.url) as (_, ear):
        assert isinstance(ear.next(Lost, Listening), Lost)
        assert isinstance(ear.next(Listening), Listening)


@pytest.mark.parametrize("plan", [Plan(silent_auth=True), Plan(silent_listen=True)], ids=["auth", "listen"])
def test_a_server_that_stops_in_the_handshake_is_left_when_told_to(plan: Plan) -> None:
    with UpdateServer(plan) as server, listening_to(server.url) as (stream, ear):
        assert server.greeted.wait(DEADLINE_S)
        stream.reconnect()
        assert isinstance(ear.next(Listening), Listening)
        assert server.connections == 2


def test_a_connection_that_is_dropped_on_purpose_is_made_again() -> None:
    with UpdateServer() as server, listening_to(server.url) as (stream, ear):
        ear.next(Listening)
        stream.reconnect()
        assert isinstance(ear.next(Lost), Lost)
        assert isinstance(ear.next(Listening), Listening)


@pytest.mark.parametrize("plan", [Plan(), Plan(silent_auth=True)], ids=["listening", "in the handshake"])
def test_the_stream_stops_within_a_second(plan: Plan) -> None:
    with UpdateServer(plan) as server:
        with listening_to(server.url) as (stream, _):
            assert server.greeted.wait(DEADLINE_S)
            asked = time.monotonic()
            stream.stop()
            assert time.monotonic() - asked < 1
        assert "trade-updates" not in {thread.name for thread in threading.enumerate()}


def test_a_server_that_accepts_and_never_speaks_does_not_hold_the_stop() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with listening_to(f"ws://127.0.0.1:{mute.getsockname()[1]}/stream") as (stream, _):
            accepted, _address = mute.accept()
            asked = time.monotonic()
            stream.stop()
            assert time.monotonic() - asked < 2
        accepted.close()


def test_a_library_that_gives_up_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from alpaca.trading.stream import TradingStream

    async def gives_up(_: object) -> None:
        raise ValueError("insufficient subscription")

    monkeypatch.setattr(TradingStream, "_run_forever", gives_up)
    with listening_to("ws://127.0.0.1:1/stream") as (_, ear):
        assert ear.next(Ended) == Ended("ValueError: insufficient subscription")
