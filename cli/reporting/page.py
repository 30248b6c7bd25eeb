"""The report as one HTML file that needs nothing else: no script, no network, light or dark as the reader's machine is.

It is built of elements, never of strings, so whatever comes from outside (symbols, a broker's words) is text.
"""

from __future__ import annotations

import datetime as dt
import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, tostring

from cli.reporting import plots, words
from cli.reporting.curve import drawdowns
from cli.reporting.plots import Mark, Range
from cli.reporting.report import Report
from cli.reporting.tables import Table, summary, tables
from cli.reporting.terminal import title_of
from cli.show import NEW_YORK
from shared.domain import calendar
from shared.domain.words import reason_in_words

UNSEEN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""Characters that no HTML file may hold."""
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"

STYLE: Final = """
:root { color-scheme: light dark; --paper: #ffffff; --panel: #f5f6f8; --ink: #1b1f24; --faint: #5d6671;
  --rule: #d8dde3; --good: #12794a; --bad: #b3261e; --line: #2458b8; --area: #2458b826; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #14171b; --panel: #1d2126; --ink: #e6e9ed;
  --faint: #9aa4b0; --rule: #353c44; --good: #4cc38a; --bad: #ff8a80; --line: #82aaff; --area: #82aaff33; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 75rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .2rem; }
p { margin: .2rem 0 .7rem; color: var(--faint); max-width: 60rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .6rem; margin: 0; }
dl > div { background: var(--panel); border-radius: .5rem; padding: .55rem .8rem; }
dt { color: var(--faint); font-size: .85rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1rem;
  margin-top: 1.5rem; }
figure { margin: 0; background: var(--panel); border-radius: .5rem; padding: .7rem .8rem .4rem; break-inside: avoid; }
figcaption { font-weight: 600; font-size: .95rem; }
figcaption small { display: block; font-weight: 400; color: var(--faint); }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--faint); font-size: 12px; font-family: inherit; }
.grid { stroke: var(--rule); stroke-width: 1; }
.level { stroke: var(--faint); stroke-width: 1; }
.line { fill: none; stroke: var(--line); stroke-width: 2; stroke-linejoin: round; }
.area, .range { fill: var(--area); } .dot, .plain { fill: var(--line); }
.unseen { fill: transparent; } .unseen:hover { fill: var(--line); }
svg .good { fill: var(--good); } svg .bad { fill: var(--bad); }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--rule); text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; } td:first-child { white-space: nowrap; }
th.figure, td.figure { text-align: right; white-space: nowrap; }
tr.good td.result { color: var(--good); } tr.bad td.result { color: var(--bad); }
@media screen and (max-width: 60rem) {
  dl { display: block; background: var(--panel); border-radius: .5rem; padding: .4rem .8rem; }
  dl > div { display: flex; justify-content: space-between; gap: 1rem; padding: .12rem 0; }
  dt { flex: none; } dd { text-align: right; }
  table, tbody, tr, td { display: block; } thead { display: none; }
  tr { background: var(--panel); border-radius: .5rem; padding: .4rem .8rem; margin-bottom: .6rem; }
  td, td.figure { border: 0; padding: .12rem 0; display: flex; justify-content: space-between; gap: 1rem;
    text-align: right; white-space: normal; }
  td::before { content: attr(data-heading); color: var(--faint); text-align: left; flex: none; }
}
@media print {
  html { font-size: 9.5px; } body { max-width: none; padding: 0; font-size: 1rem; }
  dl { grid-template-columns: repeat(4, 1fr); } .plots { grid-template-columns: 1fr 1fr; }
  th, td { padding: .2rem .4rem; } th { white-space: normal; }
  tr { break-inside: avoid; } h2, p { break-after: avoid; } thead { display: table-header-group; }
}
"""


def page(report: Report) -> str:
    """The whole file."""
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"http-equiv": "Content-Security-Policy", "content": POLICY})
    SubElement(head, "meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"})
    _text(head, "title", title_of(report))
    SubElement(head, "style").text = STYLE
    body = SubElement(root, "body")
    _text(body, "h1", title_of(report))
    names = SubElement(body, "dl")
    for name, value in summary(report):
        pair = SubElement(names, "div")
        _text(pair, "dt", name)
        _text(pair, "dd", value)
    _plots(SubElement(body, "div", {"class": "plots"}), report)
    for table in tables(report):
        _table(body, table)
    return f"<!DOCTYPE html>\n{tostring(root, encoding='unicode', method='html')}\n"


def clean(text: str) -> str:
    """Without what no HTML file may hold."""
    return UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def _plots(place: Element, report: Report) -> None:
    for caption, note, chart in (
        _equity(report),
        _drawdown(report),
        _multiples(report),
        _exposure(report),
        _slippage(report),
        _refused(report),
    ):
        if chart is None:
            continue
        figure = SubElement(place, "figure")
        _text(_text(figure, "figcaption", caption), "small", note)
        figure.append(chart)


Plot = tuple[str, str, Element | None]


def _equity(report: Report) -> Plot:
    marks = [
        Mark(
            _when(report, point.at),
            float(point.equity),
            f"{words.moment(point.at)}: {point.equity:,.2f}",
        )
        for point in report.curve
    ]
    chart = plots.line(marks, _along(report), _whole, "Equity, dollars") if marks else None
    return "Equity", "dollars, minute by minute where the market was recorded", chart


def _drawdown(report: Report) -> Plot:
    falls = drawdowns(report.curve)
    marks = [
        Mark(
            _when(report, point.at),
            -100 * fall,
            f"{words.moment(point.at)}: {words.percent(fall, 3)} below the highest so far",
        )
        for point, fall in zip(report.curve, falls, strict=True)
    ]
    chart = None
    if any(falls):
        chart = plots.line(marks, _along(report), _percent, "Drawdown, percent", filled=True)
    return "Drawdown", "percent below the highest equity so far", chart


def _along(report: Report) -> list[float]:
    """Where the points of the curve lie: every session is as wide as the others, nights have no width."""
    sessions = [calendar.session(day.session) for day in report.days]
    openings = [session.opens_at for session in sessions]
    found = []
    for point in report.curve:
        number = max(bisect_right(openings, point.at) - 1, 0)
        session = sessions[number]
        share = (point.at - session.opens_at) / (session.closes_at - session.opens_at)
        found.append((number + min(max(share, 0.0), 1.0)) / len(sessions))
    return found


def _multiples(report: Report) -> Plot:
    marks = [
        Mark(
            _which(report, trade.entered_at, trade.symbol, len(report.trades)),
            trade.r_multiple,
            f"{words.moment(trade.entered_at)} {trade.symbol}: {words.in_r(trade.r_multiple)}, "
            f"{words.money(trade.realized)}{', still held' if trade.held else ''}",
        )
        for trade in report.trades
        if trade.r_multiple is not None
    ]
    return "Trades", "what was sold, in R, by entry", plots.bars(marks, _r, "R multiples") if marks else None


def _exposure(report: Report) -> Plot:
    marks = [
        Mark(f"{day.session:%m-%d}", 100 * day.exposure, f"{day.session}: {words.percent(day.exposure, 2)}")
        for day in report.days
        if day.exposure is not None
    ]
    chart = plots.bars(marks, _percent, "Exposure", signed=False) if any(mark.value for mark in marks) else None
    return "Exposure", "highest cost of what was held, percent of the opening equity", chart


def _slippage(report: Report) -> Plot:
    marks = [
        Mark(
            _which(report, slip.at, slip.symbol, len(report.slippage)),
            slip.basis_points,
            f"{words.moment(slip.at)} {slip.symbol} {slip.kind}: {words.basis_points(slip.basis_points)}, "
            f"{words.money(slip.dollars)}",
        )
        for slip in report.slippage
    ]
    chart = plots.bars(marks, lambda value: f"{value:g} bp", "Slippage", more_is_worse=True) if marks else None
    return "Slippage", "basis points against the price decided on, by order; above zero is worse", chart


def _refused(report: Report) -> Plot:
    found = [
        Range(
            _which(report, one.at, one.symbol, len(report.refused)),
            after.worst_r,
            after.best_r,
            after.would_r,
            f"{words.moment(one.at)} {one.symbol}, {reason_in_words(one.reason)}: {words.in_r(after.worst_r)} to "
            f"{words.in_r(after.best_r)}, would have made {words.in_r(after.would_r)}",
        )
        for one in report.refused
        if (after := one.afterwards) is not None and after.worst_r is not None and after.best_r is not None
    ]
    chart = plots.ranges(found, _r, "What the refused did") if found else None
    return "Refused", "worst to best move until the close, in R; the point: what it would have made", chart


def _table(body: Element, table: Table) -> None:
    _text(body, "h2", table.title)
    _text(body, "p", table.note if table.rows else table.nothing)
    if not table.rows:
        return
    shown = SubElement(body, "table")
    _row(SubElement(SubElement(shown, "thead"), "tr"), "th", table.headings, table)
    rows = SubElement(shown, "tbody")
    for cells, mark in zip(table.rows, table.marks, strict=True):
        _row(SubElement(rows, "tr", {"class": mark} if mark else {}), "td", cells, table)


def _row(row: Element, name: str, cells: Sequence[str], table: Table) -> None:
    for place, cell in enumerate(cells):
        kinds = [kind for kind, places in (("figure", table.figures), ("result", table.results)) if place in places]
        attributes = {"class": " ".join(kinds)} if kinds else {}
        if name == "td":
            attributes["data-heading"] = table.headings[place]
        _text(row, name, cell, attributes)


def _text(parent: Element, name: str, text: str, attributes: dict[str, str] | None = None) -> Element:
    element = SubElement(parent, name, attributes or {})
    element.text = clean(text)
    return element


def _which(report: Report, at: dt.datetime, symbol: str, count: int) -> str:
    """Of few marks every label is shown, so it can be the symbol; of many when the first and last were."""
    return symbol if count <= plots.TICKS else _when(report, at)


def _when(report: Report, at: dt.datetime) -> str:
    local = at.astimezone(NEW_YORK)
    return f"{local:%H:%M}" if report.first == report.last else f"{local:%m-%d}"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def _r(value: float) -> str:
    return f"{value:g} R"


def _percent(value: float) -> str:
    return f"{value:g} %"
