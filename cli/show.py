"""How commands print: a table for people, or the same rows as JSON for programs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec
import typer
from msgspec import Struct

NEW_YORK: Final = ZoneInfo("America/New_York")
WIDE: Final = 240
"""Columns of a table that is not printed to a terminal: whoever reads it there wants whole names."""

Item = TypeVar("Item")

_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


def as_json(value: Any) -> str:
    """JSON of structs, lists and dicts: prices as numbers with their exact digits, times ISO 8601 in UTC."""
    return msgspec.json.format(_ENCODER.encode(value), indent=2).decode()


def compact_json(value: Any) -> str:
    """The same on one line, as it stands in a variable of the environment."""
    return _ENCODER.encode(value).decode()


def print_json(value: Any) -> None:
    typer.echo(as_json(value))


def print_table(title: str, rows: Sequence[Struct], columns: Mapping[str, str], nothing: str) -> None:
    """One line a row. columns: field → heading. nothing: said where there are no rows."""
    if not rows:
        typer.echo(nothing)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for field, heading in columns.items():
        table.add_column(heading, justify="right" if _is_figure(rows, field) else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(cell(getattr(row, field)) for field in columns))
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)


def tracked(items: Sequence[Item], doing: str) -> Iterable[Item]:
    """`items` one by one, with a bar of how far they are: on a terminal alone, on stderr, and gone afterwards."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(items, doing, console=console, transient=True, disable=not console.is_terminal)


def cell(value: object) -> str:
    """One value for people: times by New York's clock, since that is the market's."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case float() | Decimal():
            return f"{value:,.4f}".rstrip("0").rstrip(".") if value % 1 else f"{value:,.0f}"
        case tuple():
            return " ".join(map(cell, value)) or "-"
        case dt.datetime():
            return f"{value.astimezone(NEW_YORK):%m-%d %H:%M:%S}"
        case _:
            return str(value)


def clock(moment: dt.datetime) -> str:
    """`10:20`, New York."""
    return f"{moment.astimezone(NEW_YORK):%H:%M}"


def dollars(amount: Decimal | float) -> str:
    """`+1,234.50` or `-3.00`."""
    return f"{amount:+,.2f}"


def _is_figure(rows: Sequence[Struct], field: str) -> bool:
    values = [value for row in rows if (value := getattr(row, field)) is not None]
    return bool(values) and all(isinstance(value, int | float | Decimal) for value in values)
