"""The broker's JSON, element by element, as structs.

The client library parses whole lists, and one status it does not know would hide every other order. Here each element
stands alone: one that cannot be read is left out, with its reason, and the rest counts. A list that is not a list is
no list at all: `Unreadable`, which must never be taken for "none".

Amounts are Decimals from the broker's own text. Stamps have nanoseconds there and microseconds here.

    Unreadable    not what it should be; the text says which field of what
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final, TypeVar

from msgspec import Struct

from shared.contracts.ids import is_symbol
from shared.contracts.orders import BrokerAccount, BrokerAsset, BrokerEvent, BrokerFill, BrokerOrder, BrokerPosition

STATUSES: Final = frozenset(
    {
        "new",
        "partially_filled",
        "filled",
        "done_for_day",
        "canceled",
        "expired",
        "replaced",
        "pending_cancel",
        "pending_replace",
        "pending_review",
        "accepted",
        "pending_new",
        "accepted_for_bidding",
        "stopped",
        "rejected",
        "suspended",
        "calculated",
        "held",
    }
)
OVER: Final = frozenset({"filled", "canceled", "expired", "replaced", "rejected"})
"""Statuses after which nothing more happens to an order."""
SIDES: Final = frozenset({"buy", "sell"})
TYPES: Final = frozenset({"market", "limit", "stop", "stop_limit", "trailing_stop"})
CLASSES: Final = frozenset({"", "simple", "bracket", "oco", "oto", "mleg"})
TIMES_IN_FORCE: Final = frozenset({"day", "gtc", "opg", "cls", "ioc", "fok"})
STOCKS: Final = "us_equity"
"""Asset class of what we trade; the broker holds options and crypto in the same list of positions."""
EXECUTIONS: Final = frozenset({"fill", "partial_fill"})
"""Events that carry an execution."""

_STAMP: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)\Z", re.ASCII | re.IGNORECASE
)
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}\Z")
_FREE_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,128}\Z")
"""Client order ids of other programs may hold anything printable."""
_LARGEST: Final = Decimal(10) ** 15
_MOST_DECIMALS: Final = 18
_MOST_LEGS: Final = 10
_WHOLE: Final = 2**63
_RAW_KEPT: Final = 4_000

T = TypeVar("T")
Fields = Mapping[str, object]


class Unreadable(ValueError):
    """Not what it should be."""


class Dropped(Struct, frozen=True):
    """An element that was left out. raw: its JSON, cut. symbol: the stock it is of, where that could be read."""

    reason: str
    raw: str
    symbol: str = ""


class BrokerClock(Struct, frozen=True):
    """The broker's own clock and calendar. at, next_open, next_close: UTC."""

    at: dt.datetime
    is_open: bool
    next_open: dt.datetime
    next_close: dt.datetime


class Read(Struct, frozen=True):
    """An order with the legs that could be read."""

    order: BrokerOrder
    dropped: tuple[Dropped, ...] = ()


def read_order(raw: object) -> Read:
    """One order. A leg that cannot be read is left out of it. Raises Unreadable."""
    fields = _object(raw, "order")
    name = f"order {_text(fields, 'id', 'order', _ID)}"
    legs, dropped = _legs(fields, name)
    order = BrokerOrder(
        broker_id=_text(fields, "id", name, _ID),
        client_order_id=_text(fields, "client_order_id", name, _FREE_TEXT),
        symbol=_symbol(fields, name),
        side=_word(fields, "side", SIDES, name),
        type=_word(fields, "type", TYPES, name),
        order_class=_word(fields, "order_class", CLASSES, name, default=""),
        time_in_force=_word(fields, "time_in_force", TIMES_IN_FORCE, name),
        status=_word(fields, "status", STATUSES, name),
        qty=_amount_or_none(fields, "qty", name),
        filled_qty=_amount(fields, "filled_qty", name),
        filled_avg_price=_amount_or_none(fields, "filled_avg_price", name),
        limit_price=_amount_or_none(fields, "limit_price", name),
        stop_price=_amount_or_none(fields, "stop_price", name),
        submitted_at=_stamp_or_none(fields, "submitted_at", name),
        updated_at=_stamp_or_none(fields, "updated_at", name),
        expires_at=_stamp_or_none(fields, "expires_at", name),
        replaces=_id_or_none(fields, "replaces", name),
        replaced_by=_id_or_none(fields, "replaced_by", name),
        legs=legs,
    )
    if order.filled_qty < 0 or (order.qty is not None and order.qty <= 0):
        raise Unreadable(f"{name}: qty {order.qty}, filled_qty {order.filled_qty}")
    return Read(order, dropped)


