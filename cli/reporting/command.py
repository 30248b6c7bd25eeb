"""`execution report` from its options to what it prints and writes."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from cli.ledger import reading
from cli.ledger_rows import sessions_of
from cli.market import a_date
from cli.options import settings_of_home
from cli.reporting.afterwards import price_of
from cli.reporting.csv_files import csv_files
from cli.reporting.minutes import market_of
from cli.reporting.page import page
from cli.reporting.reading import rows_of
from cli.reporting.report import Report, report_of
from cli.reporting.rows import Rows
from cli.reporting.terminal import print_report
from cli.show import print_json, tracked
from cli.trouble import Trouble
from shared.domain import calendar
from shared.runtime.settings import Settings

DOCTYPE: Final = b"<!DOCTYPE html>"
"""How a page begins."""


class Asked(Struct, frozen=True, kw_only=True):
    """The options of the command, as they were written."""

    date: str | None
    first: str | None
    last: str | None
    html: Path | None
    csv: Path | None


def run(asked: Asked, as_json: bool) -> None:
    """Print the report, and write it where that was asked for. Raises Trouble, NotASession, LedgerRefused."""
    settings = settings_of_home()
    _refuse_places(asked)
    report = report_on(settings, asked)
    written = write(report, asked)  # before anything is printed: whoever reads that may stop reading
    if as_json:
        print_json(report)
    else:
        print_report(report)
    for path in written:
        typer.echo(f"written: {path}", err=as_json)


def report_on(settings: Settings, asked: Asked) -> Report:
    """Raises Trouble where the ledger has nothing of what was asked for."""
    with reading(settings.ledger) as database:
        rows = rows_of(database, *_span(asked, database))
    if rows is None:
        raise Trouble("the ledger has no session between these days; `execution report` alone takes its latest")
    return report_of(rows, market_of(settings, wanted(rows), _with_a_bar), settings.stop)


def _with_a_bar(sessions: Sequence[dt.date]) -> Iterable[dt.date]:
    return tracked(sessions, "reading minutes")


def write(report: Report, asked: Asked) -> list[Path]:
    """The files that were asked for; earlier ones of their names are overwritten. Raises Trouble."""
    wanted = {asked.html: page(report)} if asked.html is not None else {}
    if asked.csv is not None:
        wanted |= {asked.csv / name: text for name, text in csv_files(report).items()}
    for path, text in wanted.items():
        try:
            if path.parent == asked.csv:
                asked.csv.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as fault:  # of a full disk it does not say which file
            raise Trouble(f"{path} cannot be written ({fault.strerror}): name another place") from None
    return list(wanted)


def _refuse_places(asked: Asked) -> None:
    """Before anything is worked out."""
    if asked.html is not None and asked.html.is_dir():
        raise Trouble(f"--html {asked.html} is a folder: name a file in it, such as {asked.html / 'report.html'}")
    if asked.html is not None and asked.html.is_file() and not _is_page(asked.html):
        raise Trouble(f"--html {asked.html} is there and is no page: name another file, or move that one away")
    for option, path in (("--html", asked.html), ("--csv", asked.csv)):
        if path is not None and not path.absolute().parent.is_dir():
            raise Trouble(f"{option} {path}: there is no folder {path.absolute().parent}; make it first")
    if asked.csv is not None and asked.csv.exists() and not asked.csv.is_dir():
        raise Trouble(f"--csv {asked.csv} is a file: name a folder, which gets one file for each table")


def _is_page(file: Path) -> bool:
    """Whether an earlier report may be there: a ledger or bars that are named by mistake must not be written over."""
    try:
        with open(file, "rb") as read:
            start = read.read(len(DOCTYPE))
    except OSError:
        return False
    return start in (b"", DOCTYPE)


def _span(asked: Asked, database: sqlite3.Connection) -> tuple[dt.date, dt.date]:
    known = sessions_of(database)
    if not known:
        raise Trouble("the ledger has no session yet: run `execution demo` or `execution up` first")
    if asked.date is not None and (asked.first is not None or asked.last is not None):
        raise Trouble("name one session, or --from and --to, not both")
    if asked.date is not None:
        day = calendar.session(a_date("DATE", asked.date)).session
        if day not in known:
            raise Trouble(f"the ledger has no session {day}; it has {known[0]} to {known[-1]}, {len(known)} in all")
        return day, day
    if asked.first is None and asked.last is None:
        return known[-1], known[-1]
    first = a_date("--from", asked.first) if asked.first is not None else known[0]
    last = a_date("--to", asked.last) if asked.last is not None else known[-1]
    if last < first and asked.first is not None and asked.last is not None:
        raise Trouble(f"--to {last} lies before --from {first}: exchange them")
    if last < known[0] or first > known[-1]:
        raise Trouble(f"the ledger has no session from {first} to {last}; it has {known[0]} to {known[-1]}")
    return first, last


def wanted(rows: Rows) -> dict[dt.date, set[str]]:
    """Session to the symbols that were held in it, or of which a breakout was refused."""
    found: dict[dt.date, set[str]] = {}
    for row in rows.sessions:
        for position in rows.positions:
            closed_at = position.closed_at
            if position.entered_at <= row.closes_at and (closed_at is None or closed_at >= row.opens_at):
                found.setdefault(row.session, set()).add(position.symbol)
    for verdict in rows.refused:
        if price_of(verdict, rows.entries.get(verdict.cause)) is not None:
            found.setdefault(verdict.session, set()).add(verdict.symbol)
    return found
