"""One minute of one symbol: which resting orders trade in a bar, how much of each, and what follows from it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Final

from msgspec.structs import replace

from services.exchange import life, matching
from services.exchange.book import Book
from services.exchange.orders import ZERO, Execution, Order, name_uuid
from services.exchange.words import IN_THE_MARKET, Event, Side, Status, Tif
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from shared.domain.draws import draw

NINE_DECIMALS: Final = Decimal("0.000000001")
SMALLEST_TO_CUT: Final = 2


def match_bar(book: Book, rules: ExchangeRules, bar: Bar, minute: dt.datetime, at: dt.datetime) -> None:
    """The open orders in `bar`'s symbol meet it, one after the other. minute: its start; at: time of the fills."""
    _meet(book, rules, book.open_orders(bar.symbol), bar, minute, at)


def meet_last(book: Book, rules: ExchangeRules, order: Order, bar: Bar, now: dt.datetime) -> None:
    """`order`, just sent, meets the price at which `bar`, the newest of its symbol, has closed."""
    _meet(book, rules, [order], replace(bar, open=bar.close, high=bar.close, low=bar.close), now, now)


def _meet(
    book: Book, rules: ExchangeRules, orders: Iterable[Order], bar: Bar, minute: dt.datetime, at: dt.datetime
) -> None:
    prices = matching.prices_of(bar, rules)
    on_offer = matching.shares_on_offer(bar, rules)
    activated: list[Order] = []
    for queued in sorted(filter(lambda order: _is_live(order, minute), orders), key=matching.sequence):
        order = life.standing(book, queued)  # a sibling's fill may have shrunk or ended it
        if not _is_live(order, minute):
            continue
        meeting = matching.meet(order, prices, rules)
        if meeting.elected and not order.elected:
            order = book.change(order, elected=True)
        qty = ZERO if meeting.price is None else _quantity(book, rules, order, meeting.price, on_offer, minute)
        if qty:
            assert meeting.price is not None
            on_offer -= qty
            activated += _fill(book, rules, order, qty, meeting.price, at)
    for activated_leg in sorted(activated, key=matching.sequence):
        leg = life.standing(book, activated_leg)
        price = matching.leg_at_close(leg, prices) if leg.is_open else None
        if price is not None:
            leg = book.change(leg, elected=True)
            if qty := _quantity(book, rules, leg, price, on_offer, minute):
                on_offer -= qty
                _fill(book, rules, leg, qty, price, at)


def end_immediate(book: Book, minute: dt.datetime, at: dt.datetime) -> None:
    """What must fill at once and met its bar without filling whole is cancelled."""
    for order in book.open_orders():
        if order.time_in_force in life.AT_ONCE and order.live_from is not None and order.live_from <= minute:
            life.cancel_now(book, order, at)


def _is_live(order: Order, minute: dt.datetime) -> bool:
    return order.live_from is not None and order.live_from <= minute and order.status in IN_THE_MARKET


def _quantity(
    book: Book, rules: ExchangeRules, order: Order, price: Decimal, on_offer: Decimal, minute: dt.datetime
) -> Decimal:
    """Shares that `order` gets of those on offer; whole or nothing for fill-or-kill and for orders over an amount."""
    all_or_nothing = order.notional is not None or order.time_in_force is Tif.FOK
    wanted = order.remaining
    if order.notional is not None:
        wanted = (order.notional / price).quantize(NINE_DECIMALS, rounding=ROUND_DOWN)
        if order.side is Side.SELL:
            position = book.position(order.symbol)
            wanted = min(wanted, position.qty if position else ZERO)
    qty = min(wanted, on_offer)
    if all_or_nothing:
        return qty if qty == wanted else ZERO
    key = (book.account.salt, order.client_order_id, minute.isoformat())
    if qty >= SMALLEST_TO_CUT and rules.random_partials and draw("partial", *key) < rules.random_partials:
        part = (qty * Decimal(draw("part", *key))).to_integral_value(ROUND_FLOOR)
        return max(part, Decimal(1))
    return qty


def _fill(book: Book, rules: ExchangeRules, order: Order, qty: Decimal, price: Decimal, at: dt.datetime) -> list[Order]:
    """Books one execution. Returns the legs that it brought to the market."""
    held = book.position(order.symbol)
    before = held.qty if held else ZERO
    filled = order.filled_qty + qty
    is_whole = order.notional is not None or filled == order.qty
    execution = Execution(
        id=name_uuid(book.account.salt, "execution", order.client_order_id, order.executions + 1),
        number=len(book.executions()) + 1,
        order_id=order.id,
        symbol=order.symbol,
        side=order.side,
        qty=qty,
        price=price,
        cum_qty=filled,
        leaves_qty=ZERO if is_whole or order.qty is None else order.qty - filled,
        position_qty=before + qty if order.side is Side.BUY else before - qty,
        at=at,
    )
    book.record(execution)
    order = book.happen(
        order,
        Event.FILL if is_whole else Event.PARTIAL_FILL,
        at,
        execution=execution,
        filled_qty=filled,
        filled_value=order.filled_value + qty * price,
        executions=order.executions + 1,
        filled_at=at if is_whole else None,
        due_at=None if is_whole else order.due_at,
    )
    if is_whole and life.reject_successor(book, order, at):
        order = book.happen(order, Event.REPLACE_REJECTED, at)
    life.settle_pair(book, rules, order, at)
    return life.activate_legs(book, order, at) if order.is_entry and order.status is Status.FILLED else []
