"""The page: what a browser shows, and how it follows the ledger and the bus.

Each visitor has a copy of it. A timer compares versions and touches only what changed; nothing here waits for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from nicegui import app, ui
from nicegui.events import KeyEventArguments

from services.dashboard import fragments
from services.dashboard.candidates import CandidatePanel
from services.dashboard.controls import Controls
from services.dashboard.journal import JournalPanel
from services.dashboard.login import Visitor
from services.dashboard.machinery import MachineryPanel
from services.dashboard.money import MoneyPanel
from services.dashboard.sources import Sources
from services.dashboard.symbol import SymbolPanel
from shared.contracts.vocabulary import HaltLevel

TICK_S: Final = 0.35
STYLE: Final = Path(__file__).with_name("page.css")
TABS: Final = (
    ("money", "Money", "account_balance"),
    ("candidates", "Candidates", "checklist"),
    ("symbol", "Chart", "candlestick_chart"),
    ("journal", "Journal", "receipt_long"),
    ("machinery", "Health", "monitor_heart"),
)
FAVICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#2f6fed"/>'
    '<path d="M6 22l7-8 5 4 8-10" stroke="#fff" stroke-width="3" fill="none" stroke-linecap="round"/></svg>'
)
MODES: Final = {"exchange": ("DRY RUN", "mode-dry"), "paper": ("PAPER", "mode-paper"), "live": ("LIVE", "mode-live")}


def serve(sources: Sources, visitor_of: Callable[[Mapping[str, str]], Visitor | None]) -> None:
    """Make the page at `/`. visitor_of: who asks, by the request's headers."""
    app.colors(primary="#2f6fed", pausing="#475569", halting="#b45309", flattening="#b91c1c", resuming="#15803d")
    app.add_static_file(local_file=STYLE, url_path="/page.css")

    @ui.page("/", title="execution", favicon=FAVICON)
    def index() -> None:
        Page(sources, visitor_of(ui.context.client.request.headers)).build()


class Page:
    """One visitor's page."""

    def __init__(self, sources: Sources, visitor: Visitor | None) -> None:
        self._sources = sources
        self._visitor = visitor
        self._seen: tuple[int, ...] = ()

    def build(self) -> None:
        """Lay it out, fill it once, and follow from then on."""
        ui.add_head_html(f'<link rel="stylesheet" href="/page.css?{STYLE.stat().st_mtime_ns:x}">')
        self._dark = ui.dark_mode(self._visitor.dark if self._visitor is not None else None)
        name, kind = MODES[self._sources.mode]
        with ui.header(elevated=False).classes("top"):
            with ui.element("div").classes("brand"):
                ui.html('<span class="name">execution</span>')
                ui.html(f'<span class="mode {kind}">{name}</span>')
                self._level = ui.html()
            self._clock = ui.html().classes("clock")
            self._controls = Controls(self._sources)
            with ui.element("div").classes("corner"):
                self._theme = ui.button(icon="contrast", on_click=self._turn_theme).props(
                    'flat round dense aria-label="dark or light"'
                )
                with ui.element("form").props("method=post action=/logout"):
                    ui.button(icon="logout").props('flat round dense type=submit aria-label="log out"')
        with ui.element("main").classes("content"):
            self._banner = ui.html().classes("banner").props("role=alert")
            with ui.tabs().props("dense no-caps inline-label mobile-arrows align=left").classes("tabs") as self._tabs:
                for key, label, icon in TABS:
                    ui.tab(key, label, icon)
            with ui.tab_panels(self._tabs, value="money", on_change=self._shown).classes("panels").props("keep-alive"):
                with ui.tab_panel("money"):
                    self._money = MoneyPanel(self._pick)
                with ui.tab_panel("candidates"):
                    self._candidates = CandidatePanel(self._pick)
                with ui.tab_panel("symbol"):
                    self._symbol = SymbolPanel(self._sources)
                with ui.tab_panel("journal"):
                    self._journal = JournalPanel(self._sources, self._pick)
                with ui.tab_panel("machinery"):
                    self._machinery = MachineryPanel()
        ui.keyboard(self._key, repeating=False)
        self._refresh_shared()
        ui.timer(TICK_S, self._tick)

    async def _tick(self) -> None:
        sources = self._sources
        seen = (sources.ledger.seen.version, sources.bus.tape_version, sources.bus.machinery.version)
        if seen != self._seen:
            self._seen = seen
            self._refresh_shared()
        match self._tabs.value:
            case "symbol":
                await self._symbol.refresh()
            case "journal":
                await self._journal.refresh()

    def _refresh_shared(self) -> None:
        sources = self._sources
        ledger, machinery = sources.ledger.seen, sources.bus.machinery
        view, prices = ledger.view, sources.bus.prices()
        money = view.money if view is not None else None
        level = ledger.level or (money.halt if money is not None else HaltLevel.NONE)
        found = fragments.troubles(view, ledger.trouble, machinery.trouble, alive=machinery.state_alive, level=level)
        _set(self._banner, fragments.banner(found))
        self._banner.set_visibility(bool(found))
        _set(self._level, fragments.level(level))
        _set(self._clock, fragments.session_clock(view))
        self._controls.refresh(level, stopped=bool(money and money.stopped))
        self._money.refresh(view, prices, sources.bus.points())
        self._candidates.refresh(view, prices)
        self._machinery.refresh(machinery, view)

    def _pick(self, symbol: str) -> None:
        self._symbol.choose(symbol)
        self._tabs.set_value("symbol")

    async def _shown(self) -> None:
        await self._tick()

    def _turn_theme(self) -> None:
        """From what the system says to dark, to light, and round."""
        self._dark.value = {None: True, True: False, False: None}[self._dark.value]
        if self._visitor is not None:
            self._visitor.dark = self._dark.value
        ui.notify({None: "as the system", True: "dark", False: "light"}[self._dark.value], timeout=1_000)

    def _key(self, event: KeyEventArguments) -> None:
        if not event.action.keydown or event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta:
            return
        if event.key.number is not None and 1 <= event.key.number <= len(TABS):
            self._tabs.set_value(TABS[event.key.number - 1][0])
        elif event.key == "/":
            self._tabs.set_value("journal")
            self._journal.focus()


def _set(element: ui.html, content: str) -> None:
    if element.content != content:
        element.set_content(content)
