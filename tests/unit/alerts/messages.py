"""Messages, times and a desk, in few words."""

from __future__ import annotations

import datetime as dt

from services.alerts.desk import Delivery, Desk, Memory, Rules, Target
from services.alerts.notes import Level
from shared.contracts.journal import Alert, DeadLetter, JournalEntry

NOON = dt.datetime(2026, 1, 9, 17, 0, tzinfo=dt.UTC)  # 12:00 in New York
SECOND = dt.timedelta(seconds=1)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


def alert(level: str = "warning", key: str = "k", text: str = "something is wrong", symbol: str = "") -> Alert:
    return Alert(id=f"alert-{key}", at=NOON, level=level, key=key, text=text, symbol=symbol)


def row(kind: str, text: str = "text", seq: int = 1, **figures: float) -> JournalEntry:
    return JournalEntry(id=f"journal-{seq}-{kind}", at=NOON, seq=seq, kind=kind, text=text, figures=dict(figures))


def dead(reason: str = "ValueError: no") -> DeadLetter:
    return DeadLetter(id="dead-1", at=NOON, stream="bars:1", entry="1-0", reason=reason, service="signals")


def desk(
    level: Level = Level.INFO,
    repeat_after: dt.timedelta = 15 * MINUTE,
    pause: dt.timedelta = 5 * SECOND,
    quiet: tuple[dt.time, dt.time] | None = None,
    memory: Memory | None = None,
) -> Desk:
    rules = Rules(repeat_after=repeat_after, pause=pause, quiet=quiet, summary=True)
    return Desk([Target(name="a", level=level)], rules, "execution, dry run", memory)


def sent(made: Desk, now: dt.datetime, name: str = "a") -> Delivery | None:
    """What is due now, and taken by its address."""
    delivery = made.due(name, now)
    if delivery is not None:
        made.sent(name, delivery, now)
    return delivery
