"""The report's tables as CSV: whole figures, UTC, one file a table; no cell that a spreadsheet would run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from cli.csv_cells import csv_text
from cli.reporting.afterwards import Afterwards, RefusedBreakout
from cli.reporting.cover import Gap
from cli.reporting.curve import Point
from cli.reporting.days import Day
from cli.reporting.report import Reason, Report, Uncovered
from cli.reporting.trades import Sale, Slippage, Trade


def csv_files(report: Report) -> dict[str, str]:
    """Name of each file and its text. The columns are the fields of the JSON form."""
    sales = [(trade.position, sale) for trade in report.trades for sale in trade.sales]
    return {
        "trades.csv": _plain(Trade, report.trades, leave_out=("sales",)),
        "sales.csv": csv_text(
            ("position", *Sale.__struct_fields__), [(position, *_cells(sale)) for position, sale in sales]
        ),
        "slippage.csv": _plain(Slippage, report.slippage),
        "refusals.csv": _plain(Reason, report.reasons),
        "refused.csv": _refused(report.refused),
        "protection.csv": _plain(Uncovered, report.protection),
        "gaps.csv": _plain(Gap, report.gaps),
        "sessions.csv": _plain(Day, report.days),
        "equity.csv": _plain(Point, report.curve),
    }


def _plain(kind: type[Struct], rows: Sequence[Struct], leave_out: Sequence[str] = ()) -> str:
    fields = [name for name in kind.__struct_fields__ if name not in leave_out]
    return csv_text(fields, [[_cell(getattr(row, name)) for name in fields] for row in rows])


def _refused(rows: Sequence[RefusedBreakout]) -> str:
    """With what came afterwards in columns of its own."""
    fields = [name for name in RefusedBreakout.__struct_fields__ if name != "afterwards"]
    after = Afterwards.__struct_fields__
    return csv_text(
        [*fields, *after],
        [
            [
                *(_cell(getattr(row, name)) for name in fields),
                *(_cell(getattr(row.afterwards, name)) if row.afterwards is not None else None for name in after),
            ]
            for row in rows
        ],
    )


def _cells(row: Struct) -> list[object]:
    return [_cell(value) for value in msgspec.structs.astuple(row)]


def _cell(value: object) -> object:
    return value.astimezone(dt.UTC).isoformat() if isinstance(value, dt.datetime) else value
