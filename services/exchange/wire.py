"""What goes over the wire, key by key in Alpaca's order: money as strings, every nullable key present.

Structs encode to JSON with all their fields, so a key that is here is always sent.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec
from msgspec import Struct

from services.exchange import reservations
from services.exchange.book import Book
from services.exchange.hours import NEW_YORK
from services.exchange.orders import ZERO, Execution, Order, Position, Update, name_uuid
from services.exchange.refusals import text_of
from services.exchange.words import Side
from shared.contracts.exchange_rules import ExchangeRules
from shared.domain import calendar

NINE_DECIMALS: Final = Decimal("0.000000001")
FOUR_DECIMALS: Final = Decimal("0.0001")
ASSET_CLASS: Final = "us_equity"
EXCHANGE: Final = "NASDAQ"
INITIAL_MARGIN: Final = Decimal("0.5")
MAINTENANCE_MARGIN: Final = Decimal("0.3")
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


def encode(value: Any) -> bytes:
    return _ENCODER.encode(value)


class WireOrder(Struct, frozen=True, kw_only=True):
    id: str
    client_order_id: str
    created_at: dt.datetime
    updated_at: dt.datetime
    submitted_at: dt.datetime
    filled_at: dt.datetime | None
    expired_at: dt.datetime | None
    canceled_at: dt.datetime | None
    failed_at: dt.datetime | None
    replaced_at: dt.datetime | None
    replaced_by: str | None
    replaces: str | None
    asset_id: str
    symbol: str
    asset_class: str = ASSET_CLASS
    notional: str | None
    qty: str | None
    filled_qty: str
    filled_avg_price: str | None
    order_class: str
    order_type: str
    type: str
    side: str
    position_intent: str
    time_in_force: str
    limit_price: str | None
    stop_price: str | None
    status: str
    extended_hours: bool
    legs: list[WireOrder] | None
    trail_percent: str | None = None
    trail_price: str | None = None
    hwm: str | None = None
    subtag: str | None = None
    source: str | None = None
    expires_at: dt.datetime | None


class WirePosition(Struct, frozen=True, kw_only=True):
    asset_id: str
    symbol: str
    exchange: str = EXCHANGE
    asset_class: str = ASSET_CLASS
    asset_marginable: bool = True
    qty: str
    qty_available: str
    avg_entry_price: str
    side: str = "long"
    market_value: str
    cost_basis: str
    unrealized_pl: str
    unrealized_plpc: str
    unrealized_intraday_pl: str
    unrealized_intraday_plpc: str
    current_price: str
    lastday_price: str
    change_today: str


class WireAccount(Struct, frozen=True, kw_only=True):
    id: str
    account_number: str
    status: str = "ACTIVE"
    crypto_status: str = "INACTIVE"
    currency: str = "USD"
    cash: str
    portfolio_value: str
    equity: str
    last_equity: str
    buying_power: str
    regt_buying_power: str
    non_marginable_buying_power: str
    long_market_value: str
    short_market_value: str = "0"
    position_market_value: str
    initial_margin: str
    maintenance_margin: str
    last_maintenance_margin: str = "0"
    multiplier: str
    shorting_enabled: bool = False
    trading_blocked: bool
    transfers_blocked: bool = False
    account_blocked: bool
    trade_suspended_by_user: bool
    created_at: dt.datetime
    sma: str = "0"
    accrued_fees: str = "0"
    pending_transfer_in: str = "0"


class WireConfigurations(Struct, frozen=True, kw_only=True):
    fractional_trading: bool = True
    max_margin_multiplier: str
    no_shorting: bool
    suspend_trade: bool
    trade_confirm_email: str = "all"
    ptp_no_exception_entry: bool = False
    max_options_trading_level: int | None = None


class WireClock(Struct, frozen=True, kw_only=True):
    timestamp: dt.datetime
    is_open: bool
    next_open: dt.datetime
    next_close: dt.datetime


class WireSession(Struct, frozen=True, kw_only=True):
    date: dt.date
    open: str
    close: str
    session_open: str = "0400"
    session_close: str
    settlement_date: dt.date


class WireAsset(Struct, frozen=True, kw_only=True):
    id: str
    class_: str = msgspec.field(default=ASSET_CLASS, name="class")
    exchange: str = EXCHANGE
    symbol: str
    name: str
    status: str = "active"
    tradable: bool
    marginable: bool = True
    maintenance_margin_requirement: float = 30.0
    margin_requirement_long: str = "30"
    margin_requirement_short: str = "30"
    shortable: bool = False
    easy_to_borrow: bool = False
    fractionable: bool
    attributes: tuple[str, ...] = ()


class WireFill(Struct, frozen=True, kw_only=True):
    """A FILL activity."""

    id: str
    activity_type: str = "FILL"
    transaction_time: dt.datetime
    type: str
    price: str
    qty: str
    side: str
    symbol: str
    leaves_qty: str
    order_id: str
    cum_qty: str
    order_status: str


class WireUpdate(Struct, frozen=True, kw_only=True):
    """`data` of a trade update. seq: this exchange's own count, which Alpaca has not; clients ignore it."""

    event: str
    execution_id: str | None
    price: str | None
    qty: str | None
    position_qty: str | None
    timestamp: dt.datetime
    order: WireOrder
    seq: int


