"""The ledger's file: SQLite, one writer, and every statement that touches it.

One writer at a time: `flock` on `<file>.lock` for the life of the store, and `writer_epoch` in the ledger, raised at
the start and compared in every transaction, so that a writer that was frozen while another took over is refused when
it wakes up. This process never opens the database file in any other way: closing such a handle would drop SQLite's
own locks (docs/decisions).

    LedgerFault        the disk or the file did not do it; the transaction is rolled back
        LedgerFull     no room; the same batch may be tried again
        Fenced         another writer took over: this one must end
    LedgerRefused      not to be opened; the text is one line
        LedgerNewer    written by a newer version of this program
        LedgerDamaged  not a whole ledger
"""

from __future__ import annotations

import datetime as dt
import fcntl
import importlib.resources
import os
import sqlite3
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar, get_args, get_type_hints
from uuid import uuid4

import msgspec
from msgspec import Struct

from services.state.digest import digest
from services.state.model import (
    Account,
    Candidate,
    EntryRow,
    ExitRow,
    IntentStatus,
    Order,
    Position,
)
from services.state.records import (
    ActionRow,
    FillRow,
    ForeignItem,
    JournalRow,
    SessionRow,
    SplitRow,
    VerdictRow,
)
from shared.contracts.decisions import Decided
from shared.contracts.message import Message
from shared.contracts.orders import BrokerEvent
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.contracts.streams import MESSAGE_TYPES
from shared.contracts.vocabulary import HaltLevel, OrderKind, Side
from shared.contracts.wire import encode_json
from shared.runtime.crash import LEDGER_FULL, is_switched_on

APPLICATION_ID: Final = 0x45563221
LOCK_POLL_S: Final = 0.1
CACHED_STATEMENTS: Final = 256
ROWS_REMEMBERED: Final = 4096
ROWS_AT_ONCE: Final = 100
WAL_BYTES: Final = slice(18, 20)
IS_PLAIN: Final = b"\1\1"
"""Versions of the file format in SQLite's header: 2 says that there is a log beside the file."""
PRIMARY_CODE: Final = 0xFF
"""Of SQLite's extended error codes."""
MOST_PAGES: Final = 4_294_967_294
"""SQLite's own limit."""

_OPEN_ACTION: Final = "status IN ('planned', 'claimed', 'sent', 'unresolved')"
_OPEN_ORDER: Final = "status NOT IN ('filled', 'rejected', 'canceled', 'expired', 'replaced', 'denied', 'absent')"
_OPEN_EXIT: Final = "status IN ('pending', 'working')"
_OPEN_EXITS_OF: Final = f"WHERE symbol = ? AND {_OPEN_EXIT} ORDER BY at, id"
_OPEN_ORDERS: Final = f"WHERE {_OPEN_ORDER} ORDER BY symbol, client_order_id"
_OPEN_ORDERS_OF: Final = f"WHERE symbol = ? AND {_OPEN_ORDER} ORDER BY client_order_id"
_ENDED_ORDERS_OF: Final = (
    f"WHERE symbol = ? AND planned_at >= ? AND NOT ({_OPEN_ORDER})"
    " ORDER BY ended_at, planned_at, length(client_order_id), client_order_id"
)
_OPEN_ACTIONS: Final = f"WHERE {_OPEN_ACTION} ORDER BY symbol, id"
_OPEN_ACTIONS_OF: Final = f"WHERE symbol = ? AND {_OPEN_ACTION} ORDER BY id"
_ANY_OPEN_ACTION: Final = f"SELECT EXISTS (SELECT 1 FROM order_actions WHERE {_OPEN_ACTION})"  # noqa: S608 - a constant
_HELD: Final = "SELECT symbol FROM positions WHERE qty > 0"
_AT_WORK: Final = f"SELECT symbol FROM order_ledger WHERE {_OPEN_ORDER}"  # noqa: S608 - a constant
_ACTIVE: Final = f"{_HELD} UNION {_AT_WORK} ORDER BY 1"
_FOLLOWED: Final = f"{_HELD} UNION {_AT_WORK} UNION SELECT symbol FROM candidates WHERE active = 1"  # noqa: S608 - a constant

_OUTGOING: Final[dict[str, msgspec.json.Decoder[Any]]] = {
    **{name: msgspec.json.Decoder(kind) for name, kind in MESSAGE_TYPES.items()},
    **{kind.__name__: msgspec.json.Decoder(kind) for kind in (Latest, Reply, Job)},
}
_DECIDED: Final = msgspec.json.Decoder(Decided)
_EVENT: Final = msgspec.json.Decoder(BrokerEvent)

Row = TypeVar("Row", bound=Struct)


class LedgerFault(Exception):
    """The transaction did not take place."""


class LedgerFull(LedgerFault):
    """The disk has no room. The transaction is rolled back and the store goes on when there is room again."""


class Fenced(LedgerFault):
    """Another writer raised the epoch: nothing this process decides counts any more."""


