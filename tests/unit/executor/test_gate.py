"""Before an executor works: a wrong account, wrong keys or a wrong address end it; silence is waited out."""

from __future__ import annotations

from typing import Any

import pytest

from services.executor.broker import Answer, Fault, Replied, Silent
from services.executor.gate import Gate
from shared.domain.accounts import wrong_address
from tests.orders.loopback_broker import ACCOUNT

LIVE_URL = "https://api.alpaca.markets"
PAPER_URL = "https://paper-api.alpaca.markets"
LOCAL = "http://127.0.0.1:8765"


def account(number: str, **more: Any) -> Answer:
    return Replied(status=200, body={**ACCOUNT, "account_number": number, **more}, events_seen=3)


def asked(gate: Gate, *answers: Answer, stop_after: int = 10) -> tuple[str, int]:
    """What the gate says, and how often it asked."""
    left = list(answers)
    times = 0

    def ask() -> Answer:
        nonlocal times
        times += 1
        return left.pop(0) if len(left) > 1 else left[0]

    return gate.pass_through(ask, lambda seconds: None, lambda: times >= stop_after), times


@pytest.mark.parametrize(
    ("kind", "url", "configured", "answer"),
    [
        ("exchange", LOCAL, "", account("PA3000000001")),
        ("paper", PAPER_URL, "", account("PA3000000001")),
        ("paper", LOCAL, "PA3000000001", account("PA3000000001")),
        ("live", LIVE_URL, "412345678", account("412345678")),
    ],
)
def test_the_account_that_is_meant_passes_at_once(kind: str, url: str, configured: str, answer: Answer) -> None:
    assert asked(Gate(kind, url, configured), answer) == ("", 1)


@pytest.mark.parametrize(
    ("kind", "url", "configured", "answer", "why"),
    [
        ("live", LIVE_URL, "", account("PA3000000001"), "lead to the paper account"),
        ("paper", LOCAL, "", account("412345678"), "lead to the live account"),
        ("live", LOCAL, "412345678", account("499999999"), "broker.account is 412345678"),
        ("exchange", LOCAL, "", Replied(status=200, body=ACCOUNT), "is not the paper exchange"),
    ],
)
def test_another_account_is_refused_at_once_with_the_reason(
    kind: str, url: str, configured: str, answer: Answer, why: str
) -> None:
    said, times = asked(Gate(kind, url, configured), answer)
    assert why in said
    assert times == 1


@pytest.mark.parametrize(
    ("kind", "url"), [("exchange", LIVE_URL), ("exchange", PAPER_URL), ("paper", LIVE_URL), ("live", PAPER_URL)]
)
def test_an_address_of_another_kind_is_refused_before_anything_is_asked(kind: str, url: str) -> None:
    said, times = asked(Gate(kind, url, ""), account("412345678"))
    assert "broker.url leads to" in said
    assert times == 0


@pytest.mark.parametrize("url", ["", LOCAL, "https://desk.example/alpaca", "http://alpaca.markets.example"])
def test_an_address_that_is_not_alpacas_is_judged_by_its_account(url: str) -> None:
    assert wrong_address("live", url) == ""


def test_keys_that_are_refused_again_and_again_are_the_wrong_ones() -> None:
    no = Replied(status=401, body={"message": "unauthorized."})
    said, times = asked(Gate("live", LIVE_URL, ""), no)
    assert "keys are not accepted" in said
    assert times == 3


@pytest.mark.parametrize(
    "answer",
    [
        Silent(fault=Fault.NOT_CONNECTED),
        Silent(fault=Fault.READ_TIMEOUT),
        Replied(status=503, empty=True),
        Replied(status=429, body={"message": "too many requests"}),
        Replied(status=200, body={"id": "half an account"}),
        Replied(status=200, empty=True),
    ],
)
def test_a_broker_that_says_nothing_is_asked_again_until_it_does(answer: Answer) -> None:
    gate = Gate("paper", PAPER_URL, "")
    assert asked(gate, answer, answer, answer, answer, account("PA3000000001")) == ("", 5)


def test_a_process_that_is_asked_to_end_does_not_wait_for_the_broker() -> None:
    assert asked(Gate("paper", PAPER_URL, ""), Silent(fault=Fault.NOT_CONNECTED), stop_after=2) == ("", 2)
