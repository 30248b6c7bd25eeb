"""A1 to A5: each order once, each share and each cent where both sides say it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Final

from cli.auditor.views import NOTHING, BrokerView, Finding, LedgerView, OrderRow, Sent, Terms

NEVER_SENT: Final = frozenset({"planned", "denied"})
AT_WORK: Final = {
    "new": frozenset({"accepted"}),
    "accepted": frozenset({"accepted"}),
    "held": frozenset({"submitted"}),
    "pending_new": frozenset({"submitted"}),
    "partially_filled": frozenset({"partially_filled"}),
    "pending_cancel": frozenset({"accepted", "partially_filled", "submitted"}),
    "pending_replace": frozenset({"accepted", "partially_filled", "submitted"}),
}
"""The broker's word for an order that is open -> what the ledger may call it once both know the same."""
TOLD_BY_A_PERSON: Final = "disowned-"
"""How the execution ids begin of shares that left the account without an execution, as a person says."""
NOT_SELLING: Final = frozenset({"held", "pending_new"})
"""A leg whose parent is not filled, or a replacement that does not stand yet: offers nothing."""


def one_order_an_id(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A1: one broker order for each id of ours, one entry for each session and symbol."""
    yield from (
        Finding("A1", name, f"{count} orders at the broker have this id")
        for name, count in Counter(sent.client_order_id for sent in broker.orders).items()
        if count > 1
    )
    entries: defaultdict[str, list[str]] = defaultdict(list)
    for sent in broker.orders:
        name = entry_name(sent.client_order_id, ledger.installation)
        if name is not None:
            entries[name].append(sent.client_order_id)
    for name, ids in entries.items():
        if len(ids) > 1:
            yield Finding("A1", name, f"{len(ids)} entries in one session: {', '.join(ids)}")
    yield from _bought_once(broker)


def _bought_once(broker: BrokerView) -> Iterator[Finding]:
    """No execution id comes twice."""
    if len({execution.id for execution in broker.executions}) == len(broker.executions):
        return
    for name, count in Counter(execution.id for execution in broker.executions).items():
        if count > 1:
            yield Finding("A1", name, f"the broker shows this execution {count} times")


def sent_only_after_a_claim(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A2, A9: whatever of ours is at the broker stands in the ledger, claimed, with the same terms."""
    rows = {row.client_order_id: row for row in ledger.orders}
    for sent in ours(broker, ledger):
        row = rows.get(sent.client_order_id)
        if row is None:
            yield Finding("A2", sent.client_order_id, f"{sent.status} at the broker, unknown to the ledger")
        elif row.status in NEVER_SENT:
            yield Finding("A9", row.client_order_id, f"{sent.status} at the broker, {row.status} in the ledger")
        elif differs := _terms(sent, row):
            yield Finding("A2", row.client_order_id, f"other terms at the broker: {differs}")


def _terms(sent: Sent, row: OrderRow) -> str:
    """Prices and quantity are the ledger's own when it is asked for; what a person changes, the ledger follows."""
    theirs = (sent.symbol, sent.side, sent.type, sent.time_in_force, sent.qty, sent.limit_price, sent.stop_price)
    qty = Decimal(row.qty)
    own = (row.symbol, row.side, row.type, row.time_in_force, qty, row.limit_price, row.stop_price)
    if theirs == own:
        return ""
    names = ("symbol", "side", "type", "time in force", "quantity", "limit", "stop")
    told = zip(names, theirs, own, strict=True)
    return ", ".join(f"{name} {broker}, not {ledger}" for name, broker, ledger in told if broker != ledger)


def orders_agree(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A2: every order that the ledger takes for sent is at the broker, in the same state; the legs too."""
    by_id = {sent.id: sent for sent in broker.orders}
    by_name = {sent.client_order_id: sent for sent in broker.orders}
    for row in ledger.orders:
        sent = by_id.get(row.broker_id or "") or by_name.get(row.client_order_id)
        if sent is None:
            if row.status not in NEVER_SENT and row.status not in ("absent", "rejected") and _within(broker, row):
                yield Finding("A2", row.client_order_id, f"{row.status} in the ledger, not at the broker")
            continue
        allowed = AT_WORK.get(sent.status, frozenset({sent.status}))
        if row.status not in allowed:
            yield Finding("A2", row.client_order_id, f"{sent.status} at the broker, {row.status} in the ledger")
    known = {row.broker_id for row in ledger.orders}
    for sent in ours(broker, ledger):
        for leg in sent.legs:
            if leg in by_id and leg not in known and by_id[leg].replaces is None:
                yield Finding("A2", f"{sent.client_order_id}-stop", "a leg at the broker that the ledger lacks")


def fills_are_the_brokers(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A3: every booked fill is an execution at the broker, to the share and cent, or what a person said of shares gone.

    Of those the shares are checked by A4: ledger and broker hold as many.
    """
    by_id = {execution.id: execution for execution in broker.executions}
    for fill in ledger.fills:
        real = by_id.get(fill.execution_id)
        if fill.execution_id.startswith(TOLD_BY_A_PERSON):
            continue
        if real is None:
            if broker.begins_at is None or fill.at >= broker.begins_at:
                yield Finding("A3", fill.execution_id, "booked, and no execution at the broker")
            continue
        own = (fill.broker_order_id, fill.symbol, fill.side, Decimal(fill.qty), fill.price)
        theirs = (real.order_id, real.symbol, real.side, real.qty, real.price)
        if own != theirs:
            yield Finding("A3", fill.execution_id, f"booked as {own}, the broker says {theirs}")


def all_fills_are_booked(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A3: every execution of an order of ours, its leg included, is booked."""
    booked = {fill.execution_id for fill in ledger.fills}
    of_ours = own_orders(broker, ledger)
    yield from (
        Finding("A3", execution.id, f"{execution.side} {execution.qty} {execution.symbol} is not booked")
        for execution in broker.executions
        if execution.order_id in of_ours and execution.id not in booked
    )


def orders_add_up(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A3: an order's filled shares and dollars are the sums of its fills, on both sides."""
    theirs: defaultdict[str, Decimal] = defaultdict(Decimal)
    for execution in broker.executions:
        theirs[execution.order_id] += execution.qty
    yield from (
        Finding("A3", sent.client_order_id, f"the broker shows {sent.filled_qty} filled, executions {theirs[sent.id]}")
        for sent in broker.orders
        if sent.filled_qty != theirs[sent.id] and (broker.begins_at is None or sent.created_at >= broker.begins_at)
    )
    shares: Counter[str] = Counter()
    dollars: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in ledger.fills:
        shares[fill.client_order_id] += fill.qty
        dollars[fill.client_order_id] += fill.qty * fill.price
    for row in ledger.orders:
        own = (row.filled_qty, row.filled_value)
        added = (shares[row.client_order_id], dollars[row.client_order_id])
        if own != added:
            yield Finding("A3", row.client_order_id, f"filled {own} in the ledger, its fills add up to {added}")
        if row.filled_qty > row.qty:
            yield Finding("A3", row.client_order_id, f"{row.filled_qty} filled of {row.qty}")


def positions_fold_from_fills(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A4: a position's shares and average price are those of its own fills."""
    bought: Counter[str] = Counter()
    sold: Counter[str] = Counter()
    paid: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in ledger.fills:
        if fill.side == "buy":
            bought[fill.position_id] += fill.qty
            paid[fill.position_id] += fill.qty * fill.price
        else:
            sold[fill.position_id] += fill.qty
    known = {row.position_id for row in ledger.positions}
    for row in ledger.positions:
        name = row.position_id
        taken_over = row.bought if name.startswith("adopted-") else 0
        added = (bought[name] + taken_over, sold[name])
        if (row.bought, row.sold) != added or row.qty != added[0] - added[1]:
            text = f"{row.bought} bought, {row.sold} sold, {row.qty} held; its fills say {added}"
            yield Finding("A4", name, text)
        elif bought[name] and abs(row.avg_price - paid[name] / bought[name]) > Decimal("0.000001"):
            yield Finding("A4", name, f"average {row.avg_price}, its fills {paid[name] / bought[name]}")
    for name in (bought.keys() | sold.keys()) - known:
        yield Finding("A4", name, "fills of a position that the ledger does not have")


def shares_agree(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A4: the broker's executions, the broker's position and the ledger's are one number, for every symbol."""
    theirs = {held.symbol: held.qty for held in broker.positions}
    own: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in ledger.positions:
        own[row.symbol] += row.qty
    foreign = {row.symbol: row.qty for row in ledger.foreign if row.kind == "shares"}
    for symbol in sorted(theirs.keys() | own.keys()):
        held = theirs.get(symbol, NOTHING)
        if held != own[symbol] + foreign.get(symbol, NOTHING):
            text = f"the broker holds {held}, the ledger {own[symbol]}, foreign {foreign.get(symbol, NOTHING)}"
            yield Finding("A4", symbol, text)
    if broker.begins_at is None:
        executed: defaultdict[str, Decimal] = defaultdict(Decimal)
        for execution in broker.executions:
            executed[execution.symbol] += execution.qty if execution.side == "buy" else -execution.qty
        for symbol in sorted(executed.keys() | theirs.keys()):
            if executed[symbol] != theirs.get(symbol, NOTHING):
                text = f"executions add up to {executed[symbol]}, the broker's position is {theirs.get(symbol, 0)}"
                yield Finding("A4", symbol, text)


def cash_agrees(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A3: cash is what was there at the beginning, less what was paid, plus what was received; in the ledger too."""
    if broker.opening_cash is not None:
        amounts = (
            execution.qty * execution.price * (1 if execution.side == "sell" else -1) for execution in broker.executions
        )
        cash = broker.opening_cash + sum(amounts, NOTHING)
        if cash != broker.cash:
            yield Finding("A3", "cash", f"executions leave {cash}, the broker has {broker.cash}")
    if ledger.cash != broker.cash and not any(row.kind == "shares" for row in ledger.foreign):
        yield Finding("A3", "cash", f"the broker has {broker.cash}, the ledger {ledger.cash}")


def never_short(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A5: at no execution were more shares sold than were held; nor did any sale of ours sell what was not ours."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    if broker.begins_at is None:
        for execution in broker.executions:
            held[execution.symbol] += execution.qty if execution.side == "buy" else -execution.qty
            if held[execution.symbol] < 0:
                yield Finding("A5", execution.symbol, f"short {-held[execution.symbol]} by {execution.id}")
    for row in ledger.positions:
        if row.qty < 0 or row.sold > row.bought:
            yield Finding("A5", row.position_id, f"{row.sold} sold of {row.bought} bought")


def never_offered_more_than_held(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A5: open sells never stand for more than is held, at the broker and in what the ledger has sent or will send."""
    theirs = {held.symbol: held.qty for held in broker.positions}
    offered: defaultdict[str, Decimal] = defaultdict(Decimal)
    for sent in broker.orders:
        if sent.side == "sell" and sent.is_open and sent.status not in NOT_SELLING:
            offered[sent.symbol] += sent.remaining
    yield from (
        Finding("A5", symbol, f"{shares} offered at the broker, {theirs.get(symbol, NOTHING)} held")
        for symbol, shares in offered.items()
        if shares > theirs.get(symbol, NOTHING)
    )
    held = Counter({row.symbol: 0 for row in ledger.positions})
    for row in ledger.positions:
        held[row.symbol] += row.qty
    for symbol, rows in _open_sells(ledger).items():
        asked = sum(row.qty - row.filled_qty for row in rows)
        if asked > held[symbol] and terms.only_we_sell and not _being_settled(rows):
            names = ", ".join(f"{row.client_order_id} {row.qty - row.filled_qty}" for row in rows)
            yield Finding("A5", symbol, f"{asked} to be sold, {held[symbol]} held: {names}")


def foreign_is_left_alone(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A13: no foreign order was cancelled or replaced, and what is foreign is named in the ledger."""
    own = own_orders(broker, ledger)
    for sent in broker.orders:
        if sent.id in own:
            continue
        if terms.only_we_cancel and sent.status in ("canceled", "replaced", "pending_cancel", "pending_replace"):
            yield Finding("A13", sent.client_order_id, f"a foreign order that is {sent.status}")
        named = any(row.kind == "order" and row.name == sent.id for row in ledger.foreign)
        if sent.is_open and not named:
            yield Finding("A13", sent.client_order_id, "a foreign order that the ledger does not name")


def own_orders(broker: BrokerView, ledger: LedgerView) -> set[str]:
    """The broker's ids of all orders that are ours, legs and what replaced them included."""
    found = {row.broker_id for row in ledger.orders if row.broker_id}
    for sent in ours(broker, ledger):
        found |= {sent.id, *sent.legs}
    return found


def _open_sells(ledger: LedgerView) -> dict[str, list[OrderRow]]:
    """Sells that the ledger has open, by symbol: of a replacement and what it replaces the one that is at work."""
    rows = [row for row in ledger.orders if row.side == "sell" and row.status not in OVER]
    replaced = {row.parent for row in rows if row.parent}
    found: dict[str, list[OrderRow]] = {}
    for row in rows:
        is_leg = row.client_order_id == f"{row.parent}-stop"
        if (is_leg and not row.resting) or (row.client_order_id in replaced and row.in_flight):
            continue
        found.setdefault(row.symbol, []).append(row)
    return found


def _being_settled(rows: list[OrderRow]) -> bool:
    """A sale filled and its word is on the way, or what is too much is being cancelled."""
    return all(row.resting or row.status in ("accepted", "partially_filled") for row in rows)


OVER: Final = frozenset({"filled", "rejected", "canceled", "expired", "replaced", "denied", "absent"})


def ours(broker: BrokerView, ledger: LedgerView) -> Iterator[Sent]:
    """The broker's orders with ids of this installation."""
    prefix = f"{ledger.installation}-"
    return (sent for sent in broker.orders if sent.client_order_id.startswith(prefix))


@lru_cache(maxsize=4096)
def entry_name(client_order_id: str, installation: str) -> str | None:
    """`190702-AAPL` of `e7f3-190702-AAPL-entry-1`; None for what is no entry of ours."""
    match = re.fullmatch(rf"{re.escape(installation)}-(\d{{6}}-.+)-entry-.+", client_order_id)
    return match[1] if match and not client_order_id.endswith("-stop") else None


def _within(broker: BrokerView, row: OrderRow) -> bool:
    """Whether the broker's lists must show the order. A leg that was replaced is in none of an API's lists."""
    return broker.begins_at is None or (row.planned_at >= broker.begins_at and row.status != "replaced")
