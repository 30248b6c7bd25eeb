"""A report: everything that is said about some sessions, worked out from rows alone (docs/reports.md)."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from cli.reporting.afterwards import RefusedBreakout, refused_breakouts
from cli.reporting.cover import Gap, gaps, unmeasured
from cli.reporting.curve import Drawdown, Point, curve, deepest, thinned
from cli.reporting.days import Day, days
from cli.reporting.rows import Market, Rows
from cli.reporting.trades import Slippage, Trade, slippages, trades
from shared.contracts.rules import StopRules


class Totals(Struct, frozen=True, kw_only=True):
    """Over the report's sessions. Dollars.

    closed: trades that ended in them; wins, losses, average_win to expectancy and average_r are over these alone, None
    where there are none. realized: of every sale, of trades that are still held too. profit_factor: won over lost.
    slippage: of every order that was filled and had a reference; basis_points: of the value traded at the references.
    unprotected, pending: share-seconds. oversold: shares.
    """

    sessions: int
    trades: int
    closed: int
    held: int
    wins: int
    losses: int
    win_rate: float | None
    average_win: Decimal | None
    average_loss: Decimal | None
    profit_factor: float | None
    expectancy: Decimal | None
    average_r: float | None
    average_held_s: float | None
    realized: Decimal
    opening: Decimal | None
    closing: Decimal | None
    change: Decimal | None
    drawdown: Drawdown | None
    slippage: Decimal
    slippage_basis_points: float | None
    slippage_r: float | None
    unprotected: float
    pending: float
    oversold: int


class Reason(Struct, frozen=True, kw_only=True):
    """Refusals of one reason. breakouts: those of them that had a price; known: of which the rest of the day is known.

    best_r, worst_r, would_r: averages over those that had a stop, too.
    """

    reason: str
    count: int
    breakouts: int
    known: int
    best_r: float | None
    worst_r: float | None
    would_r: float | None


class Uncovered(Struct, frozen=True, kw_only=True):
    """Gaps of one symbol. unprotected, pending: share-seconds. longest_s: seconds of the longest unprotected one."""

    symbol: str
    gaps: int
    unprotected: float
    pending: float
    longest_s: float


class Report(Struct, frozen=True, kw_only=True):
    """first, last: the sessions asked for. until: how far it goes, UTC: before the last close where that is to come.

    bars: where the minutes are from that tell what the refused did. unmeasured: symbols of which no gaps are told,
    since they were split. curve: at most 400 points, the highest and lowest among them.
    """

    first: dt.date
    last: dt.date
    until: dt.datetime
    totals: Totals
    trades: tuple[Trade, ...]
    slippage: tuple[Slippage, ...]
    reasons: tuple[Reason, ...]
    refused: tuple[RefusedBreakout, ...]
    bars: str
    protection: tuple[Uncovered, ...]
    gaps: tuple[Gap, ...]
    unmeasured: tuple[str, ...]
    curve: tuple[Point, ...]
    days: tuple[Day, ...]


def report_of(rows: Rows, market: Market, rules: StopRules) -> Report:
    """Work it out. Pure: the same rows, the same report."""
    of = trades(rows)
    slips = slippages(rows, of)
    open_gaps = gaps(rows)
    refused = refused_breakouts(rows, market, rules)
    points = curve(rows, market)
    by_day = days(rows, of, open_gaps)
    return Report(
        first=rows.sessions[0].session,
        last=rows.sessions[-1].session,
        until=rows.ends_at,
        totals=totals(rows, of, slips, open_gaps, points, by_day),
        trades=of,
        slippage=slips,
        reasons=reasons(rows, refused),
        refused=refused,
        bars=market.source,
        protection=protection(open_gaps),
        gaps=open_gaps,
        unmeasured=unmeasured(rows),
        curve=thinned(points),
        days=by_day,
    )


def totals(
    rows: Rows,
    of: Sequence[Trade],
    slips: Sequence[Slippage],
    open_gaps: Sequence[Gap],
    points: Sequence[Point],
    by_day: Sequence[Day],
) -> Totals:
    closed = [trade for trade in of if trade.closed_at is not None and trade.closed_at >= rows.begins_at]
    won = [trade.realized for trade in closed if trade.realized > 0]
    lost = [trade.realized for trade in closed if trade.realized < 0]
    multiples = [trade.r_multiple for trade in closed if trade.r_multiple is not None]
    slip_rs = [slip.r for slip in slips if slip.r is not None]
    value = sum((slip.shares * slip.reference for slip in slips), Decimal(0))
    slipped = sum((slip.dollars for slip in slips), Decimal(0))
    opening, closing = by_day[0].opening, by_day[-1].closing
    return Totals(
        sessions=len(by_day),
        trades=len(of),
        closed=len(closed),
        held=sum(trade.held > 0 for trade in of),
        wins=len(won),
        losses=len(lost),
        win_rate=len(won) / len(closed) if closed else None,
        average_win=_mean(won),
        average_loss=_mean(lost),
        profit_factor=float(sum(won, Decimal(0)) / -sum(lost, Decimal(0))) if lost else None,
        expectancy=_mean([trade.realized for trade in closed]),
        average_r=sum(multiples) / len(multiples) if multiples else None,
        average_held_s=sum(trade.held_s for trade in closed) / len(closed) if closed else None,
        realized=sum((day.realized for day in by_day), Decimal(0)),
        opening=opening,
        closing=closing,
        change=closing - opening if closing is not None and opening is not None else None,
        drawdown=deepest(points),
        slippage=slipped,
        slippage_basis_points=round(float(slipped / value) * 10_000, 4) if value else None,
        slippage_r=sum(slip_rs) if slip_rs else None,
        unprotected=sum(gap.share_seconds for gap in open_gaps if not gap.pending),
        pending=sum(gap.share_seconds for gap in open_gaps if gap.pending),
        oversold=sum(trade.oversold for trade in of) + sum(fill.qty for fill in rows.unexplained),
    )


def reasons(rows: Rows, refused: Sequence[RefusedBreakout]) -> tuple[Reason, ...]:
    """Most frequent first, equally frequent ones by name."""
    counted = Counter(verdict.reason for verdict in rows.refused)
    found = []
    for reason, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        of = [one for one in refused if one.reason == reason]
        known = [one.afterwards for one in of if one.afterwards is not None]
        found.append(
            Reason(
                reason=reason,
                count=count,
                breakouts=len(of),
                known=len(known),
                best_r=_average([one.best_r for one in known]),
                worst_r=_average([one.worst_r for one in known]),
                would_r=_average([one.would_r for one in known]),
            )
        )
    return tuple(found)


def protection(open_gaps: Sequence[Gap]) -> tuple[Uncovered, ...]:
    """By symbol."""
    found = []
    for symbol in sorted({gap.symbol for gap in open_gaps}):
        of = [gap for gap in open_gaps if gap.symbol == symbol]
        bare = [gap for gap in of if not gap.pending]
        found.append(
            Uncovered(
                symbol=symbol,
                gaps=len(of),
                unprotected=sum(gap.share_seconds for gap in bare),
                pending=sum(gap.share_seconds for gap in of if gap.pending),
                longest_s=max(((gap.ends_at - gap.begins_at).total_seconds() for gap in bare), default=0.0),
            )
        )
    return tuple(found)


def _mean(dollars: Sequence[Decimal]) -> Decimal | None:
    return (sum(dollars, Decimal(0)) / len(dollars)).quantize(Decimal("0.0001")) if dollars else None


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
