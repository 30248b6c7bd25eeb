"""What state writes on the tape, and what of it counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec

from services.state.candidates import FileRefused, Listing, parse_symbols
from services.state.ingest import Source
from services.state.service import State
from services.state.setup import Setup
from services.state.sources import CandidateFiles, TapeFolder
from services.state.store import Store
from services.state.tape import (
    SUFFIX,
    Built,
    Ending,
    HeardHalt,
    Opening,
    Reborn,
    Record,
    Recorder,
    Said,
    Step,
    Taped,
    decode,
    source_of,
    that_count,
)
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.market import SessionOpened
from shared.contracts.message import Message
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.bus import Entry
from shared.runtime.halt import HaltFile
from shared.runtime.tape import read_tape
from tests.unit.state.world import CLOSE, MINUTE, OPEN, SESSION, opened

SETUP = Setup(rules=Rules(), partitions=2, salt="s")


def second(at: dt.datetime) -> Tick:
    """The tick that state gives itself."""
    return Tick(id=f"second-{at:%y%m%dT%H%M%S}", at=at, session=at.date(), phase=TickPhase.ACT)


class Room:
    """A state whose steps are recorded in a folder; `again` is the next process."""

    def __init__(self, folder: Path, store: Store | None = None, kept: int = 3) -> None:
        self.folder = folder
        self.store = store or Store.in_memory()
        self.tapes = TapeFolder(folder / "tape", kept)
        self.recorder = Recorder(self.store, SETUP, self.tapes, lambda: 7.0)
        halt = HeardHalt(folder / "halt", self.recorder.hear_halt)
        files = CandidateFiles(folder, SETUP, self.recorder.hear_lists)
        self.recorder.built()
        state = State(self.store, SETUP, halt, files, self.recorder.seconds, keep=self.recorder.keep)
        self.state = Taped(state, self.recorder)

    def again(self) -> Room:
        return Room(self.folder, Store.loaded(self.store.image()))

    def take(self, *messages: Message) -> None:
        streams = ["daily" if isinstance(message, SessionOpened) else "" for message in messages]
        self.state.step([Entry(stream, "1-0", message) for stream, message in zip(streams, messages, strict=True)])

    def records(self, session: dt.date = SESSION) -> list[Record]:
        return [decode(record) for record in read_tape(self.folder / "tape" / f"{session}{SUFFIX}")]


def kinds(records: Sequence[Record]) -> list[str]:
    return [type(record).__name__ for record in records]


def test_a_tape_begins_with_the_session_and_holds_the_ledger_before_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.take(second(OPEN - MINUTE))
    room.take(opened(), second(OPEN))
    opening, built, step = room.records()
    assert isinstance(opening, Opening)
    assert (opening.session, opening.whole_setup()) == (SESSION, SETUP)
    before = Store.loaded(opening.image())
    assert (before.last_session(), before.note("now")) == (None, (OPEN - MINUTE).isoformat())
    assert built == Built(writer=room.store.writer_epoch)
    assert isinstance(step, Step)
    assert [taken.message().id for taken in step.taken] == [opened().id, second(OPEN).id]
    assert step.seconds == 7.0


def test_what_the_halt_file_and_the_lists_say_is_on_the_tape(tmp_path: Path) -> None:
    HaltFile(tmp_path / "halt").write(HaltLevel.PAUSE)
    room = Room(tmp_path)
    room.take(opened(), second(OPEN))
    step = room.records()[-1]
    assert isinstance(step, Step)
    assert (step.halt, step.lists) == (HaltLevel.PAUSE, ((),))


def test_a_restart_goes_on_with_the_tape_and_says_so(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.take(opened(), second(OPEN))
    room = room.again()
    room.take(second(OPEN + MINUTE))
    records = room.records()
    assert kinds(records) == ["Opening", "Built", "Step", "Built", "Step"]
    assert [record.writer for record in records if isinstance(record, Built)] == [1, 2]
    assert [record.number for record in records if isinstance(record, Step)] == [1, 2]


def test_live_the_tape_ends_half_an_hour_after_the_close(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.take(opened(), second(OPEN))
    room.take(second(CLOSE + 31 * MINUTE))
    room.take(second(CLOSE + 32 * MINUTE))
    assert kinds(room.records()) == ["Opening", "Built", "Step", "Ending"]
    assert kinds(room.again().records()) == ["Opening", "Built", "Step", "Ending"]
    assert msgspec.structs.asdict(room.records()[-1]) == {"digest": room.store.digest()}


def test_the_oldest_tapes_make_room_and_with_none_wanted_none_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()
    for day in ("2025-12-30", "2025-12-31", "2026-01-02", "2026-01-05"):
        (folder / f"{day}{SUFFIX}").touch()
    Room(tmp_path).take(opened(), second(OPEN))
    assert [path.stem for path in sorted(folder.iterdir())] == ["2026-01-02", "2026-01-05", "2026-01-09"]
    Room(tmp_path / "none", kept=0).take(opened(), second(OPEN))
    assert not (tmp_path / "none" / "tape").exists()


def test_a_tape_that_cannot_be_written_ends_and_trading_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tape").write_text("a file where the folder should be")
    room = Room(tmp_path)
    room.take(opened(), second(OPEN))
    assert room.store.note("now") == OPEN.isoformat()


def test_a_record_whose_transaction_was_rolled_back_is_left_out() -> None:
    first, lost, again = (Step(number=number, seconds=at) for number, at in ((1, 1.0), (2, 2.0), (2, 3.0)))
    records: list[Record] = [Built(writer=1), first, lost, Built(writer=2), again, Reborn(number=3, run_id="r")]
    assert that_count(records) == [Built(writer=1), first, Built(writer=2), again, Reborn(number=3, run_id="r")]
    assert that_count([first, lost, Ending(digest="d")]) == [first, lost, Ending(digest="d")]


def test_a_list_is_the_same_from_the_tape() -> None:
    listing = parse_symbols(["AAPL", "not a symbol"], "boh")
    assert isinstance(listing, Listing)
    assert source_of(Said("watchlist", listing)) == Source("watchlist", listing)
    refused = FileRefused(reason="half written")
    assert source_of(Said("scan", None, "half written")) == Source("scan", refused)
