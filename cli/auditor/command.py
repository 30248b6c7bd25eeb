"""What `execution audit` does: reads both sides, compares them, and shows the session's orders with their causes.

The ledger is read while state may be writing it, and the broker a moment later: what is on its way looks like a
difference. So a difference counts if it is there in every one of a few readings.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import typer
from msgspec import Struct

from cli.auditor.audit import audit
from cli.auditor.books import own_orders
from cli.auditor.broker_side import of_answers, of_book_file
from cli.auditor.explained import way_to_the_bar
from cli.auditor.ledger_side import read_ledger
from cli.auditor.protection import uncovered
from cli.auditor.views import BrokerView, Finding, LedgerView, SessionRow, Terms
from cli.ledger import reading
from cli.market import a_date
from cli.options import settings_of_home
from cli.place import Place, broker_of, kept_place
from cli.show import print_json, print_table
from cli.trouble import DONE, NOT_WELL, Trouble
from services.executor.broker import Answer, Replied
from shared.runtime.settings import Settings

LAST: Final = "last"
BOOK: Final = "exchange.sqlite"
READINGS: Final = 3
PAUSE_S: Final = 2.0
HISTORY: Final = dt.timedelta(days=90)
"""How far back a broker's lists are read: a stop that is good till cancelled lives so long."""
TICK_S: Final = 60.0
CONDUCTED: Final = "tick_done"
"""The ledger's note of the last tick that a conductor gave; a live ledger has none."""


class Explained(Struct, frozen=True, kw_only=True):
    """One order of the session. causes: what led to it, back to the minute of the market."""

    order: str
    kind: str
    side: str
    qty: int
    status: str
    filled: int
    causes: tuple[str, ...]


class Gap(Struct, frozen=True, kw_only=True):
    """Shares that stood without cover. seconds: None where they still do. pending: beside an entry that was filling."""

    symbol: str
    shares: Decimal
    begins_at: dt.datetime
    seconds: float | None
    pending: bool


class Audited(Struct, frozen=True, kw_only=True):
    """What came of it. broker: which side the ledger was compared with."""

    session: str
    broker: str
    orders: tuple[Explained, ...]
    executions: int
    verdicts: int
    gaps: tuple[Gap, ...]
    findings: tuple[Finding, ...]


def show_audit(date: str, as_json: bool) -> int:
    """Show it; the exit code."""
    if date != LAST:
        a_date("DATE", date)
    settings = settings_of_home()
    place = kept_place(settings)
    ledger, broker = _read(settings, place)
    session = _session(ledger, date)
    terms = terms_of(settings, conducted=CONDUCTED in ledger.notes)
    found = audit(broker, ledger, terms)
    for _ in range(READINGS - 1):
        if not found:
            break
        time.sleep(PAUSE_S)
        ledger, broker = _read(settings, place)
        again = audit(broker, ledger, terms)
        found = tuple(finding for finding in found if finding in again)
    told = _told(session, broker, ledger, found, place)
    if as_json:
        print_json(told)
    else:
        _print(told)
    return NOT_WELL if found else DONE


def terms_of(settings: Settings, *, conducted: bool) -> Terms:
    """What the settings allow. conducted: trading time went by minutes, so an entry fills for a minute at least."""
    rules = settings.rules
    gap = 0.0 if conducted else rules.protection.max_gap
    return Terms(
        max_positions=rules.limits.max_positions,
        max_orders=rules.limits.max_orders,
        per_symbol=Decimal(str(rules.limits.per_symbol)),
        gross=Decimal(str(rules.limits.gross)),
        valid_for_s=rules.entry.valid_for,
        last_before_close_s=rules.entry.last_before_close,
        gap_s=gap,
        pending_s=TICK_S if conducted else rules.entry.partial_for + gap,
        span_minutes=rules.breakout.minutes,
    )


def _read(settings: Settings, place: Place) -> tuple[LedgerView, BrokerView]:
    with reading(settings.ledger) as database:
        ledger = read_ledger(database)
    return ledger, _broker(settings, place, ledger)


