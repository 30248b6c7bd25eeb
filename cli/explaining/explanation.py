"""One order explained: from the bar that led to it to the trade that it is part of, out of rows of the ledger."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from cli.explaining.lookup import Found
from cli.ledger_rows import OrderView, VerdictView
from cli.reporting.trades import Trade
from services.state.model import EntryRow, ExitRow, Order
from services.state.records import ActionRow, FillRow, JournalRow, VerdictRow
from services.state.sizing import shares_at_scale
from shared.contracts.decisions import Figure
from shared.contracts.rules import SizeRules
from shared.contracts.vocabulary import OrderKind

BAR: Final = re.compile(r"(?:bars|decided)-\d+-(\d{6}T\d{4})\Z")
BACK: Final = 200
"""Orders of a chain of replacements that are followed at most: a ledger that is wrong must not hold this up."""


class Bar(Struct, frozen=True, kw_only=True):
    """What began it. cause: id of the message. ends_at: of the minute, UTC; None where no bar began it."""

    cause: str
    ends_at: dt.datetime | None


class Intent(Struct, frozen=True, kw_only=True):
    """A decision. Dollars. price: the close that it was decided on. due: of an entry. level: of a trim."""

    id: str
    kind: str
    at: dt.datetime
    due: dt.datetime | None
    reason: str
    status: str
    level: str
    price: float
    stop: Decimal | float | None
    pivot: float | None
    r1: float | None
    r2: float | None


class Size(Struct, frozen=True, kw_only=True):
    """Why so many shares (docs/strategy.md section 6). Dollars. wanted: base x scale x what the penalty leaves.

    most: the cap. limit: a share. risk: shares x (limit - stop). as_configured: the configuration gives the same
    shares; where it does not, it was another one then.
    """

    equity: float
    base_fraction: float
    scale: float
    penalty: float
    wanted: float
    most: float
    limit: float
    stop: float
    shares: int
    risk: float
    as_configured: bool


class Admission(Struct, frozen=True, kw_only=True):
    """What the account said. stage: `arrival` or `due`. size: where it was admitted."""

    at: dt.datetime
    stage: str
    outcome: str
    reason: str
    figures: dict[str, Figure]
    size: Size | None


class Request(Struct, frozen=True, kw_only=True):
    """What was asked of the broker. grants: how often an executor was let send it. misses: look-ups in vain."""

    id: str
    kind: str
    status: str
    attempts: int
    grants: int
    executor: str
    misses: int
    reason: str
    planned_at: dt.datetime
    ended_at: dt.datetime | None


class Said(Struct, frozen=True, kw_only=True):
    """One line of the journal."""

    at: dt.datetime
    kind: str
    text: str


class Filled(Struct, frozen=True, kw_only=True):
    """One execution."""

    at: dt.datetime
    execution: str
    side: str
    shares: int
    price: Decimal


class OrderStory(Struct, frozen=True, kw_only=True):
    """An order and everything about it. role: `asked`, `leg`, `replaces`, `replaced by` or `same intent`."""

    role: str
    kind: str
    order: OrderView
    time_in_force: str
    order_class: str
    leg_stop_price: Decimal | None
    broker_status: str
    note: str
    planned_at: dt.datetime
    first_fill_at: dt.datetime | None
    ended_at: dt.datetime | None
    requests: tuple[Request, ...]
    fills: tuple[Filled, ...]
    journal: tuple[Said, ...]


class Stop(Struct, frozen=True, kw_only=True):
    """From `at` on the stop was to lie at `price`, on this basis."""

    at: dt.datetime
    price: Decimal
    basis: str


class Explanation(Struct, frozen=True, kw_only=True):
    """order: our id, empty for an intent that came to none. stops, trade: of the position it belongs to."""

    order: str
    symbol: str
    bar: Bar
    verdicts: tuple[VerdictView, ...]
    intent: Intent | None
    admissions: tuple[Admission, ...]
    orders: tuple[OrderStory, ...]
    stops: tuple[Stop, ...]
    trade: Trade | None


class Evidence(Struct, frozen=True, kw_only=True):
    """Rows about one order or intent; all of its symbol, in the order of time. causes: of its orders and intents."""

    found: Found
    entry: EntryRow | None
    leave: ExitRow | None
    verdicts: tuple[VerdictRow, ...]
    orders: tuple[Order, ...]
    actions: tuple[ActionRow, ...]
    fills: tuple[FillRow, ...]
    journal: tuple[JournalRow, ...]
    stops: tuple[ExitRow, ...]
    trade: Trade | None
    views: dict[str, OrderView]
    causes: dict[str, str]


def explain(of: Evidence, rules: SizeRules) -> Explanation:
    """Put it together. Pure."""
    asked = next((order for order in of.orders if order.client_order_id == of.found.order), None)
    told = asked or of.entry or of.leave
    assert told is not None, of.found
    wanted = of.entry or of.leave
    return Explanation(
        order=of.found.order,
        symbol=told.symbol,
        bar=bar_of(root_cause(wanted.cause if wanted is not None else told.cause, of.causes)),
        verdicts=_verdicts(of),
        intent=_entry(of.entry) if of.entry is not None else _leave(of.leave) if of.leave is not None else None,
        admissions=_admissions(of, rules),
        orders=_orders(of, asked),
        stops=_stops(of),
        trade=of.trade,
    )


def bar_of(cause: str) -> Bar:
    """The minute that a cause names, if it names one."""
    match = BAR.match(cause)
    if match is None:
        return Bar(cause=cause, ends_at=None)
    return Bar(cause=cause, ends_at=dt.datetime.strptime(f"{match[1]}+0000", "%y%m%dT%H%M%z"))


def root_cause(cause: str, causes: Mapping[str, str]) -> str:
    """What led to the order or intent that led to it, and so on. causes: of every order and intent."""
    for _ in range(BACK):
        if causes.get(cause, cause) == cause:
            break
        cause = causes[cause]
    return cause


def size_of(figures: dict[str, Figure], rules: SizeRules) -> Size | None:
    """Why so many shares, by the figures of an admission; None where it has not all of them."""
    names = ("equity", "scale", "penalty", "limit", "stop", "shares")
    given = {name: float(value) for name in names if isinstance(value := figures.get(name), int | float)}
    if len(given) < len(names):
        return None
    equity, scale, penalty, limit, stop, shares = (given[name] for name in names)
    again = shares_at_scale(equity, limit, scale, rules, penalty=penalty) if equity > 0 and limit > 0 else 0
    return Size(
        equity=equity,
        base_fraction=rules.base_fraction,
        scale=scale,
        penalty=penalty,
        wanted=equity * rules.base_fraction * scale * (1 - penalty),
        most=equity * rules.max_fraction,
        limit=limit,
        stop=stop,
        shares=int(shares),
        risk=shares * (limit - stop),
        as_configured=again == int(shares),
    )


def chain(order: Order, known: Sequence[Order]) -> list[tuple[str, Order]]:
    """The order with its leg, what it replaced and what replaced it: role and order, by how they follow each other."""
    by_id = {one.client_order_id: one for one in known}
    before: list[tuple[str, Order]] = []
    older = by_id.get(order.parent)
    while older is not None and order.kind is not OrderKind.ENTRY and len(before) < BACK:
        before.insert(0, ("its entry" if older.kind is OrderKind.ENTRY else "replaces", older))
        older = by_id.get(older.parent) if older.kind is not OrderKind.ENTRY else None
    after: list[tuple[str, Order]] = []
    newer = _child(order, known)
    while newer is not None and len(after) < BACK:
        after.append(("leg" if not after and order.kind is OrderKind.ENTRY else "replaced by", newer))
        newer = _child(newer, known)
    return [*before, ("asked", order), *after]


def _child(order: Order, known: Sequence[Order]) -> Order | None:
    return next((one for one in known if one.parent == order.client_order_id), None)


def _verdicts(of: Evidence) -> tuple[VerdictView, ...]:
    """What the bars said when the intent was made."""
    if of.entry is None:
        return ()
    return tuple(
        VerdictView(at=row.at, symbol=row.symbol, outcome=row.outcome, reason=row.reason, figures=row.figures)
        for row in of.verdicts
        if row.stage == "signals" and row.at == of.entry.confirmed_at and row.strategy == of.entry.strategy
    )


def _admissions(of: Evidence, rules: SizeRules) -> tuple[Admission, ...]:
    if of.entry is None:
        return ()
    return tuple(
        Admission(
            at=row.at,
            stage=row.stage,
            outcome=row.outcome,
            reason=row.reason,
            figures=row.figures,
            size=size_of(row.figures, rules) if row.outcome == "admitted" else None,
        )
        for row in of.verdicts
        if row.stage != "signals" and row.cause == of.entry.id
    )


def _orders(of: Evidence, asked: Order | None) -> tuple[OrderStory, ...]:
    if asked is None:
        return ()
    found = chain(asked, of.orders)
    names = {order.client_order_id for _, order in found}
    others = [
        ("same intent", order)
        for order in of.orders
        if asked.intent and order.intent == asked.intent and order.client_order_id not in names
    ]
    return tuple(_story(of, role, order) for role, order in [*found, *others])


def _story(of: Evidence, role: str, order: Order) -> OrderStory:
    name = order.client_order_id
    requests = [action for action in of.actions if name in (action.order_id, action.target)]
    ids = {action.id for action in requests} | {name}
    return OrderStory(
        role=role,
        kind=order.kind,
        order=of.views[name],
        time_in_force=order.time_in_force,
        order_class=order.order_class,
        leg_stop_price=order.leg_stop_price,
        broker_status=order.broker_status,
        note=order.note,
        planned_at=order.planned_at,
        first_fill_at=order.first_fill_at,
        ended_at=order.ended_at,
        requests=tuple(
            Request(
                id=action.id,
                kind=action.kind,
                status=action.status,
                attempts=action.attempt,
                grants=action.grants,
                executor=action.executor,
                misses=action.misses,
                reason=action.reason,
                planned_at=action.planned_at,
                ended_at=action.ended_at,
            )
            for action in requests
        ),
        fills=tuple(
            Filled(at=fill.at, execution=fill.execution_id, side=fill.side, shares=fill.qty, price=fill.price)
            for fill in of.fills
            if fill.client_order_id == name
        ),
        journal=tuple(
            Said(at=row.at, kind=row.kind, text=row.text)
            for row in of.journal
            if row.order_id in ids or row.text.partition(":")[0] in ids
        ),
    )


def _stops(of: Evidence) -> tuple[Stop, ...]:
    """The first one with the entry, then every raise."""
    if of.trade is None:
        return ()
    first = (
        [Stop(at=of.trade.entered_at, price=of.trade.first_stop, basis="first_stop")]
        if of.trade.first_stop is not None
        else []
    )
    raised = [Stop(at=row.at, price=row.stop, basis=row.reason) for row in of.stops if row.stop is not None]
    return (*first, *raised)


def _entry(row: EntryRow) -> Intent:
    return Intent(
        id=row.id,
        kind="entry",
        at=row.confirmed_at,
        due=row.due,
        reason=row.reason,
        status=row.status,
        level="",
        price=row.confirm_close,
        stop=row.first_stop,
        pivot=row.pivot,
        r1=row.r1,
        r2=row.r2,
    )


def _leave(row: ExitRow) -> Intent:
    return Intent(
        id=row.id,
        kind=row.kind,
        at=row.at,
        due=None,
        reason=row.reason,
        status=row.status,
        level=row.level,
        price=row.price,
        stop=row.stop,
        pivot=None,
        r1=None,
        r2=None,
    )
