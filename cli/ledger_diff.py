"""Two ledgers compared row by row, and a row explained back to the message that caused it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer
from msgspec import Struct

from cli.ledger import reading
from cli.options import settings_of_home
from cli.show import print_json
from cli.trouble import DONE, NOT_WELL
from services.state.digest import DIGESTED, Row, difference, digest
from shared.runtime.settings import Settings

KEYS: Final[Mapping[str, int]] = {
    "verdicts": 5,
    "entry_intents": 1,
    "exit_intents": 1,
    "order_ledger": 1,
    "fills": 1,
    "positions": 1,
}
"""Table → how many of its first digested columns name a row."""

BEHIND: Final[Mapping[str, str]] = {
    "verdicts": "SELECT cause FROM verdicts WHERE (session, symbol, at, strategy, stage) = (?, ?, ?, ?, ?)",
    "entry_intents": "SELECT cause FROM entry_intents WHERE id = ?",
    "exit_intents": "SELECT cause FROM exit_intents WHERE id = ?",
    "order_ledger": "SELECT coalesce(nullif(intent, ''), nullif(parent, ''), cause) FROM order_ledger"
    " WHERE client_order_id = ?",
    "fills": "SELECT client_order_id FROM fills WHERE execution_id = ?",
}
"""Table → what stands directly behind a row of it."""

LONGEST_CHAIN: Final = 12


class LedgerDigest(Struct, frozen=True, kw_only=True):
    digest: str
    rows: dict[str, int]
    ledger: str


class Difference(Struct, frozen=True, kw_only=True):
    """The first row that differs. only_in: the home that has it, empty where both have it.

    changed: column to its two values. causes: what led to it, nearest first, down to a message of the market.
    """

    table: str
    key: tuple[Any, ...]
    only_in: str
    changed: dict[str, tuple[Any, Any]]
    causes: tuple[str, ...]


def show_digest(as_json: bool) -> int:
    """Print the digest of this home's ledger. Raises Trouble or LedgerRefused."""
    ledger = settings_of_home().ledger
    with reading(ledger) as database:
        counts = {
            table: int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - names of ours
            for table in DIGESTED
        }
        found = LedgerDigest(digest=digest(database), rows=counts, ledger=str(ledger.resolve()))
    if as_json:
        print_json(found)
    else:
        typer.echo(found.digest)
    return DONE


def show_difference(one: Path, other: Path, as_json: bool) -> int:
    """Print where two homes' ledgers part. Raises Trouble or LedgerRefused."""
    with reading(_ledger_of(one)) as left, reading(_ledger_of(other)) as right:
        found = first_difference(left, right, (str(one), str(other)))
    if as_json:
        print_json({"same": found is None, "difference": found})
    else:
        typer.echo("the same" if found is None else in_words(found, (str(one), str(other))))
    return DONE if found is None else NOT_WELL


def first_difference(left: sqlite3.Connection, right: sqlite3.Connection, names: tuple[str, str]) -> Difference | None:
    """The first row that differs, with what led to it; None where the ledgers are the same. names: of the two."""
    pair = difference(left, right)
    if pair is None:
        return None
    ours, theirs = pair
    if ours is not None and theirs is not None and _key(ours) == _key(theirs):
        before, after = json.loads(ours.values), json.loads(theirs.values)
        changed = {
            column: (old, new)
            for column, old, new in zip(DIGESTED[ours.table], before, after, strict=True)
            if old != new
        }
        return _difference(ours, "", changed, left)
    if theirs is None or (ours is not None and not _stands_in(right, ours)):
        assert ours is not None
        return _difference(ours, names[0], {}, left)
    return _difference(theirs, names[1], {}, right)


def in_words(found: Difference, names: tuple[str, str]) -> str:
    """The difference for people."""
    row = f"{found.table} {' '.join(str(part) for part in found.key)}"
    lines = [f"{row}: only in {found.only_in}" if found.only_in else f"{row}: differs"]
    for column, (old, new) in found.changed.items():
        lines += [f"  {column}", f"    {names[0]}: {old}", f"    {names[1]}: {new}"]
    return "\n".join([*lines, *(f"  because of {cause}" for cause in found.causes)])


def _difference(
    row: Row, only_in: str, changed: dict[str, tuple[Any, Any]], database: sqlite3.Connection
) -> Difference:
    _, key = _key(row)
    return Difference(
        table=row.table, key=key, only_in=only_in, changed=changed, causes=tuple(_causes(database, row.table, key))
    )


def _key(row: Row) -> tuple[str, tuple[Any, ...]]:
    return row.table, tuple(json.loads(row.values)[: KEYS[row.table]])


def _stands_in(database: sqlite3.Connection, row: Row) -> bool:
    """Whether a row with the same key is there."""
    table, key = _key(row)
    where = " AND ".join(f"{column} IS ?" for column in DIGESTED[table][: len(key)])
    return database.execute(f"SELECT 1 FROM {table} WHERE {where}", key).fetchone() is not None  # noqa: S608


def _causes(database: sqlite3.Connection, table: str, key: tuple[Any, ...]) -> Iterator[str]:
    """Fill → order → intent → message, as far as the ledger names them."""
    seen: set[str] = set()
    place: tuple[str, tuple[Any, ...]] | None = (table, key)
    while place is not None and len(seen) < LONGEST_CHAIN:
        table, key = place
        if table == "positions":
            cause = str(key[0])  # a position bears the name of the entry order that opened it
        else:
            found = database.execute(BEHIND[table], key).fetchone()
            cause = str(found[0]) if found is not None and found[0] else ""
        if not cause or cause in seen:
            return
        seen.add(cause)
        yield cause
        place = _place_of(database, cause)


def _place_of(database: sqlite3.Connection, name: str) -> tuple[str, tuple[Any, ...]] | None:
    """The table that has a row of this name; None for a message, which ends the chain."""
    for table in ("order_ledger", "entry_intents", "exit_intents"):
        column = DIGESTED[table][0]
        if database.execute(f"SELECT 1 FROM {table} WHERE {column} = ?", (name,)).fetchone():  # noqa: S608
            return table, (name,)
    return None


def _ledger_of(home: Path) -> Path:
    return Settings(home=home).ledger
