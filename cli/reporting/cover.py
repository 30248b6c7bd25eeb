"""How long shares stood without protection, out of the ledger's orders and executions.

State counts the same while it runs, for all symbols together and for the session alone; here it is worked out again for
each symbol, from when its orders rested at the broker.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from cli.reporting.rows import Rows
from cli.reporting.trades import ADOPTED
from services.state.model import Order, Position
from services.state.records import FillRow
from shared.contracts.vocabulary import OrderKind, Side, Status


class Gap(Struct, frozen=True, kw_only=True):
    """`shares` of a symbol for which no stop and no sale of ours stood, from begins_at to ends_at, UTC.

    pending: beside an entry that was still filling, where no stop may stand yet (docs/strategy.md section 7).
    """

    symbol: str
    shares: int
    begins_at: dt.datetime
    ends_at: dt.datetime
    pending: bool

    @property
    def share_seconds(self) -> float:
        return self.shares * (self.ends_at - self.begins_at).total_seconds()


def gaps(rows: Rows) -> tuple[Gap, ...]:
    """Of every symbol, by time. One whose shares were split meanwhile is left out: see `unmeasured`."""
    left_out = set(unmeasured(rows))
    found: list[Gap] = []
    for symbol in sorted({position.symbol for position in rows.positions} - left_out):
        positions = [position for position in rows.positions if position.symbol == symbol]
        names = {position.position_id for position in positions}
        fills = [fill for fill in rows.fills if fill.position_id in names]
        orders = [order for order in rows.orders.values() if order.symbol == symbol]
        found += gaps_of(symbol, orders, fills, positions, rows.ends_at)
    clipped = (_within(gap, rows.begins_at) for gap in found)
    return tuple(sorted((gap for gap in clipped if gap is not None), key=lambda gap: (gap.begins_at, gap.symbol)))


def unmeasured(rows: Rows) -> tuple[str, ...]:
    """Symbols that were split: an order's row has its shares of today, so nothing can be said of before."""
    return tuple(sorted({row.symbol for row in rows.splits}))


def gaps_of(
    symbol: str,
    orders: Sequence[Order],
    fills: Sequence[FillRow],
    positions: Sequence[Position],
    ends_at: dt.datetime,
) -> list[Gap]:
    """All gaps of one symbol up to `ends_at`. What happens at one instant is no gap: only what stands after it is."""
    book = _Book()
    happened = _happenings(orders, fills, positions)
    instants = sorted(happened)
    found: list[Gap] = []
    for instant, following in zip(instants, [*instants[1:], ends_at], strict=True):
        if instant >= ends_at:
            break
        for happening in happened[instant]:
            book.take(happening)
        if book.missing > 0:
            gap = Gap(
                symbol=symbol,
                shares=book.missing,
                begins_at=instant,
                ends_at=min(following, ends_at),
                pending=bool(book.filling),
            )
            _add(found, gap)
    return found


class _Stands(Struct, frozen=True):
    """From now on, or no longer, the order may trade."""

    order: Order
    stands: bool


class _Holds(Struct, frozen=True):
    """Shares more, or fewer, and by which order."""

    shares: int
    order: str


_Happening = _Stands | _Holds


class _Book:
    """What is held, and what stands for it, at one instant after the other."""

    def __init__(self) -> None:
        self._held = 0
        self._sold: dict[str, int] = {}
        self._standing: dict[str, Order] = {}
        self.filling: set[str] = set()

    @property
    def missing(self) -> int:
        """Shares without cover; below zero where more stands than is held."""
        return self._held - sum(order.qty - self._sold.get(name, 0) for name, order in self._standing.items())

    def take(self, happening: _Happening) -> None:
        match happening:
            case _Holds():
                self._held += happening.shares
                self._sold[happening.order] = self._sold.get(happening.order, 0) - happening.shares
            case _Stands(order=order):
                name = order.client_order_id
                if order.kind is OrderKind.ENTRY:
                    (self.filling.add if happening.stands else self.filling.discard)(name)
                elif happening.stands:
                    self._standing[name] = order
                else:
                    self._standing.pop(name, None)
            case _:
                assert_never(happening)


def _happenings(
    orders: Sequence[Order], fills: Sequence[FillRow], positions: Sequence[Position]
) -> dict[dt.datetime, list[_Happening]]:
    """By instant. An order that ended when it came to stand never stood."""
    entries = {order.client_order_id: order for order in orders if order.kind is OrderKind.ENTRY}
    found: defaultdict[dt.datetime, list[_Happening]] = defaultdict(list)
    for position in positions:
        if position.position_id.startswith(ADOPTED):
            found[position.entered_at].append(_Holds(position.bought, ""))
    for fill in fills:
        found[fill.at].append(_Holds(fill.qty if fill.side is Side.BUY else -fill.qty, fill.client_order_id))
    for order in orders:
        start = _stands_from(order, entries)
        if start is not None and (order.ended_at is None or order.ended_at > start):
            found[start].append(_Stands(order, stands=True))
            if order.ended_at is not None:
                found[order.ended_at].append(_Stands(order, stands=False))
    return found


def _add(found: list[Gap], gap: Gap) -> None:
    """One gap where the same shares went on standing open."""
    last = found[-1] if found else None
    if last is not None and (last.ends_at, last.shares, last.pending) == (gap.begins_at, gap.shares, gap.pending):
        found[-1] = replace(last, ends_at=gap.ends_at)
    else:
        found.append(gap)


def _stands_from(order: Order, entries: dict[str, Order]) -> dt.datetime | None:
    """From when on it trades if the price comes: a leg once its entry is filled; None: it never did."""
    entry = entries.get(order.parent)
    if order.accepted_at is None or (order.side is Side.BUY and order.kind is not OrderKind.ENTRY):
        return None
    if entry is None:
        return order.accepted_at
    if entry.status is not Status.FILLED or entry.ended_at is None:
        return None
    return max(order.accepted_at, entry.ended_at)


def _within(gap: Gap, begins_at: dt.datetime) -> Gap | None:
    if gap.ends_at <= begins_at:
        return None
    return replace(gap, begins_at=max(gap.begins_at, begins_at))
