"""What only a wire can do: keys, limits, sockets, and faults on purpose. One case for each line of the catalogue."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
import requests
from alpaca.common.exceptions import APIError
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from services.exchange.faults import Faults
from services.exchange.web import Meter
from tests.conformance.broker import KEY, WAIT_S, OverTheWire, Said, bar, flat
from tests.conformance.case import Check, case

KEYS = "Wire: keys and limits"
SOCKETS = "Wire: sockets"
DATA = "Wire: market data stream"
REST_FAULTS = "Faults: requests"
EVENT_FAULTS = "Faults: trade updates"
DATA_FAULTS = "Faults: market data"
PAPER = "measured on paper by third parties"
STREAM_DOCS = "Alpaca docs: market data streaming"
LEAN = "Lean.Brokerages.Alpaca PR#61"
MEASURED = "reproduced against alpaca-py 0.44"


def wire(section: str, text: str, source: str) -> Callable[[Callable[[OverTheWire], None]], Check]:
    """A case that needs the wire."""

    def add(check: Callable[[OverTheWire], None]) -> Check:
        return case(section, text, source, wire_only=True)(lambda b: check(cast(OverTheWire, b)))

    return add


def wrong(b: OverTheWire, script: str) -> None:
    """What is to go wrong from here on, as an entry of a fault script."""
    b.faults.add(*Faults.read(f"[[fault]]\n{script}").entries)


def get(b: OverTheWire, path: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"{b.url}{path}", headers=headers, timeout=WAIT_S)


@wire(KEYS, "Without keys the answer is a web server's page", PAPER)
def _(b: OverTheWire) -> None:
    reply = get(b, "/v2/account")
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (401, "text/html")


@wire(KEYS, "With wrong keys it is 401 without a code", PAPER)
def _(b: OverTheWire) -> None:
    reply = get(b, "/v2/account", **{"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": "no"})
    assert (reply.status_code, reply.json()) == (401, {"message": "unauthorized."})


@wire(KEYS, "Requests above the limit are answered 429 with the limit's headers", "Alpaca's OpenAPI: rate limit")
def _(b: OverTheWire) -> None:
    said = within_a_minute() or within_a_minute()
    assert said is not None, "two minutes in a row ended within five requests"
    assert [reply.headers["X-RateLimit-Limit"] for reply in said] == ["3"] * 5
    assert [reply.headers["X-RateLimit-Remaining"] for reply in said] == ["2", "1", "0", "0", "0"]
    assert [(reply.status, reply.code) for reply in said] == [(200, None)] * 3 + [(429, 42910000)] * 2
    assert 0 < int(said[-1].headers["X-RateLimit-Reset"]) - time.time() <= 60


def within_a_minute() -> list[Said] | None:
    """Five replies of a broker that allows three requests a minute; None where the minute ended in between."""
    limited = OverTheWire(requests_per_minute=3)
    try:
        said = [limited.clock() for _number in range(5)]
    finally:
        limited.stop()
    return said if len({reply.headers["X-RateLimit-Reset"] for reply in said}) == 1 else None


@wire(KEYS, "Without a limit there are no headers of one", "own default")
def _(b: OverTheWire) -> None:
    assert Meter(0).count() == (True, {})
    assert "X-RateLimit-Limit" not in b.clock().headers


@wire(KEYS, "The routes of an operator are closed unless asked for", "own addition")
def _(b: OverTheWire) -> None:
    keys = {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": KEY}
    assert get(b, "/admin/faults", **keys).status_code == 404


# sockets


class Talk:
    """A bare connection, for what alpaca-py would only log."""

    def __init__(self, b: OverTheWire, path: str) -> None:
        address = f"ws://127.0.0.1:{b.server.port}{path}"
        self.socket: ClientConnection = b.opened.enter_context(connect(address, proxy=None))

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def hear(self) -> Any:
        frame = self.socket.recv(timeout=WAIT_S)
        assert isinstance(frame, bytes), "frames are binary"
        return json.loads(frame) if frame[:1] == b"{" else msgspec.msgpack.decode(frame)

    def is_closed(self) -> bool:
        try:
            self.socket.recv(timeout=WAIT_S)
        except ConnectionClosed:
            return True
        return False


def trade(b: OverTheWire, key: str = KEY, secret: str = KEY) -> Talk:
    talk = Talk(b, "/stream")
    talk.say(action="authenticate", data={"key_id": key, "secret_key": secret})
    return talk


def data(b: OverTheWire, secret: str = KEY) -> Talk:
    """A data connection that has shown its key."""
    talk = Talk(b, "/v2/iex")
    assert talk.hear() == [{"T": "success", "msg": "connected"}]
    talk.say(action="auth", key=KEY, secret=secret)
    return talk


def subscribed(b: OverTheWire, **channels: list[str]) -> Talk:
    """Waits for the slot of the connection before, which closes in its own time."""
    deadline = time.monotonic() + WAIT_S
    while True:
        talk = data(b)
        [answer] = talk.hear()
        if answer.get("msg") == "authenticated":
            break
        assert time.monotonic() < deadline, answer
    talk.say(action="subscribe", **channels)
    assert talk.hear()[0]["T"] == "subscription"
    return talk


@wire(SOCKETS, "Wrong keys on the trade stream are unauthorized, and the socket closes", MEASURED)
def _(b: OverTheWire) -> None:
    talk = trade(b, secret="no")
    assert talk.hear() == {
        "stream": "authorization",
        "data": {"status": "unauthorized", "action": "authenticate"},
    }
    assert talk.is_closed()


@wire(SOCKETS, "A second trade stream on the same key is refused with 406", "QuantConnect/Lean.Brokerages.Alpaca#39")
def _(b: OverTheWire) -> None:
    talk = trade(b)
    assert talk.hear()["data"]["code"] == 406
    assert talk.is_closed()


@wire(SOCKETS, "What is said before a key is shown is refused", MEASURED)
def _(b: OverTheWire) -> None:
    talk = Talk(b, "/stream")
    talk.say(action="listen", data={"streams": ["trade_updates"]})
    assert talk.hear()["data"]["status"] == "unauthorized"


@wire(SOCKETS, "A path that is no stream is refused at the upgrade", "any HTTP API")
def _(b: OverTheWire) -> None:
    with pytest.raises(InvalidStatus):
        Talk(b, "/v2/nonsense")


@wire(SOCKETS, "A stream may be refused at the upgrade with 429", "Lean.Brokerages.Alpaca#39, PR#60")
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "connect trade"\ndo = "status"\nstatus = 429')
    with pytest.raises(InvalidStatus) as refusal:
        Talk(b, "/stream")
    assert refusal.value.response.status_code == 429


@wire(SOCKETS, "A stream may take the connection and never answer", MEASURED)
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "connect trade"\ndo = "silent"')
    talk = trade(b)
    with pytest.raises(TimeoutError):
        talk.socket.recv(timeout=0.2)


@wire(SOCKETS, "A right key may be refused", MEASURED)
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "key trade"\ndo = "refuse"')
    assert trade(b).hear()["data"]["status"] == "unauthorized"


@wire(DATA, "A connection begins with connected, then authenticated, then the subscription", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = data(b)
    assert talk.hear() == [{"T": "success", "msg": "authenticated"}]
    talk.say(action="subscribe", bars=["AAPL", "MSFT"], statuses=["*"])
    [answer] = talk.hear()
    assert (answer["T"], answer["bars"], answer["statuses"], answer["trades"]) == (
        "subscription",
        ["AAPL", "MSFT"],
        ["*"],
        [],
    )
    talk.say(action="unsubscribe", bars=["MSFT"])
    assert talk.hear()[0]["bars"] == ["AAPL"]


@wire(DATA, "Wrong keys are error 402", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    assert data(b, secret="no").hear()[0]["code"] == 402


@wire(DATA, "A message before the key is error 401", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = Talk(b, "/v2/iex")
    talk.hear()
    talk.say(action="subscribe", bars=["AAPL"])
    assert talk.hear()[0]["code"] == 401


@wire(DATA, "A second connection on the same key is error 406", "Lean.Brokerages.Alpaca#39; alpaca-py#248")
def _(b: OverTheWire) -> None:
    first = subscribed(b, bars=["AAPL"])
    assert data(b).hear()[0]["code"] == 406
    first.socket.close()


@wire(DATA, "A key shown twice is error 403, nonsense error 400", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["AAPL"])
    talk.say(action="auth", key=KEY, secret=KEY)
    assert talk.hear()[0]["code"] == 403
    talk.socket.send("no json")
    assert talk.hear()[0]["code"] == 400


def told(b: OverTheWire, *bars: Any) -> None:
    """The next minute of the market, told to subscribers."""
    start = b.now
    b.minute(*bars)
    b.app.bars(start, bars)


@wire(DATA, "A bar has the start of its minute as a Timestamp, and only subscribers get it", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["AAPL"])
    start = b.now
    told(b, bar("AAPL", 100, 102, 99, 101, 5000), flat(20.0, "MSFT"))
    assert talk.hear() == [
        {"T": "b", "S": "AAPL", "o": 100.0, "h": 102.0, "l": 99.0, "c": 101.0, "v": 5000, "n": 50, "vw": 100.666667}
        | {"t": start}
    ]


@wire(DATA, "Many bars come in frames of a few hundred", MEASURED)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    told(b, *(flat(10.0, f"S{number}") for number in range(600)))
    assert [len(talk.hear()) for _number in range(3)] == [250, 250, 100]


@wire(DATA, "Halts are told to those who subscribed to statuses", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, statuses=["*"])
    b.app.halted("AAPL", b.now, halted=True, code="T12")
    [message] = talk.hear()
    assert (message["T"], message["S"], message["sc"], message["rc"]) == ("s", "AAPL", "H", "T12")


# faults of requests


def order_fields(client_order_id: str) -> dict[str, Any]:
    return {"type": "limit", "limit_price": 99, "client_order_id": client_order_id}


def exists(b: OverTheWire, client_order_id: str) -> bool:
    return b.order_by_client_id(client_order_id).status == 200


for status in (429, 500, 502, 503, 504):

    @wire(REST_FAULTS, f"{status} before the order is made: it does not exist", MEASURED)
    def _(b: OverTheWire, status: int = status) -> None:
        b.ready()
        wrong(b, f'on = "POST /v2/orders"\ndo = "status"\nstatus = {status}')
        with pytest.raises((APIError, requests.JSONDecodeError)):
            _raise(b, order_fields("f"))
        assert not exists(b, "f")

    @wire(REST_FAULTS, f"{status} after the order was made: it exists", MEASURED)
    def _(b: OverTheWire, status: int = status) -> None:
        b.ready()
        wrong(b, f'on = "POST /v2/orders"\ndo = "status"\nstatus = {status}\nafter = true')
        with pytest.raises((APIError, requests.JSONDecodeError)):
            _raise(b, order_fields("f"))
        assert exists(b, "f")


def _raise(b: OverTheWire, fields: dict[str, Any]) -> None:
    """The library's own exception, rather than what was said."""
    b.client.post("/orders", {"symbol": "AAPL", "qty": 10, "side": "buy", "time_in_force": "day", **fields})


