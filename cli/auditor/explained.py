"""A8, A10 and A12: every order leads back to a bar, every candidate has a reason, and nothing is left under way."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from typing import Final

from cli.auditor.books import OVER
from cli.auditor.views import ActionRow, BrokerView, Finding, LedgerView, OrderRow, Terms

CAUSE: Final = re.compile(r"(?:bars-\d+-|tick-)(\d{6}T\d{4})(?:-\w+)*\Z|decide-\d+-(\d{6}T\d{4})\Z")
"""What may stand behind a decision: the message that completed a minute, or the tick of one without bars."""
OUR_FAULT: Final = re.compile(
    r"could not be planned|could not be judged|did not settle it|sold more .* than was held"
    r"|of which the ledger holds none|is at the broker as|exists at the broker with other terms"
)
LEFT_OPEN: Final = frozenset({"planned", "claimed", "unresolved"})
OPEN_ACTIONS: Final = frozenset({"planned", "claimed", "sent", "unresolved"})
COMPARISON: Final = "reconcile"
"""The request that stands for a comparison of ledger and broker."""


def orders_lead_to_a_bar(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A10: order, its intent or its position, the entry's intent, the minute that confirmed it."""
    intents = {row.id for row in ledger.entries} | {row.id for row in ledger.exits}
    causes, people = _causes(ledger), _people(ledger)
    for row in ledger.orders:
        if row.intent and row.intent not in intents:
            yield Finding("A10", row.client_order_id, f"its intent {row.intent} is not in the ledger")
            continue
        way = _way(row, causes)
        if way[-1] not in people and (why := _no_bar(way[-1], terms)):
            yield Finding("A10", row.client_order_id, f"{why}: {' <- '.join(way)}")
    for intent in ledger.entries:
        if why := _no_bar(intent.cause, terms):
            yield Finding("A10", intent.id, why)


def way_to_the_bar(row: OrderRow, ledger: LedgerView) -> tuple[str, ...]:
    """What led to an order, back to a minute of the market, a person, or wherever the trail ends."""
    return _way(row, _causes(ledger))[1:]


def _way(row: OrderRow, causes: Mapping[str, str]) -> tuple[str, ...]:
    way = [row.client_order_id]
    cause = row.cause
    while cause and cause not in way:
        way.append(cause)
        cause = causes.get(cause, "")
    return tuple(way)


def _causes(ledger: LedgerView) -> dict[str, str]:
    """What led to each order, position and intent."""
    return {
        **{row.client_order_id: row.cause for row in ledger.orders},
        **{row.position_id: row.cause for row in ledger.positions},
        **{row.id: row.cause for row in ledger.entries},
        **{row.id: row.cause for row in ledger.exits},
    }


def _people(ledger: LedgerView) -> set[str]:
    """What needs no bar behind it: commands, and what was found at the broker."""
    return {row.cause for row in ledger.journal if row.kind.startswith("command_")} | {"reconciliation"}


def _no_bar(cause: str, terms: Terms) -> str:
    if not CAUSE.match(cause):
        return f"{cause!r} is no minute of the market"
    if terms.bars is not None and cause.startswith("bars-") and cause not in terms.bars:
        return f"{cause} was never published"
    return ""


