"""The journal: every decision state took, newest first, searched in the ledger and shown by the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nicegui import run, ui

from services.dashboard import fragments
from services.dashboard.money import SYMBOL_SLOT
from services.dashboard.rows import JournalLine
from services.dashboard.sources import Sources
from services.dashboard.store import Unreadable, read_journal

PAGE: Final = 50
WORDS_MAX: Final = 8
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "All": (),
    "Trades": ("fill", "entry\\_%", "trim\\_%", "exit\\_%", "stop\\_%", "order\\_filled"),
    "Orders": ("order\\_%", "cancel\\_%", "claim\\_%", "not\\_sent", "unresolved", "missing", "refused", "report\\_%"),
    "Alerts": ("alert\\_%", "impossible\\_step"),
    "Persons": ("command\\_%", "halt\\_level", "disarmed"),
}
COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "at", "label": "Time", "field": "at", "align": "left", "classes": "mono nowrap"},
    {"name": "symbol", "label": "Symbol", "field": "symbol", "align": "left"},
    {"name": "kind", "label": "Kind", "field": "kind", "align": "left", "classes": "wide", "headerClasses": "wide"},
    {"name": "text", "label": "What", "field": "text", "align": "left", "classes": "text"},
]
TIME_SLOT: Final = """
<q-td :props="props"><span class="wide day">{{ props.row.day }}</span>{{ props.row.at }}</q-td>
"""
KIND_SLOT: Final = """
<q-td :props="props"><span :class="'kind ' + props.row.tone">{{ props.row.kind }}</span></q-td>
"""


class JournalPanel:
    """pick: shows a symbol's chart."""

    def __init__(self, sources: Sources, pick: Callable[[str], None]) -> None:
        self._sources = sources
        self._offset = 0
        self._matches = 0
        self._shown: tuple[object, ...] | None = None
        with ui.element("section").classes("panel").props('aria-label="Journal"'):
            with ui.element("div").classes("panel-head"):
                ui.html("<h2>Journal</h2>")
                self._search = ui.input("Search", on_change=self._start_over)
                self._search.props("outlined dense clearable debounce=200 type=search").classes("find")
            self._kinds = ui.toggle(list(KINDS), value="All", on_change=self._start_over)
            self._kinds.props("no-caps unelevated dense").classes("kinds")
            self._table = ui.table(columns=COLUMNS, rows=[], row_key="seq", pagination={"rowsPerPage": 0})
            self._table.classes("grid-table journal").props("flat dense hide-pagination")
            self._table.add_slot("body-cell-symbol", SYMBOL_SLOT.replace("<button", '<button v-if="props.row.symbol"'))
            self._table.add_slot("body-cell-at", TIME_SLOT)
            self._table.add_slot("body-cell-kind", KIND_SLOT)
            self._table.add_slot("no-data", '<span class="muted">Nothing is found.</span>')
            self._table.on("pick", lambda event: pick(str(event.args)))
            with ui.element("div").classes("pager"):
                self._newer = ui.button("Newer", icon="chevron_left", on_click=lambda: self._turn(-PAGE))
                self._place = ui.label().classes("muted").props("aria-live=polite")
                self._older = ui.button("Older", on_click=lambda: self._turn(PAGE)).props("icon-right=chevron_right")
                for button in (self._newer, self._older):
                    button.props("flat no-caps dense")

    def focus(self) -> None:
        """Put the cursor into the search."""
        self._search.run_method("focus")

    async def refresh(self) -> None:
        """Ask again if the journal grew, or something else is asked for. An older page stays where it is."""
        seen = self._sources.ledger.seen
        if seen.view is None:
            return
        words = tuple(str(self._search.value or "").split()[:WORDS_MAX])
        kind = str(self._kinds.value)
        wanted = (words, kind, self._offset, seen.view.journal_end if self._offset == 0 else 0)
        if wanted == self._shown:
            return
        try:
            page = await run.io_bound(read_journal, self._sources.ledger_path, words, KINDS[kind], self._offset, PAGE)
        except Unreadable:
            return
        if page is None:
            return
        self._shown = wanted
        self._matches = page.matches
        self._table.rows = [_row(line) for line in page.lines]
        last = min(self._offset + PAGE, page.matches)
        self._place.set_text(f"{self._offset + 1:,} to {last:,} of {page.matches:,}" if page.matches else "")
        self._newer.set_enabled(self._offset > 0)
        self._older.set_enabled(last < page.matches)

    async def _start_over(self) -> None:
        self._offset = 0
        await self.refresh()

    async def _turn(self, by: int) -> None:
        self._offset = max(0, min(self._offset + by, max(self._matches - 1, 0)))
        await self.refresh()


def _row(line: JournalLine) -> dict[str, Any]:
    at = line.at.astimezone(fragments.NEW_YORK)
    known = line.at.year > 1970  # state's own time begins with its first session
    return {
        "seq": line.seq,
        "day": f"{at:%d %b}" if known else "",
        "at": f"{at:%H:%M:%S}" if known else "",
        "symbol": line.symbol,
        "kind": line.kind.replace("_", " "),
        "text": line.text,
        "tone": _tone(line.kind),
    }


def _tone(kind: str) -> str:
    match kind:
        case "alert_critical" | "impossible_step" | "command_refused":
            return "bad"
        case "alert_warning" | "unresolved" | "not_sent" | "refused":
            return "warn"
        case "fill" | "order_filled" | "entry_admitted" | "command_done":
            return "good"
        case _:
            return ""
