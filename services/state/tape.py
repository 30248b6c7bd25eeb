"""The tape: everything that state takes in one session, in the order in which it takes it.

A record for each transaction, written before it is committed and numbered in it: what a process wrote whose transaction
then failed has a number that comes again, and counts for nothing. With the ledger as it was at the session's beginning
the records are all that the session's decisions depend on: cli/playback.py plays them again.

    Opening   the session's beginning: setup and ledger
    Built     the service was made anew, with an empty memory: a restart, or a new life of the bus
    Reborn    the bus was a new one
    Step      one transaction: the messages of its batch, and what else it heard
    Ending    the session is over; the ledger's digest
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from services.state.candidates import FileRefused, Listing
from services.state.ingest import Source
from services.state.service import State
from services.state.setup import Setup
from services.state.store import Store
from shared.contracts.clock import Settled, Tick, TickPhase
from shared.contracts.market import SessionOpened
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.contracts.rules import Rules
from shared.contracts.streams import MESSAGE_TYPES
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from shared.runtime.logs import logger

VERSION: Final = 1
SUFFIX: Final = ".tape"
NUMBER: Final = "tape"
"""Note in the ledger: number of the last transaction that stands on the tape."""
NIGHT_AFTER: Final = dt.timedelta(minutes=30)
"""Live, this long after the close a session is over for the tape: late words of the broker are in."""

_ENCODE: Final = msgspec.json.Encoder(decimal_format="string").encode
_MESSAGES: Final = {name: msgspec.json.Decoder(kind) for name, kind in MESSAGE_TYPES.items()}


class Taken(Struct, frozen=True, array_like=True):
    """One message of a batch. stream: empty for one of state's own, such as the second's tick. body: its JSON."""

    stream: str
    kind: str
    body: msgspec.Raw

    def message(self) -> Message:
        message: Message = _MESSAGES[self.kind].decode(self.body)
        return message


class Said(Struct, frozen=True, array_like=True):
    """What one list of candidates said when it was taken in: its rows, or why it was refused."""

    name: str
    listing: Listing | None
    refused: str = ""


class Opening(Struct, frozen=True, kw_only=True, tag=True):
    """rules: as in the configuration file, JSON. setup: with default rules. ledger: an image of it, packed."""

    version: int
    session: dt.date
    setup: msgspec.Raw
    rules: str
    ledger: bytes

    def whole_setup(self) -> Setup:
        setup = msgspec.json.decode(self.setup, type=_SetupAside)
        rules = Rules.model_validate_json(self.rules)
        return Setup(rules=rules, **msgspec.structs.asdict(setup))

    def image(self) -> bytes:
        return zlib.decompress(self.ledger)


class Built(Struct, frozen=True, kw_only=True, tag=True):
    """writer: the ledger's writer epoch, another one in another process."""

    writer: int


class Reborn(Struct, frozen=True, kw_only=True, tag=True):
    """number: of its transaction."""

    number: int
    run_id: str


class Step(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """number: of its transaction. seconds: of the process's own clock. halt: what the halt file said, if anything.

    lists: what the lists of candidates said, for each time that they were taken in.
    """

    number: int
    seconds: float
    taken: tuple[Taken, ...] = ()
    halt: HaltLevel | None = None
    lists: tuple[tuple[Said, ...], ...] = ()


class Ending(Struct, frozen=True, kw_only=True, tag=True):
    digest: str


Record = Opening | Built | Reborn | Step | Ending
_DECODER: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)


class _SetupAside(Struct, frozen=True, kw_only=True):
    """`Setup` but for the rules, which are no struct."""

    partitions: int
    salt: str
    lease_s: float
    grace_s: float
    conducted: bool
    broker: str
    account: str


def decode(record: bytes) -> Record:
    """Raises ValueError for what is no record of this version."""
    return _DECODER.decode(record)


def that_count(records: Iterable[Record]) -> list[Record]:
    """Without those whose transaction was rolled back: their number came again."""
    counting: list[Record] = []
    for record in records:
        if isinstance(record, Step | Reborn):
            counting = (
                [one for one in counting if not isinstance(one, Step | Reborn) or one.number < record.number]
                if _comes_again(counting, record.number)
                else counting
            )
        counting.append(record)
    return counting


def _comes_again(records: Sequence[Record], number: int) -> bool:
    last = next((one for one in reversed(records) if isinstance(one, Step | Reborn)), None)
    return last is not None and last.number >= number


class Writer(Protocol):
    """shared/runtime/tape.py."""

    def append(self, record: bytes) -> None: ...

    def close(self) -> None: ...


class Tapes(Protocol):
    """Where tapes are kept, one a session."""

    def has(self, session: dt.date) -> bool: ...

    def is_over(self, session: dt.date) -> bool:
        """Whether its tape has an ending."""

    def open(self, session: dt.date) -> Writer | None:
        """To be written on from its end; None where none is wanted. Raises OSError and ValueError."""


