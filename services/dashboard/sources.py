"""The edge of the page: a thread looks at the ledger, another one hears the bus, and orders go out and are awaited."""

from __future__ import annotations

import datetime as dt
import errno
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from services.dashboard.orders import LEVEL, Answer, Order, command, not_confirmed
from services.dashboard.rows import LedgerView
from services.dashboard.store import Ledger, Unreadable
from services.dashboard.tape import Point, Price, Tape
from shared.contracts import streams
from shared.contracts.commands import DONE
from shared.contracts.journal import DeadLetter
from shared.contracts.vocabulary import HaltLevel
from shared.domain.bars import SpanBar
from shared.runtime import health
from shared.runtime.bus import Bus, BusDown, Life
from shared.runtime.commands import give
from shared.runtime.halt import HaltFile
from shared.runtime.health import Progress, Service
from shared.runtime.logs import logger
from shared.runtime.loop import Health

LOOK_S: Final = 0.25
HEAR_MS: Final = 250
HEALTH_S: Final = 1.0
AGAIN_S: Final = 0.5
ANSWER_S: Final = 6.0
SHORT_S: Final = 2.0
HEARD: Final = ("positions", "bars", "dead")
DEAD_KEPT: Final = 50


class LedgerSeen(Struct, frozen=True):
    """The last look at the ledger and the halt file.

    view: None before the first. trouble: why it cannot be read now. level: of the file, None: there is none.
    version: rises.
    """

    view: LedgerView | None = None
    trouble: str = "the ledger was not looked at yet"
    level: HaltLevel | None = None
    version: int = 0


class Machinery(Struct, frozen=True, kw_only=True):
    """What the processes say of themselves. trouble: the bus does not answer. dead: letters since the bus began."""

    services: tuple[Service, ...] = ()
    progress: Progress | None = None
    trouble: str = "the bus was not asked yet"
    dead: tuple[DeadLetter, ...] = ()
    dead_count: int = 0
    version: int = 0

    @property
    def state_alive(self) -> bool:
        return any(one.well for one in self.services if one.name.startswith("state:"))


class LedgerWatch(threading.Thread):
    """Looks four times a second; a look at a ledger that did not change costs one PRAGMA."""

    def __init__(self, path: Path, halt: HaltFile, stop: threading.Event) -> None:
        super().__init__(name="ledger", daemon=True)
        self.seen = LedgerSeen()
        self._ledger = Ledger(path)
        self._halt = halt
        self._stop_asked = stop

    def run(self) -> None:
        while not self._stop_asked.wait(LOOK_S):
            self.look()
        self._ledger.close()

    def look(self) -> None:
        """Take in what changed."""
        before = self.seen
        view, trouble = before.view, ""
        try:
            view = self._ledger.changed() or view
        except Unreadable as fault:
            trouble = str(fault)
        now = LedgerSeen(view, trouble, self._halt.read(), before.version)
        if now.view is not before.view or (now.trouble, now.level) != (before.trouble, before.level):
            self.seen = replace(now, version=before.version + 1)


