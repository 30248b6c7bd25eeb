"""Asking the ledger, and showing its answer."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import typer
from msgspec import Struct
from msgspec.structs import replace

from cli.ledger import reading
from cli.ledger_rows import VerdictView, sessions_of, verdicts
from cli.market import a_date
from cli.options import settings_of_home
from cli.show import NEW_YORK, clock, print_json, print_table
from cli.trouble import Trouble
from shared.domain import calendar
from shared.domain.words import figures_in_words, reason_in_words

Ask = Callable[[sqlite3.Connection], Sequence[Struct]]
Words = Mapping[str, Callable[[str], str]]
AskSession = Callable[[sqlite3.Connection, dt.date | None], Sequence[Struct]]

NO_WORDS: Final[Words] = {}


def show(title: str, ask: Ask, columns: Mapping[str, str], as_json: bool, words: Words = NO_WORDS) -> None:
    """All rows. words: field → what a code of it means, for people. Raises Trouble where there is no ledger to ask."""
    with reading(settings_of_home().ledger) as database:
        found = ask(database)
    _print(title, found, columns, as_json, words)


def show_of_session(
    title: str, ask: AskSession, session: str | None, columns: Mapping[str, str], as_json: bool
) -> None:
    """Rows of `session`, else all. Raises Trouble, and NotASession for a day without trading."""
    with reading(settings_of_home().ledger) as database:
        wanted = _session(session, sessions_of(database))
        found = ask(database, wanted)
    _print(title if wanted is None else f"{title} of {wanted}", found, columns, as_json)


def show_why(symbol: str, time: str | None, session: str | None, as_json: bool) -> None:
    """Verdicts of `symbol`. Raises Trouble where it has none, naming those that have."""
    name = symbol.upper()
    with reading(settings_of_home().ledger) as database:
        wanted = _session(session, sessions_of(database)) or _latest_of(database, name)
        found = verdicts(database, name, wanted)
        if not found:
            raise Trouble(_nothing_of(database, name, wanted))
    if time is not None:
        found = standing(found, moment_of(time, wanted))
    if as_json:
        print_json(found)
        return
    typer.echo(f"{name}, session {wanted}, times of New York")
    for verdict in found:
        typer.echo(f"{clock(verdict.at)}  {reason_in_words(verdict.reason)} ({verdict.reason})")
        typer.echo(f"       {figures_in_words(verdict.figures)}")


def moment_of(time: str, session: dt.date) -> dt.datetime:
    """`10:20` of New York on that session, or a whole ISO 8601 time, as UTC. Raises Trouble."""
    try:
        if len(time) <= len("HH:MM:SS"):
            return dt.datetime.combine(session, dt.time.fromisoformat(time), NEW_YORK).astimezone(dt.UTC)
        moment = dt.datetime.fromisoformat(time)
    except ValueError:
        raise Trouble(f"{time!r} is no time: write HH:MM of New York, such as 10:20, or ISO 8601") from None
    return moment.replace(tzinfo=moment.tzinfo or NEW_YORK).astimezone(dt.UTC)


def standing(found: Sequence[VerdictView], moment: dt.datetime) -> list[VerdictView]:
    """The verdicts of the last instant at or before `moment` that has any. Raises Trouble where that is too early."""
    before = [verdict.at for verdict in found if verdict.at <= moment]
    if not before:
        raise Trouble(f"no verdict by {clock(moment)} New York: the first is of {clock(found[0].at)}")
    return [verdict for verdict in found if verdict.at == max(before)]


def _print(
    title: str, found: Sequence[Struct], columns: Mapping[str, str], as_json: bool, words: Words = NO_WORDS
) -> None:
    if as_json:
        print_json(found)
        return
    for field, meaning in words.items():
        found = [replace(row, **{field: meaning(code)}) if (code := getattr(row, field)) else row for row in found]
    print_table(title, found, columns, nothing=f"{title}: none")


def _session(text: str | None, known: Sequence[dt.date]) -> dt.date | None:
    if text is None:
        return None
    wanted = calendar.session(a_date("--session", text)).session
    if wanted not in known:
        have = f"it has {known[0]} to {known[-1]}, {len(known)} in all" if known else "it has none"
        raise Trouble(f"the ledger has no session {wanted}; {have}")
    return wanted


def _latest_of(database: sqlite3.Connection, symbol: str) -> dt.date:
    [[found]] = database.execute("SELECT max(session) FROM verdicts WHERE symbol = ?", (symbol,))
    if found is None:
        raise Trouble(_nothing_of(database, symbol, None))
    return dt.date.fromisoformat(found)


def _nothing_of(database: sqlite3.Connection, symbol: str, session: dt.date | None) -> str:
    known = [name for [name] in database.execute("SELECT DISTINCT symbol FROM verdicts ORDER BY symbol")]
    when = f"in session {session}" if session is not None else "in any session"
    have = f"there are some of {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" if known else "of no symbol"
    return f"no verdict on {symbol or repr(symbol)} {when}: it was no candidate; {have}"
