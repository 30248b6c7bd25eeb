"""Trades out of executions: what each position cost, brought, risked and lost to slippage.

Money is exact: a trade's profit is the fold of its executions (shared/domain/positions.py), and a sale's share of it is
by how much that sale moved the fold, so that the parts add up to the whole.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from msgspec import Struct

from cli.reporting.rows import Rows
from services.state.model import Order, Position
from services.state.records import FillRow, SplitRow
from shared.contracts.money import exact
from shared.contracts.vocabulary import OrderKind, Side
from shared.domain import calendar
from shared.domain.positions import Fill, Holding, book, split

CENTS: Final = Decimal("0.0001")
ADOPTED: Final = "adopted-"

Step = tuple[FillRow | SplitRow, Holding]
"""What happened, and the holding after it."""


class Sale(Struct, frozen=True, kw_only=True):
    """One execution that sold. reason: of its intent, or `stop`. profit: dollars, against the average price."""

    order: str
    kind: str
    reason: str
    at: dt.datetime
    shares: int
    price: Decimal
    profit: Decimal


class Slippage(Struct, frozen=True, kw_only=True):
    """What an order's executions cost against the price that was decided on; above zero is worse than it.

    reference: dollars a share. dollars: of all its shares. basis_points: of the reference. r: of the trade's risk.
    """

    order: str
    position: str
    symbol: str
    kind: str
    at: dt.datetime
    shares: int
    price: Decimal
    reference: Decimal
    dollars: Decimal
    basis_points: float
    r: float | None


class Trade(Struct, frozen=True, kw_only=True):
    """One position, as far as the report goes. Dollars, shares, UTC.

    bought, sold, held: in the shares after splits. bought_at, sold_at: averages. first_stop: of the entry's order.
    risk: dollars between what was paid and the first stop, None where there is none. realized: of what was sold.
    r_multiple: realized over risk. held_s: seconds from the first purchase to the last sale, or as far as the report
    goes. nights: closes in between. left_by: what sold the last share, empty while some are held.
    oversold: shares sold beyond what was held.
    """

    position: str
    symbol: str
    strategy: str
    entered_at: dt.datetime
    closed_at: dt.datetime | None
    bought: int
    bought_at: Decimal
    sold: int
    sold_at: Decimal | None
    held: int
    first_stop: Decimal | None
    risk: Decimal | None
    realized: Decimal
    r_multiple: float | None
    held_s: float
    nights: int
    left_by: str
    oversold: int
    sales: tuple[Sale, ...]


def trades(rows: Rows) -> tuple[Trade, ...]:
    """Every position of `rows`, in the order in which they were entered."""
    found = [_trade(rows, position) for position in rows.positions]
    return tuple(sorted(found, key=lambda trade: (trade.entered_at, trade.position)))


def slippages(rows: Rows, of: Sequence[Trade]) -> tuple[Slippage, ...]:
    """Of every order that was filled in these sessions and whose decision had a price, by time."""
    risks = {trade.position: trade.risk for trade in of}
    by_order: dict[str, list[FillRow]] = {}
    for fill in rows.fills:
        if fill.at >= rows.begins_at:
            by_order.setdefault(fill.client_order_id, []).append(fill)
    found = [
        slippage(order, fills, reference, risks.get(fills[0].position_id))
        for name, fills in by_order.items()
        if (order := rows.orders.get(name)) is not None and (reference := reference_of(rows, order)) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.at, one.order)))


def slippage(order: Order, fills: Sequence[FillRow], reference: Decimal, risk: Decimal | None) -> Slippage:
    """reference: dollars a share, above zero. risk: of the trade, dollars."""
    shares = sum(fill.qty for fill in fills)
    value = sum((fill.qty * fill.price for fill in fills), Decimal(0))
    worse = value - shares * reference if order.side is Side.BUY else shares * reference - value
    return Slippage(
        order=order.client_order_id,
        position=fills[0].position_id,
        symbol=order.symbol,
        kind=order.kind,
        at=min(fill.at for fill in fills),
        shares=shares,
        price=(value / shares).quantize(CENTS),
        reference=reference,
        dollars=worse,
        basis_points=round(float(worse / (shares * reference)) * 10_000, 4),
        r=multiple(worse, risk),
    )


def reference_of(rows: Rows, order: Order) -> Decimal | None:
    """The price that was decided on, dollars; None where nobody decided on one (an operator's or a foreign sale).

    Of an entry the last close when it was judged, of trims and exits the last close, of a stop its own price.
    """
    if order.kind is OrderKind.STOP:
        return order.stop_price
    if order.kind is OrderKind.ENTRY:
        entry = rows.entries.get(order.intent)
        return _dollars(entry.reference) if entry is not None else None
    leave = rows.exits.get(order.intent)
    return _dollars(leave.price) if leave is not None else None


def multiple(dollars: Decimal, risk: Decimal | None) -> float | None:
    """`dollars` in units of `risk`; None where the risk is unknown or none."""
    return round(float(dollars / risk), 6) if risk is not None and risk > 0 else None


def start_of(position: Position) -> Holding:
    """What a fold of its executions starts with: taken over shares have none of their own."""
    if not position.position_id.startswith(ADOPTED):
        return Holding()
    return Holding(
        bought=position.bought,
        paid=position.bought * position.avg_price,
        first_bought_at=position.entered_at,
        last_bought_at=position.last_entry_fill_at,
    )


def steps(
    start: Holding, fills: Iterable[FillRow], splits: Iterable[SplitRow]
) -> list[tuple[FillRow | SplitRow, Holding]]:
    """Every execution and split of one position with the holding after it, in the order in which state folds them."""
    happened: list[FillRow | SplitRow] = sorted([*fills, *splits], key=lambda one: one.at)
    holding, found = start, []
    for one in happened:
        if isinstance(one, SplitRow):
            holding = split(holding, one.new, one.old)
        else:
            holding = book(holding, as_fill(one))
        found.append((one, holding))
    return found


def as_fill(row: FillRow) -> Fill:
    return Fill(execution_id=row.execution_id, side=row.side, qty=row.qty, price=row.price, at=row.at)


def cost_of(holding: Holding) -> Decimal:
    """What the shares that are held cost, dollars: exactly what was paid and has not come back as cost of a sale."""
    return holding.paid - holding.received + holding.realized


def _trade(rows: Rows, position: Position) -> Trade:
    fills = [fill for fill in rows.fills if fill.position_id == position.position_id]
    splits = [row for row in rows.splits if row.position_id == position.position_id]
    start = start_of(position)
    folded = steps(start, fills, splits)
    end = folded[-1][1] if folded else start
    entry = rows.orders.get(position.position_id)
    first_stop = entry.leg_stop_price if entry is not None else None
    risk = _risk(fills, first_stop)
    closed_at = end.last_sold_at if end.bought and end.qty == 0 else None
    sales = _sales(rows, start, folded)
    return Trade(
        position=position.position_id,
        symbol=position.symbol,
        strategy=position.strategy,
        entered_at=position.entered_at,
        closed_at=closed_at,
        bought=end.bought,
        bought_at=end.avg_price.quantize(CENTS),
        sold=end.sold,
        sold_at=(end.received / end.sold).quantize(CENTS, ROUND_HALF_EVEN) if end.sold else None,
        held=end.qty,
        first_stop=first_stop,
        risk=risk,
        realized=end.realized,
        r_multiple=multiple(end.realized, risk),
        held_s=((closed_at or rows.ends_at) - position.entered_at).total_seconds(),
        nights=_nights(rows, position.entered_at, closed_at),
        left_by=sales[-1].reason if closed_at is not None and sales else "",
        oversold=end.oversold,
        sales=sales,
    )


def _risk(fills: Sequence[FillRow], first_stop: Decimal | None) -> Decimal | None:
    """Dollars from each purchase down to the first stop, in the shares and prices of the purchase."""
    bought = [fill for fill in fills if fill.side is Side.BUY]
    if first_stop is None or not bought:
        return None
    return sum((fill.qty * (fill.price - first_stop) for fill in bought), Decimal(0))


def _sales(rows: Rows, start: Holding, folded: Sequence[Step]) -> tuple[Sale, ...]:
    found: list[Sale] = []
    before = start
    for one, after in folded:
        if isinstance(one, FillRow) and one.side is Side.SELL and after.sold > before.sold:
            order = rows.orders.get(one.client_order_id)
            found.append(
                Sale(
                    order=one.client_order_id,
                    kind=order.kind if order is not None else "",
                    reason=_reason(rows, order),
                    at=one.at,
                    shares=after.sold - before.sold,
                    price=one.price,
                    profit=after.realized - before.realized,
                )
            )
        before = after
    return tuple(found)


def _reason(rows: Rows, order: Order | None) -> str:
    if order is None:
        return "not ours"
    if order.kind is OrderKind.STOP:
        return "stop"
    leave = rows.exits.get(order.intent)
    return leave.reason if leave is not None else str(order.kind)


def _nights(rows: Rows, entered_at: dt.datetime, closed_at: dt.datetime | None) -> int:
    """Closes of the exchange while it was held, as the calendar of days has them between the two dates."""
    end = closed_at or rows.ends_at
    days = calendar.sessions(entered_at.date(), end.date())
    return sum(entered_at < day.closes_at < end for day in days)


def _dollars(price: float | None) -> Decimal | None:
    return exact(price) if price is not None and price > 0 else None
