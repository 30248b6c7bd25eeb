"""A7 and A8: what the rules allow to be bought and when, and that stops only rise."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from cli.auditor.books import entry_name, ours
from cli.auditor.views import NOTHING, BrokerView, Finding, JournalRow, LedgerView, Sent, Terms


def stops_only_rise(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A8: from a position's first stop to its last, in the order in which the broker took them."""
    rows = {row.broker_id: row for row in ledger.orders if row.broker_id}
    highest: dict[str, Sent] = {}
    splits = any("split" in key for key in ledger.notes)
    for sent in sorted(broker.orders, key=lambda sent: (sent.created_at, sent.number)):
        if sent.side == "buy" and entry_name(sent.client_order_id, ledger.installation):
            highest.pop(sent.symbol, None)  # a new position
        if sent.type != "stop" or sent.side != "sell" or sent.stop_price is None or sent.id not in rows:
            continue
        if sent.status == "rejected":
            continue
        before = highest.get(sent.symbol)
        if before is not None and before.stop_price is not None and sent.stop_price < before.stop_price and not splits:
            text = f"stop at {sent.stop_price} after one at {before.stop_price} ({before.client_order_id})"
            yield Finding("A8", rows[sent.id].client_order_id, text)
        if before is None or sent.stop_price >= (before.stop_price or NOTHING):
            highest[sent.symbol] = sent


def positions_and_orders(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A7: never more symbols held or being bought than allowed, never more entries in a session."""
    entries = [sent for sent in broker.orders if entry_name(sent.client_order_id, ledger.installation)]
    per_session = Counter(sent.client_order_id.split("-")[1] for sent in entries)
    yield from (
        Finding("A7", session, f"{count} entry orders in one session, {terms.max_orders} are allowed")
        for session, count in per_session.items()
        if count > terms.max_orders
    )
    for sent in entries:
        at_once = symbols_at(broker, entries, sent.created_at)
        if len(at_once) > terms.max_positions:
            text = f"{len(at_once)} symbols held or being bought when it was sent: {', '.join(sorted(at_once))}"
            yield Finding("A7", sent.client_order_id, text)


def symbols_at(broker: BrokerView, entries: list[Sent], at: dt.datetime) -> set[str]:
    """Symbols with shares, or with an entry at work, after everything that happened at `at`."""
    held: defaultdict[str, Decimal] = defaultdict(Decimal)
    own = {sent.symbol for sent in entries}
    for execution in broker.executions:
        if execution.at <= at and execution.symbol in own:
            held[execution.symbol] += execution.qty if execution.side == "buy" else -execution.qty
    working = {
        sent.symbol for sent in entries if sent.created_at <= at and ((end := sent.ended_at) is None or end > at)
    }
    return {symbol for symbol, qty in held.items() if qty > 0} | working


def entries_in_time(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A7: an entry goes out in its session, not before it is due, not when it is stale, not right before the close."""
    intents = {row.id: row for row in ledger.entries}
    sessions = {row.session: row for row in ledger.sessions}
    rows = {row.client_order_id: row for row in ledger.orders}
    for sent in ours(broker, ledger):
        row = rows.get(sent.client_order_id)
        if row is None or row.kind != "entry":
            continue
        intent, session = intents.get(row.intent), sessions.get(row.session)
        if intent is None or session is None:
            continue  # explained.py tells
        late = (sent.created_at - intent.due).total_seconds()
        if late < 0:
            yield Finding("A7", row.client_order_id, f"sent {-late:.0f} s before it was due")
        if late > terms.valid_for_s + 60:
            yield Finding("A7", row.client_order_id, f"sent {late:.0f} s after it was due")
        last = session.closes_at - dt.timedelta(seconds=terms.last_before_close_s)
        if not session.opens_at <= sent.created_at < last:
            yield Finding("A7", row.client_order_id, f"sent at {sent.created_at:%H:%M:%S}, outside its hours")


def entries_small_enough(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A7: one entry is at most its part of the session's opening equity and what was paid in or taken out since."""
    rows = {row.client_order_id: row for row in ledger.orders}
    equities = {row.session: row.opening_equity for row in ledger.sessions}
    moves = list(_moved(ledger))
    for sent in ours(broker, ledger):
        row = rows.get(sent.client_order_id)
        if row is None or row.kind != "entry" or sent.qty is None or sent.limit_price is None:
            continue
        opening = equities.get(row.session)
        if opening is None:
            continue
        equity = opening + next((moved for at, moved in reversed(moves) if at <= sent.created_at), Decimal(0))
        if sent.qty * sent.limit_price > terms.per_symbol * equity:
            text = f"{sent.qty} at {sent.limit_price} is more than {terms.per_symbol} of {equity}"
            yield Finding("A7", row.client_order_id, text)


def _moved(ledger: LedgerView) -> Iterator[tuple[dt.datetime, Decimal]]:
    """When money came or went, and how much since the opening of that session, dollars."""
    since_opening = Decimal(0)
    for row in sorted(ledger.journal, key=lambda row: row.seq):
        if row.kind == "session_equity":
            since_opening = Decimal(0)
        elif row.kind == "money_moved":
            since_opening += Decimal(row.text.partition(" ")[0].replace(",", ""))
        else:
            continue
        yield row.at, since_opening


def nothing_bought_while_stopped(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A7: no entry goes out between an operator's pause, halt or flatten and the resume."""
    levels = [(row.at, stops) for row in ledger.journal if (stops := _stops(row)) is not None]
    for sent in broker.orders:
        if entry_name(sent.client_order_id, ledger.installation) is None:
            continue
        before = [stops for at, stops in levels if at < sent.created_at]
        if before and before[-1]:
            yield Finding("A7", sent.client_order_id, f"bought at {sent.created_at:%H:%M:%S} while stopped")


def _stops(row: JournalRow) -> bool | None:
    """Whether the journal's line stops entries, or lets them go on; None: it is about something else."""
    if row.kind == "command_done":
        word = row.text.partition(" ")[0]
        if word in ("pause", "halt", "flatten"):
            return True
        return False if word == "resume" else None
    if row.kind == "halt_level":
        return "says none" not in row.text
    return None
