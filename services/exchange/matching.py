"""At what price an order meets a one-minute bar. Pure; the rule is docs/strategy.md section 11, in full:

- An order meets bars that start at or after the time it became live; nothing fills inside the minute it was sent in.
- Market: at the open.
- Limit: at the open where the open is better than the limit, else at the limit where the bar traded *through* it
  (strictly beyond; a touch is not a fill: others stood in the queue before us), else not.
- Stop: elected by a touch. At the worse of stop and open.
- Stop-limit: elected like a stop; at the open it then is a limit order for the whole bar; elected inside the bar it
  fills at the stop where that is better than its limit, else from the next bar on: how the bar went on is not known.
- A buy stop is a stop-limit with a collar above its stop (switch `buy_stop_collar`).
- Immediate-or-cancel and fill-or-kill see the open alone.
- Within a bar market orders first, since they have the open; then stops before limits; then by client order id.
- With a spread, bars are trades in its middle: buyers pay half of it more, sellers get half of it less; a limit must
  be passed by that half too; a stop is elected by trades.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Final

from msgspec import Struct

from services.exchange.orders import Order
from services.exchange.words import Side, Tif, Type
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from shared.contracts.money import exact, round_up, tick

NOTHING: Final = Decimal(0)
FIFTY_DOLLARS: Final = Decimal(50)
COLLAR_BELOW_FIFTY: Final = Decimal("0.04")
COLLAR_FROM_FIFTY: Final = Decimal("0.025")

RANK: Final = {Type.MARKET: 0, Type.STOP: 1, Type.STOP_LIMIT: 1, Type.LIMIT: 2}


class Prices(Struct, frozen=True):
    """A bar in dollars on the exact decimals of the feed. half_spread: dollars."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    half_spread: Decimal = NOTHING


class Meeting(Struct, frozen=True):
    """price: dollars, None where the order is not filled. elected: its stop has traded."""

    price: Decimal | None
    elected: bool = False


MISSED: Final = Meeting(None)


def prices_of(bar: Bar, rules: ExchangeRules) -> Prices:
    opening = exact(bar.open)
    half = NOTHING
    if rules.spread:
        half = max((opening * exact(rules.spread) / 2).quantize(tick(opening)), tick(opening))
    return Prices(opening, exact(bar.high), exact(bar.low), exact(bar.close), half)


def shares_on_offer(bar: Bar, rules: ExchangeRules) -> Decimal:
    """Whole shares that all orders of the symbol together may trade in `bar`."""
    return (exact(bar.volume) * exact(rules.volume_share)).to_integral_value(ROUND_FLOOR)


def sequence(order: Order) -> tuple[int, str]:
    """Sort key of the orders that meet one bar."""
    return RANK[order.type], order.client_order_id


def collar(stop: Decimal) -> Decimal:
    """The most that a buy stop at `stop` dollars pays; also what a market buy is held for above the last price."""
    return round_up(stop * (1 + (COLLAR_BELOW_FIFTY if stop < FIFTY_DOLLARS else COLLAR_FROM_FIFTY)))


def meet(order: Order, bar: Prices, rules: ExchangeRules) -> Meeting:
    """What happens to `order` in `bar`, quantity aside."""
    at_once = order.time_in_force in (Tif.IOC, Tif.FOK)
    match order.type:
        case Type.MARKET:
            return Meeting(_worse(order.side, bar.open, bar.half_spread))
        case Type.LIMIT:
            return Meeting(_limit(order.side, _price(order.limit_price), bar, open_only=at_once))
        case Type.STOP | Type.STOP_LIMIT:
            return _stop(order, bar, rules, open_only=at_once)


def leg_at_close(leg: Order, bar: Prices) -> Decimal | None:
    """A stop leg that its parent's fill activated inside `bar` fills at the close, if that is at or through it."""
    if leg.type not in (Type.STOP, Type.STOP_LIMIT) or not _is_through(leg.side, _price(leg.stop_price), bar.close):
        return None
    price = _worse(leg.side, bar.close, bar.half_spread)
    if leg.limit_price is not None and not _is_better(leg.side, price, leg.limit_price):
        return None
    return price


def _limit(side: Side, limit: Decimal, bar: Prices, *, open_only: bool) -> Decimal | None:
    opening = _worse(side, bar.open, bar.half_spread)
    if _is_better(side, opening, limit):
        return opening
    extreme = _worse(side, bar.low if side is Side.BUY else bar.high, bar.half_spread)
    return limit if not open_only and _is_better(side, extreme, limit) else None


def _stop(order: Order, bar: Prices, rules: ExchangeRules, *, open_only: bool) -> Meeting:
    side, stop = order.side, _price(order.stop_price)
    limit = order.limit_price
    if limit is None and side is Side.BUY and rules.buy_stop_collar:
        limit = collar(stop)
    at_open = order.elected or _is_through(side, stop, bar.open)
    extreme = bar.low if side is Side.SELL else bar.high
    if not at_open and (open_only or not _is_through(side, stop, extreme)):
        return MISSED
    if limit is None:
        return Meeting(_worse(side, bar.open if at_open else stop, bar.half_spread), elected=True)
    if at_open:
        return Meeting(_limit(side, limit, bar, open_only=open_only), elected=True)
    price = _worse(side, stop, bar.half_spread)
    return Meeting(price if _is_better(side, price, limit) else None, elected=True)


def _is_through(side: Side, stop: Decimal, price: Decimal) -> bool:
    """`price` elects a stop at `stop`; at the stop counts."""
    return price <= stop if side is Side.SELL else price >= stop


def _is_better(side: Side, price: Decimal, limit: Decimal) -> bool:
    """`price` is strictly better than `limit` for one who does `side`."""
    return price < limit if side is Side.BUY else price > limit


def _worse(side: Side, price: Decimal, half_spread: Decimal) -> Decimal:
    return price + half_spread if side is Side.BUY else price - half_spread


def _price(price: Decimal | None) -> Decimal:
    assert price is not None  # checked when the order was taken
    return price
