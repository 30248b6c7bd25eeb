"""Damaged messages through what every service does with an entry: read, handle or put aside, say so."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

import redis
from msgspec import Struct

from shared.contracts import bounds, streams, wire
from shared.contracts.journal import DeadLetter
from shared.contracts.message import Message
from shared.runtime.bus import Bus
from shared.runtime.loop import Plain
from shared.runtime.settings import BusSettings
from tests.fuzz.mutations import mutated

KNOWN: Final = (
    *(
        "does not belong on",
        "without a readable type",
        "is newer than",
        "unknown type",
        "JSON is malformed",
        "truncated",
    ),
    *(
        "has no zone",
        "is not UTC",
        "the year",
        "is no amount",
        "of too many digits",
        "of more than 64 bits",
        "out of range",
    ),
    *("holds a NUL", "characters; at most", "nested more than", "RecursionError", "Expected", "missing required"),
    *(
        "Invalid RFC3339",
        "Invalid ISO8601",
        "Invalid date",
        "Invalid decimal",
        "Invalid enum",
        "Invalid value",
        "version",
    ),
    *("invalid start byte", "utf-8"),
)


class Outcome(Struct, frozen=True):
    """read: were messages of ours after all. refused: by the first words of the reason."""

    messages: int
    seconds: float
    read: int
    refused: dict[str, int]


class Sink:
    """A service that takes everything."""

    def handle(self, message: Message) -> Sequence[Message]:
        return []


def fuzz(count: int, seed: int) -> Outcome:
    """Raises AssertionError or whatever escapes, for the first message that is neither read nor put aside."""
    bus = Bus(redis.Redis(), BusSettings(), "fuzz")  # never asked: an entry is made of fields
    rng = random.Random(seed)
    read = 0
    refused: Counter[str] = Counter()
    began = time.perf_counter()
    for number, (stream, fields) in enumerate(mutated(rng)):
        if number == count:
            break
        entry = bus._entry(stream, f"{number + 1}-0", fields)
        out = Plain(Sink(), "fuzz").step([entry])
        if entry.message is None:
            [letter] = out
            assert isinstance(letter, DeadLetter)
            assert letter.reason, (stream, fields)
            assert (letter.stream, letter.entry) == (stream, entry.entry_id)
            assert comes_back(letter), (stream, fields)
            refused[_kind_of(letter.reason)] += 1
        else:
            assert out == [], (stream, fields)
            assert streams.stream_for(entry.message) == stream
            bounds.check(entry.message)
            assert comes_back(entry.message), (stream, fields)
            read += 1
    return Outcome(count, time.perf_counter() - began, read, dict(refused.most_common()))


def comes_back(message: Message) -> bool:
    """Whether it can be said again, and is read as the same."""
    fields = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in wire.encode(message).items()
    }
    return wire.decode(fields, streams.stream_for(message)) == message


def _kind_of(reason: str) -> str:
    """The reason without what is of this one message."""
    for known in KNOWN:
        if known in reason:
            return known
    return "otherwise not JSON of its type"
