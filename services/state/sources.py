"""The files of state besides its ledger and the halt level: the lists of candidates, and the tapes of sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

from services.state.candidates import MAX_BYTES, FileRefused, Listing, parse_scan, parse_symbols, parse_watchlist
from services.state.ingest import Source, take
from services.state.setup import Setup
from services.state.tape import SUFFIX, Ending, decode
from services.state.unit import Unit
from shared.runtime.tape import CUT, TapeWriter, read_tape


class CandidateFiles:
    """The configured lists of candidates: symbols in the settings, a text file of symbols, a scan file.

    home: relative paths start there. told: is told what the lists said, whenever they are taken in.
    """

    def __init__(
        self, home: Path, setup: Setup, told: Callable[[Sequence[Source]], None] = lambda sources: None
    ) -> None:
        self._told = told
        self._rules = setup.rules.candidates
        self._strategy = setup.rules.strategy.id
        self._ages_count = not setup.conducted  # a recorded day's files are as old as the day
        self._watchlist = home / self._rules.watchlist_file if self._rules.watchlist_file else None
        self._scan = home / self._rules.scan_file if self._rules.scan_file else None
        self._seen: dict[Path, tuple[int, int]] = {}

    def changed(self) -> bool:
        """Whether a file is another one than when it was last taken in."""
        return any(_stamp(path) != self._seen.get(path) for path in (self._watchlist, self._scan) if path is not None)

    def ingest(self, unit: Unit) -> str:
        """Take what the lists say now into the ledger; says what came of it."""
        sources = []
        if self._rules.watchlist:
            sources.append(Source("watchlist", parse_symbols(self._rules.watchlist, self._strategy)))
        if self._watchlist is not None:
            read = self._read(self._watchlist)
            says = read if isinstance(read, FileRefused) else parse_watchlist(read, self._strategy)
            sources.append(Source("watchlist_file", says))
        if self._scan is not None:
            sources.append(Source("scan", self._scanned(self._scan, unit.now)))
        self._told(sources)
        return take(unit, sources, self._rules)

    def _scanned(self, path: Path, now: dt.datetime) -> Listing | FileRefused:
        read = self._read(path)
        if isinstance(read, FileRefused):
            return read
        age_s = now.timestamp() - self._seen[path][0] / 1e9 if self._ages_count else None
        return parse_scan(read, self._strategy, self._rules, age_s)

    def _read(self, path: Path) -> bytes | FileRefused:
        """The file, at most as much of it as is ever taken."""
        self._seen[path] = _stamp(path)
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1)
        except OSError as fault:
            return FileRefused(reason=f"{path}: {fault.strerror}")


class TapeFolder:
    """The newest `kept` tapes, each named by its session; 0: none is written."""

    def __init__(self, folder: Path, kept: int) -> None:
        self._folder = folder
        self._kept = kept

    def has(self, session: dt.date) -> bool:
        return self._path(session).exists()

    def is_over(self, session: dt.date) -> bool:
        """Whether its tape has an ending; one that cannot be read is left alone, as if it had."""
        try:
            records = [decode(record) for record in read_tape(self._path(session))]
        except (OSError, ValueError):
            return True
        return bool(records) and isinstance(records[-1], Ending)

    def open(self, session: dt.date) -> TapeWriter | None:
        """To be written on from its end; the oldest ones make room. Raises OSError and NoTape."""
        if not self._kept:
            return None
        writer = TapeWriter(self._path(session))
        for old in sorted(self._folder.glob(f"*{SUFFIX}"))[: -self._kept]:
            old.unlink()
            old.with_name(old.name + CUT).unlink(missing_ok=True)
        return writer

    def _path(self, session: dt.date) -> Path:
        return self._folder / f"{session}{SUFFIX}"


def _stamp(path: Path) -> tuple[int, int]:
    """Time of the last change in nanoseconds and size; zeros where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
