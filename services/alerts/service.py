"""The alerts service as the loop runs it: notes go to the desk, what the desk finds due goes to the addresses.

Its reading positions and the desk's memory stand in hashes on the bus, written after what was read was taken: a crash
repeats it, and a repeat is known by its key.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from services.alerts.desk import Delivery, Desk, Memory
from shared.contracts import wire
from shared.contracts.outgoing import Latest, Outgoing
from shared.runtime.bus import Entry
from shared.runtime.logs import logger

POSITIONS: Final = "alerts:positions"
MEMORY: Final = "alerts:memory"
_MEMORY: Final = msgspec.json.Decoder(Memory)


class Post(Protocol):
    """One address. Never blocks."""

    def offer(self, delivery: Delivery) -> bool:
        """Start sending it; False where another one is still on its way."""

    def outcome(self) -> bool | None:
        """Whether the one on its way arrived; None while that is not known. Told once."""


class Alerts:
    """posts: by the name of their target. now: the wall clock, UTC."""

    remembers: tuple[str, ...] = ()

    def __init__(
        self,
        desk: Desk,
        posts: Mapping[str, Post],
        positions: Mapping[str, str],
        now: Callable[[], dt.datetime],
    ) -> None:
        self._desk = desk
        self._posts = posts
        self._positions = dict(positions)
        self._now = now
        self._under_way: dict[str, Delivery] = {}

    def positions(self) -> Mapping[str, str]:
        return self._positions

    def remember(self, message: object) -> None:
        """Nothing to do: memory is kept whole."""

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        """Take what came, send what is due, and keep both."""
        for entry in entries:
            self._take(entry)
        now = self._now()
        settled = [self._settle(name, now) for name in self._posts]
        for name in self._posts:
            if name not in self._under_way:
                self._send(name, now)
        if not entries and not any(settled):
            return []
        memory = wire.encode_json(self._desk.memory).decode()
        return [Latest(key=POSITIONS, fields=dict(self._positions)), Latest(key=MEMORY, fields={"json": memory})]

    def sent(self) -> None:
        """Nothing to do: positions and memory were all that went out."""

    def _take(self, entry: Entry) -> None:
        if entry.stream:
            self._positions[entry.stream] = entry.entry_id
        if entry.stale:
            return
        if entry.message is None:  # no dead letter: this service reads those, and would answer itself for ever
            logger().warning("unreadable entry", stream=entry.stream, entry=entry.entry_id, reason=entry.fault)
        else:
            self._desk.take(entry.message, arrived_at(entry) or self._now())

    def _settle(self, name: str, now: dt.datetime) -> bool:
        arrived = self._posts[name].outcome()
        if arrived is None or name not in self._under_way:  # the latter: of the service before a new life of the bus
            return False
        delivery = self._under_way.pop(name)
        if arrived:
            self._desk.sent(name, delivery, now)
        elif not self._desk.failed(name, delivery, now):
            logger().error("alerts could not be delivered; dropped", target=name, notes=len(delivery.numbers))
        return True

    def _send(self, name: str, now: dt.datetime) -> None:
        delivery = self._desk.due(name, now)
        if delivery is not None and self._posts[name].offer(delivery):
            self._under_way[name] = delivery


def arrived_at(entry: Entry) -> dt.datetime | None:
    """When the entry came to stand on the bus: its id begins with the server's milliseconds. None: of our own."""
    milliseconds = entry.entry_id.partition("-")[0]
    return dt.datetime.fromtimestamp(int(milliseconds) / 1000, dt.UTC) if milliseconds else None


def memory_of(fields: Mapping[str, str]) -> Memory:
    """The memory as it was left on the bus; a new one where there is none, or one of another program."""
    try:
        return _MEMORY.decode(fields.get("json", "{}"))
    except msgspec.DecodeError as fault:
        logger().warning("memory of alerts is unreadable; starting anew", reason=str(fault))
        return Memory()