class WireHistory(Struct, frozen=True, kw_only=True):
    timestamp: list[int]
    equity: list[float]
    profit_loss: list[float]
    profit_loss_pct: list[float]
    base_value: float
    base_value_asof: dt.date | None = None
    timeframe: str
    cashflow: dict[str, list[float]] = {}


def asset_id(symbol: str) -> str:
    return name_uuid("asset", symbol)


def account_id(book: Book, rules: ExchangeRules) -> str:
    return name_uuid("account", rules.account_number, book.account.salt)


def figure(number: Decimal) -> str:
    """A derived amount, to nine decimals."""
    return text_of(number.quantize(NINE_DECIMALS, ROUND_HALF_EVEN))


def optional(number: Decimal | None) -> str | None:
    return None if number is None else figure(number)


def order_out(order: Order, legs: Iterable[Order] | None = None) -> WireOrder:
    """legs: of a parent that is shown with them; a leg that was replaced is not shown."""
    is_buy = order.side is Side.BUY
    return WireOrder(
        id=order.id,
        client_order_id=order.client_order_id,
        created_at=order.created_at,
        updated_at=order.updated_at,
        submitted_at=order.submitted_at,
        filled_at=order.filled_at,
        expired_at=order.expired_at,
        canceled_at=order.canceled_at,
        failed_at=order.failed_at,
        replaced_at=order.replaced_at,
        replaced_by=order.replaced_by,
        replaces=order.replaces,
        asset_id=asset_id(order.symbol),
        symbol=order.symbol,
        notional=optional(order.notional),
        qty=optional(order.qty),
        filled_qty=figure(order.filled_qty),
        filled_avg_price=optional(order.filled_avg_price),
        order_class=order.order_class,
        order_type=order.type,
        type=order.type,
        side=order.side,
        position_intent="buy_to_open" if is_buy else "sell_to_close",
        time_in_force=order.time_in_force,
        limit_price=optional(order.limit_price),
        stop_price=optional(order.stop_price),
        status=order.status,
        extended_hours=order.extended_hours,
        legs=None if legs is None else [order_out(leg) for leg in legs if leg.replaced_by is None],
        expires_at=order.expires_at,
    )


def with_legs(book: Book, order: Order) -> WireOrder:
    """A parent with its legs, any other order alone."""
    return order_out(order, book.legs(order) if order.legs else None)


def update_out(update: Update) -> bytes:
    """One trade update as the frame that goes to the listener."""
    return encode({"stream": "trade_updates", "data": update_data(update)})


def update_data(update: Update) -> WireUpdate:
    execution = update.execution
    return WireUpdate(
        event=update.event,
        execution_id=execution.id if execution else None,
        price=figure(execution.price) if execution else None,
        qty=figure(execution.qty) if execution else None,
        position_qty=figure(execution.position_qty) if execution else None,
        timestamp=update.at,
        order=order_out(update.order),
        seq=update.seq,
    )


