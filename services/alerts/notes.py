"""What a person is told of: alerts, dead letters, and of the journal what moves money or was asked for by a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from msgspec import Struct

from shared.contracts.journal import Alert, DeadLetter, JournalEntry
from shared.contracts.message import Message


class Level(IntEnum):
    """How much it matters; an address gets what is at least at its level."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


class Note(Struct, frozen=True, kw_only=True):
    """One thing to be told. key: the same for the same trouble. arrived: UTC, when it stood on the bus."""

    level: Level
    key: str
    text: str
    arrived: dt.datetime


LEVELS: Final[Mapping[str, Level]] = {level.name.lower(): level for level in Level}
JOURNAL_TOLD: Final = frozenset(
    {
        "fill",
        "entry_refused",
        "order_rejected",
        "command_done",
        "command_refused",
        "halt_level",
        "disarmed",
        "session_opened",
    }
)
"""Kinds of journal rows that are told, as info; `alert_...` rows are alerts, and come as such."""
TEXT_MAX: Final = 500


def note_of(message: Message, arrived: dt.datetime) -> Note | None:
    """What `message` tells a person, None where that is nothing."""
    match message:
        case Alert():
            level = LEVELS.get(message.level, Level.CRITICAL)  # a level of a newer program: too loud is the safe side
            return _note(level, message.key, _about(message.symbol, message.text), arrived)
        case DeadLetter():
            what = f"{message.service} could not take an entry of {message.stream or 'its own'}: {message.reason}"
            key = f"dead-{message.service}-{message.stream}-{message.reason[:40]}"
            return _note(Level.WARNING, key, _about(message.symbol, what), arrived)
        case JournalEntry() if message.kind in JOURNAL_TOLD:
            return _note(Level.INFO, message.id, _about(message.symbol, message.text), arrived)
        case _:
            return None


def _note(level: Level, key: str, text: str, arrived: dt.datetime) -> Note:
    return Note(level=level, key=key[:200], text=" ".join(text.split())[:TEXT_MAX], arrived=arrived)


def _about(symbol: str, text: str) -> str:
    """`text` with the symbol in front, unless it names it."""
    return text if not symbol or symbol in text else f"{symbol}: {text}"
