"""What happened, for people."""

from __future__ import annotations

from shared.contracts.decisions import Figure
from shared.contracts.message import Message


class JournalEntry(Message, frozen=True, kw_only=True):
    """One decision of state. seq: number in the ledger's journal. kind: a short word, such as `entry_denied`."""

    seq: int
    kind: str
    symbol: str = ""
    order: str = ""
    text: str = ""
    figures: dict[str, Figure] = {}


class Alert(Message, frozen=True, kw_only=True):
    """Something a person should know. level: info, warning or critical. key: the same for the same trouble."""

    level: str
    key: str
    text: str
    symbol: str = ""


class DeadLetter(Message, frozen=True, kw_only=True):
    """A message or bar that could not be handled. raw: what it was, cut at 4 kB."""

    stream: str
    entry: str
    reason: str
    service: str
    raw: str = ""
    symbol: str = ""
