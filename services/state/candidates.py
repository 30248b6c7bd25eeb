"""Who may be bought: the watchlist and the scan file as rows, each refusal with its line (docs/strategy.md section 1).

Bytes in, rows out; reading the files is the caller's part. A bad row costs itself, a bad file costs itself: the
candidates that stand are kept by the caller then.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from services.state.model import Candidate
from shared.contracts.ids import is_symbol
from shared.contracts.rules import CandidateRules

REQUIRED: Final = ("Symbol", "Entry_Level", "Stop_Loss", "Target_R2", "Entry_DistPct", "Price")
OPTIONAL: Final = ("Target_R1", "Strategy_ID", "Direction", "Anchor", "AVWAP_Slope", "Sector")
MAX_BYTES: Final = 5_000_000
MAX_ROWS: Final = 20_000
LONGEST_TEXT: Final = 60
NUMBER: Final = re.compile(r"[+-]?\d{1,15}(\.\d{0,15})?([eE][+-]?\d{1,2})?\Z", re.ASCII)
STRATEGY: Final = re.compile(r"[A-Za-z0-9_.\-]{1,32}\Z", re.ASCII)


class Listed(Struct, frozen=True, kw_only=True):
    """A good row. line: from 1. Levels: dollars, None in a watchlist. note: figures that are shown and never used."""

    line: int
    symbol: str
    strategy: str
    pivot: float | None = None
    stop: float | None = None
    r1: float | None = None
    r2: float | None = None
    sector: str = ""
    note: str = ""


class RowRefused(Struct, frozen=True, kw_only=True):
    """A bad row. text: what stood there, cut short."""

    line: int
    text: str
    reason: str


class Listing(Struct, frozen=True, kw_only=True):
    """What one file says: its good rows and its bad ones, in the file's order."""

    rows: tuple[Listed, ...]
    refused: tuple[RowRefused, ...]


class FileRefused(Struct, frozen=True, kw_only=True):
    """Nothing of the file counts."""

    reason: str


def parse_symbols(symbols: Iterable[str], strategy: str) -> Listing:
    """The watchlist of the configuration; the line is the place in it, from 1."""
    return _listing(_watched(place, text, strategy) for place, text in enumerate(symbols, start=1))


def parse_watchlist(data: bytes, strategy: str) -> Listing | FileRefused:
    """A text file: symbols by line or comma; `#` begins a comment."""
    text = _text(data)
    if isinstance(text, FileRefused):
        return text
    words = [
        (number, word.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        for word in line.partition("#")[0].split(",")
        if word.strip()
    ]
    if len(words) > MAX_ROWS:
        return FileRefused(reason=f"{len(words)} symbols; at most {MAX_ROWS}")
    return _listing(_watched(number, word, strategy) for number, word in words)


def parse_scan(data: bytes, strategy: str, rules: CandidateRules, age_s: float | None = None) -> Listing | FileRefused:
    """A scan file: CSV with a header. strategy: of rows that name none. age_s: the file's; None: not asked (replay)."""
    if age_s is not None and rules.max_age is not None and age_s > rules.max_age:
        return FileRefused(reason=f"{age_s / 3600:.1f} hours old; at most {rules.max_age / 3600:.1f}")
    text = _text(data)
    if isinstance(text, FileRefused):
        return text
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        trouble = _header_trouble(header)
        if trouble:
            return FileRefused(reason=trouble)
        cells = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as fault:
        return FileRefused(reason=f"line {reader.line_num}: {fault}")
    if len(cells) > MAX_ROWS:
        return FileRefused(reason=f"{len(cells)} rows; at most {MAX_ROWS}")
    return _listing(_scanned(number, header, row, strategy) for number, row in cells)


def candidate_of(
    row: Listed,
    source: str,
    *,
    since: dt.datetime,
    session: dt.date,
    opens_at: dt.datetime,
    closes_at: dt.datetime,
    rules: CandidateRules,
) -> Candidate:
    """The ledger's row for one that was ingested at `since`. A watchlist's never expires, a scan's at the close or
    `ttl` after the later of ingest and opening, whichever is first."""
    expires_at = None
    if row.pivot is not None:
        expires_at = min(closes_at, max(since, opens_at) + dt.timedelta(seconds=rules.ttl))
    return Candidate(
        symbol=row.symbol,
        strategy=row.strategy,
        source=source,
        session=session,
        active=True,
        since=since,
        expires_at=expires_at,
        pivot=row.pivot,
        stop=row.stop,
        r1=row.r1,
        r2=row.r2,
        sector=row.sector,
        spent=False,
        released_at=None,
        note=row.note,
    )


def in_force(candidates: Iterable[Candidate], now: dt.datetime) -> dict[str, Candidate]:
    """By symbol, the candidate that counts: active, not expired, and of two strategies the lower id."""
    chosen: dict[str, Candidate] = {}
    for candidate in candidates:
        if not candidate.active or (candidate.expires_at is not None and now >= candidate.expires_at):
            continue
        standing = chosen.get(candidate.symbol)
        if standing is None or candidate.strategy < standing.strategy:
            chosen[candidate.symbol] = candidate
    return chosen


def _listing(rows: Iterable[Listed | RowRefused]) -> Listing:
    """Good and bad rows apart; a symbol that the same strategy listed before is refused."""
    good: dict[tuple[str, str], Listed] = {}
    bad: list[RowRefused] = []
    for row in rows:
        if isinstance(row, RowRefused):
            bad.append(row)
            continue
        before = good.setdefault((row.symbol, row.strategy), row)
        if before is not row:
            bad.append(_refused(row.line, row.symbol, f"listed before, in line {before.line}"))
    return Listing(rows=tuple(good.values()), refused=tuple(bad))


def _watched(line: int, text: str, strategy: str) -> Listed | RowRefused:
    symbol = text.strip().upper()
    trouble = _symbol_trouble(symbol)
    return _refused(line, text, trouble) if trouble else Listed(line=line, symbol=symbol, strategy=strategy)


def _scanned(line: int, header: list[str], row: list[str], strategy: str) -> Listed | RowRefused:
    text = ",".join(row)
    if len(row) > len(header):
        return _refused(line, text, f"{len(row)} cells for {len(header)} columns")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=False)}
    try:
        return _levels_of(line, cells, strategy)
    except _BadRow as trouble:
        return _refused(line, text, str(trouble))


