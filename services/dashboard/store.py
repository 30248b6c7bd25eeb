"""Reading the ledger, which state writes: a read-only handle, one short transaction a look.

Without a writer that left a `-wal` the file is opened as unchanging, which needs no write permission; it is opened
anew when a writer comes (docs/operating.md).
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from services.dashboard.rows import (
    Breakout,
    Closed,
    Held,
    JournalLine,
    JournalPage,
    LedgerView,
    Money,
    StopMove,
    Story,
    Traded,
    Watched,
    Working,
)
from shared.contracts.vocabulary import NOT_A_CONFIRMATION
from shared.domain.words import why_in_words

SCHEMA: Final = 1
"""The version of the ledger that this page reads; services/state/migrations has as many files."""
BUSY_S: Final = 1.0
OPEN: Final = "status NOT IN ('filled', 'rejected', 'canceled', 'expired', 'replaced', 'denied', 'absent')"

_HELD: Final = """
SELECT p.*, e.stop_price AS first_stop, coalesce(s.resting, 0) AS resting
FROM positions p
LEFT JOIN order_ledger o ON o.client_order_id = p.position_id
LEFT JOIN entry_intents e ON e.id = o.intent
LEFT JOIN (
    SELECT symbol, sum(qty - filled_qty) AS resting FROM order_ledger
    WHERE kind = 'stop' AND resting = 1 GROUP BY symbol
) s ON s.symbol = p.symbol
WHERE p.qty > 0 ORDER BY p.symbol
"""
_LATEST: Final = "max(at || CASE stage WHEN 'signals' THEN 0 WHEN 'arrival' THEN 1 ELSE 2 END)"
_NO_CONFIRMATION: Final = ", ".join(f"'{reason.value}'" for reason in sorted(NOT_A_CONFIRMATION))
_WATCHED: Final = f"""
SELECT c.symbol, c.strategy, c.source, c.active, c.spent, c.sector, c.note, c.pivot AS scan_pivot,
       v.at, v.reason, v.figures, b.at AS chance_at, b.reason AS chance
FROM candidates c
LEFT JOIN (
    SELECT symbol, strategy, at, reason, figures, {_LATEST}
    FROM verdicts WHERE session = :session GROUP BY symbol, strategy
) v ON v.symbol = c.symbol AND v.strategy = c.strategy
LEFT JOIN (
    SELECT symbol, strategy, at, reason, {_LATEST}
    FROM verdicts WHERE session = :session AND reason NOT IN ({_NO_CONFIRMATION}) GROUP BY symbol, strategy
) b ON b.symbol = c.symbol AND b.strategy = c.strategy
ORDER BY c.symbol, c.strategy
"""  # noqa: S608 - words of this program
_TRADED: Final = """
SELECT f.at, f.side, f.qty, f.price, o.kind, coalesce(x.reason, '') AS exit_reason, coalesce(x.level, '') AS level,
       e.confirm_close, e.pivot
FROM fills f
JOIN order_ledger o ON o.client_order_id = f.client_order_id
LEFT JOIN exit_intents x ON x.id = o.intent
LEFT JOIN entry_intents e ON e.id = o.intent
WHERE f.symbol = :symbol AND f.at >= :opens AND f.at <= :closes ORDER BY f.at, f.execution_id
"""
_STOPS: Final = """
SELECT f.first AS at, e.stop_price AS stop, 'first_stop' AS reason
FROM entry_intents e JOIN order_ledger o ON o.intent = e.id AND o.kind = 'entry'
JOIN (SELECT client_order_id, min(at) AS first FROM fills GROUP BY client_order_id) f USING (client_order_id)
WHERE e.symbol = :symbol
UNION ALL
SELECT at, stop, reason FROM exit_intents WHERE symbol = :symbol AND kind = 'stop' AND status = 'done'
UNION ALL
SELECT closed_at, NULL, 'closed' FROM positions WHERE symbol = :symbol AND closed_at IS NOT NULL
ORDER BY at
"""

Row = TypeVar("Row", bound=Struct)


DAMAGE: Final = (sqlite3.Error, UnicodeDecodeError, msgspec.DecodeError)
"""What a damaged ledger raises: SQLite itself, its message where that quotes the damage, or a row's JSON."""


class Unreadable(Exception):
    """The ledger cannot be read now; the text is one line for a person."""


