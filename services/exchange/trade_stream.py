"""The socket `/stream`: trade updates, as JSON in binary frames, to one listener per key.

What is sent while nobody listens is lost, as at Alpaca.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from services.exchange import wire
from services.exchange.conversation import POLICY_VIOLATION, Close, Frame, Send, decode
from services.exchange.faults import Do, Fault, Faults, Kind
from services.exchange.orders import Update

CONNECTION_LIMIT: Final = 406
UPDATES: Final = "trade_updates"


class _Credentials(Struct, frozen=True):
    key_id: str = ""
    secret_key: str = ""


class _Streams(Struct, frozen=True):
    streams: tuple[str, ...] = ()


class _Said(Struct, frozen=True):
    """Two ways to show a key: in `data`, or at the top as the data stream has it."""

    action: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    key: str = ""
    secret: str = ""


class TradeStream:
    """All its connections. admits: whether key and secret are right."""

    def __init__(self, admits: Callable[[str, str], bool], faults: Faults) -> None:
        self.admits = admits
        self.faults = faults
        self.listeners: dict[str, TradeConversation] = {}
        self._held_back: bytes | None = None

    def connect(self, send: Send) -> TradeConversation:
        return TradeConversation(self, send)

    def tell(self, updates: Sequence[Update]) -> None:
        """Updates in the order of their numbers."""
        for update in updates:
            fault = self.faults.hit(Kind.EVENT, update.event) if self.faults else None
            frames = self._frames(update, fault)
            for listener in list(self.listeners.values()):
                listener.tell(frames)
                listener.is_mute = listener.is_mute or (fault is not None and fault.do is Do.MUTE)

    def _frames(self, update: Update, fault: Fault | None) -> list[Frame]:
        """What goes out for `update`: once and in order, unless a fault has it otherwise."""
        frame = wire.update_out(update)
        held_back, self._held_back = self._held_back, None
        out: list[Frame] = [frame]
        if fault is not None:
            match fault.do:
                case Do.DROP:
                    out = []
                case Do.DUPLICATE:
                    out = [frame] * fault.copies
                case Do.SWAP:
                    out, self._held_back = [], frame
                case Do.NULL:
                    out = [wire.encode({"stream": UPDATES, "data": None})]
                case Do.RENAME:
                    out = [frame.replace(f'"event":"{update.event}"'.encode(), f'"event":"{fault.value}"'.encode(), 1)]
                case Do.CLOSE:
                    out = [Close(fault.status)]
                case _:
                    pass
        return out if held_back is None else [*out, held_back]


class TradeConversation:
    """One connection: first the key, then what it wants to hear."""

    def __init__(self, stream: TradeStream, send: Send) -> None:
        self._stream = stream
        self._send = send
        self._key = ""
        self._listens = False
        self.is_admitted = False
        self.is_mute = False

    def open(self) -> None:
        """Alpaca says nothing first."""

    def hear(self, data: bytes) -> None:
        said = decode(data, _Said) or _Said()
        if not self.is_admitted:
            self._authenticate(said)
        elif said.action == "listen":
            wanted = decode(said.data, _Streams)
            names = [name for name in wanted.streams if name == UPDATES] if wanted else []
            self._listens = bool(names)
            self._say("listening", {"streams": names})

    def too_slow(self) -> None:
        self._send(Close(POLICY_VIOLATION))

    def end(self) -> None:
        if self._stream.listeners.get(self._key) is self:
            del self._stream.listeners[self._key]

    def tell(self, frames: Sequence[Frame]) -> None:
        if self._listens and not self.is_mute:
            for frame in frames:
                self._send(frame)

    def _authenticate(self, said: _Said) -> None:
        shown = decode(said.data, _Credentials) if said.action == "authenticate" else None
        key, secret = (shown.key_id, shown.secret_key) if shown else (said.key, said.secret)
        if said.action not in ("authenticate", "auth") or not self._stream.admits(key, secret) or self._is_refused():
            self._say("authorization", {"status": "unauthorized", "action": "authenticate"})
            self._send(Close(POLICY_VIOLATION))
        elif key in self._stream.listeners:
            self._say("error", {"code": CONNECTION_LIMIT, "status": "error", "error": "connection limit exceeded"})
            self._send(Close(POLICY_VIOLATION))
        else:
            self._key, self.is_admitted = key, True
            self._stream.listeners[key] = self
            self._say("authorization", {"status": "authorized", "action": "authenticate"})

    def _is_refused(self) -> bool:
        faults = self._stream.faults
        fault = faults.hit(Kind.KEY, "trade") if faults else None
        return fault is not None

    def _say(self, name: str, data: dict[str, object]) -> None:
        self._send(wire.encode({"stream": name, "data": data}))