class LedgerRefused(Exception):
    """The ledger is not opened; nothing was changed. The text is one line for a person."""


class LedgerNewer(LedgerRefused):
    pass


class LedgerDamaged(LedgerRefused):
    pass


class BadRow(sqlite3.DatabaseError):
    """A row that no writer of ours wrote: the file is whole to SQLite, and what stands in it is not."""


UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file makes sqlite3 raise; the second where its own message quotes the damage."""


class Table(Generic[Row]):
    """Maps one frozen struct to one table: columns are the struct's fields, in their order."""

    def __init__(self, kind: type[Row], name: str, *key: str) -> None:
        self._kind = kind
        hints = get_type_hints(kind)
        names = kind.__struct_fields__
        self.columns: Final = ", ".join(names)
        self._readers = [_reader(hints[field]) for field in names]
        self.name: Final = name
        self._marks = f"({', '.join('?' * len(names))})"
        self.insert: Final = f"INSERT INTO {name} ({self.columns}) VALUES {self._marks}"  # noqa: S608
        changes = ", ".join(f"{field} = excluded.{field}" for field in names if field not in key)
        self.upsert: Final = f"{self.insert} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
        self.once: Final = self.once_for(1)
        self._select = f"SELECT {self.columns} FROM {name} "  # noqa: S608
        self._questions: dict[str, str] = {}
        # Planning reads the same rows again and again; a frozen row is made once for as long as its values stand.
        self.row: Final = lru_cache(maxsize=ROWS_REMEMBERED)(self._row)

    def once_for(self, rows: int) -> str:
        """Inserts so many rows, their values one behind the other, but none whose key is known."""
        return f"{self.insert}{f', {self._marks}' * (rows - 1)} ON CONFLICT DO NOTHING"

    def select(self, where: str) -> str:
        """The question for rows. The same text is the same object, which the driver finds sooner than an equal one."""
        question = self._questions.get(where)
        if question is None:
            question = self._questions[where] = self._select + where
        return question

    def values(self, row: Row) -> list[Any]:
        return [_plain(getattr(row, field)) for field in self._kind.__struct_fields__]

    def _row(self, values: tuple[Any, ...]) -> Row:
        """The struct of one result row."""
        try:
            return self._kind(*(), **self._named(values))
        except (ValueError, TypeError, KeyError, ArithmeticError, msgspec.DecodeError) as fault:
            raise BadRow(f"a row of {self.name}: {type(fault).__name__}: {fault}") from fault

    def _named(self, values: Sequence[Any]) -> dict[str, Any]:
        return {
            field: value if value is None or reader is None else reader(value)
            for field, value, reader in zip(self._kind.__struct_fields__, values, self._readers, strict=True)
        }


def _plain(value: Any) -> Any:
    """A struct field as SQLite keeps it."""
    kind = type(value)
    if value is None or kind in _KEPT:
        return value
    if (written := _WRITTEN.get(kind)) is not None:
        return written(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"no column keeps a {kind.__name__}")


@lru_cache(maxsize=ROWS_REMEMBERED)
def _in_utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat()


_KEPT: Final = frozenset({str, int, float})
_WRITTEN: Final[dict[type, Callable[[Any], Any]]] = {
    bool: int,
    Decimal: "{:f}".format,
    dt.datetime: _in_utc,
    dt.date: dt.date.isoformat,
    dict: lambda value: encode_json(value).decode(),
}


def _reader(hint: Any) -> Callable[[Any], Any] | None:
    """How a column becomes a field of type `hint` again; None where it is one already."""
    if isinstance(hint, types.UnionType):
        inner = [part for part in get_args(hint) if part is not types.NoneType]
        assert len(inner) == 1, hint
        return _reader(inner[0])
    if hint in (str, int, float):
        return None
    if hint is bool:
        return bool
    if hint is Decimal:
        return Decimal
    if hint is dt.datetime:
        return dt.datetime.fromisoformat
    if hint is dt.date:
        return dt.date.fromisoformat
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {member.value: member for member in hint}.__getitem__
    return msgspec.json.decode


CANDIDATES: Final = Table(Candidate, "candidates", "symbol", "strategy")
ENTRIES: Final = Table(EntryRow, "entry_intents", "id")
EXITS: Final = Table(ExitRow, "exit_intents", "id")
POSITIONS: Final = Table(Position, "positions", "position_id")
ORDERS: Final = Table(Order, "order_ledger", "client_order_id")
ACTIONS: Final = Table(ActionRow, "order_actions", "id")
FILLS: Final = Table(FillRow, "fills", "execution_id")
SESSIONS: Final = Table(SessionRow, "sessions", "session")
VERDICTS: Final = Table(VerdictRow, "verdicts", "session", "symbol", "at", "strategy", "stage")
SPLITS: Final = Table(SplitRow, "splits", "position_id", "at")
FOREIGN: Final = Table(ForeignItem, "foreign_items", "kind", "name")
_MANY_VERDICTS: Final = VERDICTS.once_for(ROWS_AT_ONCE)
JOURNAL: Final = Table(JournalRow, "journal", "seq")
ACCOUNT: Final = Table(Account, "account", "only_row")


