"""The summary of a session, counted from the journal as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from services.alerts.notes import Level, Note
from shared.contracts.journal import JournalEntry

OPENED: Final = "session_opened"
CLOSED: Final = "session_closed"

COUNTED: Final[Mapping[str, tuple[str, str]]] = {
    "entry_wanted": ("breakout confirmed", "breakouts confirmed"),
    "entry_refused": ("refused", "refused"),
    "trim_wanted": ("trim", "trims"),
    "exit_wanted": ("exit", "exits"),
    "fill": ("fill", "fills"),
}
"""Kinds of journal rows → what they are called, one and many, in the order of the summary."""


class Day(Struct):
    """Counts since the session opened. refused: entries by the reason that the journal gives."""

    counts: dict[str, int] = {}
    alerts: dict[str, int] = {}

    def take(self, entry: JournalEntry) -> None:
        """Count one row; a session that opens starts anew."""
        if entry.kind == OPENED:
            self.counts.clear()
            self.alerts.clear()
        if entry.kind in COUNTED:
            self.counts[entry.kind] = self.counts.get(entry.kind, 0) + 1

    def take_note(self, note: Note) -> None:
        """Count an alert."""
        if note.level is not Level.INFO:
            name = note.level.name.lower()
            self.alerts[name] = self.alerts.get(name, 0) + 1

    def summary(self, closed: JournalEntry) -> str:
        """What the session came to. closed: the row that says that it is over."""
        counted = [_many(self.counts[kind], *words) for kind, words in COUNTED.items() if self.counts.get(kind)]
        alerts = [f"{self.alerts[name]} {name}" for name in ("critical", "warning") if self.alerts.get(name)]
        held = closed.figures.get("held")
        holding = f"; {held:.0f} positions held overnight" if isinstance(held, float | int) and held else ""
        return (
            f"{closed.text}{holding}. {', '.join(counted) or 'Nothing was confirmed'}. "
            f"Alerts: {', '.join(alerts) or 'none'}."
        )


def _many(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
