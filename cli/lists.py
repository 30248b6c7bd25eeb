"""Lists of candidates, looked at before the start: a bad row is named with its line and reason, the good rows count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from cli.operating.words import a_symbol
from cli.trouble import Trouble
from services.state.candidates import FileRefused, Listing, parse_scan, parse_symbols, parse_watchlist
from shared.runtime.settings import Settings


def file_named(option: str, text: str) -> Path | None:
    """The file that a person names where symbols may stand too; None for symbols. Raises Trouble for one not there."""
    path = Path(text)
    try:
        if path.is_file():
            return path
    except OSError:  # many symbols are longer than a file's name may be
        return None
    if "/" in text or path.suffix in (".csv", ".txt"):
        raise Trouble(f"{option} {text}: no such file")
    return None


def named_symbols(option: str, text: str) -> tuple[str, ...]:
    """Symbols as a person gives them: `AAPL,MSFT`, or a watchlist file. Raises Trouble."""
    path = file_named(option, text)
    if path is not None:
        says = parse_watchlist(path.read_bytes(), "")
        if isinstance(says, FileRefused):
            raise Trouble(f"{option} {path}: {says.reason}")
        found = {row.symbol for row in says.rows}
    else:
        found = {a_symbol(word) for word in text.split(",") if word.strip()}
    if not found:
        raise Trouble(f"{option}: name at least one symbol, such as AAPL,MSFT")
    return tuple(sorted(found))


def tell_complaints(settings: Settings) -> None:
    """Say on stderr what of the configured lists will not count."""
    for line in complaints(settings):
        typer.echo(line, err=True)


def complaints(settings: Settings) -> Iterator[str]:
    """A line for each row and file of the configured lists that will not count. Nothing is refused: what is held
    must be protected, whatever stands in a list."""
    rules, strategy = settings.candidates, settings.strategy.id
    yield from _rows("candidates.watchlist", "row", parse_symbols(rules.watchlist, strategy))
    files: tuple[tuple[str | None, Callable[[bytes], Listing | FileRefused]], ...] = (
        (rules.watchlist_file, lambda data: parse_watchlist(data, strategy)),
        (rules.scan_file, lambda data: parse_scan(data, strategy, rules)),
    )
    for name, parse in files:
        if name is None:
            continue
        path = settings.home / name
        try:
            says = parse(path.read_bytes())
        except OSError as fault:
            says = FileRefused(reason=f"cannot be read ({fault.strerror})")
        if isinstance(says, FileRefused):
            yield f"{path}: {says.reason}; nothing of it counts"
        else:
            yield from _rows(str(path), "line", says)


def symbols_in(path: Path, known: tuple[str, ...], where: str) -> tuple[tuple[str, ...], list[str]]:
    """Symbols of a watchlist that `known` has, and a complaint for every other row. Raises Trouble for none at all."""
    try:
        says = parse_watchlist(path.read_bytes(), "boh")
    except OSError as fault:
        raise Trouble(f"--watchlist {path} cannot be read ({fault.strerror})") from None
    if isinstance(says, FileRefused):
        raise Trouble(f"--watchlist {path}: {says.reason}")
    good = tuple(dict.fromkeys(row.symbol for row in says.rows if row.symbol in known))
    bad = [*_rows(str(path), "line", says)]
    bad += [
        f"{path} line {row.line} ({row.symbol}): unknown in {where}; the row does not count"
        for row in says.rows
        if row.symbol not in known
    ]
    if not good:
        raise Trouble(f"--watchlist {path} has no symbol of {where}: {bad[0] if bad else 'it is empty'}")
    return good, bad


def _rows(name: str, place: str, says: Listing) -> Iterator[str]:
    for row in says.refused:
        yield f"{name} {place} {row.line} ({row.text}): {row.reason}; the row does not count"
