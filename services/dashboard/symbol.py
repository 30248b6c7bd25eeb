"""One symbol's session as a chart, and the same in words."""

from __future__ import annotations

from typing import Final

from nicegui import run, ui

from services.dashboard import fragments
from services.dashboard.chart import symbol_chart
from services.dashboard.sources import Sources
from services.dashboard.store import Unreadable, read_story

LEGEND: Final = " ".join(
    f'<b><span class="k-{kind}"></span>{text}</b>'
    for kind, text in (
        ("pivot", "pivot, R1, R2"),
        ("stop", "stop"),
        ("break", "break and hold"),
        ("buy", "bought"),
        ("sell", "sold"),
    )
)


class SymbolPanel:
    """Shows the chosen symbol; the first one with a position, else the first one, until one is chosen."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._drawn: tuple[str, int, int] | None = None
        self._chosen = ""
        with ui.element("section").classes("panel").props('aria-label="Chart"'):
            with ui.element("div").classes("panel-head"):
                ui.html("<h2>Chart <small>10-minute bars, New York time</small></h2>")
                self._select = ui.select([], with_input=True, on_change=lambda event: self._choose(event.value))
                self._select.props('outlined dense options-dense label="Symbol"').classes("find")
            self._empty = ui.html('<p class="muted">No symbol to show yet.</p>')
            self._chart = ui.echart({}).classes("symbol-chart").props("id=symbol-chart")
            self._legend = ui.html(f'<p class="legend">{LEGEND}</p>')
            self._story = ui.html()

    def choose(self, symbol: str) -> None:
        """Show `symbol` from now on."""
        self._chosen = symbol
        if symbol in self._select.options:
            self._select.set_value(symbol)

    def _choose(self, symbol: str | None) -> None:
        if symbol:
            self._chosen = symbol

    async def refresh(self) -> None:
        """Draw it anew if anything changed."""
        seen = self._sources.ledger.seen
        symbols = seen.view.symbols if seen.view is not None else []
        if symbols != self._select.options:
            self._select.set_options(symbols)
        if not self._chosen and seen.view is not None and symbols:
            first = [one.symbol for one in seen.view.held] + [one.symbol for one in seen.view.closed]
            self._chosen = first[0] if first else symbols[0]
        if self._chosen in symbols and self._select.value != self._chosen:
            self._select.set_value(self._chosen)
        wanted = (self._chosen, seen.version, self._sources.bus.tape_version)
        if not self._chosen or wanted == self._drawn:
            self._show(bool(self._chosen))
            return
        try:
            story = await run.io_bound(read_story, self._sources.ledger_path, self._chosen)
        except Unreadable:
            return  # the banner says so; what was drawn stays
        if story is None:
            return
        self._drawn = wanted
        self._chart.options.clear()
        self._chart.options.update(symbol_chart(story, self._sources.bus.candles(story.symbol)))
        self._chart.update()
        self._story.set_content(fragments.story(story))
        self._show(True)

    def _show(self, there: bool) -> None:
        self._empty.set_visibility(not there)
        for part in (self._chart, self._legend):
            part.set_visibility(there)
