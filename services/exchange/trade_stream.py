"""The socket `/stream`: trade updates, as JSON in binary frames, to one listener per key.

What is sent while nobody listens is lost, as at Alpaca.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from starlette.websockets import WebSocket, WebSocketDisconnect

from services.exchange import wire
from services.exchange.faults import Do, Fault, Faults, Kind
from services.exchange.orders import Update

Body = TypeVar("Body", bound=Struct)

POLICY_VIOLATION: Final = 1008
MOST_WAITING: Final = 10_000
CONNECTION_LIMIT: Final = 406
HANDSHAKE_S: Final = 10.0


class _Credentials(Struct, frozen=True):
    key_id: str = ""
    secret_key: str = ""


class _Streams(Struct, frozen=True):
    streams: tuple[str, ...] = ()


class _Said(Struct, frozen=True):
    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    key: str = ""
    secret: str = ""


class _Line:
    """One authenticated connection and what waits to be sent on it."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes | int] = asyncio.Queue(MOST_WAITING)
        self.listens = False
        self.muted = False

    def put(self, frame: bytes | int) -> None:
        """An int closes the socket with that code; a listener that does not keep up is closed."""
        if self.muted:
            return
        if self.frames.full():
            self.muted = True
            self.frames.get_nowait()
            frame = POLICY_VIOLATION
        self.frames.put_nowait(frame)


class TradeStream:
    """admits: whether key and secret are right. One connection per key: a second one is refused."""

    def __init__(self, admits: Callable[[str, str], bool], faults: Faults) -> None:
        self._admits = admits
        self._faults = faults
        self._lines: dict[str, _Line] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._held_back: bytes | None = None

    def runs_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop

    def tell(self, updates: Sequence[Update]) -> None:
        """From any thread, in the order of their numbers; does not wait."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send, tuple(updates))

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from the handshake to its end."""
        await socket.accept()
        key = ""
        line = _Line()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
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
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            return
        finally:
            if self._lines.get(key) is line:
                del self._lines[key]

    async def _authenticate(self, socket: WebSocket, line: _Line) -> str:
        """The key whose line this now is; empty where it was refused."""
        said = await _read(socket)
        credentials = _decode(said.data, _Credentials) if said.action == "authenticate" else None
        key = credentials.key_id if credentials else said.key
        secret = credentials.secret_key if credentials else said.secret
        is_right = said.action in ("authenticate", "auth") and self._admits(key, secret)
        if is_right and key in self._lines:
            await _say(socket, "error", {"code": CONNECTION_LIMIT, "error": "connection limit exceeded"})
            await socket.close(POLICY_VIOLATION)
            return ""
        status = "authorized" if is_right else "unauthorized"
        if is_right:
            self._lines[key] = line
        await _say(socket, "authorization", {"status": status, "action": "authenticate"})
        if not is_right:
            await socket.close(POLICY_VIOLATION)
        return key if is_right else ""

    async def _hear(self, socket: WebSocket, line: _Line) -> None:
        while True:
            said = await _read(socket)
            if said.action == "listen":
                wanted = _decode(said.data, _Streams)
                names = [name for name in wanted.streams if name == "trade_updates"] if wanted else []
                line.put(wire.encode({"stream": "listening", "data": {"streams": names}}))
                line.listens = bool(names)

    def _send(self, updates: Sequence[Update]) -> None:
        for update in updates:
            fault = self._faults.hit(Kind.EVENT, update.event) if self._faults else None
            for frame in self._frames(update, fault):
                for line in self._lines.values():
                    if line.listens:
                        line.put(frame)
            if fault is not None and fault.do is Do.MUTE:
                for line in self._lines.values():
                    line.muted = True

    def _frames(self, update: Update, fault: Fault | None) -> list[bytes | int]:
        """What goes out for `update`: once and in order, unless a fault has it otherwise."""
        frame = wire.update_out(update)
        held_back, self._held_back = self._held_back, None
        out: list[bytes | int] = [frame]
        if fault is not None:
            match fault.do:
                case Do.DROP:
                    out = []
                case Do.DUPLICATE:
                    out = [frame] * fault.copies
                case Do.SWAP:
                    out, self._held_back = [], frame
                case Do.NULL:
                    out = [wire.encode({"stream": "trade_updates", "data": None})]
                case Do.RENAME:
                    out = [frame.replace(f'"event":"{update.event}"'.encode(), f'"event":"{fault.value}"'.encode(), 1)]
                case Do.CLOSE:
                    out = [fault.status]
                case _:
                    pass
        return out if held_back is None else [*out, held_back]


async def _pump(socket: WebSocket, line: _Line) -> None:
    while True:
        frame = await line.frames.get()
        if isinstance(frame, int):
            await socket.close(frame)
            return
        await socket.send_bytes(frame)


async def _read(socket: WebSocket) -> _Said:
    """The next message; text or binary, JSON. Nonsense counts as a message that asks for nothing."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005))
    return _decode(message.get("text") or message.get("bytes") or b"", _Said) or _Said()


def _decode(data: str | bytes | msgspec.Raw, kind: type[Body]) -> Body | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        return None


async def _say(socket: WebSocket, stream: str, data: dict[str, object]) -> None:
    await socket.send_bytes(wire.encode({"stream": stream, "data": data}))