def position_out(position: Position, book: Book, rules: ExchangeRules) -> WirePosition:
    price = book.last_price(position.symbol) or position.avg_price
    known = book.price(position.symbol)
    before = Decimal(repr(known.before)) if known is not None and known.before else price
    value, profit = position.qty * price, position.qty * (price - position.avg_price)
    today = position.qty * (price - before)
    return WirePosition(
        asset_id=asset_id(position.symbol),
        symbol=position.symbol,
        qty=figure(position.qty),
        qty_available=figure(reservations.shares(book, position.symbol, rules).available),
        avg_entry_price=figure(position.avg_price),
        market_value=figure(value),
        cost_basis=figure(position.cost),
        unrealized_pl=figure(profit),
        unrealized_plpc=figure(profit / position.cost if position.cost else ZERO),
        unrealized_intraday_pl=figure(today),
        unrealized_intraday_plpc=figure(today / (position.qty * before) if before else ZERO),
        current_price=figure(price),
        lastday_price=figure(before),
        change_today=text_of((price / before - 1).quantize(FOUR_DECIMALS)) if before else "0",
    )


def account_out(book: Book, rules: ExchangeRules) -> WireAccount:
    account = book.account
    value, equity = reservations.long_value(book), reservations.equity(book)
    buying_power = reservations.buying_power(book, rules)
    return WireAccount(
        id=account_id(book, rules),
        account_number=rules.account_number,
        cash=figure(account.cash),
        portfolio_value=figure(equity),
        equity=figure(equity),
        last_equity=figure(account.last_equity),
        buying_power=figure(buying_power),
        regt_buying_power=figure(buying_power),
        non_marginable_buying_power=figure(max(account.cash - reservations.reserved(book), ZERO)),
        long_market_value=figure(value),
        position_market_value=figure(value),
        initial_margin=figure(value * INITIAL_MARGIN),
        maintenance_margin=figure(value * MAINTENANCE_MARGIN),
        multiplier=str(rules.multiplier),
        trading_blocked=account.blocked,
        account_blocked=account.blocked,
        trade_suspended_by_user=account.suspended,
        created_at=account.created_at,
    )


def configurations_out(book: Book, rules: ExchangeRules) -> WireConfigurations:
    return WireConfigurations(
        max_margin_multiplier=str(rules.multiplier),
        no_shorting=book.account.no_shorting,
        suspend_trade=book.account.suspended,
    )


def clock_out(now: dt.datetime) -> WireClock:
    """New York's time, as Alpaca writes it here and nowhere else."""
    day = calendar.session_at(now)
    return WireClock(
        timestamp=now.astimezone(NEW_YORK),
        is_open=day is not None,
        next_open=calendar.next_open(now).opens_at.astimezone(NEW_YORK),
        next_close=(day or calendar.next_open(now)).closes_at.astimezone(NEW_YORK),
    )


def session_out(day: calendar.Session) -> WireSession:
    return WireSession(
        date=day.session,
        open=f"{day.opens_at.astimezone(NEW_YORK):%H:%M}",
        close=f"{day.closes_at.astimezone(NEW_YORK):%H:%M}",
        session_close="1700" if day.early else "2000",
        settlement_date=calendar.following(day.session).session,
    )


def asset_out(symbol: str, rules: ExchangeRules) -> WireAsset:
    return WireAsset(
        id=asset_id(symbol),
        symbol=symbol,
        name=symbol,
        tradable=symbol not in rules.untradable,
        fractionable=symbol not in rules.not_fractionable,
    )


def fill_out(execution: Execution, book: Book) -> WireFill:
    order = book.order(execution.order_id)
    return WireFill(
        id=activity_id(execution),
        transaction_time=execution.at,
        type="partial_fill" if execution.leaves_qty else "fill",
        price=figure(execution.price),
        qty=figure(execution.qty),
        side=execution.side,
        symbol=execution.symbol,
        leaves_qty=figure(execution.leaves_qty),
        order_id=execution.order_id,
        cum_qty=figure(execution.cum_qty),
        order_status=order.status if order else "",
    )


def history_out(book: Book, now: dt.datetime) -> WireHistory:
    """Equity at each close so far, and now; profit against the opening balance of the account."""
    base = float(book.account.opening_cash)
    points = [*book.days(), (now, reservations.equity(book))]
    equity = [float(amount) for _, amount in points]
    return WireHistory(
        timestamp=[int(at.timestamp()) for at, _ in points],
        equity=equity,
        profit_loss=[round(amount - base, 2) for amount in equity],
        profit_loss_pct=[round(amount / base - 1, 6) for amount in equity],
        base_value=base,
        timeframe="1D",
    )


def activity_id(execution: Execution) -> str:
    return f"{execution.at:%Y%m%d%H%M%S}{execution.at.microsecond // 1000:03d}::{execution.id}"