@wire(REST_FAULTS, "429 has the limit's headers", "Alpaca's OpenAPI: rate limit")
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "GET /v2/clock"\ndo = "status"\nstatus = 429')
    said = b.clock()
    assert (said.status, said.code, said.headers["X-RateLimit-Remaining"]) == (429, 42910000, "0")


for after in (False, True):

    @wire(REST_FAULTS, f"The connection is cut {'after' if after else 'before'} the order is made", MEASURED)
    def _(b: OverTheWire, after: bool = after) -> None:
        b.ready()
        wrong(b, f'on = "POST /v2/orders"\ndo = "drop"\nafter = {str(after).lower()}')
        with pytest.raises(requests.ConnectionError):
            _raise(b, order_fields("f"))
        assert exists(b, "f") is after


@wire(REST_FAULTS, "The reply is stalled, so that events overtake it", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "POST /v2/orders"\ndo = "stall"\nseconds = 0.2\nafter = true')
    began = time.monotonic()
    b.order(**order_fields("f"))
    assert time.monotonic() - began >= 0.2
    assert [update["event"] for update in b.seen] == ["pending_new", "new"]


@wire(REST_FAULTS, "The request is stalled before anything happens", MEASURED)
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "GET /v2/account"\ndo = "stall"\nseconds = 0.1')
    began = time.monotonic()
    assert b.account().status == 200
    assert time.monotonic() - began >= 0.1


@wire(REST_FAULTS, "Half of the JSON: the order was made", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "POST /v2/orders"\ndo = "truncate"')
    with pytest.raises(requests.JSONDecodeError):
        _raise(b, order_fields("f"))
    assert exists(b, "f")


@wire(REST_FAULTS, "200 without a body: the order was made", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "POST /v2/orders"\ndo = "empty"')
    _raise(b, order_fields("f"))  # the library gives None
    assert exists(b, "f")


@wire(REST_FAULTS, "One element of a list with an unknown status hides all others from the library's models", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    for number in range(3):
        b.order(**order_fields(f"f-{number}"))
    wrong(b, 'on = "GET /v2/orders"\ndo = "enum"\nfield = "status"\nvalue = "floating"\ntimes = 2')
    with pytest.raises(ValidationError):
        b.client.get_orders()
    raw = b.client.get("/orders", {})
    assert [order["status"] for order in raw] == ["floating", "new", "new"]


@wire(REST_FAULTS, "A list is as it was before a fill", "Alpaca-API#276")
def _(b: OverTheWire) -> None:
    b.ready()
    assert b.positions().body == []
    wrong(b, 'on = "GET /v2/positions"\ndo = "stale"\ntimes = 2')
    assert b.positions().body == []
    b.hold(10)
    assert b.positions().body == []
    assert len(b.positions().body) == 1


@wire(REST_FAULTS, "A look-up finds nothing for a while, then it does", "Alpaca FAQ: an order may be in flight")
def _(b: OverTheWire) -> None:
    b.ready()
    b.order(**order_fields("f"))
    wrong(b, 'on = "GET /v2/orders:by_client_order_id"\ndo = "status"\nstatus = 404\nlasts = 0.1')
    assert not exists(b, "f")
    deadline = time.monotonic() + WAIT_S
    while not exists(b, "f"):
        assert time.monotonic() < deadline


@wire(
    REST_FAULTS, "A refusal of the past, such as that of the abolished day-trade rule, by its code", "Alpaca changelog"
)
def _(b: OverTheWire) -> None:
    b.ready()
    words = "trade denied due to pattern day trading protection"
    wrong(b, f'on = "POST /v2/orders"\ndo = "status"\nstatus = 403\ncode = 40310100\nmessage = "{words}"')
    said = b.submit()
    assert (said.status, said.body) == (403, {"code": 40310100, "message": words})
    assert b.orders(status="all").body == []


@wire(REST_FAULTS, "Only the n-th request of a kind goes wrong", "own rule of the script")
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "GET /v2/clock"\ndo = "status"\nnth = 2\ntimes = 2')
    assert [b.clock().status for _number in range(4)] == [200, 500, 500, 200]


@wire(REST_FAULTS, "An order that was taken is rejected by an event", "Alpaca docs: order life")
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "order AAPL"\ndo = "reject"')
    order = b.order(**order_fields("f"))
    assert order["status"] == "new"
    assert b.told(order)[-1] == "rejected"
    assert b.status(order) == "rejected"


# faults of trade updates


def heard(b: OverTheWire, count: int) -> list[tuple[str, int]]:
    """(event, number) of what came, once there are `count` of them."""
    deadline = time.monotonic() + WAIT_S
    while len(b.seen) < count:
        assert time.monotonic() < deadline, b.seen
        time.sleep(0.002)
    return [(update["event"], update["seq"]) for update in b.seen]


@wire(EVENT_FAULTS, "An event is lost", "Alpaca-API#74")
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "drop"')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 2) == [("pending_new", 1), ("fill", 3)]


@wire(EVENT_FAULTS, "An event comes three times with the same execution id", LEAN)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event fill"\ndo = "duplicate"\ncopies = 3')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 5)[2:] == [("fill", 3)] * 3
    assert len({update["execution_id"] for update in b.seen[2:]}) == 1


@wire(EVENT_FAULTS, "Events come in the wrong order", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "swap"')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 3) == [("pending_new", 1), ("fill", 3), ("new", 2)]


@wire(EVENT_FAULTS, "An event without data is lost to the library, and the stream goes on", "Alpaca-API#110")
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "null"')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 2) == [("pending_new", 1), ("fill", 3)]


@wire(EVENT_FAULTS, "An event has a name that nobody knows", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "rename"\nvalue = "reborn"')
    b.order()
    assert heard(b, 2) == [("pending_new", 1), ("reborn", 2)]


def _reconnected(b: OverTheWire) -> None:
    """A fault ended or muted the stream: the next case gets a new one."""
    b.drop_stream()


@wire(EVENT_FAULTS, "The stream is mute from an event on, and stays connected", "alpaca-py#740")
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "mute"')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 2) == [("pending_new", 1), ("new", 2)]
    assert b.status(b.orders(status="closed").body[0]) == "filled"
    assert len(b.seen) == 2
    _reconnected(b)


@wire(EVENT_FAULTS, "The socket closes at an event; what is sent meanwhile is lost", MEASURED)
def _(b: OverTheWire) -> None:
    b.ready()
    wrong(b, 'on = "event new"\ndo = "close"\nstatus = 1012')
    b.order()
    b.minute(flat(100.0))
    assert heard(b, 1) == [("pending_new", 1)]
    _reconnected(b)


# faults of market data


@wire(DATA_FAULTS, "A bar is missing", "Alpaca-API#62")
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "drop"')
    told(b, flat(1.0, "A"), flat(2.0, "AAPL"), flat(3.0, "B"))
    assert [message["S"] for message in talk.hear()] == ["A", "B"]


@wire(DATA_FAULTS, "A bar comes twice", MEASURED)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "duplicate"\ncopies = 2')
    told(b, flat(2.0, "AAPL"), flat(3.0, "B"))
    assert [message["S"] for message in talk.hear()] == ["AAPL", "AAPL", "B"]


@wire(DATA_FAULTS, "A bar comes late, as an update of its minute", "Alpaca docs: market data FAQ")
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"], updatedBars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "late"')
    start = b.now
    told(b, flat(2.0, "AAPL"), flat(3.0, "B"))
    told(b, flat(2.5, "AAPL"))
    assert [(message["T"], message["S"]) for message in talk.hear()] == [("b", "B")]
    assert [(message["T"], message["S"], message["t"]) for message in talk.hear()] == [("u", "AAPL", start)]
    assert talk.hear()[0]["c"] == 2.5


@wire(DATA_FAULTS, "A bar is revised afterwards", "Alpaca docs: market data FAQ")
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"], updatedBars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "revise"\nvalue = "1.1"')
    told(b, flat(2.0, "AAPL"))
    told(b)
    assert (talk.hear()[0]["c"], talk.hear()[0]["c"]) == (2.0, 2.2)


@wire(DATA_FAULTS, "The symbols of a minute come in another order", MEASURED)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar C"\ndo = "shuffle"')
    told(b, flat(1.0, "A"), flat(2.0, "B"), flat(3.0, "C"))
    assert [message["S"] for message in talk.hear()] == ["C", "B", "A"]


@wire(DATA_FAULTS, "A halt is told in the middle of a minute", STREAM_DOCS)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, statuses=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "halt"')
    told(b, flat(2.0, "AAPL"))
    assert talk.hear()[0]["sc"] == "H"


for code in (405, 406, 407, 409):

    @wire(DATA_FAULTS, f"Error {code} comes in the middle of the stream", STREAM_DOCS)
    def _(b: OverTheWire, code: int = code) -> None:
        talk = subscribed(b, bars=["*"])
        wrong(b, f'on = "bar AAPL"\ndo = "error"\nstatus = {code}')
        told(b, flat(2.0, "AAPL"))
        assert talk.hear()[0]["code"] == code


@wire(DATA_FAULTS, "A key is refused with 409 at the start", "alpaca-py: the task ends")
def _(b: OverTheWire) -> None:
    wrong(b, 'on = "key data"\ndo = "refuse"\nstatus = 409')
    talk = data(b)
    assert talk.hear()[0]["code"] == 409


@wire(DATA_FAULTS, "One frame of more than 1 MiB ends a client's connection", MEASURED)
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "oversize"')
    told(b, flat(2.0, "AAPL"))
    assert talk.is_closed()


@wire(DATA_FAULTS, "The stream is mute, and stays connected", "alpaca-trade-api-js#173")
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "mute"')
    told(b, flat(2.0, "AAPL"))
    with pytest.raises(TimeoutError):
        talk.socket.recv(timeout=0.1)


@wire(DATA_FAULTS, "The socket closes", "alpaca-trade-api-python#588")
def _(b: OverTheWire) -> None:
    talk = subscribed(b, bars=["*"])
    wrong(b, 'on = "bar AAPL"\ndo = "close"\nstatus = 1011')
    told(b, flat(2.0, "AAPL"))
    assert talk.is_closed()
