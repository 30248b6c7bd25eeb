"""The listener of a simulated run, and the socket over which the exchange tells it of trade updates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from cli.simulation.broker import SimulatedBroker
from cli.simulation.faults import Do
from cli.simulation.workers import Line
from cli.simulation.world import Killed, World
from services.exchange.orders import Update
from services.exchange.wire import update_out
from services.executor.heard import Heard, Listening, Lost
from services.executor.heard import Update as HeardUpdate
from services.executor.listener import Listener
from services.executor.work import Clock
from shared.contracts.outgoing import Outgoing
from shared.runtime.bus import Entry


class ListenerProcess:
    """The listener, and the socket over which the exchange tells it of trade updates."""

    name = "listener"

    def __init__(self, world: World) -> None:
        self._world = world
        self._wire: list[object] = []
        self._life = 0
        self._alive_from = 0.0
        self._tell: Callable[[Heard], None] | None = None
        self._is_connected = False
        self._has_heard = False
        self._listener = self._new()

    # The listener's own loop

    def ready(self) -> bool:
        return (bool(self._wire) or self._has_heard) and self._world.now >= self._alive_from

    def turn(self) -> None:
        """The next update off the wire, then one turn of the listener."""
        if self._wire and self._tell is not None:
            self._take_from_wire()
        self._has_heard = False
        self._listener.turn()

    def time_passed(self) -> None:
        """What it does by time: polls, and reads of orders it should have heard of."""
        if self._world.now >= self._alive_from:
            self._has_heard = False
            self._listener.turn()

    def die(self, death: Killed) -> None:
        self._wire.clear()
        self._is_connected, self._tell = False, None
        self._listener = self._new()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        """It keeps what it could not publish."""

    def _new(self) -> Listener:
        self._life += 1
        world = self._world
        broker = SimulatedBroker(Line(world, lambda: self.name))
        clock = Clock(monotonic=lambda: world.now, wait=lambda seconds: None, now=world.time)
        return Listener(
            f"listener.{self._life}", self, _Alone(), broker, self._updates, lambda call: call(), clock, turn_s=0.0
        )

    def _updates(self, tell: Callable[[Heard], None]) -> _Socket:
        def heard(what: Heard) -> None:
            self._has_heard = True
            tell(what)

        return _Socket(self, heard)

    def _take_from_wire(self) -> None:
        fault = self._world.plan.passes("wire.update")
        place = 0
        if fault is not None:
            self._world.note(f"listener: {fault}")
            match fault.do:
                case Do.DROP:
                    self._wire.pop(0)
                    return
                case Do.DOUBLE:
                    self._hear(self._wire[0])
                case Do.LATE if len(self._wire) > 1:
                    place = 1
                case Do.DISCONNECT:
                    self.disconnect()
                    self.reconnect()
                    return
                case _:
                    pass
        self._hear(self._wire.pop(place))

    def _hear(self, raw: object) -> None:
        assert self._tell is not None
        self._tell(HeardUpdate(raw))

    # The bus, as the listener sees it

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        self._world.passes(self.name, "listener.before_publish")
        for item in outgoing:
            self._world._put(item)
        self._world.passes(self.name, "listener.after_publish")

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> Sequence[Entry]:
        return self._world.bus.read(positions, block_ms)

    def last_ids(self, names: Sequence[str]) -> Mapping[str, str]:
        return self._world.bus.last_ids(names)

    # The socket

    def send(self, updates: Sequence[Update]) -> None:
        """The exchange tells; without a connection nobody hears it."""
        if self._is_connected:
            self._wire += [msgspec.json.decode(update_out(update))["data"] for update in updates]

    def connect(self, tell: Callable[[Heard], None]) -> None:
        self._tell = tell
        if self._world.exchange.venue is None:
            tell(Lost())
        elif not self._is_connected:
            self._is_connected = True
            tell(Listening())

    def disconnect(self) -> None:
        """What was on its way is lost."""
        self._wire.clear()
        if self._is_connected and self._tell is not None:
            self._tell(Lost())
        self._is_connected = False

    def reconnect(self) -> None:
        if self._tell is not None:
            self.connect(self._tell)


class _Socket:
    """`Updates` of the listener."""

    def __init__(self, process: ListenerProcess, tell: Callable[[Heard], None]) -> None:
        self._process = process
        self._tell = tell

    def start(self) -> None:
        self._process.connect(self._tell)

    def reconnect(self) -> None:
        self._process.disconnect()
        self._process.connect(self._tell)

    def stop(self) -> None:
        self._process.disconnect()


class _Alone:
    """A lease that nobody else wants."""

    number = 1
    held = True

    def keep(self) -> bool:
        return True

    def give_back(self) -> None: ...
