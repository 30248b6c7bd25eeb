"""What every message has in common."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class Message(Struct, frozen=True, kw_only=True, tag=True):
    """One entry of a stream.

    id: the same for the same content, so that a repeat is known and dropped.
    at: UTC; the time at which it is true for trading, never the time of writing.
    cause: id of the message, intent or order that led to it; empty where it comes from outside.
    """

    id: str
    at: datetime
    cause: str = ""
