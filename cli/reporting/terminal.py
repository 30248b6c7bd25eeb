"""The report on a terminal."""

from __future__ import annotations

import sys
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from cli.reporting import words
from cli.reporting.report import Report
from cli.reporting.tables import Table, summary, tables
from cli.show import WIDE

STYLE: Final = {"good": "green", "bad": "red", "": None}


def print_report(report: Report) -> None:
    """Colour where it is a terminal; whole lines where it is not."""
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(title_of(report), style="bold", markup=False)
    names = RichTable(box=None, show_header=False, pad_edge=False)
    for name, value in summary(report):
        names.add_row(name, escape(value))
    console.print(names)
    for table in tables(report):
        _print(console, table)


def title_of(report: Report) -> str:
    """`Session 2015-02-11`, or `Sessions 2015-02-02 to 2015-02-27, 19 in all`."""
    if report.first == report.last:
        title = f"Session {report.first}"
    else:
        title = f"Sessions {report.first} to {report.last}, {len(report.days)} in all"
    return f"{title}, up to {words.moment(report.until)} New York"


def _print(console: Console, table: Table) -> None:
    console.print()
    console.print(table.title, style="bold", markup=False)
    if not table.rows:
        console.print(table.nothing, markup=False)
        return
    console.print(table.note, style="dim", markup=False)
    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(table.headings):
        shown.add_column(heading, justify="right" if place in table.figures else "left")
    for row, mark in zip(table.rows, table.marks, strict=True):
        shown.add_row(*(escape(cell) for cell in row), style=STYLE[mark])
    console.print(shown)
