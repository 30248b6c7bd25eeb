"""What a person is told before a stop, and after it."""

from __future__ import annotations

import datetime as dt

import pytest

from services.dashboard.orders import COMMAND, LEVEL, Order, command, consequences
from services.dashboard.tape import Price
from shared.contracts.vocabulary import HaltLevel, OrderKind
from tests.unit.dashboard.samples import CLOSE, OPEN, held, money, view, working

BUSY = view(
    held=(held(), held(symbol="IBM", qty=5)),
    orders=(working(), working(symbol="NVDA", qty=10, filled_qty=4), working(OrderKind.STOP, "AAPL", 100)),
)
PRICES = {"AAPL": Price(10.5, OPEN)}


def test_pause_names_what_goes_on() -> None:
    assert consequences(Order.PAUSE, BUSY, PRICES, alive=True) == [
        "No new entries are sent.",
        "2 working entries go on: 30 MSFT, 6 NVDA.",
        "2 positions are kept; stops, trims and exits go on.",
    ]


def test_halt_names_every_entry_that_is_cancelled() -> None:
    assert consequences(Order.HALT, BUSY, PRICES, alive=True) == [
        "No new entries are sent.",
        "2 working entries are cancelled: 30 MSFT, 6 NVDA.",
        "2 positions are kept; 1 stop rests on.",
    ]


def test_flatten_names_every_position_and_about_what_it_brings() -> None:
    assert consequences(Order.FLATTEN, BUSY, PRICES, alive=True) == [
        "2 working entries are cancelled: 30 MSFT, 6 NVDA.",
        "100 AAPL are sold at the market, about 1,050 dollars.",
        "5 IBM are sold at the market.",
        "Nothing is bought until somebody resumes.",
    ]


def test_flatten_after_the_close_says_when_it_happens() -> None:
    said = consequences(Order.FLATTEN, view(held=(held(),), now=CLOSE), {}, alive=True)
    assert "The market is closed: stops stay, and the shares are sold when it opens." in said


def test_with_nothing_held_and_nothing_working_it_says_so() -> None:
    assert consequences(Order.FLATTEN, view(), {}, alive=True) == [
        "No entry is working, so none is cancelled.",
        "Nothing is held, so nothing is sold.",
    ]


def test_resume_says_that_it_ends_the_accounts_own_stop() -> None:
    stopped = view(money=money(stopped="daily_loss"))
    assert consequences(Order.RESUME, stopped, {}, alive=True)[1] == "It also ends the account's stop (daily loss)."


@pytest.mark.parametrize("order", [Order.PAUSE, Order.HALT, Order.FLATTEN])
def test_without_state_a_stop_says_what_it_can_do_and_what_not(order: Order) -> None:
    said = consequences(order, None, {}, alive=False)
    assert "The ledger cannot be read, so what is held and working is not known here." in said
    assert "halt file" in said[-1]
    assert "nothing is cancelled or sold" in said[-1]


def test_every_order_is_a_command_with_a_level() -> None:
    assert set(COMMAND) == set(LEVEL) == set(Order)
    assert LEVEL[Order.FLATTEN] is HaltLevel.FLATTEN
    made = command(Order.HALT, "7", dt.datetime(2026, 1, 13, tzinfo=dt.UTC))
    assert (type(made).__name__, made.id, made.by) == ("Halt", "page-halt-7", "the page")
