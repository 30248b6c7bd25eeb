"""What is sent where, and when: levels, repeats, quiet hours, and one message for what comes in a burst.

Pure: time is handed in. Nothing is forgotten before its address took it, or had every try it is given.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct, field
from msgspec.structs import replace

from services.alerts.day import CLOSED, Day
from services.alerts.notes import Level, Note, note_of
from shared.contracts.journal import JournalEntry
from shared.contracts.message import Message

NEW_YORK: Final = ZoneInfo("America/New_York")
LINES: Final = 20
WAITING_MAX: Final = 500
KEYS_MAX: Final = 2_000
TRIES: Final = 8
LONGEST_BACKOFF_S: Final = 600.0


class Target(Struct, frozen=True, kw_only=True):
    """An address that gets notes from `level` on. name: for logs and memory; the address itself is a secret."""

    name: str
    level: Level


class Rules(Struct, frozen=True, kw_only=True):
    """repeat_after, pause: see the settings `[alerts]`. quiet: from, until, New York; None: no quiet hours."""

    repeat_after: dt.timedelta
    pause: dt.timedelta
    quiet: tuple[dt.time, dt.time] | None
    summary: bool


class Delivery(Struct, frozen=True, kw_only=True):
    """One message for one address. numbers: the notes that it holds."""

    title: str
    body: str
    level: Level
    numbers: tuple[int, ...]


class Waiting(Struct, frozen=True):
    """A note that waits for an address. number: rises with each."""

    number: int
    note: Note


class Said(Struct):
    """When a key was told last, and how often it came again since."""

    at: dt.datetime
    again: int = 0


class Line(Struct):
    """What an address still has to get. not_before: UTC; tries: of the message that failed last."""

    waiting: list[Waiting] = field(default_factory=list)
    dropped: int = 0
    tries: int = 0
    not_before: dt.datetime | None = None


class Memory(Struct):
    """What must outlive a restart; kept on the bus beside the reading positions."""

    said: dict[str, Said] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    day: Day = field(default_factory=Day)
    last_number: int = 0


class Desk:
    """memory: as it was left. who: the installation, in every title: `execution, dry run`."""

    def __init__(self, targets: Sequence[Target], rules: Rules, who: str, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self._targets = {target.name: target for target in targets}
        self._rules = rules
        self._who = who
        self.memory.lines = {name: self.memory.lines.get(name) or Line() for name in self._targets}

    def take(self, message: Message, arrived: dt.datetime) -> None:
        """A message from the bus. arrived: UTC, when it came to stand there."""
        if isinstance(message, JournalEntry):
            self.memory.day.take(message)
            if message.kind == CLOSED and self._rules.summary:
                text = self.memory.day.summary(message)
                self._put(Note(level=Level.INFO, key=message.id, text=text, arrived=arrived))
        note = note_of(message, arrived)
        if note is not None:
            self.memory.day.take_note(note)
            self._put(note)

    def due(self, name: str, now: dt.datetime) -> Delivery | None:
        """What is to be sent to the address `name` now; it stays due until `sent` or `failed`."""
        line = self.memory.lines[name]
        if line.not_before is not None and now < line.not_before:
            return None
        quiet = self._is_quiet(now)
        ready = [one for one in line.waiting if not quiet or one.note.level is Level.CRITICAL]
        return self._delivery(ready, line.dropped) if ready else None

    def sent(self, name: str, delivery: Delivery, now: dt.datetime) -> None:
        """The address took it."""
        line = self.memory.lines[name]
        self._strike(line, delivery)
        line.dropped = line.tries = 0
        line.not_before = now + self._rules.pause

    def failed(self, name: str, delivery: Delivery, now: dt.datetime) -> bool:
        """It did not: tried again, later and later; False where that was the last try and its notes are dropped."""
        line = self.memory.lines[name]
        line.tries += 1
        again = line.tries < TRIES
        if not again:
            line.dropped += self._strike(line, delivery)
            line.tries = 0
        backoff_s = min(LONGEST_BACKOFF_S, max(self._rules.pause.total_seconds(), 1.0) * 2**line.tries)
        line.not_before = now + dt.timedelta(seconds=backoff_s)
        return again

    def _put(self, note: Note) -> None:
        told = self._unless_repeated(note)
        if told is None:
            return
        self.memory.last_number += 1
        for target in self._targets.values():
            if told.level < target.level:
                continue
            line = self.memory.lines[target.name]
            line.waiting.append(Waiting(self.memory.last_number, told))
            if len(line.waiting) > WAITING_MAX:
                lowest = min(one.note.level for one in line.waiting)
                line.waiting.remove(next(one for one in line.waiting if one.note.level == lowest))
                line.dropped += 1

    def _unless_repeated(self, note: Note) -> Note | None:
        said = self.memory.said.get(note.key)
        if said is not None and note.arrived - said.at < self._rules.repeat_after:
            said.again += 1
            return None
        self.memory.said[note.key] = Said(note.arrived)
        if len(self.memory.said) > KEYS_MAX:
            del self.memory.said[min(self.memory.said, key=lambda key: self.memory.said[key].at)]
        if said is None or not said.again:
            return note
        since = f"{said.at.astimezone(NEW_YORK):%H:%M}"
        return replace(note, text=f"{note.text} (and {said.again} more since {since} New York)")

    def _is_quiet(self, now: dt.datetime) -> bool:
        if self._rules.quiet is None:
            return False
        start, end = self._rules.quiet
        clock = now.astimezone(NEW_YORK).time()
        return start <= clock < end if start <= end else clock >= start or clock < end

    def _delivery(self, ready: Sequence[Waiting], dropped: int) -> Delivery:
        """The gravest first; what does not fit is counted."""
        ordered = sorted(ready, key=lambda one: (-one.note.level, one.number))
        levels = [one.note.level for one in ordered]
        lines = [_line(one.note) for one in ordered[:LINES]]
        if len(ordered) > LINES:
            lines.append(f"and {len(ordered) - LINES} more: see the journal")
        if dropped:
            lines.append(f"{dropped} earlier ones could not be delivered here: see the journal")
        count = ", ".join(
            f"{levels.count(level)} {level.name.lower()}" for level in reversed(Level) if levels.count(level)
        )
        return Delivery(
            title=f"{self._who}: {levels[0].name.lower() if len(ordered) == 1 else count}",
            body="\n".join(lines),
            level=levels[0],
            numbers=tuple(one.number for one in ready),
        )

    def _strike(self, line: Line, delivery: Delivery) -> int:
        """Take the delivery's notes off the line; says how many."""
        before = len(line.waiting)
        line.waiting = [one for one in line.waiting if one.number not in delivery.numbers]
        return before - len(line.waiting)


def _line(note: Note) -> str:
    clock = f"{note.arrived.astimezone(NEW_YORK):%H:%M}"
    return f"{clock} {note.text}" if note.level is Level.INFO else f"{clock} {note.level.name}: {note.text}"
