"""The one loop that runs every service: read, handle, commit, publish, in this order.

Restart safety is that order. A crash before the commit repeats the batch; a crash after it publishes again what the
ledger's outbox holds (state), or folds again from the session's start (the others). Two paces give the batches:

    free        every stream as it comes, local inlets in between (live)
    conducted   the `clock` stream leads; what a tick covers is handled before the tick (demo, replay)

On a new life of the bus (shared/runtime/bus.py, `Life`) the service is built anew and reads from the start. What a
process that has not noticed yet still writes there bears the mark of the old life, and is left out by all readers.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from shared.contracts import streams
from shared.contracts.clock import Tick
from shared.contracts.journal import DeadLetter
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.runtime import metrics
from shared.runtime.bus import RAW_BYTES, Bus, BusDown, Entry, Life
from shared.runtime.crash import crash_here
from shared.runtime.logs import about, logger

RECONNECT_S: Final = 0.2
LIFE_CHECK_S: Final = 1.0
REMEMBERED_IDS: Final = 50_000


class Service(Protocol):
    """A pure service: the same messages in give the same messages out."""

    def handle(self, message: Message) -> Sequence[Outgoing]: ...


class Steps(Protocol):
    """What the loop runs: whole batches, so that a service may commit one batch as one unit.

    remembers: streams that only feed memory; after a restart they are read again up to the stored position.
    """

    remembers: tuple[str, ...]

    def positions(self) -> Mapping[str, str]:
        """Stream → id of the last entry taken. A stream that is not named is read from its start."""

    def remember(self, message: Message) -> None:
        """Take `message` into memory, without any effect."""

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        """Handle a batch (perhaps an empty one) and commit; what is returned goes out next."""

    def sent(self) -> None:
        """What `step` returned is on the bus."""


class KeepsTheEpoch(Protocol):
    """State: the one service that says which life of the bus is in use."""

    run_id: str
    epoch: int

    def reborn(self, run_id: str) -> Sequence[Outgoing]:
        """The bus is new: raise the epoch, forget positions, and return views and open outbox rows to publish."""


class Reads(Struct, frozen=True, kw_only=True):
    """Concrete stream names. covered: in a conducted run they are read as far as ticks say; free: as they come."""

    covered: tuple[str, ...] = ()
    free: tuple[str, ...] = ()


class Plain:
    """Runs a pure `Service`: repeats are dropped by id, a message that fails goes to `dead`, the rest goes on."""

    remembers: tuple[str, ...] = ()

    def __init__(self, service: Service, name: str) -> None:
        self._service = service
        self._name = name
        self._seen: OrderedDict[str, None] = OrderedDict()

    def positions(self) -> Mapping[str, str]:
        return {}

    def remember(self, message: Message) -> None:
        """Nothing to do: a pure service reads everything from the start."""

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        out: list[Outgoing] = []
        for entry in entries:
            message = entry.message
            if message is None:
                out.append(dead_letter(entry, self._name, entry.fault))
            elif isinstance(message, Tick) or self._first_time(message.id):
                try:
                    out.extend(self._service.handle(message))
                except Exception as fault:  # noqa: BLE001 - the one broad except: poison must not stop the rest
                    logger().exception("message failed", **about(message))
                    out.append(dead_letter(entry, self._name, f"{type(fault).__name__}: {fault}"))
        return out

    def sent(self) -> None:
        """Nothing to do: what was lost is folded again."""

    def _first_time(self, message_id: str) -> bool:
        if message_id in self._seen:
            return False
        self._seen[message_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)
        return True


def dead_letter(entry: Entry, service: str, reason: str) -> DeadLetter:
    """The record of an entry that could not be handled; its id names the entry, so that a repeat is known."""
    message = entry.message
    raw = entry.raw if message is None else msgspec.json.encode(message)[:RAW_BYTES].decode(errors="replace")
    return DeadLetter(
        id=f"dead-{service}-{entry.stream}-{entry.entry_id or (message.id[:200] if message else '')}",
        at=message.at if message else datetime.now(UTC),
        cause=message.id if message else "",
        stream=entry.stream,
        entry=entry.entry_id,
        reason=_printable(reason[:500]),
        service=service,
        raw=raw,
        symbol=getattr(message, "symbol", ""),
    )


def _printable(text: str) -> str:
    """`text` with everything that a screen would act on written out: it may quote whatever somebody sent."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


Inlet = Callable[[], Sequence[Message]]
After = Callable[[Message], Sequence[Message]]