def _broker(settings: Settings, place: Place, ledger: LedgerView) -> BrokerView:
    book = settings.data_folder / BOOK
    if place.kind == "exchange" and book.exists():
        try:
            return of_book_file(book)
        except (sqlite3.Error, UnicodeDecodeError) as fault:
            raise Trouble(f"{book} cannot be read as a book of the exchange ({fault})") from None
    broker = broker_of(settings, place)
    account = broker.account()
    if place.kind == "exchange" and not isinstance(account, Replied):
        raise Trouble(
            f"nothing answers at {place.url}, and no exchange has kept a book in {settings.data_folder}: a backtest "
            "leaves none (audit a replay of it); else start the installation with `execution up`"
        )
    last = max((row.opens_at for row in ledger.sessions), default=dt.datetime.now(dt.UTC))
    since = min(last, dt.datetime.now(dt.UTC)) - HISTORY
    orders = _list(broker.orders_since(since), "orders", place)
    fills = _list(broker.fills_since(since), "executions", place)
    positions = _list(broker.positions(), "positions", place)
    if not isinstance(account, Replied) or not isinstance(account.body, dict):
        raise Trouble(f"the broker's account could not be read from {place.url}; try again", NOT_WELL)
    return of_answers(orders, fills, positions, account.body, begins_at=since)


def _list(answer: Answer, what: str, place: Place) -> list[dict[str, Any]]:
    """A list that could not be read is never an empty one."""
    if not isinstance(answer, Replied) or not isinstance(answer.body, list):
        raise Trouble(f"the broker's {what} could not be read from {place.url}; try again", NOT_WELL)
    return answer.body


def _session(ledger: LedgerView, date: str) -> SessionRow:
    known = sorted(ledger.sessions, key=lambda row: row.session)
    if not known:
        raise Trouble("the ledger has no session yet; nothing can be audited")
    if date == LAST:
        return known[-1]
    for row in known:
        if row.session == date:
            return row
    raise Trouble(f"the ledger has no session {date!r}: it has {known[0].session} to {known[-1].session}")


def _told(
    session: SessionRow, broker: BrokerView, ledger: LedgerView, found: Sequence[Finding], place: Place
) -> Audited:
    rows = sorted((row for row in ledger.orders if row.session == session.session), key=lambda row: row.planned_at)
    end = session.closes_at
    return Audited(
        session=session.session,
        broker=place.kind,
        orders=tuple(
            Explained(
                order=row.client_order_id,
                kind=row.kind,
                side=row.side,
                qty=row.qty,
                status=row.status,
                filled=row.filled_qty,
                causes=way_to_the_bar(row, ledger),
            )
            for row in rows
        ),
        executions=sum(session.opens_at <= one.at <= end for one in broker.executions),
        verdicts=sum(row.session == session.session for row in ledger.verdicts),
        gaps=tuple(
            Gap(
                symbol=gap.symbol,
                shares=gap.shares,
                begins_at=gap.begins_at,
                seconds=None if gap.ends_at is None else (gap.ends_at - gap.begins_at).total_seconds(),
                pending=gap.pending,
            )
            for gap in uncovered(broker, own_orders(broker, ledger))
            if session.opens_at <= gap.begins_at <= end
        ),
        findings=tuple(found),
    )


def _print(told: Audited) -> None:
    rows = [Line(one.order, one.status, f"{one.filled} of {one.qty}", " <- ".join(one.causes)) for one in told.orders]
    columns = {"order": "order", "status": "status", "filled": "filled", "cause": "because of"}
    print_table(f"Orders of {told.session}", rows, columns, f"no orders in {told.session}")
    open_now = sum(gap.seconds is None for gap in told.gaps)
    longest = max((gap.seconds or 0.0 for gap in told.gaps), default=0.0)
    typer.echo(
        f"{len(told.orders)} orders, {told.executions} executions at the broker ({told.broker}), "
        f"{told.verdicts} verdicts; {len(told.gaps)} times shares stood without a stop, {longest:.0f} s at most"
        + (f", {open_now} now" if open_now else "")
    )
    for finding in told.findings:
        typer.echo(f"{finding.invariant} {finding.subject}: {finding.text}")
    typer.echo("nothing is off" if not told.findings else f"{len(told.findings)} things are off")


class Line(Struct, frozen=True):
    """An order as the table shows it."""

    order: str
    status: str
    filled: str
    cause: str