def every_candidate_has_a_verdict(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A10: one for each candidate at each closed bar, as far as decisions were taken."""
    said = {(row.symbol, row.at) for row in ledger.verdicts if row.stage == "signals"}
    if not ledger.sessions or not ledger.decided:
        yield from ()
    session = max(ledger.sessions, key=lambda row: row.session)
    through = min(ledger.decided.values())
    for candidate in ledger.candidates:
        if not candidate.active or candidate.session != session.session or candidate.expires_at is not None:
            continue
        boundary = session.opens_at
        while boundary < min(through, session.closes_at):
            boundary = min(boundary + dt.timedelta(minutes=terms.span_minutes), session.closes_at)
            if candidate.since < boundary <= through and (candidate.symbol, boundary) not in said:
                yield Finding("A10", candidate.symbol, f"no verdict at {boundary:%m-%d %H:%M}")


def every_intent_ends_with_a_reason(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A10: an entry intent was ordered, or says why not, and the verdict that says so stands."""
    ordered = {row.intent for row in ledger.orders if row.kind == "entry"}
    judged = {row.cause for row in ledger.verdicts if row.stage in ("due", "arrival")}
    for intent in ledger.entries:
        if intent.status == "refused" and not intent.reason:
            yield Finding("A10", intent.id, "refused without a reason")
        if intent.status in ("working", "done") and intent.id not in ordered:
            yield Finding("A10", intent.id, f"{intent.status} without an order")
        if intent.judged_at is not None and intent.reason != "error" and intent.id not in judged:
            yield Finding("A10", intent.id, "judged, and no verdict says so")


def journal_is_whole(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A10: numbered without a gap, never back in time, and every fill and order is in it."""
    for place, row in enumerate(sorted(ledger.journal, key=lambda row: row.seq), 1):
        if row.seq != place:
            yield Finding("A10", f"journal {place}", f"missing; the next one is {row.seq}")
            break
    told = {(row.kind, row.order_id) for row in ledger.journal}
    for fill in ledger.fills:
        if ("fill", fill.client_order_id) not in told:
            yield Finding("A10", fill.execution_id, "a fill that the journal does not tell")
    lines = sum(row.kind == "fill" for row in ledger.journal)
    if lines != len(ledger.fills):
        yield Finding("A10", "journal", f"{lines} fills are told, {len(ledger.fills)} are booked")
    impossible = [row for row in ledger.journal if row.kind == "impossible_step"]
    yield from (Finding("A8", row.order_id, f"impossible step: {row.text}") for row in impossible)


def no_alarm_is_ours(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A12: state never said that it could not do its work. What the broker does gives other alerts."""
    for row in ledger.journal:
        if row.kind == "alert_critical" and (words := OUR_FAULT.search(row.text)):
            yield Finding("A12", row.symbol or words[0], row.text[:200])


def nothing_is_under_way(broker: BrokerView, ledger: LedgerView, terms: Terms) -> Iterator[Finding]:
    """A12: every request has an end, and every order of ours is resting or over."""
    yield from (
        Finding("A12", action.id, f"{action.kind} is {action.status}")
        for action in ledger.actions
        if action.status in OPEN_ACTIONS
    )
    for row in ledger.orders:
        is_leg = bool(row.parent) and row.client_order_id == f"{row.parent}-stop"
        if row.status in LEFT_OPEN and not is_leg:
            yield Finding("A12", row.client_order_id, f"left {row.status}")
        if row.in_flight and row.status in OVER:
            yield Finding("A12", row.client_order_id, f"{row.status}, and {row.in_flight} is still about it")


def comparing_writes_nothing(before: LedgerView, after: LedgerView, times: int) -> Iterator[Finding]:
    """A12: with nothing under way, ledger and broker were compared `times` times, and only that was written down."""
    made = len(_comparisons(after)) - len(_comparisons(before))
    if made != times:
        yield Finding("A12", "comparisons", f"{times} were asked for, {made} were made")
    if after.cash != before.cash:
        yield Finding("A12", "cash", f"comparing with the broker once more made {after.cash} of {before.cash}")
    for table in before.tables:
        was, now = _rows_of(before, table), _rows_of(after, table)
        changed = sorted(map(str, now - was or was - now))
        if changed:
            yield Finding("A12", table, f"comparing with the broker once more wrote {len(changed)}: {changed[0][:200]}")


def _comparisons(ledger: LedgerView) -> list[ActionRow]:
    return [action for action in ledger.actions if action.kind == COMPARISON and action.status == "done"]


def _rows_of(ledger: LedgerView, table: str) -> set[object]:
    rows = getattr(ledger, table)
    return {row for row in rows if not isinstance(row, ActionRow) or row.kind != COMPARISON}
