"""A tape played again: state takes what it took, signals decide anew, and both must come to what they came to.

There is no broker and no exchange here: what the broker said is on the tape. Decisions are not taken from it: wherever
state took those of a minute, it is given what signals make now of the same bars, and any difference is told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.signals.__main__ import decide
from services.signals.service import Signals
from services.state.ingest import take
from services.state.service import MEMORY_STREAMS, BusLife, State
from services.state.setup import Setup
from services.state.store import Store
from services.state.tape import VERSION, Built, Ending, Opening, Reborn, Said, Step, decode, source_of, that_count
from services.state.unit import Unit
from services.state.views import Views
from shared.contracts.clock import Tick
from shared.contracts.decisions import Decided
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.contracts.streams import stream_for, stream_named
from shared.contracts.vocabulary import HaltLevel
from shared.contracts.wire import encode_json
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from shared.runtime.loop import Plain
from shared.runtime.tape import NoTape, read_tape

READ_BY_SIGNALS: Final = ("daily", "candidates", "positions", "bars")
NEVER: Final = dt.datetime.min.replace(tzinfo=dt.UTC)
COMPARED: Final = ("verdicts", "entries", "exits", "trims", "stops", "marks")


class Difference(Struct, frozen=True, kw_only=True):
    """Decisions of one minute and partition that are others now. what: the part of `Decided`. then, now: its JSON."""

    minute: dt.datetime
    partition: int
    what: str
    then: str
    now: str


class Played(Struct, frozen=True, kw_only=True):
    """What came of a tape. decisions: how many minutes of a partition were compared. digest_then: None: no ending.

    last: the last tick on it, UTC.
    """

    session: dt.date
    store: Store
    steps: int
    restarts: int
    lives: int
    decisions: int
    differences: tuple[Difference, ...]
    digest_then: str | None
    digest: str
    last: dt.datetime


def play_tape(path: Path, until: dt.datetime | None = None) -> Played:
    """Play it, up to the last tick at or before `until`. Raises NoTape, OSError and LedgerRefused."""
    try:
        records = that_count(decode(record) for record in read_tape(path))
    except NoTape:
        raise
    except ValueError as fault:
        raise NoTape(f"{path}: a record cannot be read ({fault})") from fault
    if not records or not isinstance(records[0], Opening):
        raise NoTape(f"{path} holds no beginning of a session: it was torn right at its start")
    opening = records[0]
    if opening.version != VERSION:
        raise NoTape(f"{path} is of version {opening.version}, this program plays {VERSION}")
    playback = _Playback(opening)
    ending: str | None = None
    last = NEVER
    for record in records[1:]:
        match record:
            case Built():
                playback.build(record)
            case Reborn():
                playback.begin_life(record)
            case Step():
                tick = _last_tick(record)
                if until is not None and tick > until:
                    break
                playback.step(record)
                last = max(last, tick)
            case Ending():
                ending = record.digest
            case Opening():
                raise NoTape(f"{path} begins twice")
    return playback.played(opening.session, ending, last)


def _last_tick(step: Step) -> dt.datetime:
    ticks = [one.message().at for one in step.taken if one.kind == "Tick"]
    return max(ticks, default=NEVER)


class _Halt(HaltFile):
    """The halt file as it was heard; what an operator's command writes is heard in the next step."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))
        self.level: HaltLevel | None = None

    def read(self) -> HaltLevel | None:
        return self.level

    def write(self, level: HaltLevel) -> None: ...


class _Lists:
    """The lists of candidates as they were taken in."""

    def __init__(self, setup: Setup) -> None:
        self._rules = setup.rules.candidates
        self.said: list[tuple[Said, ...]] = []

    def changed(self) -> bool:
        return bool(self.said)

    def ingest(self, unit: Unit) -> str:
        return take(unit, [source_of(said) for said in self.said.pop(0)], self._rules)


