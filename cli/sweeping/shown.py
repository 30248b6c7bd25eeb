"""A sweep's result for people: a table, the best first, and a heat map where two settings vary."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from html import escape
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.csv_cells import csv_text
from cli.sweeping.folder import Asked, Result

MOST_SHOWN: Final = 20
FIGURES: Final = ("trades", "held", "win_rate", "average_r", "realized", "change", "drawdown")
WIDE: Final = 160


def ranked(results: Sequence[Result]) -> list[Result]:
    """The most realized first; among equals the first of the grid."""
    return sorted(results, key=lambda result: (-result.realized, result.number))


def print_results(asked: Asked, results: Sequence[Result]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for vary in asked.varied:
        table.add_column(vary.name, justify="right")
    for name in (*FIGURES, "digest"):
        table.add_column(name.replace("_", " "), justify="right")
    for result in ranked(results)[:MOST_SHOWN]:
        table.add_row(*result.settings.values(), *(_text(result, name) for name in FIGURES), result.digest[:12])
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    if len(asked.varied) == 2:
        console.print(_heat(asked, results))
    console.print(
        f"the best of {len(results)} combinations; the more are tried, the more of the best one is luck: "
        "play it on sessions that were not in here",
        style="italic",
    )


def csv_of(asked: Asked, results: Sequence[Result]) -> str:
    names = [vary.name for vary in asked.varied]
    rows = [
        [*result.settings.values(), *(getattr(result, name) for name in FIGURES), result.digest]
        for result in sorted(results, key=lambda result: result.number)
    ]
    return csv_text([*names, *FIGURES, "digest"], rows)


def page_of(asked: Asked, results: Sequence[Result]) -> str:
    """The heat map as a page of its own. Two settings must vary."""
    down, across = asked.varied
    best, worst = _ends(results)
    cells = []
    for value in down.values:
        row = "".join(
            f'<td style="background:{_colour(result, best, worst)}" title="{result.trades} trades, '
            f'drawdown {result.drawdown}">{result.realized}</td>'
            for result in _row(asked, results, value)
        )
        cells.append(f"<tr><th>{escape(value)}</th>{row}</tr>")
    head = "".join(f"<th>{escape(value)}</th>" for value in across.values)
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sweep</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px system-ui;margin:2rem;background:#fff;color:#111}}td,th{{padding:.5rem .8rem;text-align:right}}
td{{color:#111}}@media(prefers-color-scheme:dark){{body{{background:#111;color:#eee}}}}</style>
<h1>Realized, dollars</h1>
<p>{escape(down.name)} down, {escape(across.name)} across; {asked.first} to {asked.last}. The best of {len(results)}
combinations: the more are tried, the more of the best one is luck.</p>
<table><tr><th></th>{head}</tr>
{"".join(cells)}
</table></html>
"""


def _text(result: Result, name: str) -> str:
    value = getattr(result, name)
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else f"{value:,}"


def _heat(asked: Asked, results: Sequence[Result]) -> Table:
    down, across = asked.varied
    best, worst = _ends(results)
    table = Table(title=f"realized: {down.name} down, {across.name} across", box=None, title_justify="left")
    table.add_column("")
    for value in across.values:
        table.add_column(value, justify="right")
    for value in down.values:
        row = [
            Text(f"{result.realized:,}", style=f"black on {_colour(result, best, worst)}")
            for result in _row(asked, results, value)
        ]
        table.add_row(value, *row)
    return table


def _row(asked: Asked, results: Sequence[Result], value: str) -> list[Result]:
    """The results with `value` of the first setting, in the order of the second one's values."""
    name, other = (vary.name for vary in asked.varied)
    found = {result.settings[other]: result for result in results if result.settings[name] == value}
    return [found[one] for one in asked.varied[1].values if one in found]


def _ends(results: Sequence[Result]) -> tuple[float, float]:
    realized = [float(result.realized) for result in results]
    return max(realized, default=0.0), min(realized, default=0.0)


def _colour(result: Result, best: float, worst: float) -> str:
    """From red over white to green, by where it lies between the worst and the best."""
    share = 0.5 if best == worst else (float(result.realized) - worst) / (best - worst)
    fade = round(255 * (1 - abs(2 * share - 1)))
    return f"#{fade:02x}ff{fade:02x}" if share >= 0.5 else f"#ff{fade:02x}{fade:02x}"
