"""Whether the account and the market as they are allow an order, a replacement, a cancel. Says no; changes nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from services.exchange import reservations, wash_trade
from services.exchange.book import Book
from services.exchange.groups import siblings, waits_for_entry, waits_to_replace
from services.exchange.orders import Order
from services.exchange.refusals import Refusal, Why, refuse, text_of
from services.exchange.requests import (
    ReplaceRequest,
    Terms,
    base_refusal,
    client_id_refusal,
    grid_refusal,
    magnitude_refusal,
)
from services.exchange.words import REPLACEABLE, OrderClass, Side, Status, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules

MINIMAL_COST: Final = Decimal(1)


def submit_refusal(terms: Terms, book: Book, rules: ExchangeRules) -> Refusal | None:
    """The first thing that stands against a new order."""
    last = book.last_price(terms.symbol)
    return (
        asset_refusal(terms.symbol, rules)
        or _unique(terms.client_order_id, book)
        or _account(book)
        or _fractionable(terms, rules)
        or _stop_side(terms.side, terms.stop_price, last)
        or base_refusal(terms, terms.limit_price or last)
        or _exit_only(terms, last)
        or _wash_trade(terms.symbol, terms.side, terms.type, terms.limit_price, terms.order_class, book, rules)
        or (_shares(terms, book, rules) if terms.side is Side.SELL else _money(terms, book, rules))
    )


def asset_refusal(symbol: str, rules: ExchangeRules) -> Refusal | None:
    if rules.only_symbols and symbol not in rules.only_symbols:
        return refuse(Why.ASSET_UNKNOWN, symbol)
    return refuse(Why.ASSET_UNTRADABLE, symbol) if symbol in rules.untradable else None


def cancel_refusal(order: Order, book: Book, rules: ExchangeRules) -> Refusal | None:
    """A replacement that does not stand yet cannot be cancelled, nor can the order that it is to replace."""
    if waits_to_replace(book, order):
        return refuse(Why.CANCEL_STATUS, Status.PENDING_NEW)
    if order.status is Status.CANCELED and rules.repeat_cancel_accepted:
        return None
    if order.status is Status.PENDING_REPLACE:
        return refuse(Why.CANCEL_STATUS, order.status)
    return None if order.is_open else refuse(Why.ALREADY, order.status)


def replace_refusal(order: Order, request: ReplaceRequest, book: Book, rules: ExchangeRules) -> Refusal | None:
    """The first thing that stands against replacing `order`."""
    return (
        _replaceable(order, book)
        or magnitude_refusal({"qty": request.qty, "limit_price": request.limit_price, "stop_price": request.stop_price})
        or client_id_refusal(request.client_order_id)
        or _unique(request.client_order_id, book)
        or grid_refusal("limit_price", request.limit_price)
        or grid_refusal("stop_price", request.stop_price)
        or _replace_shape(order, request, rules)
        or _stop_side(order.side, request.stop_price, book.last_price(order.symbol))
        or _replace_wash_trade(order, request, book, rules)
        or _replace_amount(order, request, book, rules)
    )


def _unique(client_order_id: str | None, book: Book) -> Refusal | None:
    if client_order_id is not None and book.by_client_id(client_order_id) is not None:
        return refuse(Why.ID_NOT_UNIQUE)
    return None


def _account(book: Book) -> Refusal | None:
    if book.account.blocked:
        return refuse(Why.ACCOUNT_BLOCKED)
    return refuse(Why.TRADING_SUSPENDED) if book.account.suspended else None


def _fractionable(terms: Terms, rules: ExchangeRules) -> Refusal | None:
    if terms.is_fractional and terms.symbol in rules.not_fractionable:
        return refuse(Why.NOT_FRACTIONABLE, terms.symbol)
    return None


def _stop_side(side: Side, stop: Decimal | None, last: Decimal | None) -> Refusal | None:
    """A sell stop lies below the last price, a buy stop above; unknown before a symbol's first trade."""
    if stop is None or last is None:
        return None
    if side is Side.SELL and stop >= last:
        return refuse(Why.STOP_NOT_BELOW, market_price=text_of(last), stop_price=text_of(stop))
    if side is Side.BUY and stop <= last:
        return refuse(Why.STOP_NOT_ABOVE, market_price=text_of(last), stop_price=text_of(stop))
    return None


def _exit_only(terms: Terms, last: Decimal | None) -> Refusal | None:
    """A pair closes a position; entries with legs open one, and only long."""
    if terms.order_class is OrderClass.OCO:
        return refuse(Why.OCO_ENTRY) if terms.side is Side.BUY else _stop_side(terms.side, terms.stop_loss, last)
    is_entry = terms.order_class in (OrderClass.OTO, OrderClass.BRACKET)
    return refuse(Why.NO_SHORT) if is_entry and terms.side is Side.SELL else None


def _wash_trade(
    symbol: str,
    side: Side,
    kind: Type,
    limit: Decimal | None,
    order_class: OrderClass,
    book: Book,
    rules: ExchangeRules,
) -> Refusal | None:
    if not rules.wash_trade_check or order_class is not OrderClass.SIMPLE:
        return None
    met = wash_trade.conflict(side, kind, limit, book.open_orders(symbol), open_entry_blocks=rules.open_entry_blocks)
    if met is None:
        return None
    reason = wash_trade.REASON[met.type]
    if rules.wash_trade_status == 403:
        return refuse(Why.WASH_TRADE, existing_order_id=met.id, reject_reason=reason)
    return refuse(Why.WASH_TRADE_422, existing_order_id=met.id, reject_reason=reason)


