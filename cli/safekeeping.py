"""Backups of the ledger: made beside the running writer, checked before they count, and put back.

A restored ledger is one that has slept: orders and fills since then are at the broker, and reconciliation takes them in
before anything is planned. What else has gone on without it must not be read with it: the bus is emptied (its commands
and reports are of a later ledger), epochs rise above any that was used, and arming is taken back.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from cli.installation import await_end_of_server, bus_of, require_answer
from cli.ledger import reading
from cli.options import settings_of_home, typed
from cli.show import print_json
from cli.trouble import DONE, Trouble
from services.executor.snapshot import LOOK_BACK
from services.state.digest import digest
from services.state.store import UNREADABLE, LedgerDamaged, LedgerRefused, read_only
from shared.runtime import health
from shared.runtime.settings import Settings
from shared.runtime.supervisor import HomeLock

BESIDE: Final = ("-wal", "-shm")
EPOCHS: Final = ("writer_epoch", "bus_epoch")
UNREADABLE_EPOCHS: Final = 1_000
"""Added where the old ledger cannot say which were used."""
STAMP: Final = "%Y%m%dT%H%M%SZ"


class Kept(Struct, frozen=True, kw_only=True):
    """A backup. digest: of the ledger at the instant that it holds. now: trading time by the ledger, UTC."""

    file: str
    bytes: int
    digest: str
    schema: int
    installation: str
    now: str


class PutBack(Struct, frozen=True, kw_only=True):
    """before: folder with what was there; empty: nothing was."""

    ledger: str
    digest: str
    now: str
    before: str


def back_up(file: Path | None, as_json: bool) -> int:
    """Raises Trouble or LedgerRefused; then there is no backup, and nothing else has changed."""
    ledger = settings_of_home().ledger
    stamp = f"{dt.datetime.now(dt.UTC):{STAMP}}"
    target = file if file is not None else ledger.parent / "backups" / f"{ledger.stem}-{stamp}.sqlite"
    with reading(ledger) as source:  # one read transaction: digest and copy are of one instant
        wanted = digest(source)
        with _unnamed_file(target) as fresh:
            _copy(source, fresh)
            kept = _inspected(fresh, target)
            if kept.digest != wanted:
                raise Trouble(f"{target}: the copy is not the ledger (digest {kept.digest[:12]}); try again")
            _name(fresh, target)
    if as_json:
        print_json(kept)
    else:
        typer.echo(f"{target}: {kept.bytes:,} bytes, as of {kept.now or 'its beginning'}, checked")
        typer.echo(f"digest {kept.digest}")
    return DONE


def put_back(file: Path, as_json: bool) -> int:
    """Raises Trouble, AlreadyRunning, NoServer or LedgerRefused; then everything is as it was."""
    settings = settings_of_home()
    if not file.is_file():
        raise Trouble(f"{file}: no such file; `execution backup` makes one")
    kept = _inspected(file, file)
    with _nothing_runs(settings):
        old = _notes(settings.ledger)
        _require_same_home(kept, old)
        _require_own_bus(settings, {**(_notes(file) or {}), **(old or {})})
        _require_recent(settings, file, kept, old)
        before = _put(settings, file, kept, old)
    done = PutBack(ledger=str(settings.ledger), digest=kept.digest, now=kept.now, before=str(before or ""))
    if as_json:
        print_json(done)
        return DONE
    typer.echo(f"{settings.ledger} is the ledger as of {kept.now or 'its beginning'}, digest {kept.digest}")
    if before is not None:
        typer.echo(f"what was there is in {before}")
    typer.echo(f"next: {typed('execution up')}; it compares with the broker first and tells what it took in")
    return DONE


def _inspected(file: Path, name: Path) -> Kept:
    """What the file holds, if it is a whole ledger of this program. name: what to call it."""
    try:
        with closing(read_only(file)) as copy:
            faults = [str(row[0]) for row in copy.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
            faults += [f"a row of {row[0]} without its {row[2]}" for row in copy.execute("PRAGMA foreign_key_check")]
            if faults:
                raise Trouble(f"{name}: not a whole ledger ({faults[0]}); use another backup")
            notes = dict(copy.execute("SELECT key, value FROM meta"))
            return Kept(
                file=str(name),
                bytes=file.stat().st_size,
                digest=digest(copy),
                schema=int(copy.execute("PRAGMA user_version").fetchone()[0]),
                installation=notes.get("installation", ""),
                now=notes.get("now", ""),
            )
    except (LedgerDamaged, *UNREADABLE):
        raise Trouble(f"{name}: not a whole ledger of this program; use another backup") from None


# Files


@contextmanager
def _unnamed_file(target: Path) -> Iterator[Path]:
    """A new file beside `target`, gone at the end; none but its owner may read it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as fault:
        raise Trouble(f"{target}: cannot be written ({fault.strerror}); choose another place") from None
    os.close(handle)
    try:
        yield Path(name)
    finally:
        for end in ("", "-journal", *BESIDE):
            Path(name + end).unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    """By SQLite's own means; one file that needs no log beside it. Raises Trouble where the disk does not do it."""
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
        _to_disk(target)
    except (sqlite3.OperationalError, OSError) as fault:
        raise Trouble(f"{target.parent}: the copy could not be written ({fault}); look at the disk's room") from None


def _name(fresh: Path, target: Path) -> None:
    """Give the finished file its name, unless something bears it."""
    try:
        os.link(fresh, target)  # unlike a rename, never over another file
    except FileExistsError:
        raise Trouble(f"{target} exists and is left as it is; choose another name") from None
    except OSError as fault:
        raise Trouble(f"{target}: cannot be written ({fault.strerror}); choose another place") from None
    _to_disk(target.parent)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Putting back


