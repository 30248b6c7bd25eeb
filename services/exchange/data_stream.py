"""The socket `/v2/iex`: minute bars, their revisions and halts, as arrays of msgpack messages.

One connection per key. A frame holds a few hundred messages at most: alpaca-py loses one of more than 1 MiB whole.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.exchange.data_routes import bar_out
from services.exchange.faults import Do, Fault, Faults, Kind
from services.exchange.market import MINUTE, TimedBar
from shared.contracts.market import Bar

CHUNK: Final = 250
AUTH_TIMEOUT_S: Final = 10.0
MOST_WAITING: Final = 4_000
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


class _Line:
    """One connection: what it subscribed to, and what waits to be sent."""

    def __init__(self) -> None:
        self.channels: dict[str, dict[str, None]] = {channel: {} for channel in CHANNELS}
        self.frames: asyncio.Queue[bytes | int] = asyncio.Queue(MOST_WAITING)
        self.muted = False

    def wants(self, channel: str, symbol: str) -> bool:
        wanted = self.channels[channel]
        return "*" in wanted or symbol in wanted

    def put(self, messages: Sequence[Message]) -> None:
        if self.muted or not messages:
            return
        if self.frames.full():
            self.muted = True
            self.frames.get_nowait()
            self.frames.put_nowait(407)
            return
        self.frames.put_nowait(_pack(messages))

    def close(self, code: int) -> None:
        if not self.frames.full():
            self.frames.put_nowait(code)


class DataStream:
    """admits: whether key and secret are right."""

    def __init__(self, admits: Callable[[str, str], bool], faults: Faults) -> None:
        self._admits = admits
        self._faults = faults
        self._lines: dict[str, _Line] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._late: list[Message] = []

    def runs_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None:
        """The bars of a minute that is over. From any thread; does not wait."""
        self._later(lambda: self._send_bars(minute, rows))

    def revised(self, minute: dt.datetime, bar: Bar) -> None:
        message = _bar_message("u", minute, bar)
        self._later(lambda: self._send("updatedBars", [message]))

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None:
        message = _status_message(symbol, at, halted=halted, code=code)
        self._later(lambda: self._send("statuses", [message]))

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from the handshake to its end."""
        await socket.accept()
        await socket.send_bytes(_pack([{"T": "success", "msg": "connected"}]))
        key = ""
        line = _Line()
        try:
            key = await self._authenticate(socket, line)
            if not key:
                return
            sender = asyncio.create_task(_pump(socket, line))
            try:
                await self._hear(socket, line)
            finally:
                sender.cancel()
                with suppress(asyncio.CancelledError):
                    await sender
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            if self._lines.get(key) is line:
                del self._lines[key]

    async def _authenticate(self, socket: WebSocket, line: _Line) -> str:
        """The key whose line this now is; empty where it was refused."""
        try:
            async with asyncio.timeout(AUTH_TIMEOUT_S):
                said = await _read(socket)
        except TimeoutError:
            return await _refuse(socket, 404)
        if said.get("action") != "auth":
            return await _refuse(socket, 401)
        key = str(said.get("key", ""))
        if not self._admits(key, str(said.get("secret", ""))):
            return await _refuse(socket, 402)
        if key in self._lines:
            return await _refuse(socket, 406)
        fault = self._faults.hit(Kind.CONNECT, "data auth") if self._faults else None
        if fault is not None and fault.do is Do.REFUSE:
            return await _refuse(socket, fault.status)
        self._lines[key] = line
        await socket.send_bytes(_pack([{"T": "success", "msg": "authenticated"}]))
        return key

    async def _hear(self, socket: WebSocket, line: _Line) -> None:
        while True:
            said = await _read(socket)
            match said.get("action"):
                case "subscribe" | "unsubscribe" as action:
                    line.put([_subscription(line, said, add=action == "subscribe")])
                case "auth":
                    line.put([_error(403)])
                case _:
                    line.put([_error(400)])

    def _later(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _send_bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None:
        if not self._lines:
            return
        late, self._late = self._late, []
        self._send("updatedBars", late)
        if not self._faults:
            self._send("bars", [_bar_message("b", minute, bar) for bar in rows])
            return
        messages: list[Message] = []
        for bar in rows:
            messages += self._with_faults(minute, bar, messages)
        self._send("bars", messages)

    def _with_faults(self, minute: dt.datetime, bar: Bar, before: list[Message]) -> list[Message]:
        """The messages for one bar: one, unless a fault has it otherwise."""
        message = _bar_message("b", minute, bar)
        fault = self._faults.hit(Kind.BAR, bar.symbol)
        if fault is None:
            return [message]
        match fault.do:
            case Do.DROP:
                return []
            case Do.DUPLICATE:
                return [message] * fault.copies
            case Do.LATE:
                self._late.append({**message, "T": "u"})
                return []
            case Do.REVISE:
                self._late.append({**message, "T": "u", "c": round(bar.close * _factor(fault), 4)})
            case Do.SHUFFLE:
                earlier = before[:]
                before.clear()
                return [message, *reversed(earlier)]
            case Do.HALT:
                self._send("statuses", [_status_message(bar.symbol, minute + MINUTE, halted=True, code="T12")])
            case _:
                self._disturb(fault)
        return [message]

    def _disturb(self, fault: Fault) -> None:
        """What hits the connection rather than the bar."""
        for line in self._lines.values():
            match fault.do:
                case Do.MUTE:
                    line.muted = True
                case Do.CLOSE:
                    line.close(fault.status)
                case Do.ERROR:
                    line.put([_error(fault.status)])
                case Do.OVERSIZE:
                    line.put([{"T": "subscription", "padding": "x" * OVERSIZE_BYTES}])
                case _:
                    pass

    def _send(self, channel: str, messages: Sequence[Message]) -> None:
        for line in self._lines.values():
            wanted = [message for message in messages if line.wants(channel, message["S"])]
            for start in range(0, len(wanted), CHUNK):
                line.put(wanted[start : start + CHUNK])


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


def _subscription(line: _Line, said: Mapping[str, Any], *, add: bool) -> Message:
    """The whole list after each change, as Alpaca sends it."""
    for channel in CHANNELS:
        for symbol in said.get(channel) or ():
            if add:
                line.channels[channel][str(symbol)] = None
            else:
                line.channels[channel].pop(str(symbol), None)
    return {"T": "subscription", **{channel: list(names) for channel, names in line.channels.items()}}


def _error(code: int) -> Message:
    return {"T": "error", "code": code, "msg": ERRORS.get(code, "error")}


async def _refuse(socket: WebSocket, code: int) -> str:
    await socket.send_bytes(_pack([_error(code)]))
    await socket.close()
    return ""


async def _pump(socket: WebSocket, line: _Line) -> None:
    while True:
        frame = await line.frames.get()
        if isinstance(frame, int):
            if frame in ERRORS:
                await socket.send_bytes(_pack([_error(frame)]))
            await socket.close(frame if frame >= 1000 else 1008)
            return
        await socket.send_bytes(frame)


async def _read(socket: WebSocket) -> Mapping[str, Any]:
    """The next message, msgpack or JSON. Nonsense counts as a message that asks for nothing."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    data = message.get("bytes") or (message.get("text") or "").encode()
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
