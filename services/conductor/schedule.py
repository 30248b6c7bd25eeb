"""The order of ticks in a conducted session, and whose answer each one waits for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from shared.contracts.clock import Answer, Fed, Folded, Matched, Settled, Tick, TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.message import Message
from shared.domain.calendar import Session

MINUTE: Final = dt.timedelta(minutes=1)

OPENING: Final = (TickPhase.OPEN, TickPhase.INGEST, TickPhase.HISTORY)
EACH_MINUTE: Final = (TickPhase.FEED, TickPhase.MATCH, TickPhase.FOLD, TickPhase.DECIDE, TickPhase.ACT)
CLOSING: Final = (TickPhase.CLOSE, TickPhase.EXPIRE, TickPhase.SETTLE)

ANSWERED_BY: Final[dict[TickPhase, type[Answer | Decided]]] = {
    TickPhase.OPEN: Fed,
    TickPhase.INGEST: Settled,
    TickPhase.HISTORY: Fed,
    TickPhase.FEED: Fed,
    TickPhase.MATCH: Matched,
    TickPhase.FOLD: Folded,
    TickPhase.DECIDE: Decided,
    TickPhase.ACT: Settled,
    TickPhase.CLOSE: Fed,
    TickPhase.EXPIRE: Matched,
    TickPhase.SETTLE: Settled,
}


class Step(Struct, frozen=True):
    """One tick to come. at: UTC."""

    at: dt.datetime
    phase: TickPhase

    @property
    def tick_id(self) -> str:
        return f"tick-{self.at:%y%m%dT%H%M}-{self.phase}"


def steps_of(session: Session) -> Iterator[Step]:
    """Every tick of `session`, in order: the opening, each minute by its end, the close."""
    for phase in OPENING:
        yield Step(session.opens_at, phase)
    at = session.opens_at
    while at < session.closes_at:
        at += MINUTE
        for phase in EACH_MINUTE:
            yield Step(at, phase)
    for phase in CLOSING:
        yield Step(session.closes_at, phase)


class Awaited(Struct):
    """What is still missing before the conductor may go on. parts: partitions that have not decided."""

    tick: Tick
    parts: set[int]
    events: int | None = None
    answered: bool = False

    def take(self, message: Message) -> None:
        """Note `message`, if it is an answer to this tick."""
        wanted = ANSWERED_BY[self.tick.phase]
        if not isinstance(message, wanted):
            return
        if isinstance(message, Decided):
            if message.minute == self.tick.at:
                self.parts.discard(message.partition)
            return
        if message.cause == self.tick.id:
            self.answered = True
            if isinstance(message, Matched):
                self.events = message.events

    @property
    def done(self) -> bool:
        return not self.parts if self.tick.phase is TickPhase.DECIDE else self.answered

    def missing(self) -> str:
        """In words, for the log."""
        kind = ANSWERED_BY[self.tick.phase].__name__
        parts = f" of partitions {sorted(self.parts)}" if self.tick.phase is TickPhase.DECIDE else ""
        return f"{kind}{parts} for {self.tick.id}"
