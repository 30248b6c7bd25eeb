"""How long shares stood without protection, out of the ledger's orders and executions.

State counts the same while it runs, for all symbols together and for the session alone; here it is worked out again for
each symbol, from when its orders rested at the broker.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence

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
    entries = {order.client_order_id: order for order in orders if order.kind is OrderKind.ENTRY}
    covers = [(order, start) for order in orders if (start := _stands_from(order, entries)) is not None]
    adopted = [position for position in positions if position.position_id.startswith(ADOPTED)]
    instants = sorted(
        {fill.at for fill in fills}
        | {start for _, start in covers}
        | {end for order in orders if (end := order.ended_at) is not None}
        | {accepted for order in entries.values() if (accepted := order.accepted_at) is not None}
        | {position.entered_at for position in adopted}
    )
    found: list[Gap] = []
    for instant, following in zip(instants, [*instants[1:], ends_at], strict=True):
        if instant >= ends_at:
            break
        held = sum(position.bought for position in adopted if position.entered_at <= instant)
        held += sum(_signed(fill) for fill in fills if fill.at <= instant)
        covered = sum(
            order.qty - _filled(order, fills, instant)
            for order, start in covers
            if start <= instant and (order.ended_at is None or order.ended_at > instant)
        )
        if held > covered:
            filling = any(_is_open(entry, instant) for entry in entries.values())
            _add(
                found,
                Gap(
                    symbol=symbol,
                    shares=held - covered,
                    begins_at=instant,
                    ends_at=min(following, ends_at),
                    pending=filling,
                ),
            )
    return found


def _add(found: list[Gap], gap: Gap) -> None:
    """One gap where the same shares went on standing open."""
    last = found[-1] if found else None
    if last is not None and (last.ends_at, last.shares, last.pending) == (gap.begins_at, gap.shares, gap.pending):
        found[-1] = replace(last, ends_at=gap.ends_at)
    else:
        found.append(gap)


def _stands_from(order: Order, entries: dict[str, Order]) -> dt.datetime | None:
    """From when on it sells if the price comes: a leg once its entry is filled; None: it never did."""
    if order.side is not Side.SELL or order.accepted_at is None:
        return None
    entry = entries.get(order.parent)
    if entry is None:
        return order.accepted_at
    if entry.status is not Status.FILLED or entry.ended_at is None:
        return None
    return max(order.accepted_at, entry.ended_at)


def _is_open(entry: Order, instant: dt.datetime) -> bool:
    accepted, ended = entry.accepted_at, entry.ended_at
    return accepted is not None and accepted <= instant and (ended is None or ended > instant)


def _filled(order: Order, fills: Iterable[FillRow], instant: dt.datetime) -> int:
    return sum(fill.qty for fill in fills if fill.client_order_id == order.client_order_id and fill.at <= instant)


def _signed(fill: FillRow) -> int:
    return fill.qty if fill.side is Side.BUY else -fill.qty


def _within(gap: Gap, begins_at: dt.datetime) -> Gap | None:
    if gap.ends_at <= begins_at:
        return None
    return replace(gap, begins_at=max(gap.begins_at, begins_at))