def _shares(terms: Terms, book: Book, rules: ExchangeRules) -> Refusal | None:
    held = reservations.shares(book, terms.symbol, rules)
    if not held.existing:
        return refuse(Why.FRACTIONAL_SHORT) if terms.is_fractional else refuse(Why.NO_SHORT)
    requested = terms.qty
    if requested is None:
        assert terms.notional is not None
        last = book.last_price(terms.symbol)
        requested = held.existing if last is None else min(terms.notional / last, held.existing)
    return _held_refusal(terms.symbol, requested, held)


def _held_refusal(symbol: str, requested: Decimal, held: reservations.Held) -> Refusal | None:
    if requested <= held.available:
        return None
    return refuse(
        Why.QTY_HELD,
        text_of(requested),
        text_of(held.available),
        available=text_of(held.available),
        existing_qty=text_of(held.existing),
        held_for_orders=text_of(held.held),
        related_orders=held.related,
        symbol=symbol,
    )


def _money(terms: Terms, book: Book, rules: ExchangeRules) -> Refusal | None:
    cost = terms.notional
    if cost is None:
        assert terms.qty is not None
        price = reservations.worst_price(book, terms.symbol, terms.type, terms.limit_price, terms.stop_price)
        if price is None:
            return None  # nothing is known of the symbol's price: the first bar decides
        cost = terms.qty * price
    if terms.is_fractional and cost < MINIMAL_COST:
        return refuse(Why.MINIMAL_AMOUNT, cost_basis=text_of(cost))
    return _money_refusal(cost, reservations.buying_power(book, rules))


def _money_refusal(cost: Decimal, buying_power: Decimal) -> Refusal | None:
    if cost <= buying_power:
        return None
    return refuse(Why.BUYING_POWER, buying_power=text_of(buying_power), cost_basis=text_of(cost))


def _replaceable(order: Order, book: Book) -> Refusal | None:
    if waits_to_replace(book, order):
        return refuse(Why.REPLACE_STATUS, Status.PENDING_NEW)
    if order.status is Status.REPLACED:
        return refuse(Why.ALREADY_REPLACED)
    if not order.is_open:
        return refuse(Why.ALREADY, order.status)
    if order.status not in REPLACEABLE:
        return refuse(Why.REPLACE_STATUS, order.status)
    return refuse(Why.REPLACE_NOTIONAL) if order.notional is not None else None


def _replace_shape(order: Order, request: ReplaceRequest, rules: ExchangeRules) -> Refusal | None:
    if request.limit_price is not None and order.limit_price is None:
        return refuse(Why.MARKET_WITH_LIMIT if order.type is Type.MARKET else Why.STOP_WITH_LIMIT)
    if request.stop_price is not None and order.stop_price is None:
        return refuse(Why.MARKET_WITH_STOP if order.type is Type.MARKET else Why.LIMIT_WITH_STOP)
    if request.time_in_force is not None and request.time_in_force not in set(Tif):
        return refuse(Why.TIF)
    if order.is_complex and request.time_in_force in (Tif.IOC, Tif.FOK):
        return refuse(Why.COMPLEX_TIF)
    if request.qty is not None:
        if request.qty <= 0:
            return refuse(Why.QTY_NOT_POSITIVE)
        if request.qty != request.qty.to_integral_value():
            return refuse(Why.QTY_NOT_WHOLE)
        if request.qty <= order.filled_qty:
            return refuse(Why.QTY_FILLED)
        if order.parent is not None and request.qty != order.qty and not rules.leg_qty_replaceable:
            return refuse(Why.REPLACE_LEG_QTY)
    same = all(
        wanted is None or wanted == present
        for wanted, present in (
            (request.qty, order.qty),
            (request.limit_price, order.limit_price),
            (request.stop_price, order.stop_price),
            (request.time_in_force, order.time_in_force),
        )
    )
    return refuse(Why.NOT_CHANGED) if same else None


def _replace_wash_trade(order: Order, request: ReplaceRequest, book: Book, rules: ExchangeRules) -> Refusal | None:
    limit = request.limit_price or order.limit_price
    return _wash_trade(order.symbol, order.side, order.type, limit, order.order_class, book, rules)


def _replace_amount(order: Order, request: ReplaceRequest, book: Book, rules: ExchangeRules) -> Refusal | None:
    total = request.qty or order.qty
    assert total is not None
    wanted = total if rules.replace_of_partial == "total" else total - order.filled_qty
    if order.side is Side.SELL:
        if waits_for_entry(book, order):
            return None  # whatever it says, it will be as large as the fill
        group = {order.id, *(other.id for other in siblings(book, order))}
        return _held_refusal(order.symbol, wanted, reservations.shares(book, order.symbol, rules, but=group))
    price = reservations.worst_price(
        book,
        order.symbol,
        order.type,
        request.limit_price or order.limit_price,
        request.stop_price or order.stop_price,
    )
    if price is None:
        return None
    return _money_refusal(wanted * price, reservations.buying_power(book, rules, but=order.id))
