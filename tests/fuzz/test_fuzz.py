"""Whatever stands on a stream is read as what it is, or put aside with a reason; `make fuzz` asks of 100,000."""

from __future__ import annotations

import random

import pytest

from shared.contracts import streams
from tests.fuzz.mutations import mutated
from tests.fuzz.run import fuzz

WANTED = {
    "does not belong on",
    "without a readable type",
    "JSON is malformed",
    "has no zone",
    "is not UTC",
    "the year",
    "is no amount",
    "of too many digits",
    "of more than 64 bits",
    "out of range",
    "holds a NUL",
    "characters; at most",
    "Expected",
}


@pytest.mark.parametrize("seed", [1, 20260109])
def test_a_damaged_message_is_read_or_put_aside_with_a_reason(seed: int) -> None:
    found = fuzz(5_000, seed)
    assert found.read + sum(found.refused.values()) == 5_000
    assert found.read > 500
    assert set(found.refused) >= WANTED


def test_the_damage_reaches_every_type_and_every_stream() -> None:
    some = [next_one for next_one, _ in zip(mutated(random.Random(3)), range(3_000), strict=False)]
    assert {fields.get(b"type", b"").decode(errors="replace") for _, fields in some} >= set(streams.MESSAGE_TYPES)
    assert {stream.partition(":")[0] for stream, _ in some} == {stream.name for stream in streams.STREAMS}
