"""Lists: which orders and activities a client asks for, in which order, and how far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from services.exchange.book import Book
from services.exchange.orders import Execution, Order
from services.exchange.refusals import Refusal, Why, refuse
from services.exchange.wire import WireOrder, activity_id, order_out, with_legs
from services.exchange.words import TERMINAL, Status

ORDERS_DEFAULT: Final = 50
ORDERS_MOST: Final = 500
ACTIVITIES_MOST: Final = 100
TRUE_WORDS: Final = frozenset({"true", "1", "t"})
FILL: Final = "FILL"

Query = Mapping[str, str]


class OrderQuery(Struct, frozen=True, kw_only=True):
    """after, until: exclusive, by the time of submission. symbols, side: empty for all."""

    status: str = "open"
    limit: int = ORDERS_DEFAULT
    after: dt.datetime | None = None
    until: dt.datetime | None = None
    ascending: bool = False
    nested: bool = False
    symbols: frozenset[str] = frozenset()
    side: str = ""


class ActivityQuery(Struct, frozen=True, kw_only=True):
    """after, until: exclusive, by the time of the transaction. token: id of the last activity of the page before."""

    limit: int = ACTIVITIES_MOST
    after: dt.datetime | None = None
    until: dt.datetime | None = None
    date: dt.date | None = None
    ascending: bool = False
    token: str = ""


def read_order_query(query: Query) -> OrderQuery | Refusal:
    status = query.get("status", "open")
    if status not in ("open", "closed", "all"):
        return refuse(Why.PARAMETER, "status")
    try:
        return OrderQuery(
            status=status,
            limit=_whole(query, "limit", ORDERS_DEFAULT, ORDERS_MOST),
            after=_time(query, "after"),
            until=_time(query, "until"),
            ascending=_ascending(query),
            nested=is_true(query, "nested"),
            symbols=symbols_of(query),
            side=query.get("side", ""),
        )
    except BadParameter as fault:
        return refuse(Why.PARAMETER, fault.name)


def read_activity_query(query: Query) -> ActivityQuery | Refusal:
    try:
        return ActivityQuery(
            limit=_whole(query, "page_size", ACTIVITIES_MOST, ACTIVITIES_MOST),
            after=_time(query, "after"),
            until=_time(query, "until"),
            date=_date(query, "date"),
            ascending=_ascending(query),
            token=query.get("page_token", ""),
        )
    except BadParameter as fault:
        return refuse(Why.PARAMETER, fault.name)


def orders(book: Book, query: OrderQuery) -> list[WireOrder]:
    """Nested: a leg stands under its parent where the parent is in the list, else by itself."""
    found = [order for order in _candidates(book, query) if _is_wanted(order, query)]
    if query.nested:
        shown = {order.id for order in found}
        found = [order for order in found if order.parent not in shown]
    found.sort(key=lambda order: (order.submitted_at, order.number), reverse=not query.ascending)
    return [with_legs(book, order) if query.nested else order_out(order) for order in found[: query.limit]]


def executions(book: Book, query: ActivityQuery) -> list[Execution]:
    """Fills, the newest first unless asked otherwise. Those of one millisecond keep their order."""
    found = [
        execution
        for execution in book.executions()
        if (query.after is None or execution.at > query.after)
        and (query.until is None or execution.at < query.until)
        and (query.date is None or execution.at.date() == query.date)
    ]
    if not query.ascending:
        found.reverse()
    if query.token:
        places = [place for place, execution in enumerate(found) if activity_id(execution) == query.token]
        found = found[places[0] + 1 :] if places else []
    return found[: query.limit]


def wants_fills(types: str) -> bool:
    """Fills are the only activities there are. types: comma-separated; empty for all."""
    return not types or FILL in types.split(",")


class BadParameter(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def is_true(query: Query, name: str) -> bool:
    """alpaca-py writes booleans as Python does: `True`."""
    return query.get(name, "").lower() in TRUE_WORDS


def symbols_of(query: Query) -> frozenset[str]:
    return frozenset(filter(None, query.get("symbols", "").split(",")))


def read_time(text: str) -> dt.datetime:
    """An RFC 3339 time or a date; without a zone it is UTC. A `+` that came unquoted arrives as a blank.

    Raises ValueError.
    """
    moment = dt.datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text.strip())
    return moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)


def _candidates(book: Book, query: OrderQuery) -> Iterable[Order]:
    return book.open_orders() if query.status == "open" else book.orders()


def _is_wanted(order: Order, query: OrderQuery) -> bool:
    if query.status == "open" and order.status is Status.HELD and not query.nested:
        return False
    if query.status == "closed" and order.status not in TERMINAL:
        return False
    return (
        (not query.symbols or order.symbol in query.symbols)
        and (not query.side or order.side == query.side)
        and (query.after is None or order.submitted_at > query.after)
        and (query.until is None or order.submitted_at < query.until)
    )


def _whole(query: Query, name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
        raise BadParameter(name)
    return int(text)


def _time(query: Query, name: str) -> dt.datetime | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return read_time(text)
    except ValueError:
        raise BadParameter(name) from None


def _date(query: Query, name: str) -> dt.date | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise BadParameter(name) from None


def _ascending(query: Query) -> bool:
    direction = query.get("direction", "desc")
    if direction not in ("asc", "desc"):
        raise BadParameter("direction")
    return direction == "asc"