def read_orders(raw: object) -> tuple[tuple[BrokerOrder, ...], tuple[Dropped, ...]]:
    """A list of orders, with what was left out. Raises Unreadable where it is no list."""
    reads, dropped = _each(raw, read_order, "orders")
    inner = tuple(leg for read in reads for leg in read.dropped)
    return tuple(read.order for read in reads), dropped + inner


def read_positions(raw: object) -> tuple[tuple[BrokerPosition, ...], tuple[Dropped, ...]]:
    """The positions in stocks of a list, with what was left out. Raises Unreadable where it is no list."""
    return _each(_of_stocks(raw, wanted=True), read_position, "positions")


def read_others(raw: object) -> tuple[tuple[BrokerPosition, ...], tuple[Dropped, ...]]:
    """The positions in no stocks, options and crypto, of the same list. Raises Unreadable where it is no list."""
    return _each(_of_stocks(raw, wanted=False), _read_other, "positions")


def _of_stocks(raw: object, *, wanted: bool) -> object:
    """The elements of a list of positions that are stocks, or that are not; anything but a list as it is."""
    if not isinstance(raw, list):
        return raw
    return [one for one in raw if (_asset_class(one) in (None, STOCKS)) is wanted]


def _asset_class(raw: object) -> object:
    return raw.get("asset_class") if isinstance(raw, dict) else None


def _read_other(raw: object) -> BrokerPosition:
    """One position in no stock; the price of one is its share of the market value (an option stands for a hundred)."""
    fields = _object(raw, "position")
    symbol = _text(fields, "symbol", "position", _ID)
    name = f"position {symbol}"
    side = _word(fields, "side", frozenset({"long", "short"}), name)
    qty = abs(_amount(fields, "qty", name))
    if not qty:
        raise Unreadable(f"{name}: qty 0")
    return BrokerPosition(
        symbol=symbol,
        qty=qty if side == "long" else -qty,
        avg_entry_price=_amount(fields, "avg_entry_price", name),
        current_price=abs(_amount(fields, "market_value", name)) / qty,
    )


def read_fills(raw: object) -> tuple[tuple[BrokerFill, ...], tuple[Dropped, ...]]:
    """A list of executions, with what was left out. Raises Unreadable where it is no list."""
    return _each(raw, read_fill, "fills")


def read_position(raw: object) -> BrokerPosition:
    """One position; qty is negative for a short one. Raises Unreadable."""
    fields = _object(raw, "position")
    name = f"position {_symbol(fields, 'position')}"
    side = _word(fields, "side", frozenset({"long", "short"}), name)
    qty = abs(_amount(fields, "qty", name))
    return BrokerPosition(
        symbol=_symbol(fields, name),
        qty=qty if side == "long" else -qty,
        avg_entry_price=_amount(fields, "avg_entry_price", name),
        qty_available=_amount_or_none(fields, "qty_available", name),
        current_price=_amount_or_none(fields, "current_price", name),
    )


def read_fill(raw: object) -> BrokerFill:
    """One execution, of the account's activities. Raises Unreadable.

    Its id is the key `execution_id` if there is one, else what stands behind `::` in the activity's id.
    """
    fields = _object(raw, "fill")
    activity = _text(fields, "id", "fill", _ID)
    name = f"fill {activity}"
    given = _id_or_none(fields, "execution_id", name)
    execution = given or activity.partition("::")[2]
    if not execution:
        raise Unreadable(f"{name}: no execution id in it")
    side = _word(fields, "side", SIDES | {"sell_short"}, name)
    qty, price = _amount(fields, "qty", name), _amount(fields, "price", name)
    if qty <= 0 or price <= 0:
        raise Unreadable(f"{name}: qty {qty}, price {price}")
    return BrokerFill(
        execution_id=execution,
        broker_order_id=_text(fields, "order_id", name, _ID),
        symbol=_symbol(fields, name),
        side="sell" if side == "sell_short" else side,
        qty=qty,
        price=price,
        at=_stamp(fields, "transaction_time", name),
    )


