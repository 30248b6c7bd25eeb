"""What came of each session, and how much was exposed in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from cli.reporting.cover import Gap
from cli.reporting.rows import Rows
from cli.reporting.trades import Trade, cost_of, start_of, steps
from services.state.records import SessionRow
from shared.contracts.vocabulary import Side


class Day(Struct, frozen=True, kw_only=True):
    """One session. Dollars. opening, closing: equity, None where the ledger does not have it.

    realized: of what was sold. exposure: cost of what was held; peak of the session, as a fraction of the opening
    equity. invested: the same, averaged over the session's time. held: positions at the close.
    unprotected: share-seconds.
    """

    session: dt.date
    opening: Decimal | None
    closing: Decimal | None
    realized: Decimal
    bought: int
    closed: int
    refused: int
    exposure: float | None
    invested: float | None
    held: int
    unprotected: float


def invested(rows: Rows) -> tuple[tuple[dt.datetime, Decimal], ...]:
    """From when on shares of which cost were held, dollars, all positions together; the last of an instant counts."""
    changes: list[tuple[dt.datetime, str, Decimal]] = []
    for position in rows.positions:
        start = start_of(position)
        if start.bought:
            changes.append((position.entered_at, position.position_id, cost_of(start)))
        fills = [fill for fill in rows.fills if fill.position_id == position.position_id]
        splits = [row for row in rows.splits if row.position_id == position.position_id]
        changes += [(one.at, position.position_id, cost_of(after)) for one, after in steps(start, fills, splits)]
    standing: dict[str, Decimal] = {}
    found: list[tuple[dt.datetime, Decimal]] = []
    for at, name, cost in sorted(changes, key=lambda change: change[0]):
        standing[name] = cost
        total = sum(standing.values(), Decimal(0))
        if found and found[-1][0] == at:
            found.pop()
        found.append((at, total))
    return tuple(found)


def days(rows: Rows, of: Sequence[Trade], gaps: Sequence[Gap]) -> tuple[Day, ...]:
    """One a session, oldest first."""
    standing = invested(rows)
    ends = [*(row.opens_at for row in rows.sessions[1:]), None]
    return tuple(_day(rows, row, end, of, gaps, standing) for row, end in zip(rows.sessions, ends, strict=True))


def _day(
    rows: Rows,
    row: SessionRow,
    ends_at: dt.datetime | None,
    of: Sequence[Trade],
    gaps: Sequence[Gap],
    standing: Sequence[tuple[dt.datetime, Decimal]],
) -> Day:
    def within(at: dt.datetime | None) -> bool:
        return at is not None and row.opens_at <= at and (ends_at is None or at < ends_at)

    over = min(row.closes_at, rows.now)
    peak, mean = _exposure(standing, row.opens_at, over)
    equity = row.opening_equity
    return Day(
        session=row.session,
        opening=equity,
        closing=rows.closings.get(row.session),
        realized=sum((sale.profit for trade in of for sale in trade.sales if within(sale.at)), Decimal(0)),
        bought=len({fill.client_order_id for fill in rows.fills if fill.side is Side.BUY and within(fill.at)}),
        closed=sum(within(trade.closed_at) for trade in of),
        refused=sum(verdict.session == row.session for verdict in rows.refused),
        exposure=float(peak / equity) if equity else None,
        invested=float(mean / equity) if equity else None,
        held=sum(trade.entered_at <= over and (trade.closed_at is None or trade.closed_at > over) for trade in of),
        unprotected=sum(gap.share_seconds for gap in gaps if not gap.pending and within(gap.begins_at)),
    )


def _exposure(
    standing: Sequence[tuple[dt.datetime, Decimal]], begins_at: dt.datetime, ends_at: dt.datetime
) -> tuple[Decimal, Decimal]:
    """Peak and mean over [begins_at, ends_at), dollars."""
    if ends_at <= begins_at:
        return Decimal(0), Decimal(0)
    before = [cost for at, cost in standing if at <= begins_at]
    level, since = before[-1] if before else Decimal(0), begins_at
    peak, area = level, Decimal(0)
    for at, cost in standing:
        if begins_at < at < ends_at:
            area += level * Decimal(str((at - since).total_seconds()))
            level, since = cost, at
            peak = max(peak, level)
    area += level * Decimal(str((ends_at - since).total_seconds()))
    return peak, area / Decimal(str((ends_at - begins_at).total_seconds()))
