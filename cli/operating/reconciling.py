"""`execution reconcile`: ledger against broker, now, and what came of it."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Final

import typer
from msgspec import Struct

from cli.ledger import reading, rows
from cli.operating.asking import Told, code_of, made, told_of
from cli.operating.direct import CLOCK
from cli.options import settings_of_home
from cli.show import print_json
from cli.trouble import NOT_CONFIRMED, NOT_WELL
from services.state import store
from shared.contracts.commands import Reconcile

WITHIN_S: Final = 15.0
LOOK_S: Final = 0.05
QUIET: Final = frozenset({"command_done", "snapshot_partly_read"})


class Foreign(Struct, frozen=True):
    """Something at the broker that no record explains. price: dollars."""

    kind: str
    symbol: str
    qty: Decimal
    price: Decimal | None
    detail: str


class Compared(Struct, frozen=True, kw_only=True):
    """finished: the broker was read. happened: what state did about differences, in words. foreign: what stays."""

    text: str
    finished: bool
    happened: tuple[str, ...]
    foreign: tuple[Foreign, ...]


def reconcile(as_json: bool) -> int:
    """The exit code: 0 where both agree."""
    settings = settings_of_home()
    with reading(settings.ledger) as ledger:
        before, begun = _last_line(ledger), _last_comparison(ledger)
    told = told_of(settings, made(Reconcile))
    if not told.confirmed or not told.done:
        _show(Compared(text=told.text, finished=False, happened=(), foreign=()), as_json)
        return code_of(told)
    give_up = CLOCK.monotonic() + WITHIN_S
    finished = False
    while not finished and CLOCK.monotonic() < give_up:
        CLOCK.wait(LOOK_S)
        with reading(settings.ledger) as ledger:
            finished = _finished(ledger, begun)
    with reading(settings.ledger) as ledger:
        compared = _compared(ledger, told, before, finished=finished)
    _show(compared, as_json)
    if not finished:
        return NOT_CONFIRMED
    return NOT_WELL if compared.foreign else 0


def _last_line(ledger: sqlite3.Connection) -> int:
    return int(ledger.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])


def _last_comparison(ledger: sqlite3.Connection) -> int:
    """Rows of finished ones."""
    found = ledger.execute("SELECT count(*) FROM order_actions WHERE kind = 'reconcile' AND status = 'done'")
    return int(found.fetchone()[0])


def _finished(ledger: sqlite3.Connection, begun: int) -> bool:
    """One more is done, and none is under way: a first look at foreign shares asks for a second."""
    under_way = ledger.execute(
        "SELECT count(*) FROM order_actions WHERE kind = 'reconcile'"
        " AND status IN ('planned', 'claimed', 'sent', 'unresolved')"
    ).fetchone()[0]
    return _last_comparison(ledger) > begun and not under_way


def _compared(ledger: sqlite3.Connection, told: Told, before: int, *, finished: bool) -> Compared:
    said = rows(ledger, store.JOURNAL, "WHERE seq > ? ORDER BY seq", str(before))
    happened = tuple(f"{line.kind}: {line.text}" for line in said if line.kind not in QUIET)
    foreign = tuple(
        Foreign(item.kind, item.symbol, item.qty, item.price, item.detail)
        for item in rows(ledger, store.FOREIGN, "ORDER BY kind, name")
    )
    text = told.text if finished else f"the broker was not read in {WITHIN_S:.0f} s; see `execution status`"
    return Compared(text=text, finished=finished, happened=happened, foreign=foreign)


def _show(compared: Compared, as_json: bool) -> None:
    if as_json:
        print_json(compared)
        return
    typer.echo(compared.text)
    for line in compared.happened:
        typer.echo(f"  {line}")
    for item in compared.foreign:
        name = f" {item.symbol}" if item.symbol else ""
        typer.echo(f"NOT OURS: {item.kind}{name} {item.qty}: {item.detail}")
    if any(item.kind == "shares" for item in compared.foreign):
        typer.echo(
            "`execution adopt SYMBOL --stop PRICE` takes shares over, `execution disown SYMBOL --price PRICE` books"
            " missing ones as gone; what is sold at the broker goes away"
        )
    if compared.finished and not compared.happened and not compared.foreign:
        typer.echo("ledger and broker agree")