class Store:
    """The open ledger. Not for use from several threads.

    Reading is allowed at any time; whatever writes must stand inside `transaction()`.
    """

    def __init__(self, database: sqlite3.Connection, lock: int | None = None) -> None:
        self._db = database
        self._lock = lock
        self._is_filled = False
        self._notes: dict[str, str] = {}  # as the transaction in hand has them; asked for more often than anything
        self.writer_epoch = 0

    # Opening and closing

    @classmethod
    def open(cls, path: Path, waiting: Callable[[float], None] = lambda waited_s: None) -> Self:
        """The ledger at `path`, made if there is none, brought to this program's version, locked for its one writer.

        waiting: called ten times a second while another writer holds it, with the seconds waited; may raise to give
        up.
        Raises LedgerNewer or LedgerDamaged, with the file untouched, and LedgerFault where the disk fails or is full:
        then it may be tried again.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(path.with_name(path.name + ".lock"), waiting)
        try:
            try:
                if not path.exists():
                    _create(path)
                _inspect(path)
                store = cls(_connect(path), lock)
            except sqlite3.DatabaseError as fault:
                raise _unopened(path, fault) from fault
            try:
                store._prepare(path)
            except BaseException:
                store._db.close()
                raise
        except BaseException:
            os.close(lock)
            raise
        return store

    @classmethod
    def in_memory(cls, kind: type[sqlite3.Connection] = sqlite3.Connection) -> Self:
        """A ledger without a file, for a backtest or a test. kind: the connection that keeps it."""
        database = sqlite3.connect(":memory:", isolation_level=None, cached_statements=CACHED_STATEMENTS, factory=kind)
        store = cls(_configured(database))
        with store._plain_transaction():
            _migrate(store._db)
        store._take_over()
        return store

    @classmethod
    def loaded(cls, image: bytes) -> Self:
        """A ledger without a file that begins as `image` has it, with the next writer. Raises LedgerDamaged."""
        database = sqlite3.connect(":memory:", isolation_level=None, cached_statements=CACHED_STATEMENTS)
        store = cls(database)
        try:
            database.deserialize(image)
            _configured(database)
            with store._plain_transaction():
                _migrate(database)
            store._take_over()
        except sqlite3.Error as fault:
            raise LedgerDamaged(f"the image of a ledger cannot be read ({fault})") from fault
        return store

    def image(self) -> bytes:
        """The whole ledger, for `loaded`."""
        copy = sqlite3.connect(":memory:")
        try:
            self._db.backup(copy)
            image = bytearray(copy.serialize())
        finally:
            copy.close()
        image[WAL_BYTES] = IS_PLAIN  # a database in memory has no log to be written to, and is refused with one
        return bytes(image)

    def digest(self) -> str:
        """What must be the same after the same day (digest.py)."""
        return digest(self._db)

    def changes(self) -> int:
        """Rows changed since the ledger was opened, those that were rolled back included."""
        return self._db.total_changes

    def close(self) -> None:
        """Give the ledger up to the next writer."""
        self._db.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _prepare(self, path: Path) -> None:
        try:
            version = _version(self._db)
            if version < newest_version():
                self.backup(path.with_name(f"{path.name}.before-{newest_version():04d}"))
                with self._plain_transaction():
                    _migrate(self._db)
            self._take_over()
        except sqlite3.DatabaseError as fault:
            raise _unopened(path, fault) from fault

    def _take_over(self) -> None:
        with self._plain_transaction():
            self._db.execute("INSERT INTO meta VALUES ('installation', ?) ON CONFLICT DO NOTHING", (uuid4().hex[:4],))
            self.writer_epoch = self._epoch_in_file() + 1
            self.set_note("writer_epoch", str(self.writer_epoch))

    def backup(self, target: Path) -> None:
        """A consistent copy at `target` by SQLite's own means; an existing file there is replaced when it is whole."""
        unfinished = target.with_name(target.name + ".part")
        unfinished.unlink(missing_ok=True)
        copy = sqlite3.connect(unfinished)
        try:
            self._db.backup(copy)
        finally:
            copy.close()
        unfinished.replace(target)

    # Transactions

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is durable when it ends, or did not happen.

        Raises Fenced, LedgerFull or LedgerFault; the transaction is then rolled back.
        """
        with _faults():
            self._fill_if_a_test_wants_it()
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if self._epoch_in_file() != self.writer_epoch:
                    raise Fenced(f"epoch {self.writer_epoch} is over: another process writes this ledger now")
                yield
                self._db.execute("COMMIT")
            except BaseException:
                self._notes.clear()
                if self._db.in_transaction:  # SQLITE_FULL has rolled back already
                    self._db.execute("ROLLBACK")
                raise

    def _fill_if_a_test_wants_it(self) -> None:
        wanted = is_switched_on(LEDGER_FULL)
        if wanted is not self._is_filled:
            self._is_filled = wanted
            pages = self._db.execute("PRAGMA page_count").fetchone()[0] if wanted else MOST_PAGES
            self._db.execute(f"PRAGMA max_page_count = {pages}")

    def reading(self) -> AbstractContextManager[None]:
        """A part of a transaction that writes nothing. A fault of disk or file in it is the ledger's all the same."""
        return _faults()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that fails alone. A fault of disk or file ends the whole transaction instead."""
        with _faults():
            self._db.execute("SAVEPOINT message")
            try:
                yield
            except BaseException:
                self._notes.clear()
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK TO message")
                    self._db.execute("RELEASE message")
                raise
            self._db.execute("RELEASE message")

    @contextmanager
    def _plain_transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            self._notes.clear()
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    # Notes: single values

    @property
    def installation(self) -> str:
        """Prefix of all our order ids; drawn once per ledger unless configured."""
        return self.note("installation")

    def note(self, key: str) -> str:
        """One value of `meta`; empty where there is none."""
        known = self._notes.get(key)
        if known is None:
            known = self._notes[key] = self._note_in_file(key)
        return known

    def set_note(self, key: str, value: str) -> None:
        if self._notes.get(key) == value:
            return
        self._db.execute(
            "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value)
        )
        self._notes[key] = value

    def _note_in_file(self, key: str) -> str:
        found = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else ""

    def _epoch_in_file(self) -> int:
        """Another writer may have raised it since it was last read."""
        return int(self._note_in_file("writer_epoch") or 0)

    def next_number(self, name: str) -> int:
        """1, 2, 3, ... for each `name`, never the same again."""
        number = int(self.note(name) or 0) + 1
        self.set_note(name, str(number))
        return number

    # Streams and the outbox

    def stream_positions(self) -> dict[str, str]:
        return dict(self._db.execute("SELECT stream, entry_id FROM stream_positions"))

    def set_stream_positions(self, positions: dict[str, str]) -> None:
        self._db.executemany(
            "INSERT INTO stream_positions VALUES (?, ?)"
            " ON CONFLICT (stream) DO UPDATE SET entry_id = excluded.entry_id",
            positions.items(),
        )

    def forget_stream_positions(self) -> None:
        self._db.execute("DELETE FROM stream_positions")

    def first_sight(self, message: Message, stream: str) -> bool:
        """Whether this message's id was not seen before; it is from now on."""
        added = self._db.execute(
            "INSERT INTO seen VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (message.id, stream, _plain(message.at))
        )
        return added.rowcount == 1

    def forget_seen(self, before: dt.datetime) -> None:
        """Drop ids of older messages; commands are kept: one from last week must never be obeyed again."""
        self._db.execute("DELETE FROM seen WHERE at < ? AND stream != 'commands'", (_plain(before),))

    def put_outbox(self, outgoing: Iterable[Outgoing]) -> None:
        self._db.executemany(
            "INSERT INTO outbox (kind, body) VALUES (?, ?)",
            [(type(item).__name__, encode_json(item)) for item in outgoing],
        )

    def outbox(self) -> list[tuple[int, Outgoing]]:
        """What is not known to be published yet, with its number, oldest first."""
        rows = self._db.execute("SELECT number, kind, body FROM outbox ORDER BY number")
        return [(number, _OUTGOING[kind].decode(body)) for number, kind, body in rows]

    def outbox_end(self) -> int:
        """Number of the newest row that was ever put."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return int(found[0]) if found else 0

    def drop_outbox(self, through: int) -> None:
        self._db.execute("DELETE FROM outbox WHERE number <= ?", (through,))

    # Journal and verdicts

    def append_journal(self, row: JournalRow) -> int:
        """Add a row (its `seq` is ignored); returns its number."""
        added = self._db.execute(
            "INSERT INTO journal (at, kind, symbol, order_id, cause, text, figures) VALUES (?, ?, ?, ?, ?, ?, ?)",
            JOURNAL.values(row)[1:],
        )
        assert added.lastrowid is not None
        return added.lastrowid

    def put_verdicts(self, rows: Iterable[VerdictRow]) -> None:
        """Keep verdicts; the first one of (session, symbol, time, strategy, stage) stands."""
        self._db.executemany(VERDICTS.once, map(VERDICTS.values, rows))

    def put_verdict_texts(self, rows: Sequence[Sequence[str]]) -> None:
        """Keep verdicts that are written as they stand in the table, column by column."""
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        for start in range(0, whole, ROWS_AT_ONCE):  # a statement for many rows takes three quarters of the time
            self._db.execute(_MANY_VERDICTS, list(chain.from_iterable(rows[start : start + ROWS_AT_ONCE])))
        self._db.executemany(VERDICTS.once, rows[whole:])

    # Sessions and the account

    def upsert_session(self, row: SessionRow) -> None:
        self._db.execute(SESSIONS.upsert, SESSIONS.values(row))

    def session(self, session: dt.date) -> SessionRow | None:
        return self._one(SESSIONS, "WHERE session = ?", _plain(session))

    def last_session(self) -> SessionRow | None:
        return self._one(SESSIONS, "ORDER BY session DESC LIMIT 1")

    def account(self) -> Account:
        """The account's row; an empty one before the first snapshot."""
        return self._one(ACCOUNT, "") or _NO_ACCOUNT

    def put_account(self, account: Account) -> None:
        names = ACCOUNT.columns
        marks = ", ".join("?" * len(Account.__struct_fields__))
        changes = ", ".join(f"{name} = excluded.{name}" for name in Account.__struct_fields__)
        self._db.execute(
            f"INSERT INTO account (only_row, {names}) VALUES (1, {marks}) "  # noqa: S608
            f"ON CONFLICT (only_row) DO UPDATE SET {changes}",
            ACCOUNT.values(account),
        )

    def followed_symbols(self) -> list[str]:
        """Symbols whose bars matter: candidates, and what is held or at work."""
        return [symbol for (symbol,) in self._db.execute(_FOLLOWED)]

    def active_symbols(self) -> list[str]:
        """Symbols that planning must look at, in order: held, or with an order at work."""
        return [symbol for (symbol,) in self._db.execute(_ACTIVE)]

    # Candidates

    def upsert_candidate(self, candidate: Candidate) -> None:
        self._db.execute(CANDIDATES.upsert, CANDIDATES.values(candidate))

    def list_active_candidates(self) -> list[Candidate]:
        return self._all(CANDIDATES, "WHERE active = 1 ORDER BY symbol, strategy")

    def candidates_of(self, symbol: str) -> list[Candidate]:
        return self._all(CANDIDATES, "WHERE symbol = ? ORDER BY strategy", symbol)

    def all_candidates(self) -> list[Candidate]:
        return self._all(CANDIDATES, "ORDER BY symbol, strategy")

    # Intents: they change status, they are never deleted

    def put_entry_intent(self, row: EntryRow) -> bool:
        """Keep a new entry intent; False where its id is known."""
        return self._db.execute(ENTRIES.once, ENTRIES.values(row)).rowcount == 1

    def due_entry_intents(self, now: dt.datetime) -> list[EntryRow]:
        """Claims what is due at `now`, in the order (due, id): pending intents become working; none is deleted."""
        rows = self._all(ENTRIES, "WHERE status = 'pending' AND due <= ? ORDER BY due, id", _plain(now))
        self._db.executemany("UPDATE entry_intents SET status = 'working' WHERE id = ?", [(row.id,) for row in rows])
        return [msgspec.structs.replace(row, status=IntentStatus.WORKING) for row in rows]

    def next_due(self) -> dt.datetime | None:
        """When the next pending entry intent falls due."""
        found = self._db.execute("SELECT MIN(due) FROM entry_intents WHERE status = 'pending'").fetchone()
        return dt.datetime.fromisoformat(found[0]) if found[0] else None

    def pending_entry_intents(self) -> list[EntryRow]:
        return self._all(ENTRIES, "WHERE status = 'pending' ORDER BY due, id")

    def entry_intent(self, intent: str) -> EntryRow | None:
        return self._one(ENTRIES, "WHERE id = ?", intent)

    def entry_intents_of(self, session: dt.date) -> list[EntryRow]:
        return self._all(ENTRIES, "WHERE session = ? ORDER BY due, id", _plain(session))

    def update_entry_intent(self, row: EntryRow) -> None:
        self._db.execute(ENTRIES.upsert, ENTRIES.values(row))

    def put_exit_intent(self, row: ExitRow) -> bool:
        """Keep a new trim, stop or exit intent; False where its id is known."""
        return self._db.execute(EXITS.once, EXITS.values(row)).rowcount == 1

    def open_exit_intents(self, symbol: str) -> list[ExitRow]:
        return self._all(EXITS, _OPEN_EXITS_OF, symbol)

    def exit_intent(self, intent: str) -> ExitRow | None:
        return self._one(EXITS, "WHERE id = ?", intent)

    def update_exit_intent(self, row: ExitRow) -> None:
        self._db.execute(EXITS.upsert, EXITS.values(row))

    # Positions

    def upsert_position(self, position: Position) -> None:
        self._db.execute(POSITIONS.upsert, POSITIONS.values(position))

    def list_positions(self) -> list[Position]:
        """Open ones, by symbol."""
        return self._all(POSITIONS, "WHERE qty > 0 ORDER BY symbol, entered_at")

    def open_position(self, symbol: str) -> Position | None:
        return self._one(POSITIONS, "WHERE symbol = ? AND qty > 0 ORDER BY entered_at LIMIT 1", symbol)

    def last_position(self, symbol: str) -> Position | None:
        """The newest position in `symbol`, open or closed."""
        return self._one(POSITIONS, "WHERE symbol = ? ORDER BY entered_at DESC, position_id DESC LIMIT 1", symbol)

    def position(self, position_id: str) -> Position | None:
        return self._one(POSITIONS, "WHERE position_id = ?", position_id)

    # Orders

    def record_order_once(self, order: Order) -> bool:
        """Write a new order; False where its client order id is known: then nothing is changed."""
        added = self._db.execute(ORDERS.once, ORDERS.values(order)).rowcount == 1
        if added:
            self._use_number(order)
        return added

    def update_external_order_id(self, client_order_id: str, broker_id: str) -> None:
        """The broker's id of an order of ours."""
        self._db.execute(
            "UPDATE order_ledger SET broker_id = ? WHERE client_order_id = ?", (broker_id, client_order_id)
        )

    def update_order(self, order: Order) -> None:
        self._db.execute(ORDERS.upsert, ORDERS.values(order))

    def order(self, client_order_id: str) -> Order | None:
        return self._one(ORDERS, "WHERE client_order_id = ?", client_order_id)

    def order_by_broker_id(self, broker_id: str) -> Order | None:
        return self._one(ORDERS, "WHERE broker_id = ?", broker_id)

    def open_orders(self, symbol: str = "") -> list[Order]:
        """Orders whose life is not over, by symbol and id; of one symbol where it is given."""
        if symbol:
            return self._all(ORDERS, _OPEN_ORDERS_OF, symbol)
        return self._all(ORDERS, _OPEN_ORDERS)

    def ended_orders(self, symbol: str, since: dt.datetime) -> list[Order]:
        """Orders of `symbol` planned since then whose life is over, in the order in which it ended."""
        return self._all(ORDERS, _ENDED_ORDERS_OF, symbol, _plain(since))

    def orders_for(self, intent: str) -> list[Order]:
        return self._all(ORDERS, "WHERE intent = ? AND intent != '' ORDER BY planned_at, client_order_id", intent)

    def orders_of_session(self, session: dt.date) -> list[Order]:
        return self._all(ORDERS, "WHERE session = ? ORDER BY planned_at, client_order_id", _plain(session))

    def watched_orders(self) -> list[Order]:
        """Orders proven absent: one that turns up at the broker after all is cancelled at once."""
        return self._all(ORDERS, "WHERE status = 'absent' ORDER BY client_order_id")

    def entry_orders_of(self, session: dt.date) -> list[Order]:
        found = "WHERE session = ? AND kind = 'entry' ORDER BY planned_at, client_order_id"
        return self._all(ORDERS, found, _plain(session))

    def next_order_number(self, session: dt.date, symbol: str, kind: OrderKind) -> int:
        """The number that the next order of (session, symbol, kind) gets: one above any that was ever used."""
        found = self._db.execute(
            "SELECT last FROM order_numbers WHERE session = ? AND symbol = ? AND kind = ?",
            (_plain(session), symbol, kind.value),
        ).fetchone()
        return int(found[0]) + 1 if found else 1

    def _use_number(self, order: Order) -> None:
        _, _, number = order.client_order_id.rpartition("-")
        if number.isdigit():
            self._db.execute(
                "INSERT INTO order_numbers VALUES (?, ?, ?, ?) ON CONFLICT (session, symbol, kind)"
                " DO UPDATE SET last = MAX(last, excluded.last)",
                (_plain(order.session), order.symbol, order.kind.value, int(number)),
            )

    # Actions

    def put_action(self, action: ActionRow) -> None:
        self._db.execute(ACTIONS.insert, ACTIONS.values(action))

    def update_action(self, action: ActionRow) -> None:
        self._db.execute(ACTIONS.upsert, ACTIONS.values(action))

    def action(self, action: str) -> ActionRow | None:
        return self._one(ACTIONS, "WHERE id = ?", action)

    def open_actions(self) -> list[ActionRow]:
        return self._all(ACTIONS, _OPEN_ACTIONS)

    def open_actions_of(self, symbol: str) -> list[ActionRow]:
        return self._all(ACTIONS, _OPEN_ACTIONS_OF, symbol)

    def refused_cancels(self, symbol: str) -> list[ActionRow]:
        return self._all(
            ACTIONS, "WHERE symbol = ? AND kind = 'cancel' AND status = 'refused' ORDER BY ended_at, id", symbol
        )

    def count_cancels(self, target: str) -> int:
        """How often the order `target` was asked to be cancelled."""
        found = self._db.execute(
            "SELECT COUNT(*) FROM order_actions WHERE target = ? AND target != '' AND kind = 'cancel'", (target,)
        ).fetchone()
        return int(found[0])

    def actions_planned_at(self, symbol: str, at: dt.datetime) -> int:
        """How many actions of `symbol` were planned at exactly that trading time."""
        found = self._db.execute(
            "SELECT COUNT(*) FROM order_actions WHERE symbol = ? AND planned_at = ?", (symbol, _plain(at))
        ).fetchone()
        return int(found[0])

    def has_open_actions(self) -> bool:
        found = self._db.execute(_ANY_OPEN_ACTION).fetchone()
        return bool(found[0])

    # Fills

    def book_fill(self, fill: FillRow) -> bool:
        """Write one execution; False where its id is booked already."""
        return self._db.execute(FILLS.once, FILLS.values(fill)).rowcount == 1

    def fills_of(self, client_order_id: str) -> list[FillRow]:
        return self._all(FILLS, "WHERE client_order_id = ? ORDER BY at, execution_id", client_order_id)

    def fills_of_position(self, position_id: str) -> list[FillRow]:
        return self._all(FILLS, "WHERE position_id = ? ORDER BY at, execution_id", position_id)

    def last_fill_times(self, symbol: str) -> dict[Side, dt.datetime]:
        """When `symbol` was last bought and last sold."""
        rows = self._db.execute("SELECT side, MAX(at) FROM fills WHERE symbol = ? GROUP BY side", (symbol,))
        return {Side(side): dt.datetime.fromisoformat(at) for side, at in rows}

    def put_split(self, row: SplitRow) -> None:
        self._db.execute(SPLITS.insert, SPLITS.values(row))

    def splits_of(self, position_id: str) -> list[SplitRow]:
        return self._all(SPLITS, "WHERE position_id = ? ORDER BY at", position_id)

    # Decisions of signals

    def decided_through(self, partition: int) -> dt.datetime | None:
        found = self._db.execute("SELECT through FROM partitions WHERE partition = ?", (partition,)).fetchone()
        return dt.datetime.fromisoformat(found[0]) if found else None

    def partitions_decided(self) -> dict[int, dt.datetime]:
        rows = self._db.execute("SELECT partition, through FROM partitions ORDER BY partition")
        return {partition: dt.datetime.fromisoformat(through) for partition, through in rows}

    def put_decision(self, decided: Decided) -> None:
        """Keep decisions until they are taken; of several for one minute the first with the highest fence stands."""
        self._db.execute(
            "INSERT INTO decisions VALUES (?, ?, ?, ?) ON CONFLICT (partition, minute) DO UPDATE SET"
            " fence = excluded.fence, body = excluded.body WHERE excluded.fence > fence",
            (decided.partition, _plain(decided.minute), decided.fence, encode_json(decided)),
        )

    def take_decisions(self, through: dt.datetime | None) -> list[Decided]:
        """Hand out the decisions of minutes up to `through` (None: all), by minute and partition, once."""
        limit = _plain(through) or "9999"
        rows = self._db.execute(
            "SELECT body FROM decisions WHERE minute <= ? ORDER BY minute, partition", (limit,)
        ).fetchall()
        if not rows:
            return []
        taken = [_DECIDED.decode(body) for (body,) in rows]
        self._db.execute("DELETE FROM decisions WHERE minute <= ?", (limit,))
        self._db.executemany(
            "INSERT INTO partitions VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET"
            " through = MAX(through, excluded.through)",
            [(decided.partition, _plain(decided.minute)) for decided in taken],
        )
        return taken

    # What no record explains, and events that wait for their order

    def foreign_items(self) -> list[ForeignItem]:
        return self._all(FOREIGN, "ORDER BY kind, name")

    def upsert_foreign(self, item: ForeignItem) -> None:
        self._db.execute(FOREIGN.upsert, FOREIGN.values(item))

    def drop_foreign(self, kind: str, name: str) -> None:
        self._db.execute("DELETE FROM foreign_items WHERE kind = ? AND name = ?", (kind, name))

    def put_orphan(self, event: BrokerEvent) -> None:
        self._db.execute(
            "INSERT INTO orphan_events VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (event.id, event.order.broker_id, encode_json(event)),
        )

    def take_orphans(self, broker_id: str) -> list[BrokerEvent]:
        """Hand out the events that waited for the order with the broker's id `broker_id`, once."""
        rows = self._db.execute(
            "SELECT body FROM orphan_events WHERE broker_order_id = ? ORDER BY id", (broker_id,)
        ).fetchall()
        self._db.execute("DELETE FROM orphan_events WHERE broker_order_id = ?", (broker_id,))
        return [_EVENT.decode(body) for (body,) in rows]

    def drop_orphans(self) -> None:
        self._db.execute("DELETE FROM orphan_events")

    # Reading structs

    def _one(self, table: Table[Row], where: str, *values: Any) -> Row | None:
        found = self._db.execute(table.select(where), values).fetchone()
        return table.row(found) if found else None

    def _all(self, table: Table[Row], where: str, *values: Any) -> list[Row]:
        return [table.row(values) for values in self._db.execute(table.select(where), values)]


