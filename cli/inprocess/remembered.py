"""A database in memory that answers a question it was just asked without asking again.

A session asks SQLite tens of thousands of questions, and most tables have not changed since the last time. Nobody else
can write to a database in memory, and every statement to it passes here: what is remembered of a table is forgotten
with the next write to it.
"""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

_TABLES: Final = re.compile(r"\b(?:FROM|JOIN) (\w+)", re.IGNORECASE)
_WRITE: Final = re.compile(r"\s*(?:INSERT INTO|UPDATE|DELETE FROM|REPLACE INTO) (\w+)", re.IGNORECASE)
_OUTSIDE: Final = "sqlite_"
"""Tables of SQLite's own: they change without a statement that names them."""

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


Answers = dict[Any, Rows]
"""To one question, by its parameters."""


class Remembering(sqlite3.Connection):
    """A connection. Rows are given again as long as nothing was written to a table that they come from."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._questions: dict[str, Answers] = {}
        self._from: defaultdict[str, list[Answers]] = defaultdict(list)
        self._written: dict[str, list[Answers]] = {}

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        """As sqlite3 does it; a SELECT gives `Rows`."""
        answers = self._questions.get(sql)
        if answers is not None:
            rows = answers.get(parameters)
            if rows is None:
                rows = answers[parameters] = Rows(super().execute(sql, parameters).fetchall())
            return rows
        stale = self._written.get(sql)
        if stale is None:
            return self._first_time(sql, parameters)
        for answers in stale:
            answers.clear()
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        """As sqlite3 does it."""
        for answers in self._from[_written(sql)]:
            answers.clear()
        return super().executemany(sql, parameters)

    def _first_time(self, sql: str, parameters: Any) -> Any:
        """Learn what a statement does: reads tables, writes one, or neither. A rollback may undo anything."""
        if sql.lstrip().startswith("SELECT") and _OUTSIDE not in sql and isinstance(parameters, tuple):
            answers = self._questions[sql] = Answers()
            for table in set(_TABLES.findall(sql)):
                self._from[table].append(answers)
            return self.execute(sql, parameters)
        if sql.startswith("ROLLBACK"):
            for answers in self._questions.values():
                answers.clear()
            return super().execute(sql, parameters)
        self._written[sql] = self._from[_written(sql)]
        return self.execute(sql, parameters)


def _written(sql: str) -> str:
    match = _WRITE.match(sql)
    return match[1] if match else ""
