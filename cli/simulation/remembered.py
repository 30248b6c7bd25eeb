"""A database in memory that answers a question it was just asked without asking again.

A simulated session asks SQLite eighty thousand questions, and most tables have not changed since the last time. Every
statement passes here, so what is remembered of a table is forgotten with the next write to it.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

_TABLES: Final = re.compile(r"\b(?:FROM|JOIN) (\w+)", re.IGNORECASE)
_WRITE: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM|REPLACE INTO) (\w+)", re.IGNORECASE)
_BY_KEY: Final = re.compile(r"SELECT \w+ FROM (\w+) WHERE key = \?\Z")
"""Rows of this table are written one by one, by their key, and asked for in the same way."""
_OUTSIDE: Final = "sqlite_"
"""Tables of SQLite's own: they change without a statement that names them."""
MOST: Final = 20_000

Row = tuple[Any, ...]


class Rows:
    """What a question was answered, as much of a cursor as the store uses."""

    __slots__ = ("_rows",)

    def __init__(self, rows: list[Row]) -> None:
        self._rows = rows

    def fetchone(self) -> Row | None:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Row]:
        return self._rows

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)


class Remembering(sqlite3.Connection):
    """A connection. Rows are given again as long as nothing was written to a table that they come from."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reads: dict[str, tuple[str, ...]] = {}
        self._writes: dict[str, str] = {}
        self._changes: Counter[str] = Counter()
        self._known: dict[tuple[str, Any], tuple[list[int], Rows]] = {}

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """As sqlite3 does it; a SELECT gives `Rows`."""
        tables = self._reads.get(sql)
        if tables is not None:
            changes = [self._changes[table] for table in tables or parameters]
            known = self._known.get((sql, parameters))
            if known is not None and known[0] == changes:
                return known[1]
            if len(self._known) > MOST:
                self._known.clear()
            rows = Rows(super().execute(sql, parameters).fetchall())
            self._known[sql, parameters] = changes, rows
            return rows
        written = self._writes.get(sql)
        if written is None:
            return self._first_time(sql, parameters)
        self._changes[written] += 1
        if parameters:
            self._changes[parameters[0]] += 1
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3 does it."""
        self._changes[_written(sql)] += 1
        return super().executemany(sql, parameters)

    def _first_time(self, sql: str, parameters: Any) -> Any:
        """Learn what a statement does: reads tables, writes one, or neither. A rollback may undo anything."""
        if sql.lstrip().startswith("SELECT") and _OUTSIDE not in sql and isinstance(parameters, tuple):
            self._reads[sql] = () if _BY_KEY.match(sql) else tuple(set(_TABLES.findall(sql)))
            return self.execute(sql, parameters)
        if sql.startswith("ROLLBACK"):
            self._known.clear()
            return super().execute(sql, parameters)
        self._writes[sql] = _written(sql)
        self._known.clear()
        return self.execute(sql, parameters)


def _written(sql: str) -> str:
    match = _WRITE.match(sql)
    return match[1] if match else ""