class BusWatch(threading.Thread):
    """Hears prices, the account and dead letters, reads everybody's health, and shows its own."""

    def __init__(self, bus: Bus, stop: threading.Event) -> None:
        super().__init__(name="bus", daemon=True)
        self.machinery = Machinery()
        self._bus = bus
        self._stop_asked = stop
        self._lock = threading.Lock()
        self._tape = Tape()
        self._dead: deque[DeadLetter] = deque(maxlen=DEAD_KEPT)
        self._dead_count = 0
        self._streams = streams.names(HEARD, range(bus.partitions))
        self._health = Health(bus)

    @property
    def tape_version(self) -> int:
        return self._tape.version

    def prices(self) -> Mapping[str, Price]:
        """Last prices by symbol."""
        with self._lock:
            return dict(self._tape.prices)

    def points(self) -> list[Point]:
        """The account over the session."""
        with self._lock:
            return list(self._tape.points)

    def candles(self, symbol: str) -> list[SpanBar]:
        """10-minute bars of the session."""
        with self._lock:
            return self._tape.candles(symbol)

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                self._one_life(self._bus.life())
            except BusDown as fault:
                self._say_down(f"the bus does not answer: {fault}")
                self._stop_asked.wait(AGAIN_S)

    def _one_life(self, life: Life) -> None:
        self._bus.epoch = life.epoch  # what was said in another life is left out
        with self._lock:
            self._tape = _later(self._tape, Tape())
        self._dead.clear()
        self._dead_count = 0
        positions = dict.fromkeys(self._streams, "0")
        looked = 0.0
        while not self._stop_asked.is_set():
            started = time.perf_counter()
            entries = self._bus.read(positions, HEAR_MS)
            with self._lock:
                for entry in entries:
                    positions[entry.stream] = entry.entry_id
                    if isinstance(entry.message, DeadLetter):
                        self._dead.append(entry.message)
                        self._dead_count += 1
                    elif entry.message is not None:
                        self._tape.take(entry.message)
            self._health.after(entries, (), positions, time.perf_counter() - started)
            if time.monotonic() - looked >= HEALTH_S:
                looked = time.monotonic()
                self._read_health()
                if self._bus.life() != life:
                    return

    def _read_health(self) -> None:
        self.machinery = Machinery(
            services=health.services(self._bus, dt.datetime.now(dt.UTC)),
            progress=health.progress(self._bus),
            trouble="",
            dead=tuple(self._dead),
            dead_count=self._dead_count,
            version=self.machinery.version + 1,
        )

    def _say_down(self, trouble: str) -> None:
        before = self.machinery
        if before.trouble != trouble or before.services:
            self.machinery = Machinery(
                trouble=trouble, dead=before.dead, dead_count=before.dead_count, version=before.version + 1
            )


def _later(before: Tape, fresh: Tape) -> Tape:
    """`fresh`, with a version that no look at `before` has seen."""
    fresh.version = before.version + 1
    return fresh


class Desk:
    """Carries a person's orders to state. connect: a new connection, since each order waits on a thread of its own."""

    def __init__(self, halt: HaltFile, connect: Callable[[], Bus]) -> None:
        self._halt = halt
        self._connect = connect

    def give(self, order: Order, *, alive: bool) -> Answer:
        """Do it and wait for the journal's answer. Blocks for up to six seconds; two where state is not heard."""
        if order is Order.RESUME and not alive:
            return Answer(False, "resume was not sent: state is not heard, and an order that lies waiting may surprise")
        written = self._write(order)
        logger().warning("ordered on the page", order=order.value, written=written)
        bus = self._connect()
        try:
            return self._ask(bus, order, ANSWER_S if alive else SHORT_S, written)
        except BusDown as fault:
            return not_confirmed(order, written, f"The bus does not answer ({fault}).")
        finally:
            bus.client.close()

    def _write(self, order: Order) -> str:
        """The level holds from here on, whoever lives. It is never lowered here: that is for state to do."""
        if order is Order.RESUME:
            return ""
        try:
            self._halt.raise_to(LEVEL[order])
        except OSError as fault:
            return f"The halt file could not be written ({fault.strerror})."
        return f"The level {LEVEL[order]} stands in the halt file."

    def _ask(self, bus: Bus, order: Order, wait_s: float, written: str) -> Answer:
        message = command(order, secrets.token_hex(6), dt.datetime.now(dt.UTC))
        said = give(bus, message, wait_s)
        if said is None:
            return not_confirmed(order, written, "State did not answer; the order itself was taken back.")
        return Answer(said.kind == DONE, said.text)


def token_of(configured: SecretStr | None, data_folder: Path) -> SecretStr:
    """The log-in token: the configured one, else one drawn once and kept where only its owner reads it.

    Raises OSError where the data folder cannot be written.
    """
    if configured is not None and configured.get_secret_value():
        return configured
    path = data_folder / "page_token"
    data_folder.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(24)}\n")
        logger().warning("no log-in was configured; one was drawn", file=str(path))
    token = path.read_text(encoding="ascii").strip()
    if not token:
        raise OSError(errno.EINVAL, "the file of the log-in token is empty; remove it", str(path))
    return SecretStr(token)


class Sources(Struct, frozen=True):
    """What a page is made from. ledger_path: for questions that one visitor asks. mode: the broker's kind."""

    ledger: LedgerWatch
    bus: BusWatch
    desk: Desk
    ledger_path: Path
    mode: str

    def start(self) -> None:
        """Begin to look and to hear."""
        self.ledger.start()
        self.bus.start()
