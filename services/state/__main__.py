"""The state process: the ledger, and the only one that writes it."""

from __future__ import annotations

import datetime as dt
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import structs

from services.state.service import BusLife, State
from services.state.setup import Setup
from services.state.sources import CandidateFiles, TapeFolder
from services.state.store import Fenced, LedgerFault, LedgerFull, LedgerRefused, Store
from services.state.tape import HeardHalt, Recorder, Taped
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.runtime import settings as configuration
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import ConductedPace, FreePace, Pace, Reads, Stop, run
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import Settings

SERVICE: Final = "state"
COVERED: Final = ("daily", "bars", "intents")
FREE: Final = ("claims", "orders", "commands")
TURN_MS: Final = 100
SAY_EVERY_S: Final = 5.0
DISK_AGAIN_S: Final = 1.0
FENCED: Final = 4
"""Exit code of a writer that another one replaced."""


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    stop = Stop().on_signals()
    bus = connect(settings, SERVICE)
    store = open_store(settings, stop)
    parts = Parts(store, settings)
    partitions = range(bus.partitions)
    reads = Reads(covered=streams.names(COVERED, partitions), free=streams.names(FREE, partitions))
    try:
        run(parts.build, bus, parts.pace(), lambda: reads, stop=stop, keeper=parts.keeper(stop))
    except Fenced as fault:
        logger().error("another writer took over; ending", reason=str(fault))
        raise SystemExit(FENCED) from None
    finally:
        store.close()


def open_store(settings: Settings, stop: Stop) -> Store:
    """The ledger, once it is ours. Ends the process, with one line, where it may not be opened."""

    said = -SAY_EVERY_S

    def waiting(waited_s: float) -> None:
        nonlocal said
        if stop.asked:
            raise SystemExit(0)
        if waited_s - said >= SAY_EVERY_S:
            said = waited_s
            text = "waiting: another process writes this ledger"
            logger().warning(text, path=str(settings.ledger), waited_s=round(waited_s))

    store = _opened(settings, stop, waiting)
    if settings.run.installation:
        with store.transaction():
            store.set_note("installation", settings.run.installation)
    return store


def _opened(settings: Settings, stop: Stop, waiting: Callable[[float], None]) -> Store:
    while True:
        try:
            return Store.open(settings.ledger, waiting)
        except LedgerRefused as fault:
            refuse(SERVICE, str(fault))
        except LedgerFault as fault:
            logger().error("the disk does not let the ledger be opened; trying again", reason=str(fault))
            if stop.asked:
                raise SystemExit(0) from None
            time.sleep(DISK_AGAIN_S)
        except OSError as fault:
            refuse(SERVICE, f"{settings.ledger}: cannot be opened ({fault.strerror}); is the home folder writable?")


class Parts:
    """What this process is made of; on each new life of the bus the service is built anew from the ledger."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._setup = with_salt(setup_of(settings), store)
        tapes = TapeFolder(settings.data_folder / "tape", settings.run.tape)
        self._recorder = Recorder(store, self._setup, tapes, time.monotonic)
        self._halt = HeardHalt(settings.halt_file, self._recorder.hear_halt)
        self._files = CandidateFiles(settings.home, self._setup, self._recorder.hear_lists)

    def build(self) -> Taped:
        """The service, with an empty memory."""
        recorder = self._recorder
        recorder.built()
        state = State(self._store, self._setup, self._halt, self._files, recorder.seconds, keep=recorder.keep)
        return Taped(state, recorder)

    def keeper(self, stop: Stop) -> BusLife:
        return PatientLife(self._store, self._recorder.keep_reborn, stop)

    def pace(self) -> Pace:
        if self._setup.conducted:
            return ConductedPace(block_ms=TURN_MS)
        return FreePace(inlets=[Seconds(wall_clock)], block_ms=TURN_MS)


class PatientLife(BusLife):
    """A new life of the bus has to be written down before it is used: with the disk full, everybody waits for that."""

    def __init__(self, store: Store, keep: Callable[[str], None], stop: Stop) -> None:
        super().__init__(store, keep)
        self._stop = stop

    def reborn(self, run_id: str) -> Sequence[Outgoing]:
        while True:
            try:
                return super().reborn(run_id)
            except LedgerFull as fault:
                logger().error("no room to open the new bus in the ledger; waiting", reason=str(fault))
                if self._stop.asked:
                    raise SystemExit(0) from None
                time.sleep(DISK_AGAIN_S)


def setup_of(settings: Settings) -> Setup:
    """What the rules and the ledger need to know of the settings."""
    return Setup(
        rules=settings.rules,
        partitions=settings.bus.partitions,
        salt=settings.run.salt,
        lease_s=settings.broker.lease,
        grace_s=settings.broker.grace_s,
        conducted=settings.run.pace is configuration.Pace.CONDUCTED,
        broker=settings.broker.kind,
        account=settings.broker.account or "",
    )


def with_salt(setup: Setup, store: Store) -> Setup:
    """A salt of the ledger's own, drawn once, where none is given: delays and slips must not be foreseen by others."""
    if setup.salt:
        return setup
    salt = store.note("salt")
    if not salt:
        salt = secrets.token_hex(16)
        with store.transaction():
            store.set_note("salt", salt)
    return structs.replace(setup, salt=salt)


def wall_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Seconds:
    """A tick of our own each second of the wall clock, never falling."""

    def __init__(self, now: Callable[[], dt.datetime]) -> None:
        self._now = now
        self._last = dt.datetime.min.replace(tzinfo=dt.UTC)

    def __call__(self) -> Sequence[Message]:
        at = self._now().replace(microsecond=0)
        if at <= self._last:
            return []
        self._last = at
        return [Tick(id=f"second-{at:%y%m%dT%H%M%S}", at=at, session=at.date(), phase=TickPhase.ACT)]


if __name__ == "__main__":
    main()