_NO_ACCOUNT: Final = Account(
    session=None,
    account_number="",
    cash=Decimal(0),
    opening_equity=Decimal(0),
    equity=Decimal(0),
    peak_equity=Decimal(0),
    buying_power=Decimal(0),
    blocked=False,
    halt=HaltLevel.NONE,
    armed=False,
    stopped="",
    entry_orders=0,
)


class _faults(AbstractContextManager[None]):
    """Translates SQLite's exceptions, once, at this edge. IntegrityError passes: it is a fault of ours."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, sqlite3.OperationalError):
            if getattr(fault, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
                raise LedgerFull(str(fault)) from fault
            raise LedgerFault(str(fault)) from fault
        if type(fault) is sqlite3.DatabaseError:
            raise LedgerFault(str(fault)) from fault


def read_only(path: Path) -> sqlite3.Connection:
    """A handle for looking only. Raises LedgerRefused, in one line, where there is no ledger or a newer one.

    Works beside a running writer and, without one, also where the folder may not be written.
    """
    if not path.exists():
        raise LedgerRefused(f"{path}: no ledger yet; `execution demo` or `execution up` makes one")
    wal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
    database = sqlite3.connect(f"{_uri(path)}?{mode}", uri=True, isolation_level=None)
    try:
        _refuse_newer(database, path)
    except UNREADABLE as fault:
        database.close()
        raise LedgerDamaged(_damaged(path, str(fault))) from None
    except LedgerRefused:
        database.close()
        raise
    return database


def newest_version() -> int:
    """The schema version of this program."""
    return len(_migrations())


def _lock(path: Path, waiting: Callable[[float], None]) -> int:
    """Hold `path` exclusively, for as long as the returned descriptor is open. The file is never removed."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    started = time.monotonic()
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return handle
            except BlockingIOError:
                waiting(time.monotonic() - started)
                time.sleep(LOCK_POLL_S)
    except BaseException:
        os.close(handle)
        raise


