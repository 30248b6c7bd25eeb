"""The parts of an explanation that are worked out, by hand."""

from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace

from cli.explaining.command import shown, size_in_words
from cli.explaining.explanation import Bar, OrderStory, bar_of, chain, root_cause, size_of
from cli.ledger_rows import order_view
from services.state.model import Order
from shared.contracts.decisions import Figure
from shared.contracts.rules import SizeRules
from shared.contracts.vocabulary import OrderKind
from tests.unit.reporting.made import ENTRY, LEG, entry_order, leg, order

FIGURES: dict[str, Figure] = {
    "equity": 100_000.0,
    "scale": 0.5,
    "penalty": 0.2,
    "limit": 101.0,
    "stop": 99.0,
    "shares": 7.0,
}


@pytest.mark.parametrize("cause", ["bars-0-150226T1450", "decided-3-150226T1450"])
def test_a_cause_names_the_minute_that_ended_then(cause: str) -> None:
    assert bar_of(cause) == Bar(cause=cause, ends_at=dt.datetime(2015, 2, 26, 14, 50, tzinfo=dt.UTC))


def test_an_order_that_another_led_to_is_followed_back_to_the_first_cause() -> None:
    causes = {"stop-1": ENTRY, ENTRY: "an intent", "an intent": "bars-0-150226T1450", "own": "own"}
    assert root_cause("stop-1", causes) == "bars-0-150226T1450"
    assert root_cause("command-7", causes) == "command-7"
    assert root_cause("own", causes) == "own"


def test_an_operators_command_is_no_bar() -> None:
    assert bar_of("command-7").ends_at is None


def test_the_size_is_told_by_its_formula() -> None:
    size = size_of(FIGURES, SizeRules())
    assert size is not None
    assert size.wanted == pytest.approx(800.0)  # 100,000 x 2 % x 0.5 x 0.8; / 101 = 7.92
    assert (size.shares, size.risk, size.as_configured) == (7, 14.0, True)
    told = size_in_words(size)
    assert "7 shares: 100,000.00 x 2.00 % x 0.5000 for its volatility" in told
    assert "x (1 - 0.2000 for what moves like it) = 800.00 dollars" in told
    assert "/ limit 101.00 = 7.92, whole shares; at risk 14.00 down to the stop 99.00" in size_in_words(size)


def test_a_size_of_another_configuration_says_so() -> None:
    size = size_of(FIGURES, SizeRules(base_fraction=0.04))
    assert size is not None
    assert not size.as_configured
    assert "by the configuration of now it would be another number" in size_in_words(size)


def test_a_size_that_the_cap_cut_says_so() -> None:
    size = size_of({**FIGURES, "scale": 1.0, "penalty": 0.0, "shares": 9.0}, SizeRules(max_fraction=0.01))
    assert size is not None
    assert size.as_configured  # 1,000 of 2,000 dollars; / 101 = 9.90
    assert "= 2,000.00 dollars, capped at 1,000.00, / limit 101.00 = 9.90" in size_in_words(size)


def test_figures_that_are_missing_are_no_size() -> None:
    assert size_of({"limit": 101.0, "stop": None}, SizeRules()) is None


def stops(count: int) -> list[Order]:
    """The leg, and `count` stops each in place of the one before."""
    found = [leg()]
    for place in range(count):
        found.append(order(f"stop-{place + 1}", OrderKind.STOP, parent=found[-1].client_order_id))
    return found


def test_an_entry_is_followed_by_its_leg_and_what_replaced_that() -> None:
    entry = entry_order()
    told = chain(entry, [entry, *stops(1)])
    assert [(role, one.client_order_id) for role, one in told] == [
        ("asked", entry.client_order_id),
        ("leg", LEG),
        ("replaced by", "stop-1"),
    ]


def test_a_stop_is_told_with_the_entry_it_protects_and_those_it_replaced() -> None:
    known = [entry_order(), *stops(2)]
    assert [role for role, _ in chain(known[2], known)] == ["its entry", "replaces", "asked", "replaced by"]


def test_a_chain_that_bites_its_tail_ends() -> None:
    one, other = order("a", OrderKind.STOP, parent="b"), order("b", OrderKind.STOP, parent="a")
    assert len(chain(one, [one, other])) < 1000


def story(role: str) -> OrderStory:
    made = leg()
    return OrderStory(
        role=role,
        kind=made.kind,
        order=replace(order_view(made)),
        time_in_force="gtc",
        order_class="simple",
        leg_stop_price=None,
        broker_status="",
        note="",
        planned_at=made.planned_at,
        first_fill_at=None,
        ended_at=None,
        requests=(),
        fills=(),
        journal=(),
    )


def test_of_a_long_row_of_replacements_those_next_to_the_order_are_shown() -> None:
    told = [story(role) for role in ("its entry", *["replaces"] * 9, "asked", *["replaced by"] * 3)]
    found = shown(told)
    assert [one if isinstance(one, int) else one.role for one in found] == [
        "its entry", 7, "replaces", "replaces", "asked", "replaced by", "replaced by", 1,
    ]  # fmt: skip
