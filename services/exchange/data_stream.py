"""The socket `/v2/iex`: minute bars, their revisions and halts, as arrays of msgpack messages.

One connection per key. A frame holds a few hundred messages at most: alpaca-py loses one of more than 1 MiB whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from services.exchange.conversation import Close, Send
from services.exchange.data_routes import bar_out
from services.exchange.faults import Do, Fault, Faults, Kind
from services.exchange.market import MINUTE, TimedBar
from shared.contracts.market import Bar

CHUNK: Final = 250
OVERSIZE_BYTES: Final = (1 << 20) + 1
CHANNELS: Final = (
    "trades",
    "quotes",
    "bars",
    "updatedBars",
    "dailyBars",
    "statuses",
    "lulds",
    "corrections",
    "cancelErrors",
)
ERRORS: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}

Message = dict[str, Any]


class DataStream:
    """All its connections. admits: whether key and secret are right."""

    def __init__(self, admits: Callable[[str, str], bool], faults: Faults) -> None:
        self.admits = admits
        self.faults = faults
        self.subscribers: dict[str, DataConversation] = {}
        self._late: list[Message] = []

    def connect(self, send: Send) -> DataConversation:
        return DataConversation(self, send)

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None:
        """The bars of a minute that is over."""
        if not self.subscribers:
            return
        late, self._late = self._late, []
        self._publish("updatedBars", late)
        messages: list[Message] = []
        for bar in rows:
            message = _bar_message("b", minute, bar)
            fault = self.faults.hit(Kind.BAR, bar.symbol) if self.faults else None
            if fault is None:
                messages.append(message)
            else:
                messages = self._with_fault(fault, message, messages)
        self._publish("bars", messages)

    def revised(self, minute: dt.datetime, bar: Bar) -> None:
        self._publish("updatedBars", [_bar_message("u", minute, bar)])

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None:
        self._publish("statuses", [_status_message(symbol, at, halted=halted, code=code)])

    def _with_fault(self, fault: Fault, message: Message, before: list[Message]) -> list[Message]:
        """The minute's messages so far, with what becomes of this one."""
        match fault.do:
            case Do.DROP:
                return before
            case Do.DUPLICATE:
                return [*before, *[message] * fault.copies]
            case Do.LATE:
                self._late.append({**message, "T": "u"})
                return before
            case Do.REVISE:
                self._late.append({**message, "T": "u", "c": round(message["c"] * _factor(fault), 4)})
            case Do.SHUFFLE:
                return [message, *reversed(before)]
            case Do.HALT:
                self._publish(
                    "statuses", [_status_message(message["S"], message["t"] + MINUTE, halted=True, code="T12")]
                )
            case _:
                for subscriber in list(self.subscribers.values()):
                    subscriber.disturb(fault)
        return [*before, message]

    def _publish(self, channel: str, messages: Sequence[Message]) -> None:
        for subscriber in list(self.subscribers.values()):
            wanted = [message for message in messages if subscriber.wants(channel, message["S"])]
            for start in range(0, len(wanted), CHUNK):
                subscriber.say(wanted[start : start + CHUNK])


class DataConversation:
    """One connection: first the key, then what it subscribes to."""

    def __init__(self, stream: DataStream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._key = ""
        self._channels: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}
        self._is_mute = False
        self.is_admitted = False

    def open(self) -> None:
        self.say([{"T": "success", "msg": "connected"}])

    def hear(self, data: bytes) -> None:
        said = _read(data)
        action = said.get("action")
        if not self.is_admitted:
            self._authenticate(said)
        elif action in ("subscribe", "unsubscribe"):
            self._subscribe(said, add=action == "subscribe")
            self.say([{"T": "subscription", **{name: list(wanted) for name, wanted in self._channels.items()}}])
        else:
            self.say([_error(403 if action == "auth" else 400)])

    def too_slow(self) -> None:
        self._refuse(407 if self.is_admitted else 404)

    def end(self) -> None:
        if self._stream.subscribers.get(self._key) is self:
            del self._stream.subscribers[self._key]

    def wants(self, channel: str, symbol: str) -> bool:
        wanted = self._channels[channel]
        return "*" in wanted or symbol in wanted

    def say(self, messages: Sequence[Message]) -> None:
        if not self._is_mute:
            self._send(_pack(messages))

    def disturb(self, fault: Fault) -> None:
        """What hits the connection rather than one bar."""
        match fault.do:
            case Do.MUTE:
                self._is_mute = True
            case Do.CLOSE:
                self._send(Close(fault.status))
            case Do.ERROR:
                self.say([_error(fault.status)])
            case Do.OVERSIZE:
                self.say([{"T": "subscription", "padding": "x" * OVERSIZE_BYTES}])
            case _:
                pass

    def _authenticate(self, said: Mapping[str, Any]) -> None:
        key, secret = str(said.get("key", "")), str(said.get("secret", ""))
        fault = self._stream.faults.hit(Kind.KEY, "data") if self._stream.faults else None
        if said.get("action") != "auth":
            self._refuse(401)
        elif not self._stream.admits(key, secret):
            self._refuse(402)
        elif fault is not None:
            self._refuse(fault.status)
        elif key in self._stream.subscribers:
            self._refuse(406)
        else:
            self._key, self.is_admitted = key, True
            self._stream.subscribers[key] = self
            self.say([{"T": "success", "msg": "authenticated"}])

    def _subscribe(self, said: Mapping[str, Any], *, add: bool) -> None:
        for channel in CHANNELS:
            for symbol in said.get(channel) or ():
                if add:
                    self._channels[channel][str(symbol)] = None
                else:
                    self._channels[channel].pop(str(symbol), None)

    def _refuse(self, code: int) -> None:
        self.say([_error(code)])
        self._send(Close())


def _bar_message(kind: str, minute: dt.datetime, bar: Bar) -> Message:
    row = bar_out(TimedBar(minute, bar.open, bar.high, bar.low, bar.close, bar.volume))
    return {
        "T": kind,
        "S": bar.symbol,
        "o": row.o,
        "h": row.h,
        "l": row.l,
        "c": row.c,
        "v": row.v,
        "n": row.n,
        "vw": row.vw,
        "t": minute,
    }


def _status_message(symbol: str, at: dt.datetime, *, halted: bool, code: str) -> Message:
    return {
        "T": "s",
        "S": symbol,
        "sc": "H" if halted else "T",
        "sm": "Trading Halt" if halted else "Trading Resumption",
        "rc": code,
        "rm": "",
        "z": "C",
        "t": at,
    }


def _error(code: int) -> Message:
    return {"T": "error", "code": code, "msg": ERRORS.get(code, "error")}


def _read(data: bytes) -> Mapping[str, Any]:
    """One message, msgpack or JSON. Nonsense counts as a message that asks for nothing."""
    try:
        said = msgspec.json.decode(data) if data[:1] == b"{" else msgspec.msgpack.decode(data)
    except (ValueError, msgspec.DecodeError):
        return {}
    return said if isinstance(said, dict) else {}


def _pack(messages: Iterable[Message]) -> bytes:
    """A time with a zone becomes the Timestamp extension, which alpaca-py insists on."""
    return msgspec.msgpack.encode(list(messages))


def _factor(fault: Fault) -> float:
    try:
        return float(fault.value)
    except ValueError:
        return 1.01
