"""Every answer has every key it must have, with its JSON type; and the check would notice each one's absence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance import wire_keys
from tests.conformance.broker import CLOSE, OPEN, InProcess, flat
from tests.conformance.wire_keys import Keys, missing

Sample = Callable[[InProcess], Any]


def _traded() -> InProcess:
    """A broker with a filled entry, its leg, a position and a resting order."""
    broker = InProcess()
    broker.ready()
    broker.order(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 95})
    broker.minute(flat(100.0))
    return broker


ANSWERS: dict[str, tuple[Keys, Sample]] = {
    "order": (wire_keys.ORDER, lambda b: b.orders(status="all").body[0]),
    "order with legs": (wire_keys.ORDER, lambda b: b.orders(status="closed", nested=True).body[0]),
    "leg": (wire_keys.ORDER, lambda b: b.orders(status="closed", nested=True).body[0]["legs"][0]),
    "new order": (wire_keys.ORDER, lambda b: b.order(type="limit", limit_price=90)),
    "replaced order": (wire_keys.ORDER, lambda b: b.replace(b.orders().body[0], stop_price=96).body),
    "position": (wire_keys.POSITION, lambda b: b.positions().body[0]),
    "one position": (wire_keys.POSITION, lambda b: b.position("AAPL").body),
    "account": (wire_keys.ACCOUNT, lambda b: b.account().body),
    "configurations": (wire_keys.CONFIGURATIONS, lambda b: b.ask("GET", "/account/configurations").body),
    "clock": (wire_keys.CLOCK, lambda b: b.clock().body),
    "calendar": (wire_keys.SESSION, lambda b: b.calendar("2015-02-11", "2015-02-12").body[0]),
    "asset": (wire_keys.ASSET, lambda b: b.ask("GET", "/assets/AAPL").body),
    "assets": (wire_keys.ASSET, lambda b: b.ask("GET", "/assets").body[0]),
    "fill": (wire_keys.FILL, lambda b: b.ask("GET", "/account/activities").body[0]),
    "portfolio history": (wire_keys.HISTORY, lambda b: b.ask("GET", "/account/portfolio/history").body),
    "trade update": (wire_keys.UPDATE, lambda b: b.events()[0]),
    "trade update of a fill": (wire_keys.UPDATE, lambda b: b.events()[2]),
    "order in a trade update": (wire_keys.ORDER, lambda b: b.events()[2]["order"]),
    "bars": (wire_keys.BARS, lambda b: b.bars(["AAPL"], "1Min", OPEN, CLOSE).body),
    "latest bar": (
        wire_keys.BAR,
        lambda b: b.ask("GET", "/stocks/bars/latest", {"symbols": "AAPL"}).body["bars"]["AAPL"],
    ),
    "daily bar": (
        wire_keys.BAR,
        lambda b: b.ask("GET", "/stocks/snapshots", {"symbols": "AAPL"}).body["AAPL"]["dailyBar"],
    ),
}
DROPS = [(answer, key) for answer, (keys, _) in ANSWERS.items() for key in keys]
MONEY = [(answer, key) for answer, (keys, _) in ANSWERS.items() for key, kind in keys.items() if kind == "money"]


@pytest.fixture(scope="module")
def bodies() -> dict[str, Any]:
    return {name: sample(_traded()) for name, (_, sample) in ANSWERS.items()}


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_has_every_key_with_its_type(answer: str, bodies: dict[str, Any]) -> None:
    assert missing(bodies[answer], ANSWERS[answer][0]) == []


@pytest.mark.parametrize(("answer", "key"), DROPS)
def test_a_dropped_key_is_noticed(answer: str, key: str, bodies: dict[str, Any]) -> None:
    mutant = json.loads(json.dumps(bodies[answer]))
    del mutant[key]
    assert missing(mutant, ANSWERS[answer][0]) == [f"{key}: absent"]


@pytest.mark.parametrize(("answer", "key"), MONEY)
def test_money_as_a_number_is_noticed(answer: str, key: str, bodies: dict[str, Any]) -> None:
    mutant = {**bodies[answer], key: float(bodies[answer][key])}
    assert missing(mutant, ANSWERS[answer][0]) != []
