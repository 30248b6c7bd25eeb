"""Shares without cover, by the times of the ledger's orders."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.cover import Gap, gaps
from services.state.model import Order
from services.state.records import FillRow
from shared.contracts.vocabulary import OrderKind, Side, Status
from tests.unit.reporting.made import CLOSE, LEG, at, bought, entry_order, fill, leg, order, rows

STOP = "e7f3-150211-AAPL-stop-1"


def found(fills: list[FillRow], orders: list[Order]) -> list[Gap]:
    return list(gaps(rows(fills, orders)))


def gap(shares: int, begins: float, ends: float, *, pending: bool = False) -> Gap:
    return Gap(symbol="AAPL", shares=shares, begins_at=at(begins), ends_at=at(ends), pending=pending)


def test_a_leg_that_stands_from_its_entrys_last_fill_leaves_no_gap() -> None:
    assert found([bought()], [entry_order(), leg()]) == []


def test_shares_without_any_stop_stand_open_to_the_close() -> None:
    [one] = found([bought()], [entry_order()])
    assert (one.shares, one.begins_at, one.ends_at, one.pending) == (100, at(30), CLOSE, False)
    assert one.share_seconds == 100 * (CLOSE - at(30)).total_seconds()


def test_between_a_stop_that_ends_and_the_next_the_shares_stand_open() -> None:
    orders = [
        entry_order(),
        leg(ended_at=at(40), status=Status.CANCELED),
        order(STOP, OrderKind.STOP, accepted_at=at(42)),
    ]
    assert found([bought()], orders) == [gap(100, 40, 42)]


def test_a_stop_that_is_replaced_at_one_instant_leaves_no_gap() -> None:
    orders = [entry_order(), leg(ended_at=at(40)), order(STOP, OrderKind.STOP, accepted_at=at(40))]
    assert found([bought()], orders) == []


def test_a_working_sale_covers_what_it_has_still_to_sell() -> None:
    orders = [
        entry_order(),
        leg(ended_at=at(40)),
        order("exit", OrderKind.EXIT, accepted_at=at(40), ended_at=at(50), status=Status.FILLED),
    ]
    sold = [fill(1, "exit", Side.SELL, 60, "49.5", 45), fill(2, "exit", Side.SELL, 40, "49.5", 50)]
    assert found([bought(), *sold], orders) == []


def test_a_stop_for_fewer_shares_leaves_the_rest_open() -> None:
    orders = [entry_order(), leg(ended_at=at(40)), order(STOP, OrderKind.STOP, qty=70, accepted_at=at(40))]
    [one] = found([bought()], orders)
    assert (one.shares, one.begins_at) == (30, at(40))


def test_beside_an_entry_that_is_still_filling_the_gap_is_pending() -> None:
    filling = entry_order(status=Status.CANCELED, ended_at=at(31))
    orders = [
        filling,
        leg(status=Status.CANCELED, ended_at=at(31)),
        order(STOP, OrderKind.STOP, qty=40, accepted_at=at(31)),
    ]
    assert found([bought(40)], orders) == [gap(40, 30, 31, pending=True)]


def test_a_leg_of_an_entry_that_was_never_filled_whole_covers_nothing() -> None:
    filling = entry_order(status=Status.CANCELED, ended_at=at(31))
    assert found([bought(40)], [filling, leg(ended_at=at(35))])[0].pending
    assert found([bought(40)], [filling, leg(ended_at=at(35))])[-1].shares == 40


@given(st.lists(st.integers(31, 380), min_size=0, max_size=6, unique=True), st.integers(1, 100))
def test_gaps_and_covered_time_add_up_to_the_time_held(cuts: list[int], shares: int) -> None:
    """Stops that end and begin at the cuts, in turn: each minute is covered by one or in a gap, never both."""
    instants = sorted(cuts)
    orders = [entry_order(qty=shares), leg(qty=shares, ended_at=at(instants[0]) if instants else None)]
    for place in range(1, len(instants), 2):
        ends = at(instants[place + 1]) if place + 1 < len(instants) else None
        orders.append(
            order(f"stop-{place}", OrderKind.STOP, qty=shares, accepted_at=at(instants[place]), ended_at=ends)
        )
    edges = [*instants, 390] if len(instants) % 2 else instants
    open_minutes = sum(edges[place + 1] - edges[place] for place in range(0, len(edges) - 1, 2))
    assert sum(one.share_seconds for one in found([bought(shares)], orders)) == shares * 60 * open_minutes


def test_what_was_sold_by_the_leg_is_no_gap() -> None:
    assert (
        found(
            [bought(), fill(1, LEG, Side.SELL, 100, "49", 50)],
            [entry_order(), leg(ended_at=at(50), status=Status.FILLED)],
        )
        == []
    )
