"""What a client asks for, and the checks that need nothing but the request itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from msgspec import Struct

from services.exchange.refusals import Refusal, Why, refuse, text_of
from services.exchange.words import OrderClass, Side, Tif, Type
from shared.contracts.ids import is_symbol
from shared.contracts.money import tick

MAX_CLIENT_ORDER_ID: Final = 128
MAX_QTY_DECIMALS: Final = 9
MOST_DIGITS: Final = 12
CENT: Final = Decimal("0.01")

Word = TypeVar("Word", bound=StrEnum)


class TakeProfit(Struct, frozen=True):
    limit_price: Decimal | None = None


class StopLoss(Struct, frozen=True):
    stop_price: Decimal | None = None
    limit_price: Decimal | None = None


class OrderRequest(Struct, frozen=True, kw_only=True):
    """The body of POST /v2/orders, as sent; numbers may be JSON numbers or strings, unknown keys are ignored."""

    symbol: str | None = None
    qty: Decimal | None = None
    notional: Decimal | None = None
    side: str | None = None
    type: str | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    extended_hours: bool | None = None
    client_order_id: str | None = None
    order_class: str | None = None
    take_profit: TakeProfit | None = None
    stop_loss: StopLoss | None = None


class ReplaceRequest(Struct, frozen=True, kw_only=True):
    """The body of PATCH /v2/orders/{id}; what is None stays as it is."""

    qty: Decimal | None = None
    time_in_force: str | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    client_order_id: str | None = None


class Terms(Struct, frozen=True, kw_only=True):
    """A request whose words and shape are right. take_profit, stop_loss, stop_loss_limit: prices of its legs."""

    symbol: str
    side: Side
    type: Type
    time_in_force: Tif
    order_class: OrderClass
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    extended_hours: bool
    client_order_id: str | None
    take_profit: Decimal | None
    stop_loss: Decimal | None
    stop_loss_limit: Decimal | None

    @property
    def is_fractional(self) -> bool:
        return self.notional is not None or (self.qty is not None and self.qty != self.qty.to_integral_value())


def read_terms(request: OrderRequest) -> Terms | Refusal:
    """The request with its words understood, or the first thing that is wrong with it."""
    if not request.symbol:
        return refuse(Why.SYMBOL_MISSING)
    if not is_symbol(request.symbol):
        return refuse(Why.ASSET_UNKNOWN, request.symbol[:40])
    side = _word(Side, request.side)
    kind = _word(Type, request.type)
    time_in_force = _word(Tif, request.time_in_force)
    order_class = OrderClass.SIMPLE if request.order_class == "simple" else _word(OrderClass, request.order_class or "")
    if side is None:
        return refuse(Why.SIDE)
    if kind is None:
        return refuse(Why.TYPE)
    if time_in_force is None:
        return refuse(Why.TIF)
    if order_class is None:
        return refuse(Why.CLASS)
    take_profit = request.take_profit or TakeProfit()
    stop_loss = request.stop_loss or StopLoss()
    is_pair = order_class is OrderClass.OCO and kind is Type.LIMIT
    terms = Terms(
        symbol=request.symbol,
        side=side,
        type=kind,
        time_in_force=time_in_force,
        order_class=order_class,
        qty=request.qty,
        notional=request.notional,
        limit_price=take_profit.limit_price if is_pair and request.limit_price is None else request.limit_price,
        stop_price=request.stop_price,
        extended_hours=bool(request.extended_hours),
        client_order_id=request.client_order_id or None,
        take_profit=take_profit.limit_price,
        stop_loss=stop_loss.stop_price,
        stop_loss_limit=stop_loss.limit_price,
    )
    return first_refusal(terms, SHAPE) or terms


Check = Callable[[Terms], Refusal | None]


def first_refusal(terms: Terms, checks: tuple[Check, ...]) -> Refusal | None:
    for check in checks:
        if refusal := check(terms):
            return refusal
    return None


def magnitude_refusal(numbers: Mapping[str, Decimal | None]) -> Refusal | None:
    """No quantity and no price of a market has more than twelve digits before the point, or thirty behind it."""
    for name, number in numbers.items():
        if number is not None and not (
            number.is_finite() and number.adjusted() < MOST_DIGITS and _decimals(number) <= 30
        ):
            return refuse(Why.PARAMETER, name)
    return None


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def client_id_refusal(client_order_id: str | None) -> Refusal | None:
    if client_order_id is not None and len(client_order_id) > MAX_CLIENT_ORDER_ID:
        return refuse(Why.ID_TOO_LONG)
    return None


def grid_refusal(name: str, price: Decimal | None) -> Refusal | None:
    """Two decimals from one dollar up, four below, for every price of an order."""
    if price is None:
        return None
    if price <= 0:
        return refuse(Why.PRICE_NOT_POSITIVE, name)
    if price % tick(price):
        return refuse(Why.SUB_PENNY, name, text_of(price))
    return None


def _magnitude(terms: Terms) -> Refusal | None:
    return magnitude_refusal(
        {
            "qty": terms.qty,
            "notional": terms.notional,
            "limit_price": terms.limit_price,
            "stop_price": terms.stop_price,
            "take_profit.limit_price": terms.take_profit,
            "stop_loss.stop_price": terms.stop_loss,
            "stop_loss.limit_price": terms.stop_loss_limit,
        }
    )


def _client_id(terms: Terms) -> Refusal | None:
    return client_id_refusal(terms.client_order_id)


def _amount(terms: Terms) -> Refusal | None:
    if terms.qty is None and terms.notional is None:
        return refuse(Why.QTY_MISSING)
    if terms.qty is not None and terms.notional is not None:
        return refuse(Why.QTY_AND_NOTIONAL)
    if terms.notional is not None:
        return refuse(Why.NOTIONAL_NOT_POSITIVE) if terms.notional <= 0 else None
    assert terms.qty is not None
    if terms.qty <= 0:
        return refuse(Why.QTY_NOT_POSITIVE)
    return refuse(Why.QTY_DECIMALS) if _decimals(terms.qty.normalize()) > MAX_QTY_DECIMALS else None


PRICES_OF: Final[dict[tuple[Type, bool, bool], Why]] = {
    (Type.MARKET, True, False): Why.MARKET_WITH_LIMIT,
    (Type.MARKET, True, True): Why.MARKET_WITH_LIMIT,
    (Type.MARKET, False, True): Why.MARKET_WITH_STOP,
    (Type.LIMIT, False, False): Why.LIMIT_MISSING,
    (Type.LIMIT, False, True): Why.LIMIT_MISSING,
    (Type.LIMIT, True, True): Why.LIMIT_WITH_STOP,
    (Type.STOP, False, False): Why.STOP_MISSING,
    (Type.STOP, True, False): Why.STOP_MISSING,
    (Type.STOP, True, True): Why.STOP_WITH_LIMIT,
    (Type.STOP_LIMIT, False, False): Why.STOP_LIMIT_MISSING,
    (Type.STOP_LIMIT, True, False): Why.STOP_LIMIT_MISSING,
    (Type.STOP_LIMIT, False, True): Why.STOP_LIMIT_MISSING,
}
"""(type, has a limit price, has a stop price) -> what is wrong with that."""


def _prices(terms: Terms) -> Refusal | None:
    wrong = PRICES_OF.get((terms.type, terms.limit_price is not None, terms.stop_price is not None))
    return refuse(wrong) if wrong else None


def _class(terms: Terms) -> Refusal | None:
    has_profit, has_loss = terms.take_profit is not None, terms.stop_loss is not None
    at_entry = terms.type in (Type.MARKET, Type.LIMIT)
    match terms.order_class:
        case OrderClass.SIMPLE:
            return refuse(Why.SIMPLE_WITH_LEGS) if has_profit or has_loss else None
        case OrderClass.BRACKET if not at_entry:
            return refuse(Why.BRACKET_TYPE)
        case OrderClass.BRACKET if not (has_profit and has_loss):
            return refuse(Why.BRACKET_LEGS)
        case OrderClass.OTO if not at_entry:
            return refuse(Why.OTO_TYPE)
        case OrderClass.OTO if has_profit == has_loss:
            return refuse(Why.OTO_LEGS)
        case OrderClass.OCO if terms.type is not Type.LIMIT:
            return refuse(Why.OCO_TYPE)
        case OrderClass.OCO if not (has_profit and has_loss):
            return refuse(Why.OCO_LEGS)
    if terms.time_in_force not in (Tif.DAY, Tif.GTC):
        return refuse(Why.COMPLEX_TIF)
    return refuse(Why.COMPLEX_EXTENDED) if terms.extended_hours else None


def _extended(terms: Terms) -> Refusal | None:
    if not terms.extended_hours:
        return None
    fits = terms.type is Type.LIMIT and terms.time_in_force in (Tif.DAY, Tif.GTC)
    return None if fits else refuse(Why.EXTENDED_TYPE)


def _fraction(terms: Terms) -> Refusal | None:
    if not terms.is_fractional:
        return None
    if terms.order_class is not OrderClass.SIMPLE:
        return refuse(Why.FRACTIONAL_CLASS)
    if terms.time_in_force is not Tif.DAY:
        return refuse(Why.FRACTIONAL_TIF)
    if terms.notional is not None and terms.type is not Type.MARKET:
        return refuse(Why.NOTIONAL_TYPE)
    return None


def _grid(terms: Terms) -> Refusal | None:
    priced = (
        ("limit_price", terms.limit_price),
        ("stop_price", terms.stop_price),
        ("take_profit.limit_price", terms.take_profit),
        ("stop_loss.stop_price", terms.stop_loss),
        ("stop_loss.limit_price", terms.stop_loss_limit),
    )
    return next((refusal for name, price in priced if (refusal := grid_refusal(name, price))), None)


def _legs(terms: Terms) -> Refusal | None:
    """How the legs' prices lie to each other; to the entry's price: `base_refusal`. Exit legs of a buy are sells."""
    profit, loss = terms.take_profit, terms.stop_loss
    if profit is not None and loss is not None and profit <= loss:
        return refuse(Why.TAKE_PROFIT_BELOW_STOP)
    if loss is not None and terms.stop_loss_limit is not None and terms.stop_loss_limit > loss:
        return refuse(Why.STOP_LOSS_LIMIT)
    return None


def base_refusal(terms: Terms, base: Decimal | None) -> Refusal | None:
    """Legs must lie a cent or more away from `base`: the entry's limit, else the last price, dollars."""
    if base is None or terms.order_class not in (OrderClass.BRACKET, OrderClass.OTO):
        return None
    if terms.stop_loss is not None and terms.stop_loss > base - CENT:
        return refuse(Why.STOP_LOSS_AT_BASE, base_price=text_of(base))
    if terms.take_profit is not None and terms.take_profit < base + CENT:
        return refuse(Why.TAKE_PROFIT_AT_BASE, base_price=text_of(base))
    return None


SHAPE: Final[tuple[Check, ...]] = (_magnitude, _client_id, _amount, _prices, _class, _extended, _fraction, _grid, _legs)


def _word(words: type[Word], text: str | None) -> Word | None:
    try:
        return words(text or "")
    except ValueError:
        return None
