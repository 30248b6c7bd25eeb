"""What the broker holds, in one message: account, positions, orders and executions.

Each of them is read by itself. One that cannot be read is None, which never means "none": state changes nothing on
its account.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from msgspec import Struct

from services.executor.broker import Answer, Broker, Replied
from services.executor.broker_words import (
    Dropped,
    Unreadable,
    raw_text,
    read_account,
    read_asset,
    read_clock,
    read_fills,
    read_market,
    read_order,
    read_orders,
    read_others,
    read_positions,
)
from shared.contracts.orders import BrokerAsset, BrokerFill, BrokerOrder, BrokerPosition, BrokerSnapshot

LOOK_BACK: Final = dt.timedelta(days=5)
"""Orders and executions are read again from here: the previous session, over any long weekend."""
MOST_BY_ID: Final = 20
"""Orders that no list shows are read one by one, up to so many in one snapshot."""

NOT_FOUND: Final = 404

T = TypeVar("T")


class Taken(Struct, frozen=True):
    snapshot: BrokerSnapshot
    dropped: tuple[Dropped, ...]


class Reader:
    """Takes snapshots.

    now: UTC, used where the broker's own clock cannot be read. pace: waits for the rate limit before each request.
    """

    def __init__(self, broker: Broker, now: Callable[[], dt.datetime], pace: Callable[[], None]) -> None:
        self._broker = broker
        self._now = now
        self._pace = pace

    def snapshot(self, request: str, message_id: str, symbols: Iterable[str] = (), by_id: Iterable[str] = ()) -> Taken:
        """What the broker holds now, and which of `symbols` it trades. `at` is the broker's own time.

        Orders are the open ones, all that were submitted in the last days, and those `by_id` (the broker's ids) that
        are neither: no list shows when an old order ended.
        """
        clock = self._ask(self._broker.clock)
        at, market = _read(clock, read_clock), _read(clock, read_market)
        since = (at or self._now()) - LOOK_BACK
        account = self._ask(self._broker.account)
        positions = self._ask(self._broker.positions)
        orders = self._orders(since, by_id)
        fills = self._ask(lambda: self._broker.fills_since(since))

        dropped: list[Dropped] = []
        said = _read(account, read_account, dropped)
        of_stocks: list[Dropped] = []
        held: tuple[BrokerPosition, ...] | None = _list(positions, read_positions, of_stocks)
        dropped += of_stocks
        others: tuple[BrokerPosition, ...] | None = _list(positions, read_others, dropped)
        executed: tuple[BrokerFill, ...] | None = _list(fills, read_fills, dropped)
        known, left_out = orders
        dropped += left_out
        assets = tuple(asset for symbol in symbols if (asset := self._asset(symbol, dropped)) is not None)
        failures = _failures(clock=at, account=said, positions=held, orders=known, fills=executed)
        snapshot = BrokerSnapshot(
            id=message_id,
            at=at or self._now(),
            cause=request,
            request=request,
            orders=known,
            positions=held,
            account=said,
            fills=executed,
            dropped=(*(element.reason for element in dropped), *failures),
            events_seen=clock.events_seen if isinstance(clock, Replied) else None,
            is_open=market.is_open if market is not None else None,
            assets=assets,
            others=others or (),
            unread=tuple(sorted({element.symbol for element in of_stocks if element.symbol})),
        )
        return Taken(snapshot, tuple(dropped))

    def _asset(self, symbol: str, dropped: list[Dropped]) -> BrokerAsset | None:
        answer = self._ask(lambda: self._broker.asset(symbol))
        if isinstance(answer, Replied) and answer.status == NOT_FOUND and answer.code is not None:
            return BrokerAsset(symbol=symbol, tradable=False)
        read = _read(answer, read_asset, dropped)
        return read if read is not None and read.symbol == symbol else None

    def _orders(self, since: dt.datetime, by_id: Iterable[str]) -> tuple[tuple[BrokerOrder, ...] | None, list[Dropped]]:
        dropped: list[Dropped] = []
        working = _list(self._ask(self._broker.open_orders), read_orders, dropped)
        recent = _list(self._ask(lambda: self._broker.orders_since(since)), read_orders, dropped)
        if working is None or recent is None:
            return None, dropped
        known = merged(working, recent)
        ids = {order.broker_id for order in known} | {leg.broker_id for order in known for leg in order.legs}
        wanted = sorted(set(by_id) - ids)[:MOST_BY_ID]
        return known + tuple(self._by_id(wanted, dropped)), dropped

    def _by_id(self, ids: list[str], dropped: list[Dropped]) -> list[BrokerOrder]:
        found: list[BrokerOrder] = []
        for broker_id in ids:
            answer = self._ask(lambda broker_id=broker_id: self._broker.by_id(broker_id))  # type: ignore[misc]
            read = _read(answer, read_order, dropped)
            if read is not None:
                found.append(read.order)
                dropped += read.dropped
        return found

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        self._pace()
        return call()


def merged(working: tuple[BrokerOrder, ...], recent: tuple[BrokerOrder, ...]) -> tuple[BrokerOrder, ...]:
    """Both lists as one, by submission, each order once: the later reading wins, and a leg stands under its parent."""
    by_id = {order.broker_id: order for order in (*working, *recent)}
    legs = {leg.broker_id for order in by_id.values() for leg in order.legs}
    alone = [order for order in by_id.values() if order.broker_id not in legs]
    never = dt.datetime.min.replace(tzinfo=dt.UTC)
    return tuple(sorted(alone, key=lambda order: (order.submitted_at or never, order.client_order_id)))


def _failures(**reads: object) -> tuple[str, ...]:
    return tuple(f"{name} could not be read" for name, value in reads.items() if value is None)


def _read(answer: Answer, parse: Callable[[object], T], dropped: list[Dropped] | None = None) -> T | None:
    """What `parse` makes of a good reply; None for anything else, with the reason in `dropped`."""
    if not isinstance(answer, Replied) or answer.status != 200 or answer.body is None:
        return None
    try:
        return parse(answer.body)
    except Unreadable as fault:
        if dropped is not None:
            dropped.append(Dropped(str(fault), raw_text(answer.body)))
        return None


def _list(
    answer: Answer, parse: Callable[[object], tuple[tuple[T, ...], tuple[Dropped, ...]]], dropped: list[Dropped]
) -> tuple[T, ...] | None:
    read = _read(answer, parse, dropped)
    if read is None:
        return None
    elements, left_out = read
    dropped += left_out
    return elements