class FreePace:
    """Everything as it comes. inlets: messages of this process's own. after: what follows a message at once."""

    def __init__(self, inlets: Sequence[Inlet] = (), after: After | None = None, block_ms: int = 100) -> None:
        self._inlets = inlets
        self._after = after
        self._block_ms = block_ms

    def batches(self, bus: Bus, reads: Reads, positions: dict[str, str]) -> Iterator[list[Entry]]:
        """Batches for ever; `positions` moves with them. Raises BusDown."""
        wanted = [*reads.covered, *reads.free]
        while True:
            batch = bus.read({name: positions.get(name, "0") for name in wanted}, self._block_ms)
            for entry in batch:
                positions[entry.stream] = entry.entry_id
            batch = [entry for entry in batch if not entry.stale]
            local = [Entry("", "", message) for inlet in self._inlets for message in inlet()]
            yield [*self._with_followers(batch), *self._with_followers(local)]

    def _with_followers(self, batch: Sequence[Entry]) -> Iterator[Entry]:
        for entry in batch:
            yield entry
            if self._after is not None and entry.message is not None:
                yield from (Entry("", "", message) for message in self._after(entry.message))


class ConductedPace:
    """The clock leads: each tick is one batch, after everything that it covers.

    What is missing of that was trimmed (a process that reads old ticks again), or lost with the bus's life.
    """

    def __init__(self, inlets: Sequence[Inlet] = (), block_ms: int = 100) -> None:
        self._inlets = inlets
        self._block_ms = block_ms

    def batches(self, bus: Bus, reads: Reads, positions: dict[str, str]) -> Iterator[list[Entry]]:
        """Batches for ever; `positions` moves with them. Raises BusDown."""
        wanted = [*reads.free, "clock"]
        while True:
            read = bus.read({name: positions.get(name, "0") for name in wanted}, self._block_ms)
            local = [Entry("", "", message) for inlet in self._inlets for message in inlet()]
            for entry in read:
                if entry.stream != "clock" or entry.stale:
                    positions[entry.stream] = entry.entry_id
            read = [entry for entry in read if not entry.stale]
            ticks = [entry for entry in read if entry.stream == "clock"]
            free = [*(entry for entry in read if entry.stream != "clock"), *local]
            if free or not ticks:
                yield free
            yield from self._ticks(bus, reads, positions, ticks)

    def _ticks(
        self, bus: Bus, reads: Reads, positions: dict[str, str], ticks: Sequence[Entry]
    ) -> Iterator[list[Entry]]:
        waiting = {name: self._covered(bus, name, positions.get(name, "0"), ticks) for name in reads.covered}
        for tick in ticks:
            batch: list[Entry] = []
            for name in reads.covered:
                upto, entries = _upto(tick, name), waiting[name]
                last = place(upto) if upto is not None else None
                while entries and last is not None and place(entries[0].entry_id) <= last:
                    batch.append(entries.pop(0))
            for entry in (*batch, tick):
                positions[entry.stream] = entry.entry_id
            yield [*batch, tick]

    def _covered(self, bus: Bus, name: str, after: str, ticks: Sequence[Entry]) -> list[Entry]:
        named = [upto for tick in ticks if (upto := _upto(tick, name)) is not None]
        if not named:
            return []
        last = max(named, key=place)
        if place(last) <= place(after):
            return []
        found = bus.read_up_to(name, after, last)
        if (not found or found[-1].entry_id != last) and not bus.still_lives():
            # Deciding without what the tick covers would be final: on the new bus the tick is given again, whole.
            raise BusDown(f"{last} of {name}, which a tick covers, is gone: the bus is a new one")
        return [entry for entry in found if not entry.stale]


def _upto(entry: Entry, name: str) -> str | None:
    return entry.message.upto.get(name) if isinstance(entry.message, Tick) else None


@lru_cache(maxsize=4096)
def place(entry_id: str) -> tuple[int, int]:
    """A stream entry's id as numbers that sort."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


Pace = FreePace | ConductedPace


class Stop:
    """Set by SIGTERM and SIGINT; the loop ends after the batch in hand."""

    def __init__(self) -> None:
        self.asked = False

    def on_signals(self) -> Stop:
        """Install the handlers; call it in the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True


def run(
    build: Callable[[], Steps],
    bus: Bus,
    pace: Pace,
    reads: Callable[[], Reads],
    *,
    stop: Stop,
    keeper: KeepsTheEpoch | None = None,
    stale: Callable[[], bool] = lambda: False,
) -> None:
    """Run a service until `stop` is asked for.

    build: makes the service; again on each new life of the bus and whenever `stale` says so (other partitions).
    reads: which streams, asked at each build. keeper: state, which says which life of the bus is in use.
    Messages of a step are published only after it returned.
    """
    health = Health(bus)
    while not stop.asked:
        try:
            life = _await_life(bus, keeper, stop)
            if life is not None:
                bus.epoch = life.epoch
                _run_one_life(build(), bus, pace, reads(), life, health, stop, stale)
        except BusDown as fault:
            logger().warning("bus does not answer", reason=str(fault))
            time.sleep(RECONNECT_S)