def read_account(raw: object) -> BrokerAccount:
    """The account; blocked where the broker, for any reason, takes no orders. Raises Unreadable."""
    fields = _object(raw, "account")
    status = _text(fields, "status", "account", _ID)
    reasons = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    return BrokerAccount(
        account_number=_text(fields, "account_number", "account", _ID),
        status=status,
        cash=_amount(fields, "cash", "account"),
        equity=_amount(fields, "equity", "account"),
        buying_power=_amount(fields, "buying_power", "account"),
        multiplier=_amount(fields, "multiplier", "account"),
        blocked=status != "ACTIVE" or any(_flag(fields, reason, "account") for reason in reasons),
    )


def read_clock(raw: object) -> dt.datetime:
    """The broker's time, UTC. Raises Unreadable."""
    return _stamp(_object(raw, "clock"), "timestamp", "clock")


def read_market(raw: object) -> BrokerClock:
    """The broker's time, and whether it says that the market is open. Raises Unreadable."""
    fields = _object(raw, "clock")
    if "is_open" not in fields:
        raise Unreadable("clock: is_open is missing")
    return BrokerClock(
        at=_stamp(fields, "timestamp", "clock"),
        is_open=_flag(fields, "is_open", "clock"),
        next_open=_stamp(fields, "next_open", "clock"),
        next_close=_stamp(fields, "next_close", "clock"),
    )


def read_asset(raw: object) -> BrokerAsset:
    """Whether an asset is traded: it is active, and the broker takes orders in it. Raises Unreadable."""
    fields = _object(raw, "asset")
    name = f"asset {_symbol(fields, 'asset')}"
    active = _text(fields, "status", name, _ID) == "active"
    return BrokerAsset(symbol=_symbol(fields, name), tradable=_flag(fields, "tradable", name) and active)


def read_update(raw: object) -> tuple[BrokerEvent, tuple[Dropped, ...]]:
    """One trade update, the `data` of the stream's message. An event of an unknown name is read like any other.

    Its id is the same each time the broker sends it. Raises Unreadable.
    """
    fields = _object(raw, "trade update")
    event = _text(fields, "event", "trade update", _ID)
    read = read_order(fields.get("order"))
    order = read.order
    name = f"trade update {event} of {order.client_order_id}"
    execution = _id_or_none(fields, "execution_id", name)
    seq = _count_or_none(fields, "seq", name)
    at = _stamp_or_none(fields, "timestamp", name) or order.updated_at
    if at is None:
        raise Unreadable(f"{name}: without a time")
    fills = event in EXECUTIONS
    qty, price = _amount_or_none(fields, "qty", name), _amount_or_none(fields, "price", name)
    if fills and not (execution and qty is not None and qty > 0 and price is not None and price > 0):
        raise Unreadable(f"{name}: execution {execution}, qty {qty}, price {price}")
    message = BrokerEvent(
        id=_event_id(event, order, execution if fills else None, seq),
        at=at,
        event=event,
        order=order,
        execution_id=execution,
        qty=qty,
        price=price,
        seq=seq,
    )
    return message, read.dropped


def raw_text(raw: object) -> str:
    """`raw` as JSON for a dead letter, cut at 4 kB."""
    try:
        return json.dumps(raw, default=repr)[:_RAW_KEPT]
    except (ValueError, RecursionError):
        return "<too deep to show>"


def _event_id(event: str, order: BrokerOrder, execution: str | None, seq: int | None) -> str:
    if execution:
        return f"event-{execution}"
    if seq is not None:
        return f"event-seq-{seq}"
    stamp = f"{order.updated_at:%y%m%dT%H%M%S.%f}" if order.updated_at else "undated"
    return f"event-{order.broker_id}-{event}-{order.filled_qty}-{stamp}"


