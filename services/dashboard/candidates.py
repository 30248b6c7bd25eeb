"""What may be bought, and why it was not: the latest verdict of each, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from nicegui import ui

from services.dashboard import fragments
from services.dashboard.money import SYMBOL_SLOT, WIDE
from services.dashboard.rows import LedgerView, Watched
from services.dashboard.tape import Price
from shared.domain.words import figures_in_words, reason_in_words

COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "symbol", "label": "Symbol", "field": "symbol", "align": "left", "sortable": True},
    {"name": "verdict", "label": "Verdict", "field": "verdict", "align": "left", "sortable": True},
    {"name": "at", "label": "At", "field": "at", "align": "right", "sortable": True, **WIDE},
    {"name": "price", "label": "Price", "field": "price", "align": "right", "sortable": True},
    {"name": "pivot", "label": "Pivot", "field": "pivot", "align": "right", "sortable": True, **WIDE},
    {"name": "far", "label": "From pivot", "field": "far", "align": "right", "sortable": True},
    {"name": "more", "label": "", "field": "more", "align": "left", **WIDE},
]
VERDICT_SLOT: Final = """
<q-td :props="props">
  <span :class="'verdict ' + props.row.tone">{{ props.row.verdict }}</span>
  <span v-if="props.row.held" class="chip ok beside">held</span>
  <div v-if="props.row.chance" class="chance">{{ props.row.chance }}</div>
  <q-tooltip v-if="props.row.figures" max-width="26rem">{{ props.row.figures }}</q-tooltip>
</q-td>
"""
FAR_SLOT: Final = """
<q-td :props="props">
  <span v-if="props.row.far !== null" :class="props.row.far >= 0 ? 'good' : ''">
    {{ (props.row.far >= 0 ? '+' : '') + props.row.far.toFixed(2) + ' %' }}</span>
</q-td>
"""
PRICE_SLOT: Final = """
<q-td :props="props">{{ props.value === null ? '' : props.value.toFixed(2) }}</q-td>
"""
GOOD: Final = frozenset({"confirmed", "admitted"})


class CandidatePanel:
    """pick: shows a symbol's chart."""

    def __init__(self, pick: Callable[[str], None]) -> None:
        with ui.element("section").classes("panel").props('aria-label="Candidates"'):
            with ui.element("div").classes("panel-head"):
                ui.html("<h2>Candidates</h2>")
                search = ui.input("Find").props("outlined dense clearable").classes("find")
            self._table = ui.table(columns=COLUMNS, rows=[], row_key="key", pagination={"rowsPerPage": 50})
            self._table.classes("grid-table candidates").props("flat dense")
            self._table.bind_filter_from(search, "value")
            self._table.add_slot("body-cell-symbol", SYMBOL_SLOT)
            self._table.add_slot("body-cell-verdict", VERDICT_SLOT)
            self._table.add_slot("body-cell-far", FAR_SLOT)
            for name in ("price", "pivot"):
                self._table.add_slot(f"body-cell-{name}", PRICE_SLOT)
            self._table.add_slot("no-data", '<span class="muted">No candidate yet.</span>')
            self._table.on("pick", lambda event: pick(str(event.args)))

    def refresh(self, view: LedgerView | None, prices: Mapping[str, Price]) -> None:
        """Show this instant."""
        held = {one.symbol for one in view.held} if view is not None else set()
        found = view.candidates if view is not None else ()
        rows = [_row(one, prices.get(one.symbol), held=one.symbol in held) for one in found]
        if rows != self._table.rows:
            self._table.rows = rows


def _row(one: Watched, price: Price | None, *, held: bool) -> dict[str, Any]:
    close = price.close if price is not None else None
    return {
        "key": f"{one.symbol} {one.strategy}",
        "symbol": one.symbol,
        "verdict": _verdict(one),
        "held": held,
        "chance": _chance(one),
        "tone": "good" if one.reason in GOOD else "muted" if not one.active else "",
        "figures": figures_in_words(one.figures),
        "at": fragments.clock(one.at) if one.at is not None else "",
        "price": close,
        "pivot": one.pivot,
        "far": round((close / one.pivot - 1) * 100, 2) if close is not None and one.pivot else None,
        "more": ", ".join(
            word for word in ("" if one.active else "not active", one.sector, one.note, one.source) if word
        ),
    }


def _verdict(one: Watched) -> str:
    if one.reason is None:
        return "waits for its first 10-minute bar" if one.active else one.note or "not active"
    return reason_in_words(one.reason)


def _chance(one: Watched) -> str:
    """What became of its breakout today, where the bars speak of something else by now."""
    if one.chance is None or one.chance_at is None or (one.chance, one.chance_at) == (one.reason, one.at):
        return ""
    return f"{fragments.clock(one.chance_at)}: {reason_in_words(one.chance)}"