class Recorder:
    """Hears everything that a state of this process depends on, and writes it down.

    Trading never waits for it: a tape that cannot be written ends, and says so.
    """

    def __init__(self, store: Store, setup: Setup, tapes: Tapes, monotonic: Callable[[], float]) -> None:
        self._store = store
        self._setup = setup
        self._tapes = tapes
        self._monotonic = monotonic
        self._seconds = monotonic()
        self._session: dt.date | None = None
        self._closes_at: dt.datetime | None = None
        self._writer: Writer | None = None
        self._changes = 0
        self._halt: HaltLevel | None = None
        self._lists: list[tuple[Said, ...]] = []

    def seconds(self) -> float:
        """One reading of the clock for a whole step, so that the same step can be taken again."""
        return self._seconds

    def hear_halt(self, level: HaltLevel | None) -> None:
        self._halt = level

    def hear_lists(self, sources: Sequence[Source]) -> None:
        self._lists.append(tuple(_said(source) for source in sources))

    def built(self) -> None:
        """A state was made. The first time, a session that was interrupted is gone on with."""
        if self._session is None:
            session = self._store.last_session()
            if session is not None and self._tapes.has(session.session) and not self._tapes.is_over(session.session):
                self._closes_at = session.closes_at
                self._go_on(session.session)
        self._write(Built(writer=self._store.writer_epoch))

    def begin_step(self, entries: Sequence[Entry]) -> None:
        """Outside any transaction."""
        self._seconds = self._monotonic()
        self._changes = self._store.changes()
        self._lists.clear()
        for entry in entries:
            match entry.message:
                case SessionOpened() as opened:
                    if self._session is None or opened.session > self._session:
                        self._begin(opened)
                case Tick() as tick if self._closes_at is not None and tick.at > self._closes_at + NIGHT_AFTER:
                    self._end()

    def keep(self, batch: Sequence[Entry]) -> None:
        """Inside the transaction, right before it is committed. A step that changed nothing is not worth a record."""
        if self._writer is None or not (batch or self._store.changes() > self._changes):
            return
        step = Step(
            number=self._next_number(),
            seconds=self._seconds,
            taken=tuple(_taken(entry) for entry in batch if entry.message is not None),
            halt=self._halt,
            lists=tuple(self._lists),
        )
        self._write(step)

    def keep_reborn(self, run_id: str) -> None:
        """Inside the transaction in which a new life of the bus begins."""
        if self._writer is not None:
            self._write(Reborn(number=self._next_number(), run_id=run_id))

    def told(self, out: Sequence[Outgoing]) -> None:
        """What a step gave, after it was committed. In a conducted run the last answer ends the session."""
        settle = f"-{TickPhase.SETTLE}-state"
        if self._writer is not None and any(isinstance(one, Settled) and one.id.endswith(settle) for one in out):
            self._end()

    def _begin(self, opened: SessionOpened) -> None:
        self._close()
        self._session, self._closes_at = opened.session, opened.closes_at
        if self._tapes.has(opened.session):
            if not self._tapes.is_over(opened.session):
                self._go_on(opened.session)
            return
        self._go_on(opened.session)
        aside = _SetupAside(**{name: getattr(self._setup, name) for name in _SetupAside.__struct_fields__})
        opening = Opening(
            version=VERSION,
            session=opened.session,
            setup=msgspec.Raw(_ENCODE(aside)),
            rules=self._setup.rules.model_dump_json(),
            ledger=zlib.compress(self._store.image(), 1),
        )
        self._write(opening)
        self._write(Built(writer=self._store.writer_epoch))

    def _go_on(self, session: dt.date) -> None:
        self._session = session
        try:
            self._writer = self._tapes.open(session)
        except (OSError, ValueError) as fault:
            logger().error("no tape of this session", session=str(session), reason=str(fault))

    def _end(self) -> None:
        self._closes_at = None
        if self._writer is not None:
            self._write(Ending(digest=self._store.digest()))
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _next_number(self) -> int:
        number = int(self._store.note(NUMBER) or 0) + 1
        self._store.set_note(NUMBER, str(number))
        return number

    def _write(self, record: Record) -> None:
        if self._writer is None:
            return
        try:
            self._writer.append(_ENCODE(record))
        except OSError as fault:
            logger().error("the tape cannot be written and ends here", session=str(self._session), reason=str(fault))
            self._close()


class Taped:
    """A state whose steps are recorded; what the loop runs."""

    def __init__(self, state: State, recorder: Recorder) -> None:
        self._state = state
        self._recorder = recorder
        self.remembers = state.remembers
        self.positions = state.positions
        self.remember = state.remember
        self.sent = state.sent

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        self._recorder.begin_step(entries)
        out = self._state.step(entries)
        self._recorder.told(out)
        return out


class HeardHalt(HaltFile):
    """The halt file, of which the recorder hears what it said."""

    def __init__(self, path: Path, heard: Callable[[HaltLevel | None], None]) -> None:
        super().__init__(path)
        self._heard = heard

    def read(self) -> HaltLevel | None:
        level = super().read()
        self._heard(level)
        return level


def _taken(entry: Entry) -> Taken:
    message = entry.message
    assert message is not None
    return Taken(entry.stream, type(message).__name__, msgspec.Raw(_ENCODE(message)))


def _said(source: Source) -> Said:
    says = source.says
    return Said(source.name, None, says.reason) if isinstance(says, FileRefused) else Said(source.name, says)


def source_of(said: Said) -> Source:
    """The list as it was taken in."""
    return Source(said.name, said.listing if said.listing is not None else FileRefused(reason=said.refused))