def _await_life(bus: Bus, keeper: KeepsTheEpoch | None, stop: Stop) -> Life | None:
    """The bus's life once it is in use; the keeper makes it so where it is not."""
    said = False
    while not stop.asked:
        life = bus.life()
        if keeper is not None:
            if (keeper.run_id, keeper.epoch) != (life.run_id, life.epoch):
                bus.clear()
                told = keeper.reborn(life.run_id)
                crash_here(f"{bus.service}.reborn")
                bus.epoch = keeper.epoch
                bus.publish(told)
                crash_here(f"{bus.service}.reborn_told")
                bus.set_epoch(keeper.epoch)
            return Life(life.run_id, keeper.epoch)
        if life.epoch:
            return life
        if not said:
            logger().info("waiting for state to open the bus")
            said = True
        time.sleep(0.05)
    return None


def _run_one_life(
    steps: Steps,
    bus: Bus,
    pace: Pace,
    reads: Reads,
    life: Life,
    health: Health,
    stop: Stop,
    stale: Callable[[], bool],
) -> None:
    positions = dict(steps.positions())
    for name in steps.remembers:
        if name in positions:
            for entry in bus.read_up_to(name, "0", positions[name]):
                if entry.message is not None:
                    steps.remember(entry.message)
    checked = time.monotonic()
    for batch in pace.batches(bus, reads, positions):
        started = time.perf_counter()
        out = steps.step(batch)
        if out:
            crash_here(f"{bus.service}.before_publish")
        if not _publish(bus, out, life, stop):
            return
        if out:
            crash_here(f"{bus.service}.after_publish")
        steps.sent()
        health.after(batch, out, positions, time.perf_counter() - started)
        if stop.asked or stale():
            return
        if time.monotonic() - checked > LIFE_CHECK_S:
            checked = time.monotonic()
            if bus.life() != life:
                logger().warning("the bus is a new one; starting over")
                return


def _publish(bus: Bus, out: Sequence[Outgoing], life: Life, stop: Stop) -> bool:
    """Send until it is sent; False where the bus became another one meanwhile, or the end was asked for."""
    while out:
        try:
            bus.publish(out)
            return True
        except BusDown as fault:
            logger().warning("could not publish; trying again", reason=str(fault))
            if stop.asked:
                return False
            time.sleep(RECONNECT_S)
            try:
                if bus.life() != life:
                    return False
            except BusDown:
                continue
    return True


def lag_ms(positions: Mapping[str, str], ends: Mapping[str, str]) -> int:
    """How far behind its streams a reader is. Entry ids begin with the server's milliseconds: a distance is a time."""
    behind = [
        place(ends[stream])[0] - place(position)[0]
        for stream, position in positions.items()
        if stream in ends and position != "0"
    ]
    return max([0, *behind])


def instance(service: str) -> str:
    """`signals:1`: the name under which this process shows its health; unique among the running ones."""
    return f"{service}:{os.environ.get('EV2_INSTANCE') or f'{socket.gethostname()}-{os.getpid()}'}"


class Health:
    """Writes `health:SERVICE:N` once a second: beat, lag, positions, memory; counts for the metrics."""

    KEEP_S: Final = 3600

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._name = instance(bus.service)
        self._started = datetime.now(UTC)
        self._last = 0.0
        self._handled = 0
        self._at: datetime | None = None

    def after(
        self, batch: Sequence[Entry], out: Sequence[Outgoing], positions: Mapping[str, str], seconds: float
    ) -> None:
        """Count one step."""
        service = self._bus.service
        kinds = sorted(type(entry.message).__name__ for entry in batch if entry.message is not None)
        for kind, group in groupby(kinds):
            metrics.HANDLED.labels(service, kind).inc(len(list(group)))
        if batch:
            metrics.STEP.labels(service).observe(seconds)
            metrics.SENT.labels(service).inc(len(out))
            metrics.DEAD.labels(service).inc(sum(isinstance(item, DeadLetter) for item in out))
            self._handled += len(batch)
            self._at = max((entry.message.at for entry in batch if entry.message is not None), default=self._at)
        if time.monotonic() - self._last >= 1.0:
            self._last = time.monotonic()
            self._write(positions)

    def _write(self, positions: Mapping[str, str]) -> None:
        try:
            ends = self._bus.last_ids(list(positions))
        except BusDown:
            return  # the loop's next read says so, and reconnects
        fields = {
            "beat": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "started": self._started.isoformat(timespec="seconds"),
            "pid": str(os.getpid()),
            "handled": str(self._handled),
            "at": self._at.isoformat() if self._at else "",
            "lag_ms": str(lag_ms(positions, ends)),
            "memory_mb": str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024),
            "positions": " ".join(f"{name}={positions[name]}" for name in sorted(positions, key=_table_order)),
        }
        try:
            self._bus.show_health(self._name, fields, self.KEEP_S)
        except BusDown:
            return  # the loop's next read says so, and reconnects
        metrics.BEAT.labels(self._bus.service).set_to_current_time()


def _table_order(name: str) -> tuple[int, str]:
    base = name.partition(":")[0]
    return streams.ORDER.get(base, len(streams.ORDER)), name