class Ledger:
    """A handle that stays open. For one thread alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._opened_as: tuple[int, bool] | None = None
        self._version = -1

    def changed(self) -> LedgerView | None:
        """The ledger as it is now; None where it is as it was at the last look. Raises Unreadable."""
        try:
            database = self._handle()
            version = database.execute("PRAGMA data_version").fetchone()[0]
            if version == self._version:
                return None
            view = _view(database)
            self._version = version
        except DAMAGE as fault:
            self.close()
            raise Unreadable(f"the ledger cannot be read: {fault}") from None
        except BaseException:
            self.close()
            raise
        return view

    def close(self) -> None:
        """Let go of the file; the next look opens it again."""
        if self._database is not None:
            self._database.close()
        self._database, self._opened_as, self._version = None, None, -1

    def _handle(self) -> sqlite3.Connection:
        stands = _stands(self._path)
        if self._database is not None and stands != self._opened_as:
            self.close()  # another file stands there, or a writer came
        if self._database is None:
            self._database = _open(self._path)
            self._opened_as = stands
        return self._database


def read_journal(path: Path, words: Sequence[str], kinds: Sequence[str], offset: int, limit: int) -> JournalPage:
    """Rows that hold every one of `words` somewhere, newest first. kinds: patterns, one of which fits; none: all.

    Raises Unreadable.
    """
    text = "kind || ' ' || symbol || ' ' || order_id || ' ' || text"
    conditions = [f"({text}) LIKE :word{n} ESCAPE '\\'" for n, _ in enumerate(words)]
    values: dict[str, Any] = {f"word{n}": f"%{_literal(word)}%" for n, word in enumerate(words)}
    if kinds:
        conditions.append("(" + " OR ".join(f"kind LIKE :kind{n} ESCAPE '\\'" for n, _ in enumerate(kinds)) + ")")
        values |= {f"kind{n}": kind for n, kind in enumerate(kinds)}
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    with _reading(path) as database:
        [[matches]] = database.execute(f"SELECT count(*) FROM journal {where}", values).fetchall()  # noqa: S608
        found = database.execute(
            f"SELECT seq, at, kind, symbol, order_id, text FROM journal {where} "  # noqa: S608 - conditions are ours
            "ORDER BY seq DESC LIMIT :limit OFFSET :offset",
            {**values, "limit": limit, "offset": offset},
        ).fetchall()
    return JournalPage(lines=tuple(_struct(JournalLine, row) for row in found), matches=matches)


def read_story(path: Path, symbol: str) -> Story | None:
    """What happened to `symbol` in the latest session; None before the first. Raises Unreadable."""
    with _reading(path) as database:
        session = database.execute("SELECT * FROM sessions ORDER BY session DESC LIMIT 1").fetchone()
        if session is None:
            return None
        values = {
            "symbol": symbol,
            "session": session["session"],
            "opens": session["opens_at"],
            "closes": session["closes_at"],
        }
        breakouts = _breakouts(database, values)
        levels = _levels(database, values, breakouts)
        traded = [_traded(row) for row in database.execute(_TRADED, values)]
        stops = [_struct(StopMove, row) for row in database.execute(_STOPS, values)]
        now = database.execute("SELECT value FROM meta WHERE key = 'now'").fetchone()
    return Story(
        symbol=symbol,
        session=dt.date.fromisoformat(values["session"]),
        opens_at=dt.datetime.fromisoformat(values["opens"]),
        closes_at=dt.datetime.fromisoformat(values["closes"]),
        now=dt.datetime.fromisoformat(now["value"] if now is not None else values["opens"]),
        pivot=levels.get("pivot"),
        r1=levels.get("r1"),
        r2=levels.get("r2"),
        breakouts=tuple(breakouts),
        traded=tuple(traded),
        stops=tuple(stops),
    )


def _view(database: sqlite3.Connection) -> LedgerView:
    database.execute("BEGIN")
    try:
        notes = dict(database.execute("SELECT key, value FROM meta").fetchall())
        session = database.execute("SELECT * FROM sessions ORDER BY session DESC LIMIT 1").fetchone()
        day = session["session"] if session is not None else ""
        orders = _all(database, Working, f"SELECT * FROM order_ledger WHERE {OPEN} ORDER BY symbol, planned_at")  # noqa: S608
        return LedgerView(
            session=dt.date.fromisoformat(day) if day else None,
            opens_at=dt.datetime.fromisoformat(session["opens_at"]) if day else None,
            closes_at=dt.datetime.fromisoformat(session["closes_at"]) if day else None,
            now=dt.datetime.fromisoformat(notes["now"]) if "now" in notes else None,
            installation=notes.get("installation", ""),
            money=next(iter(_all(database, Money, "SELECT * FROM account WHERE session IS NOT NULL")), None),
            held=_all(database, Held, _HELD),
            closed=_all(
                database, Closed, "SELECT * FROM positions WHERE closed_at >= ? ORDER BY closed_at", day or "~"
            ),
            orders=orders,
            unresolved=tuple(order.client_order_id for order in orders if order.status == "unresolved"),
            candidates=tuple(_watched(row) for row in database.execute(_WATCHED, {"session": day})),
            unprotected_share_seconds=float(notes.get("unprotected_share_seconds") or 0),
            foreign=tuple(
                f"{kind}: {symbol or name}"
                for kind, name, symbol in database.execute("SELECT kind, name, symbol FROM foreign_items ORDER BY 1, 2")
            ),
            journal_end=database.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0],
        )
    finally:
        database.execute("ROLLBACK")


def _watched(row: sqlite3.Row) -> Watched:
    figures = msgspec.json.decode(row["figures"]) if row["figures"] else {}
    pivot = figures.get("pivot", row["scan_pivot"])
    return msgspec.convert({**dict(row), "figures": figures, "pivot": pivot}, type=Watched, strict=False)


def _breakouts(database: sqlite3.Connection, values: dict[str, Any]) -> list[Breakout]:
    """Confirmations with what became of them: the latest reason after the bars had spoken."""
    found = database.execute(
        "SELECT v.at, v.figures, coalesce(e.reason, '') AS outcome FROM verdicts v"
        " LEFT JOIN entry_intents e ON e.symbol = v.symbol AND e.confirmed_at = v.at AND e.strategy = v.strategy"
        " WHERE v.session = :session AND v.symbol = :symbol AND v.stage = 'signals' AND v.outcome = 'confirmed'"
        " ORDER BY v.at",
        values,
    ).fetchall()
    return [
        msgspec.convert(
            {**msgspec.json.decode(row["figures"]), "confirmed_at": row["at"], "outcome": row["outcome"]},
            type=Breakout,
            strict=False,
        )
        for row in found
    ]


def _levels(database: sqlite3.Connection, values: dict[str, Any], breakouts: list[Breakout]) -> dict[str, float]:
    """Pivot, R1 and R2: those of what is held, else of the latest confirmation, else of the latest verdict."""
    held = database.execute("SELECT pivot, r1, r2 FROM positions WHERE symbol = :symbol AND qty > 0", values).fetchone()
    if held is not None:
        return {name: held[name] for name in ("pivot", "r1", "r2") if held[name] is not None}
    if breakouts:
        last = breakouts[-1]
        return {"pivot": last.pivot, "r1": last.r1, "r2": last.r2}
    said = database.execute(
        "SELECT figures FROM verdicts WHERE session = :session AND symbol = :symbol AND stage = 'signals'"
        " ORDER BY at DESC LIMIT 1",
        values,
    ).fetchone()
    figures = msgspec.json.decode(said["figures"]) if said is not None else {}
    return {name: figures[name] for name in ("pivot", "r1", "r2") if isinstance(figures.get(name), float | int)}


def _traded(row: sqlite3.Row) -> Traded:
    return msgspec.convert({**dict(row), "reason": _why(row)}, type=Traded, strict=False)


def _why(row: sqlite3.Row) -> str:
    match row["kind"]:
        case "entry" if row["confirm_close"] is not None:
            return f"broke out and held: {row['confirm_close']:,.2f} above {row['pivot']:,.2f}"
        case "trim":
            return f"reached {row['level'].upper()}"
        case "stop":
            return "its stop was reached"
        case "flat":
            return "sold by order of a person"
        case _:
            return why_in_words(row["exit_reason"])


def _literal(word: str) -> str:
    """`word` so that LIKE takes it letter by letter."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _all(database: sqlite3.Connection, kind: type[Row], question: str, *values: str) -> tuple[Row, ...]:
    return tuple(_struct(kind, row) for row in database.execute(question, values))


def _struct(kind: type[Row], row: sqlite3.Row) -> Row:
    """A result row as a struct: columns by name, those that it has no field for left out."""
    return msgspec.convert(dict(row), type=kind, strict=False)


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(_open(path)) as database:
            database.execute("BEGIN")
            yield database
    except DAMAGE as fault:
        raise Unreadable(f"the ledger cannot be read: {fault}") from None


def _stands(path: Path) -> tuple[int, bool] | None:
    """Which file stands there, and whether a writer's -wal stands beside it."""
    try:
        return path.stat().st_ino, path.with_name(path.name + "-wal").exists()
    except OSError:
        return None


def _open(path: Path) -> sqlite3.Connection:
    stands = _stands(path)
    if stands is None:
        raise Unreadable(f"no ledger at {path} yet: state makes it when it starts")
    mode = "mode=ro" if stands[1] else "mode=ro&immutable=1"
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?{mode}", uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False
    )
    database.row_factory = sqlite3.Row
    try:
        version = database.execute("PRAGMA user_version").fetchone()[0]
    except BaseException:
        database.close()
        raise
    if version != SCHEMA:
        database.close()
        raise Unreadable(f"the ledger has schema {version}, this page reads {SCHEMA}: use programs of one release")
    return database
