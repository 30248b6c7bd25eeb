"""Asking state over a real server: an answer that cannot be read, or is to another question, grants nothing."""

from __future__ import annotations

import pytest

from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.wire import encode_json
from shared.runtime.bus import Bus
from shared.runtime.claims import ask_all
from tests.unit.contracts.test_wire import AT

REQUEST = ClaimRequest(id="claim-1", at=AT, action="a", attempt=1, executor="protect-1")


def answer(bus: Bus, body: bytes) -> ClaimReply:
    bus.client.set(bus.key("reply:claim-1"), body)
    bus.client.lpush(bus.key("wake:claim-1"), "1")
    return ask_all(bus, [REQUEST], 5.0)["claim-1"]


def test_an_answer_to_the_question_is_taken(bus: Bus) -> None:
    reply = ClaimReply(request="claim-1", granted=True, at=AT)
    assert answer(bus, encode_json(reply)) == reply


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not JSON", "answer to a claim: "),
        (b"[" * 100_000, "answer to a claim: "),
        (encode_json(ClaimReply(request="claim-1", granted=True, at=AT.replace(tzinfo=None))), "has no zone"),
        (encode_json(ClaimReply(request="claim-2", granted=True, at=AT)), "an answer to 'claim-2'"),
    ],
)
def test_any_other_answer_grants_nothing(bus: Bus, body: bytes, reason: str) -> None:
    reply = answer(bus, body)
    assert (reply.granted, reason in reply.reason) == (False, True)
