"""The equity curve: at each opening and close as the ledger has it, and minute by minute where the market is known.

Within a session it is worked out backwards from the close, whose equity the ledger marked as cash and shares at their
last closed minute: what was paid and received since is taken back, and the shares of then are priced at then.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from cli.reporting.rows import Market, Minute, Rows
from cli.reporting.trades import start_of, steps
from services.state.model import Position
from services.state.records import FillRow, SessionRow
from shared.contracts.money import exact
from shared.contracts.vocabulary import Side
from shared.domain.calendar import MINUTE

SHOWN: Final = 400


class Point(Struct, frozen=True):
    """equity: dollars at `at`, UTC."""

    at: dt.datetime
    equity: Decimal


class Drawdown(Struct, frozen=True, kw_only=True):
    """The deepest fall from a peak before it. dollars, fraction: of the peak, 0 or above."""

    dollars: Decimal
    fraction: float
    peak_at: dt.datetime
    at: dt.datetime


def curve(rows: Rows, market: Market) -> tuple[Point, ...]:
    """Every point that is known, oldest first."""
    points: list[Point] = []
    for row in rows.sessions:
        if row.opening_equity is not None:
            points.append(Point(row.opens_at, row.opening_equity))
        closing, over = rows.closings.get(row.session), min(row.closes_at, rows.now)
        if closing is not None and over > row.opens_at:  # before its opening the account's equity is of no session
            points += _within(rows, row, Point(over, closing), market)
            points.append(Point(over, closing))
    return tuple(points)


def thinned(points: Sequence[Point], most: int = SHOWN) -> tuple[Point, ...]:
    """Of more than `most` points the highest and the lowest of each of `most` / 2 equal parts, and the two ends."""
    if len(points) <= most:
        return tuple(points)
    parts = most // 2
    kept = {0, len(points) - 1}
    for part in range(parts):
        places = range(part * len(points) // parts, (part + 1) * len(points) // parts)
        by_equity = sorted(places, key=lambda place: points[place].equity)
        kept |= {by_equity[0], by_equity[-1]}
    return tuple(points[place] for place in sorted(kept))


def drawdowns(points: Sequence[Point]) -> tuple[float, ...]:
    """Of each point: by how much it lies below the highest one so far, as a fraction of that; 0 or above."""
    found: list[float] = []
    peak = Decimal(0)
    for point in points:
        peak = max(peak, point.equity)
        found.append(float((peak - point.equity) / peak) if peak > 0 else 0.0)
    return tuple(found)


def deepest(points: Sequence[Point]) -> Drawdown | None:
    """The deepest of them; None where equity never fell."""
    found: Drawdown | None = None
    peak: Point | None = None
    for point in points:
        if peak is None or point.equity > peak.equity:
            peak = point
        fall = peak.equity - point.equity
        fraction = float(fall / peak.equity) if peak.equity > 0 else 0.0
        if fraction > (found.fraction if found is not None else 0.0):
            found = Drawdown(dollars=fall, fraction=fraction, peak_at=peak.at, at=point.at)
    return found


class _Held:
    """Shares of one position at any time."""

    def __init__(self, rows: Rows, position: Position) -> None:
        start = start_of(position)
        fills = [fill for fill in rows.fills if fill.position_id == position.position_id]
        splits = [split for split in rows.splits if split.position_id == position.position_id]
        changes = [(position.entered_at, start.qty)] if start.bought else []
        changes += [(one.at, after.qty) for one, after in steps(start, fills, splits)]
        self.symbol = position.symbol
        self._times = [at for at, _ in changes]
        self._shares = [qty for _, qty in changes]

    def at(self, instant: dt.datetime) -> int:
        place = bisect_right(self._times, instant)
        return self._shares[place - 1] if place else 0


def _within(rows: Rows, row: SessionRow, close: Point, market: Market) -> list[Point]:
    """The ends of the minutes before the close; none where something makes it wrong to work backwards.

    That is: a split, shares that were taken over, a sale that nothing explains, or a symbol without recorded minutes.
    """
    odd = [*(split.at for split in rows.splits), *(fill.at for fill in rows.unexplained)]
    odd += [position.entered_at for position in rows.positions if start_of(position).bought]
    if any(row.opens_at <= at <= close.at for at in odd):
        return []
    positions = [
        position
        for position in rows.positions
        if position.entered_at <= close.at and (position.closed_at is None or position.closed_at >= row.opens_at)
    ]
    prices = {
        symbol: _Prices(recorded.minutes)
        for symbol in {position.symbol for position in positions}
        if (recorded := market.recorded.get((row.session, symbol))) is not None
    }
    if not positions or len(prices) < len({position.symbol for position in positions}):
        return []
    held = [_Held(rows, position) for position in positions]
    paid = [fill for fill in rows.fills if row.opens_at <= fill.at <= close.at]

    def worth(at: dt.datetime) -> Decimal | None:
        known = [(one.at(at), prices[one.symbol].at(at)) for one in held if one.at(at)]
        if any(price is None for _, price in known):
            return None
        return sum((qty * price for qty, price in known if price is not None), Decimal(0))

    end = worth(close.at)
    if end is None:
        return []
    instants = (row.opens_at + number * MINUTE for number in range(1, (close.at - row.opens_at) // MINUTE))
    return [
        Point(at, close.equity - end + then - _received(paid, at))
        for at in instants
        if at < close.at and (then := worth(at)) is not None
    ]


class _Prices:
    """The last close of a symbol at any time."""

    def __init__(self, minutes: Sequence[Minute]) -> None:
        self._ends = [minute.start + MINUTE for minute in minutes]
        self._closes = [minute.close for minute in minutes]

    def at(self, instant: dt.datetime) -> Decimal | None:
        place = bisect_right(self._ends, instant)
        return exact(self._closes[place - 1]) if place else None


def _received(fills: Sequence[FillRow], after: dt.datetime) -> Decimal:
    """Dollars that came in less those that went out, after `after`."""
    return sum(
        (fill.qty * fill.price * (1 if fill.side is Side.SELL else -1) for fill in fills if fill.at > after), Decimal(0)
    )
