"""The two sockets by calls: keys, subscriptions, order, and what a fault makes of them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from services.exchange.conversation import Close, Frame
from services.exchange.data_stream import CHUNK, DataConversation, DataStream
from services.exchange.faults import Faults
from services.exchange.trade_stream import TradeConversation, TradeStream
from tests.unit.exchange.market import OPEN, an_exchange, flat, placed


def admits(key: str, secret: str) -> bool:
    return (key, secret) == ("k", "s")


class Client:
    """The other end: what was sent to it, decoded; a Close as it is."""

    def __init__(self, stream: TradeStream | DataStream) -> None:
        self.frames: list[Any] = []
        self.talk: TradeConversation | DataConversation = stream.connect(self._take)
        self.talk.open()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Close):
            self.frames.append(frame)
        else:
            self.frames.append(json.loads(frame) if frame[:1] == b"{" else msgspec.msgpack.decode(frame))

    def say(self, **message: Any) -> None:
        self.talk.hear(json.dumps(message).encode())

    def heard(self) -> list[Any]:
        frames, self.frames = self.frames, []
        return frames


def listening(stream: TradeStream) -> Client:
    client = Client(stream)
    client.say(action="authenticate", data={"key_id": "k", "secret_key": "s"})
    client.say(action="listen", data={"streams": ["trade_updates", "account_updates"]})
    return client


def subscribed(stream: DataStream, **channels: list[str]) -> Client:
    client = Client(stream)
    client.say(action="auth", key="k", secret="s")
    client.say(action="subscribe", **channels)
    client.heard()
    return client


def updates(count: int) -> Any:
    exchange = an_exchange(announce_pending_new=False)
    for _ in range(count):
        placed(exchange, OPEN, type="limit", limit_price="9")
    return exchange.book.take_updates()


def test_a_listener_is_authorized_then_listening_then_told() -> None:
    stream = TradeStream(admits, Faults())
    client = listening(stream)
    stream.tell(updates(2))
    authorized, listened, *told = client.heard()
    assert authorized == {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
    assert listened == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
    assert [frame["data"]["seq"] for frame in told] == [1, 2]


def test_before_it_listens_nothing_is_told() -> None:
    stream = TradeStream(admits, Faults())
    client = Client(stream)
    client.say(action="authenticate", data={"key_id": "k", "secret_key": "s"})
    client.heard()
    stream.tell(updates(1))
    assert client.heard() == []


def test_a_slot_is_free_again_when_its_connection_is_gone() -> None:
    stream = TradeStream(admits, Faults())
    first = listening(stream)
    refused = listening(stream)
    assert refused.heard()[0]["data"]["code"] == 406
    refused.talk.end()
    first.talk.end()
    assert listening(stream).heard()[0]["data"]["status"] == "authorized"


def test_a_refused_connection_does_not_take_the_slot_with_it() -> None:
    stream = TradeStream(admits, Faults())
    first = listening(stream)
    first.heard()
    refused = listening(stream)
    refused.talk.end()
    stream.tell(updates(1))
    assert len(first.heard()) == 1


def test_nonsense_instead_of_a_key_closes_the_connection() -> None:
    client = Client(TradeStream(admits, Faults()))
    client.talk.hear(b"\xff\x00 no json")
    assert client.heard()[-1] == Close(1008)


def test_a_swapped_event_comes_after_the_next_one_also_of_a_later_minute() -> None:
    stream = TradeStream(admits, Faults.read('[[fault]]\non = "event new"\ndo = "swap"'))
    client = listening(stream)
    client.heard()
    first, second = updates(2)
    stream.tell([first])
    assert client.heard() == []
    stream.tell([second])
    assert [frame["data"]["seq"] for frame in client.heard()] == [2, 1]


def test_data_in_large_minutes_is_cut_into_chunks() -> None:
    stream = DataStream(admits, Faults())
    client = subscribed(stream, bars=["*"])
    stream.bars(OPEN, [flat(1.0, f"S{number}") for number in range(CHUNK + 1)])
    assert [len(frame) for frame in client.heard()] == [CHUNK, 1]


def test_only_what_was_subscribed_is_sent_and_the_whole_list_is_told_back() -> None:
    stream = DataStream(admits, Faults())
    client = Client(stream)
    client.say(action="auth", key="k", secret="s")
    client.say(action="subscribe", bars=["AAPL"])
    client.say(action="subscribe", bars=["MSFT"])
    client.say(action="unsubscribe", bars=["AAPL", "NONE"])
    assert client.heard()[-1][0]["bars"] == ["MSFT"]
    stream.bars(OPEN, [flat(1.0, "AAPL"), flat(2.0, "MSFT")])
    assert [message["S"] for frame in client.heard() for message in frame] == ["MSFT"]


def test_a_key_that_comes_too_late_is_error_404() -> None:
    client = Client(DataStream(admits, Faults()))
    client.talk.too_slow()
    assert client.heard()[1:] == [[{"T": "error", "code": 404, "msg": "auth timeout"}], Close(1000)]


def test_a_minute_told_to_nobody_is_forgotten() -> None:
    stream = DataStream(admits, Faults())
    stream.bars(OPEN, [flat(1.0)])
    assert subscribed(stream, bars=["*"]).heard() == []
