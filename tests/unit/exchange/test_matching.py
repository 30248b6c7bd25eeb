"""Prices at which orders meet bars: properties that hold for any bar (the cases stand in tests/conformance)."""

from __future__ import annotations

from decimal import Decimal

import hypothesis.strategies as st
from hypothesis import given, settings

from services.exchange.matching import collar, leg_at_close, meet, prices_of, shares_on_offer
from services.exchange.orders import Order
from services.exchange.words import Side, Status, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from tests.unit.exchange.market import OPEN

cents = st.integers(min_value=100, max_value=20_000).map(lambda number: number / 100)


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    low, *between, high = sorted(draw(st.lists(cents, min_size=4, max_size=4)))
    opening, close = draw(st.permutations(between))
    return Bar("AAPL", opening, high, low, close, draw(st.integers(0, 100_000).map(float)))


def order(side: Side, kind: Type, limit: float | None = None, stop: float | None = None) -> Order:
    return Order(
        id="1",
        number=0,
        client_order_id="a",
        symbol="AAPL",
        side=side,
        type=kind,
        time_in_force=Tif.GTC,
        qty=Decimal(10),
        limit_price=None if limit is None else Decimal(str(limit)),
        stop_price=None if stop is None else Decimal(str(stop)),
        status=Status.NEW,
        created_at=OPEN,
        submitted_at=OPEN,
        updated_at=OPEN,
        live_from=OPEN,
    )


RULES = ExchangeRules()


@settings(max_examples=100, deadline=None)
@given(bars(), cents, st.sampled_from(Side))
def test_a_limit_is_never_filled_beyond_itself_nor_on_a_touch(bar: Bar, limit: float, side: Side) -> None:
    price = meet(order(side, Type.LIMIT, limit=limit), prices_of(bar, RULES), RULES).price
    reached = bar.low < limit if side is Side.BUY else bar.high > limit
    assert (price is not None) == reached
    if price is not None:
        better = min(bar.open, limit) if side is Side.BUY else max(bar.open, limit)
        assert float(price) == better


@settings(max_examples=100, deadline=None)
@given(bars(), cents)
def test_a_sell_stop_fills_at_the_worse_of_stop_and_open_if_it_is_touched(bar: Bar, stop: float) -> None:
    meeting = meet(order(Side.SELL, Type.STOP, stop=stop), prices_of(bar, RULES), RULES)
    assert meeting.elected == (bar.low <= stop)
    assert (None if meeting.price is None else float(meeting.price)) == (
        min(bar.open, stop) if bar.low <= stop else None
    )


@settings(max_examples=100, deadline=None)
@given(bars(), cents)
def test_a_buy_stop_never_pays_more_than_its_collar(bar: Bar, stop: float) -> None:
    price = meet(order(Side.BUY, Type.STOP, stop=stop), prices_of(bar, RULES), RULES).price
    if price is not None:
        assert Decimal(str(stop)) <= price <= collar(Decimal(str(stop)))


@settings(max_examples=100, deadline=None)
@given(bars(), cents, cents, st.sampled_from(Side))
def test_a_stop_limit_is_never_filled_beyond_its_limit(bar: Bar, stop: float, limit: float, side: Side) -> None:
    price = meet(order(side, Type.STOP_LIMIT, limit=limit, stop=stop), prices_of(bar, RULES), RULES).price
    if price is not None:
        assert float(price) <= limit if side is Side.BUY else float(price) >= limit


@settings(max_examples=100, deadline=None)
@given(bars(), cents, cents, st.sampled_from(Side), st.sampled_from(Type))
def test_every_fill_lies_within_the_bar(bar: Bar, stop: float, limit: float, side: Side, kind: Type) -> None:
    wanted = order(
        side,
        kind,
        limit=limit if kind in (Type.LIMIT, Type.STOP_LIMIT) else None,
        stop=stop if kind in (Type.STOP, Type.STOP_LIMIT) else None,
    )
    price = meet(wanted, prices_of(bar, RULES), RULES).price
    assert price is None or bar.low <= float(price) <= bar.high


@settings(max_examples=100, deadline=None)
@given(bars(), cents, st.sampled_from(Side), st.floats(0.0001, 0.05))
def test_a_spread_never_helps(bar: Bar, limit: float, side: Side, spread: float) -> None:
    wanted = order(side, Type.LIMIT, limit=limit)
    with_spread = ExchangeRules(spread=spread)
    plain, dear = meet(wanted, prices_of(bar, RULES), RULES), meet(wanted, prices_of(bar, with_spread), with_spread)
    if dear.price is not None:
        assert plain.price is not None
        assert dear.price >= plain.price if side is Side.BUY else dear.price <= plain.price


@settings(max_examples=100, deadline=None)
@given(bars())
def test_at_most_a_tenth_of_the_volume_is_on_offer(bar: Bar) -> None:
    assert 0 <= shares_on_offer(bar, RULES) <= Decimal(str(bar.volume)) / 10


def test_a_leg_at_the_close_needs_the_close_not_the_low() -> None:
    leg = order(Side.SELL, Type.STOP, stop=95)
    assert leg_at_close(leg, prices_of(Bar("AAPL", 100, 100, 90, 95.01, 1e6), RULES)) is None
    assert leg_at_close(leg, prices_of(Bar("AAPL", 100, 100, 90, 94.5, 1e6), RULES)) == Decimal("94.5")


def test_the_collar_changes_at_fifty_dollars() -> None:
    assert (collar(Decimal("49.99")), collar(Decimal(50))) == (Decimal("51.99"), Decimal("51.25"))
