"""The health of the machine: each process with its beat and lag, and what could not be handled."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from nicegui import ui

from services.dashboard import fragments
from services.dashboard.money import WIDE
from services.dashboard.rows import LedgerView
from services.dashboard.sources import Machinery
from shared.runtime.health import Service

COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "name", "label": "Process", "field": "name", "align": "left"},
    {"name": "well", "label": "Health", "field": "well", "align": "left"},
    {"name": "lag", "label": "Lag", "field": "lag", "align": "right"},
    {
        "name": "handled",
        "label": "Handled",
        "field": "handled",
        "align": "right",
        "classes": "wide",
        "headerClasses": "wide",
    },
    {"name": "memory", "label": "Memory", "field": "memory", "align": "right"},
    {"name": "at", "label": "Market time", "field": "at", "align": "right", **WIDE},
    {"name": "pid", "label": "Pid", "field": "pid", "align": "right", **WIDE},
]
WELL_SLOT: Final = """
<q-td :props="props"><span :class="'chip ' + (props.row.fine ? 'ok' : 'bad')">{{ props.row.well }}</span></q-td>
"""
DEAD_COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "at", "label": "Time", "field": "at", "align": "left", "classes": "mono nowrap"},
    {"name": "service", "label": "Service", "field": "service", "align": "left"},
    {"name": "stream", "label": "Stream", "field": "stream", "align": "left"},
    {"name": "reason", "label": "Reason", "field": "reason", "align": "left", "classes": "text"},
]
SLOW_MS: Final = 2_000


class MachineryPanel:
    """Processes, progress of a conducted run, dead letters."""

    def __init__(self) -> None:
        with ui.element("section").classes("panel").props('aria-label="Processes"'):
            ui.html("<h2>Processes</h2>")
            self._progress = ui.label().classes("muted")
            self._table = ui.table(columns=COLUMNS, rows=[], row_key="name", pagination={"rowsPerPage": 0})
            self._table.classes("grid-table").props("flat dense hide-pagination")
            self._table.add_slot("body-cell-well", WELL_SLOT)
            self._table.add_slot("no-data", '<span class="muted">No process has said that it lives.</span>')
        with ui.element("section").classes("panel").props('aria-label="Dead letters"'):
            self._dead_head = ui.html("<h2>Dead letters</h2>")
            self._dead = ui.table(columns=DEAD_COLUMNS, rows=[], row_key="id", pagination={"rowsPerPage": 0})
            self._dead.classes("grid-table").props("flat dense hide-pagination")
            self._dead.add_slot("no-data", '<span class="muted">Everything could be handled.</span>')
        self._about = ui.html().classes("muted about")

    def refresh(self, seen: Machinery, view: LedgerView | None) -> None:
        """Show this instant."""
        rows = [_row(service) for service in seen.services]
        if rows != self._table.rows:
            self._table.rows = rows
        progress = seen.progress
        self._progress.set_text(
            f"played by the conductor: session {progress.session}, minute {progress.minute} of {progress.minutes}"
            + (", finished" if progress.finished else "")
            if progress is not None
            else ""
        )
        dead = [
            {
                "id": letter.id,
                "at": f"{letter.at.astimezone(fragments.NEW_YORK):%d %b %H:%M:%S}",
                "service": letter.service,
                "stream": letter.stream,
                "reason": letter.reason,
            }
            for letter in reversed(seen.dead)
        ]
        if dead != self._dead.rows:
            self._dead.rows = dead
        self._dead_head.set_content(f"<h2>Dead letters <small>{seen.dead_count:,}</small></h2>")
        if view is not None:
            self._about.set_content(
                f"<p>Installation {escape(view.installation)}; {view.journal_end:,} rows in the journal; "
                f"{view.unprotected_share_seconds:,.0f} unprotected share-seconds; "
                f"{len(view.unresolved)} orders unresolved.</p>"
            )


def _row(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "fine": service.well and service.lag_ms < SLOW_MS,
        "well": ("well" if service.lag_ms < SLOW_MS else "behind")
        if service.well
        else f"silent for {service.beat_age_s:,.0f} s",
        "lag": f"{service.lag_ms:,} ms",
        "handled": f"{service.handled:,}",
        "memory": f"{service.memory_mb} MB",
        "at": fragments.clock(service.at) if service.at is not None else "",
        "pid": str(service.pid),
    }