@contextmanager
def _nothing_runs(settings: Settings) -> Iterator[None]:
    """Hold what `up` and state hold. Raises AlreadyRunning, NoServer, and Trouble for processes that run elsewhere."""
    home = HomeLock(settings.data_folder)
    try:
        with open(settings.ledger.with_name(settings.ledger.name + ".lock"), "a") as writer:
            try:
                fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Trouble(f"{settings.ledger}: a state process writes it; stop it first") from None
            if settings.bus.url is None:
                await_end_of_server(settings)
            else:
                require_answer(settings)
                _require_silence(settings)
            yield
    finally:
        home.release()


def _require_silence(settings: Settings) -> None:
    with bus_of(settings) as bus:
        alive = [one.name for one in health.services(bus, dt.datetime.now(dt.UTC)) if one.well]
    if alive:
        raise Trouble(f"{', '.join(alive)} still work on the bus; stop them first, or wait until they are silent")


def _notes(ledger: Path) -> dict[str, str] | None:
    """The ledger's single values; None where there is none that can be read."""
    with suppress(LedgerRefused, *UNREADABLE), closing(read_only(ledger)) as database:
        return dict(database.execute("SELECT key, value FROM meta"))
    return None


def _require_same_home(kept: Kept, old: dict[str, str] | None) -> None:
    here = (old or {}).get("installation", kept.installation)
    if here != kept.installation:
        raise Trouble(
            f"{kept.file} is of installation {kept.installation}, this home's ledger of {here}; "
            "restore it into the home that it came from, or into an empty one"
        )


def _require_own_bus(settings: Settings, notes: dict[str, str]) -> None:
    """A server that was given may hold another installation: that is never emptied."""
    if settings.bus.url is None:
        return
    with bus_of(settings) as bus:
        if bus.was_opened() and bus.opened_as() != notes.get("bus_run_id", ""):
            raise Trouble(f"another installation uses {bus.prefix}* on this server: set EV2_BUS__PREFIX to another one")


def _require_recent(settings: Settings, file: Path, kept: Kept, old: dict[str, str] | None) -> None:
    """What the broker did is read for the last days only: shares of an older backup may long be sold."""
    if not kept.now:
        return
    latest = [dt.datetime.fromisoformat(text) for text in ((old or {}).get("now", ""), kept.now) if text]
    if settings.broker.kind != "exchange":
        latest.append(dt.datetime.now(dt.UTC))
    age = max(latest) - dt.datetime.fromisoformat(kept.now)
    if age < LOOK_BACK:
        return
    with closing(read_only(file)) as backup:
        held = backup.execute("SELECT count(*) FROM positions WHERE qty > 0").fetchone()[0]
    if held:
        raise Trouble(
            f"{file} is {age.days} days old and holds shares; the broker is asked for the last {LOOK_BACK.days} days: "
            "it could not be told whether they were sold; begin in an empty home, and `execution adopt` what is there"
        )


def _put(settings: Settings, file: Path, kept: Kept, old: dict[str, str] | None) -> Path | None:
    """Returns the folder with what was there. Killed at any point, one ledger or the other is in place, whole."""
    ledger = settings.ledger
    with _unnamed_file(ledger) as fresh:
        with closing(read_only(file)) as backup:
            _copy(backup, fresh)
        _wake_up(fresh, old, existed=ledger.exists())
        if _inspected(fresh, file).digest != kept.digest:
            raise Trouble(f"{file}: could not be copied whole; try again")
        before = _set_aside(settings, ledger, readable=old is not None)
        os.replace(fresh, ledger)
        _to_disk(ledger.parent)
    return before


def _wake_up(fresh: Path, old: dict[str, str] | None, *, existed: bool) -> None:
    """Whatever was said to or by a later ledger is not for this one."""
    with closing(sqlite3.connect(fresh, isolation_level=None)) as ledger:
        ledger.execute("BEGIN IMMEDIATE")
        notes = dict(ledger.execute("SELECT key, value FROM meta"))
        for name in EPOCHS:
            used = max(int(notes.get(name, 0)), int((old or {}).get(name, 0)))
            used += UNREADABLE_EPOCHS if existed and old is None else 0
            ledger.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, str(used)))
        ledger.execute("INSERT OR REPLACE INTO meta VALUES ('bus_run_id', '')")
        ledger.execute("UPDATE account SET armed = 0")
        ledger.execute("COMMIT")
    _to_disk(fresh)


def _set_aside(settings: Settings, ledger: Path, *, readable: bool) -> Path | None:
    """The bus first: an old ledger on an empty bus is in order, a restored one on the old bus is not."""
    folder = ledger.parent / f"before-restore-{dt.datetime.now(dt.UTC):{STAMP}}"
    bus = ledger.parent / "redis"
    if settings.bus.url is not None:
        with bus_of(settings) as server:
            server.forget("*")
    if not ledger.exists() and not bus.exists():
        return None
    try:
        folder.mkdir()
    except FileExistsError:
        raise Trouble(f"{folder} exists; try again in a second") from None
    if bus.exists():
        bus.rename(folder / "redis")
    if ledger.exists():
        if readable:
            with closing(sqlite3.connect(ledger, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = DELETE")  # all of it in one file
        for end in BESIDE:
            with suppress(FileNotFoundError):
                ledger.with_name(ledger.name + end).rename(folder / (ledger.name + end))
        os.link(ledger, folder / ledger.name)
    _to_disk(folder)
    return folder
