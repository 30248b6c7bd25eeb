"""A6: every share held has a resting stop or a sale at work at every instant, by the broker's own history."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from msgspec import Struct

from cli.auditor.books import own_orders
from cli.auditor.views import NOTHING, BrokerView, Executed, Finding, LedgerView, Sent, Terms


class Uncovered(Struct, frozen=True):
    """Shares of a symbol that stood open from one instant to another. pending: beside an entry that was filling."""

    symbol: str
    shares: Decimal
    begins_at: dt.datetime
    ends_at: dt.datetime | None
    pending: bool


def every_share_is_covered(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """No gap longer than its bound. What stands open now counts as long as the latest thing that happened is ago."""
    for gap in uncovered(broker, own_orders(broker, ledger)):
        bound = terms.pending_s if gap.pending else terms.gap_s
        if gap.ends_at is None or (gap.ends_at - gap.begins_at).total_seconds() > bound:
            until = f"{gap.ends_at:%m-%d %H:%M:%S}" if gap.ends_at else "now"
            text = f"{gap.shares} shares without cover from {gap.begins_at:%m-%d %H:%M:%S} to {until}"
            yield Finding("A6", gap.symbol, text)


def uncovered(broker: BrokerView, own: set[str]) -> Iterator[Uncovered]:
    """Every gap there ever was. own: the broker's ids of our orders; what others hold is theirs to protect."""
    for symbol in sorted({sent.symbol for sent in broker.orders if sent.id in own}):
        orders = [sent for sent in broker.orders if sent.symbol == symbol and sent.id in own]
        executions = [one for one in broker.executions if one.symbol == symbol and one.order_id in own]
        yield from _gaps(symbol, orders, executions, {sent.id: sent for sent in orders})


def _gaps(symbol: str, orders: list[Sent], executions: list[Executed], by_id: dict[str, Sent]) -> Iterator[Uncovered]:
    sells = [(sent, start) for sent in orders if (start := _rests_from(sent, by_id)) is not None]
    entries = [sent for sent in orders if sent.side == "buy" and sent.order_class == "oto"]
    instants = sorted(
        {execution.at for execution in executions}
        | {start for _, start in sells}
        | {end for sent in orders if (end := sent.ended_at) is not None}
    )
    open_since: dt.datetime | None = None
    shares, pending = NOTHING, False
    for instant in instants:
        # As it stands after everything of this instant: what happens at one instant is no gap.
        held = sum((_signed(one) for one in executions if one.at <= instant), NOTHING)
        sold: defaultdict[str, Decimal] = defaultdict(Decimal)
        for one in executions:
            if one.at <= instant:
                sold[one.order_id] += one.qty
        covered = sum(
            (
                (sent.qty or NOTHING) - sold[sent.id]
                for sent, start in sells
                if start <= instant and _is_open(sent, instant)
            ),
            NOTHING,
        )
        filling = any(sent.created_at <= instant and _is_open(sent, instant) for sent in entries)
        missing = max(held - covered, NOTHING)
        if open_since is not None and (missing == 0 or filling != pending):
            yield Uncovered(symbol, shares, open_since, instant, pending)
            open_since = None
        if missing and open_since is None:
            open_since, shares, pending = instant, missing, filling
    if open_since is not None:
        yield Uncovered(symbol, shares, open_since, None, pending)


def _rests_from(sent: Sent, by_id: dict[str, Sent]) -> dt.datetime | None:
    """From when on a sell can trade: a leg from its entry's last fill; None: it never could."""
    if sent.side != "sell":
        return None
    if sent.parent is None or sent.replaces is not None:
        return sent.created_at
    entry = by_id.get(sent.parent)
    return entry.filled_at if entry is not None else sent.created_at


def _is_open(sent: Sent, instant: dt.datetime) -> bool:
    end = sent.ended_at
    return end is None or end > instant


def _signed(execution: Executed) -> Decimal:
    return execution.qty if execution.side == "buy" else -execution.qty
