"""Every case of the list, on the pure core and through alpaca-py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.all_cases import CASES
from tests.conformance.broker import Broker, InProcess, OverTheWire
from tests.conformance.case import Case


@pytest.fixture(scope="module")
def over_the_wire() -> Iterator[OverTheWire]:
    broker = OverTheWire()
    yield broker
    broker.stop()


def _name(case: Case) -> str:
    return f"{case.number:03d} {case.text}"


@pytest.mark.parametrize("case", [case for case in CASES if not case.wire_only], ids=_name)
def test_on_the_pure_core(case: Case) -> None:
    broker: Broker = InProcess()
    broker.begin()
    case.check(broker)


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_through_alpaca_py(case: Case, over_the_wire: OverTheWire) -> None:
    over_the_wire.begin()
    case.check(over_the_wire)


def test_the_list_is_long_enough_and_says_everything_once() -> None:
    assert len(CASES) >= 150
    assert len({(case.section, case.text) for case in CASES}) == len(CASES)