def _legs(fields: Fields, name: str) -> tuple[tuple[BrokerOrder, ...], tuple[Dropped, ...]]:
    raw = fields.get("legs")
    if raw is None:
        return (), ()
    if not isinstance(raw, list) or len(raw) > _MOST_LEGS:
        raise Unreadable(f"{name}: legs are {_shown(raw)}")
    if any(isinstance(leg, dict) and leg.get("legs") for leg in raw):
        raise Unreadable(f"{name}: legs of legs")
    reads, dropped = _each(raw, read_order, f"legs of {name}")
    return tuple(read.order for read in reads), tuple(
        Dropped(f"leg of {name}: {leg.reason}", leg.raw) for leg in dropped
    )


def _each(raw: object, read: Callable[[object], T], what: str) -> tuple[tuple[T, ...], tuple[Dropped, ...]]:
    if not isinstance(raw, list):
        raise Unreadable(f"{what}: not a list but {_shown(raw)}")
    good: list[T] = []
    dropped: list[Dropped] = []
    for element in raw:
        try:
            good.append(read(element))
        except Unreadable as fault:
            dropped.append(Dropped(str(fault), raw_text(element), _symbol_in(element)))
    return tuple(good), tuple(dropped)


def _symbol_in(raw: object) -> str:
    symbol = raw.get("symbol") if isinstance(raw, dict) else None
    return symbol if isinstance(symbol, str) and is_symbol(symbol) else ""


def _object(raw: object, what: str) -> Fields:
    if not isinstance(raw, dict):
        raise Unreadable(f"{what}: not an object but {_shown(raw)}")
    return raw


def _text(fields: Fields, key: str, what: str, pattern: re.Pattern[str]) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not pattern.match(value):
        raise Unreadable(f"{what}: {key} is {_shown(value)}")
    return value


def _id_or_none(fields: Fields, key: str, what: str) -> str | None:
    return None if fields.get(key) is None else _text(fields, key, what, _ID)


def _symbol(fields: Fields, what: str) -> str:
    value = fields.get("symbol")
    if not isinstance(value, str) or not is_symbol(value):
        raise Unreadable(f"{what}: symbol is {_shown(value)}")
    return value


def _word(fields: Fields, key: str, known: frozenset[str], what: str, default: str | None = None) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or value not in known:
        raise Unreadable(f"{what}: {key} is {_shown(value)}, which this program does not know")
    return value


def _amount(fields: Fields, key: str, what: str) -> Decimal:
    value = fields.get(key)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(f"{what}: {key} is {_shown(value)}")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        raise Unreadable(f"{what}: {key} is {_shown(value)}, not a number") from None
    if not number.is_finite() or abs(number) > _LARGEST or int(number.as_tuple().exponent) < -_MOST_DECIMALS:
        raise Unreadable(f"{what}: {key} is {_shown(value)}, out of bounds")
    return number


def _amount_or_none(fields: Fields, key: str, what: str) -> Decimal | None:
    return None if fields.get(key) is None else _amount(fields, key, what)


def _flag(fields: Fields, key: str, what: str) -> bool:
    value = fields.get(key, False)
    if not isinstance(value, bool):
        raise Unreadable(f"{what}: {key} is {_shown(value)}")
    return value


def _count_or_none(fields: Fields, key: str, what: str) -> int | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _WHOLE:
        raise Unreadable(f"{what}: {key} is {_shown(value)}")
    return value


def _stamp(fields: Fields, key: str, what: str) -> dt.datetime:
    value = fields.get(key)
    parts = _STAMP.match(value) if isinstance(value, str) else None
    if parts is None:
        raise Unreadable(f"{what}: {key} is {_shown(value)}, not a time with a zone")
    day, clock, fraction, zone = parts.groups()
    micros = (fraction or "0")[:6].ljust(6, "0")
    try:
        return dt.datetime.fromisoformat(f"{day}T{clock}.{micros}{zone.upper()}").astimezone(dt.UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{what}: {key} is {_shown(value)}, no such time") from None


def _stamp_or_none(fields: Fields, key: str, what: str) -> dt.datetime | None:
    return None if fields.get(key) is None else _stamp(fields, key, what)


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:80]