class _BadRow(ValueError):
    """Its text is the reason."""


def _levels_of(line: int, cells: dict[str, str], strategy: str) -> Listed:
    symbol = cells.get("Symbol", "").upper()
    own_strategy = cells.get("Strategy_ID") or strategy
    direction = cells.get("Direction") or "Long"
    if trouble := _symbol_trouble(symbol):
        raise _BadRow(trouble)
    if not STRATEGY.match(own_strategy):
        raise _BadRow(f"Strategy_ID {_short(own_strategy)} is none: letters, digits, _ . - and at most 32")
    if direction.lower() != "long":
        raise _BadRow(f"Direction is {_short(direction)}; only Long is traded")
    pivot, stop, r2 = (_level(cells, name) for name in ("Entry_Level", "Stop_Loss", "Target_R2"))
    if stop >= r2:
        raise _BadRow(f"Stop_Loss {stop} is not below Target_R2 {r2}")
    r1 = _level(cells, "Target_R1") if cells.get("Target_R1") else (pivot + r2) / 2
    shown = {name: _number(cells, name) for name in ("Entry_DistPct", "Price")}
    if cells.get("AVWAP_Slope"):
        shown["AVWAP_Slope"] = _number(cells, "AVWAP_Slope")
    notes = [f"{name} {value}" for name, value in shown.items()]
    if cells.get("Anchor"):
        notes.append(f"Anchor {_short(cells['Anchor'])}")
    return Listed(
        line=line,
        symbol=symbol,
        strategy=own_strategy,
        pivot=pivot,
        stop=stop,
        r1=r1,
        r2=r2,
        sector=_short(cells.get("Sector", "")),
        note=", ".join(notes),
    )


def _level(cells: dict[str, str], name: str) -> float:
    value = _number(cells, name)
    if value <= 0:
        raise _BadRow(f"{name} is {cells[name]}; it must be above 0")
    return value


def _number(cells: dict[str, str], name: str) -> float:
    text = cells.get(name, "")
    if not text:
        raise _BadRow(f"{name} is empty")
    if not NUMBER.match(text):
        raise _BadRow(f"{name} is no number: {_short(text)}")
    return float(text)


def _symbol_trouble(symbol: str) -> str:
    if not symbol:
        return "no symbol"
    return "" if is_symbol(symbol) else f"not a symbol: {_short(symbol)}"


def _header_trouble(header: list[str]) -> str:
    if not any(header):
        return "empty file"
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        return f"column {', '.join(missing)} is missing"
    twice = [name for name in (*REQUIRED, *OPTIONAL) if header.count(name) > 1]
    return f"column {', '.join(twice)} stands twice" if twice else ""


def _text(data: bytes) -> str | FileRefused:
    if len(data) > MAX_BYTES:
        return FileRefused(reason=f"{len(data)} bytes; at most {MAX_BYTES}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        return FileRefused(reason=f"not UTF-8 at byte {fault.start}")
    return FileRefused(reason="holds a zero byte: not a text file") if "\0" in text else text


def _refused(line: int, text: str, reason: str) -> RowRefused:
    return RowRefused(line=line, text=_short(text), reason=reason)


def _short(text: str) -> str:
    """Printable, on one line and cut: it goes into journals and onto pages."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text.strip())
    return plain if len(plain) <= LONGEST_TEXT else plain[: LONGEST_TEXT - 3] + "..."
