"""The services of a simulated run, each behind the loop as in operation: killed, it starts from what is durable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, cast

from cli.simulation.bus import OneReader
from cli.simulation.disk import UNSYNCED, SimulatedStore
from cli.simulation.faults import Do
from cli.simulation.world import IDLE_S, LIFE_CHECK_S, Killed, World
from services.market_data.service import MarketData
from services.signals.__main__ import decide
from services.signals.service import Signals
from services.state.__main__ import Seconds
from services.state.service import BusLife, State
from services.state.store import Fenced, LedgerFull
from shared.contracts import streams
from shared.contracts.clock import TickPhase
from shared.contracts.outgoing import Outgoing
from shared.runtime.bus import Bus, BusDown, Entry, Life
from shared.runtime.loop import ConductedPace, FreePace, Pace, Plain, Reads, Steps

ACTS_AT: Final[Mapping[str, frozenset[TickPhase]]] = {
    "market_data": frozenset({TickPhase.OPEN, TickPhase.HISTORY, TickPhase.FEED, TickPhase.CLOSE}),
    "exchange": frozenset({TickPhase.OPEN, TickPhase.MATCH, TickPhase.EXPIRE}),
    "signals": frozenset({TickPhase.DECIDE}),
    "state": frozenset({TickPhase.INGEST, TickPhase.FOLD, TickPhase.ACT, TickPhase.SETTLE}),
}
"""At which ticks a service acts; the others it would read and do nothing."""


class Process:
    """One service behind the loop: read, handle, commit, publish. Killed, it starts anew from what is durable.

    always_conducted: it is given ticks in a run by the wall clock too. is_free: it goes by the wall clock.
    """

    name = ""
    always_conducted = False
    covered: tuple[str, ...] = ()
    free: tuple[str, ...] = ()

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_free = world.wall is not None and not self.always_conducted
        self.alive_from = 0.0
        self._reader = OneReader(world.bus, ACTS_AT[self.name])
        self._reads = Reads(
            covered=streams.names(self.covered, world.parts), free=streams.names(self.free, world.parts)
        )
        self._steps: Steps | None = None
        self._batches: Iterator[list[Entry]] = iter(())
        self._positions: dict[str, str] = {}
        self._unsent: Sequence[Outgoing] | None = None
        self._life = Life("", 0)
        self._checked = 0.0

    def build(self) -> Steps:
        """The service with an empty memory."""
        raise NotImplementedError

    def ready(self) -> bool:
        now = self.world.now
        if now < self.alive_from:
            return False
        if self._steps is None:
            return self.may_start()
        if self._unsent is not None or now - self._checked > LIFE_CHECK_S:
            return True
        return self.has_input()

    def has_input(self) -> bool:
        """Whether one of its streams has something new, or its clock a tick."""
        bus, positions = self.world.bus, self._positions
        for name in self._reads.free:
            if bus.has_new(name, positions.get(name, "0")):
                return True
        if self.is_free:
            return any(bus.has_new(name, positions.get(name, "0")) for name in self._reads.covered)
        try:
            return self._reader.has_tick(positions.get("clock", "0"))
        except BusDown:
            return True

    def pace(self) -> Pace:
        return ConductedPace(block_ms=0)

    def may_start(self) -> bool:
        """Others wait until state has opened the bus."""
        return self.world.bus.epoch > 0

    def turn(self) -> None:
        """One batch."""
        world = self.world
        if self._steps is None:
            self.start()
            return
        if self._unsent is not None:
            self._send(self._unsent)
            return
        if world.now - self._checked > LIFE_CHECK_S:
            self._checked = world.now
            if world.bus.life() != self._life:
                self._steps = None
                return
        self.step(next(self._batches))

    def start(self) -> None:
        """As `run` and `_run_one_life` of shared/runtime/loop.py."""
        world = self.world
        life = self.await_life()
        if life is None:
            return
        self._life = life
        self._reader.epoch = life.epoch
        self._checked = world.now
        self._unsent = None
        steps = self.build()
        self._positions = dict(steps.positions())
        for name in steps.remembers:
            if name in self._positions:
                for entry in self._reader.read_up_to(name, "0", self._positions[name]):
                    if entry.message is not None:
                        steps.remember(entry.message)
        self._batches = iter(self.pace().batches(cast("Bus", self._reader), self._reads, self._positions))
        self._steps = steps

    def await_life(self) -> Life | None:
        life = self.world.bus.life()
        return life if life.epoch else None

    def step(self, batch: Sequence[Entry]) -> None:
        assert self._steps is not None
        out = self._steps.step(batch)
        self.world.passes(self.name, f"{self.name}.before_publish")
        self._send(out)

    def _send(self, out: Sequence[Outgoing]) -> None:
        """Send until it is sent, unless the bus became another one."""
        steps = self._steps
        self._unsent = out
        if self.world.bus.life() != self._life:
            self._unsent = self._steps = None
            return
        self.world.publish(self.name, out, f"{self.name}.between_publishes", self._life.epoch)
        if self._steps is not steps:
            return  # frozen in between, and another one took over
        self._unsent = None
        assert steps is not None
        steps.sent()
        self.world.passes(self.name, f"{self.name}.after_publish")

    def die(self, death: Killed) -> None:
        """Everything in memory is gone."""
        self._steps = None
        self._unsent = None
        self.alive_from = self.world.now + death.seconds

    def bus_went_down(self) -> None:
        """What was to be sent is sent again; a read that failed starts over, as the loop does."""
        if self._unsent is None:
            self._steps = None
        self.alive_from = self.world.now + IDLE_S

    def time_passed(self) -> None: ...

    def waits(self) -> bool:
        """Whether it stands in its loop, where time alone may give it something to do."""
        return self._steps is not None and self._unsent is None and self.world.now >= self.alive_from


class MarketDataProcess(Process):
    name = "market_data"
    covered = ("candidates", "positions")
    always_conducted = True  # its feed is given minute by minute in both paces

    def build(self) -> Steps:
        settings = self.world.settings
        service = MarketData(
            self.world.source,
            settings.bus.partitions,
            max_jump=settings.data.max_jump,
            whole_market=settings.data.whole_market,
            index=settings.regime.symbol,
        )
        return Plain(service, self.name)


class SignalsProcess(Process):
    name = "signals"
    covered = ("daily", "candidates", "positions", "bars")

    def pace(self) -> Pace:
        return FreePace(after=decide) if self.is_free else super().pace()

    def build(self) -> Steps:
        settings = self.world.settings
        return Plain(Signals(settings.bus.partitions, settings.rules, lambda partition: 1), self.name)


class StateProcess(Process):
    """The ledger's writer. Its store outlives it."""

    name = "state"
    covered = ("daily", "bars", "intents")
    free = ("claims", "orders", "commands")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._store = world.store
        self._keeper = BusLife(self._store)

    def may_start(self) -> bool:
        return True

    def pace(self) -> Pace:
        wall = self.world.wall
        return FreePace(inlets=[Seconds(wall.now)], block_ms=0) if wall is not None else super().pace()

    def build(self) -> Steps:
        world = self.world
        return State(self._store, world.setup, world.halt, world.lists, lambda: world.now, self._point)

    def await_life(self) -> Life:
        bus = self.world.bus
        life = bus.life()
        if (self._keeper.run_id, self._keeper.epoch) != (life.run_id, life.epoch):
            bus.clear()
            told = self._keeper.reborn(life.run_id)
            self.world.publish(self.name, told, f"{self.name}.between_publishes", self._keeper.epoch)
            bus.set_epoch(self._keeper.epoch)
        return Life(life.run_id, self._keeper.epoch)

    def turn(self) -> None:
        store = self._store
        try:
            super().turn()
        except Fenced:
            if store is self._store:
                raise
            self.world.note("the frozen state woke up and was refused")

    def time_passed(self) -> None:
        """A turn of the loop without anything read: time-outs."""
        if self.waits():
            self.turn_over()

    def turn_over(self) -> None:
        try:
            self.step(next(self._batches) if self.is_free else ())
        except Fenced:
            self.world.note("the frozen state woke up and was refused")

    def die(self, death: Killed) -> None:
        super().die(death)
        if death.power:
            images = self.world.images
            lost = 0 if self._store.is_synced else UNSYNCED
            if images:
                self._reopen(self._store.restored(images[max(len(images) - 1 - lost, 0)]))
                return
        self._reopen(self._store.taken_over())

    def _reopen(self, store: SimulatedStore) -> None:
        self._store = self.world.store = store
        store.books_changed = True
        self._keeper = BusLife(store)

    def _point(self, point: str) -> None:
        world = self.world
        if point == "state.after_commit" and world.wants_images:
            world.images.append(self._store.image())
            del world.images[: -UNSYNCED - 2]
        fault = world.passes(self.name, point)
        if fault is None:
            return
        if fault.do is Do.DISK_FULL:
            raise LedgerFull("simulated")
        if fault.do is Do.TAKE_OVER:
            self._be_taken_over(fault.seconds)

    def _be_taken_over(self, seconds: float) -> None:
        """Another process becomes the writer while this one stands still."""
        self._steps, self._unsent = None, None
        self._reopen(self._store.taken_over())
        self.world._active.remove(self.name)
        try:
            self.world.let_pass(max(seconds, 1.0))
        finally:
            self.world._active.append(self.name)
