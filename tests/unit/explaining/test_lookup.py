"""Which order is meant: a whole id, or a beginning that only one thing has; else what is near."""

from __future__ import annotations

import pytest

from cli.explaining.lookup import Found, Named, look_up
from cli.trouble import Trouble

ENTRY = Found(order="e7f3-150211-AAPL-entry-1", intent="150211-AAPL-entry-111500")
LEG = Found(order="e7f3-150211-AAPL-entry-1-stop", intent="")
TRIM = Found(order="e7f3-150211-AAPL-trim-1", intent="150211-AAPL-r1-111600")
REFUSED = Found(order="", intent="150211-FB-entry-111510")
KNOWN = Named(
    orders={found.order: found for found in (ENTRY, LEG, TRIM)},
    brokers={"4a4cd90c": ENTRY, "4a4cffff": LEG},
    intents={found.intent: found for found in (ENTRY, TRIM, REFUSED)},
)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("e7f3-150211-AAPL-entry-1", ENTRY),  # though it begins the leg's id as well
        ("e7f3-150211-AAPL-t", TRIM),
        ("e7f3-150211-AAPL-e", ENTRY),
        ("4a4cd90c", ENTRY),
        ("4a4cf", LEG),
        ("150211-FB", REFUSED),
        ("150211-AAPL-r1-111600", TRIM),
    ],
)
def test_an_id_or_the_beginning_of_one_names_it(text: str, meant: Found) -> None:
    assert look_up(KNOWN, text) == meant


def test_a_beginning_of_several_names_them() -> None:
    with pytest.raises(Trouble, match=r"begins 2 ids: 4a4cd90c, 4a4cffff; write more of the one meant"):
        look_up(KNOWN, "4a4c")


@pytest.mark.parametrize("text", ["e7f3-150211-APPL-entry-1", "AAPL-entry-1"])
def test_an_unknown_id_is_answered_with_the_nearest(text: str) -> None:
    with pytest.raises(Trouble, match=r"no order or intent .*; near it: .*e7f3-150211-AAPL-entry-1"):
        look_up(KNOWN, text)


def test_nothing_at_all_is_no_beginning() -> None:
    with pytest.raises(Trouble, match="no order or intent ''"):
        look_up(KNOWN, "")


def test_an_empty_ledger_says_that_it_is_empty() -> None:
    with pytest.raises(Trouble, match="no order and no intent yet"):
        look_up(Named(orders={}, brokers={}, intents={}), "e7f3")