def _create(path: Path) -> None:
    """A new ledger, put into place when it is whole: an empty file must never be taken for a ledger."""
    if path.with_name(path.name + "-wal").exists():
        raise LedgerDamaged(_damaged(path, "its -wal file stands alone"))
    unfinished = path.with_name(path.name + ".new")
    for name in (unfinished, *(unfinished.with_name(unfinished.name + end) for end in ("-wal", "-shm"))):
        name.unlink(missing_ok=True)
    # Without a log beside it: on a full disk the log could not be folded into the file, which nobody would be told.
    store = Store(sqlite3.connect(unfinished, isolation_level=None))
    try:
        with store._plain_transaction():
            _migrate(store._db)
    finally:
        store._db.close()
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _inspect(path: Path) -> None:
    """Look before anything is written. Raises LedgerNewer or LedgerDamaged."""
    wal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if wal.exists() else "mode=ro&immutable=1"  # immutable: leaves no -wal and -shm behind
    try:
        database = sqlite3.connect(f"{_uri(path)}?{mode}", uri=True, isolation_level=None)
        try:
            _refuse_newer(database, path)
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            database.close()
    except sqlite3.DatabaseError as fault:
        raise _unopened(path, fault) from None
    if verdict != "ok":
        raise LedgerDamaged(_damaged(path, verdict))