class _Playback:
    def __init__(self, opening: Opening) -> None:
        self._setup = opening.whole_setup()
        self._store = Store.loaded(opening.image())
        self._halt = _Halt()
        self._lists = _Lists(self._setup)
        self._seconds = 0.0
        self._market: list[Message] = []
        self._state: State | None = None
        self._writer: int | None = None
        self._signals = Plain(Signals(self._setup.partitions, self._setup.rules, lambda partition: 1), "signals")
        self._compared: set[tuple[int, dt.datetime]] = set()
        self._decided: dict[tuple[int, dt.datetime], Decided] = {}
        self._differences: list[Difference] = []
        self._steps = self._restarts = self._lives = 0
        self._tell(self._everything())

    def build(self, record: Built) -> None:
        """A new service over the same ledger; in another process the ledger has another writer."""
        if self._writer not in (None, record.writer):
            self._store = Store.loaded(self._store.image())
            self._restarts += 1
        self._writer = record.writer
        self._state = State(self._store, self._setup, self._halt, self._lists, lambda: self._seconds)
        for message in self._market:
            self._state.remember(message)

    def begin_life(self, record: Reborn) -> None:
        self._lives += 1
        self._market.clear()
        self._tell(BusLife(self._store).reborn(record.run_id))

    def step(self, record: Step) -> None:
        assert self._state is not None, "a step before a state was built"
        self._steps += 1
        self._seconds = record.seconds
        self._halt.level = record.halt
        self._lists.said = list(record.lists)
        batch: list[Entry] = []
        for taken in record.taken:
            message = taken.message()
            if taken.stream.partition(":")[0] in MEMORY_STREAMS:
                self._market.append(message)
                self._hear(taken.stream, message)
            elif isinstance(message, Tick):
                self._hear(taken.stream, message)
            elif isinstance(message, Decided):
                message = self._now(message)
            batch.append(Entry(taken.stream, "0-0" if taken.stream else "", message))
        out = self._state.step(batch)
        self._state.sent()
        self._tell(out)

    def played(self, session: dt.date, ending: str | None, last: dt.datetime) -> Played:
        return Played(
            session=session,
            store=self._store,
            steps=self._steps,
            restarts=self._restarts,
            lives=self._lives,
            decisions=len(self._compared),
            differences=tuple(self._differences),
            digest_then=ending,
            digest=self._store.digest(),
            last=last,
        )

    def _hear(self, stream: str, message: Message) -> None:
        """Let signals hear it; conducted, ticks decide, else each complete minute does."""
        following = decide(message) if not self._setup.conducted else ()
        for one in (message, *following):
            for said in self._signals.step([Entry(stream, "", one)]):
                if isinstance(said, Decided):
                    self._decided.setdefault((said.partition, said.minute), said)

    def _tell(self, out: Iterable[Outgoing]) -> None:
        """What state says of candidates and positions reaches signals before the next minute."""
        for item in out:
            if isinstance(item, Message) and stream_named(stream_for(item)).name in READ_BY_SIGNALS:
                self._signals.step([Entry(stream_for(item), "", item)])

    def _now(self, then: Decided) -> Decided:
        """What signals decide now on the minute of `then`. Only the first word on a minute counts, as in the ledger."""
        key = then.partition, then.minute
        now = self._decided.get(key)
        if now is None:
            self._differ(then, "all", _json(then), "")
            return then
        if key not in self._compared:
            self._compared.add(key)
            for what in COMPARED:
                if getattr(now, what) != getattr(then, what):
                    self._differ(then, what, _json(getattr(then, what)), _json(getattr(now, what)))
        return replace(now, id=then.id, fence=then.fence)

    def _differ(self, at: Decided, what: str, then: str, now: str) -> None:
        self._differences.append(Difference(minute=at.minute, partition=at.partition, what=what, then=then, now=now))

    def _everything(self) -> Sequence[Outgoing]:
        """What signals knew at the session's beginning: what state would say on a new bus, without saying it."""
        with self._store.transaction():
            unit = Unit(self._store)
            Views().everything(unit)
        return unit.out


def _json(value: object) -> str:
    return encode_json(value).decode()