def _refuse_newer(database: sqlite3.Connection, path: Path) -> None:
    version = _version(database)
    if version > newest_version():
        raise LedgerNewer(
            f"{path}: ledger of schema {version} is newer than this program's {newest_version()}; use the newer program"
        )
    if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID or version == 0:
        raise LedgerDamaged(_damaged(path, "not a ledger of this program"))


def _unopened(path: Path, fault: sqlite3.DatabaseError) -> LedgerFault | LedgerDamaged:
    """Why the ledger could not be opened: a disk that is full or fails may do later what it did not do now."""
    match getattr(fault, "sqlite_errorcode", 0) & PRIMARY_CODE:
        case sqlite3.SQLITE_FULL:
            return LedgerFull(f"{path}: {fault}")
        case sqlite3.SQLITE_IOERR:
            return LedgerFault(f"{path}: {fault}")
        case _:
            return LedgerDamaged(_damaged(path, str(fault)))


def _damaged(path: Path, why: str) -> str:
    return f"{path}: damaged ledger ({why}); restore a backup, or move the file away"


def _connect(path: Path) -> sqlite3.Connection:
    return _configured(sqlite3.connect(path, isolation_level=None, cached_statements=CACHED_STATEMENTS))


def _configured(database: sqlite3.Connection) -> sqlite3.Connection:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("PRAGMA temp_store = MEMORY")
    database.execute("PRAGMA cache_size = -16000")
    return database


def _version(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA user_version").fetchone()[0])


def _migrations() -> list[tuple[int, str]]:
    """(number, SQL) of every migration, in order; numbers run from 1 without a gap."""
    folder = importlib.resources.files("services.state") / "migrations"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    numbered = [(int(file.name.partition("_")[0]), file.read_text(encoding="utf-8")) for file in files]
    assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1)), "numbers have a gap"
    return numbered


def _migrate(database: sqlite3.Connection) -> None:
    """Run what is missing, inside the transaction that is open: all of it or nothing."""
    done = _version(database)
    for number, script in _migrations()[done:]:
        for statement in _statements(script):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {number}")
    database.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _statements(script: str) -> Iterator[str]:
    """One statement after the other; `executescript` would commit the open transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    assert not statement.strip(), statement


def _uri(path: Path) -> str:
    return path.resolve().as_uri()
