"""Pause, halt, flatten, resume: each says what will happen before it does, and what state answered."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from msgspec import Struct
from nicegui import run, ui

from services.dashboard.orders import Answer, Order, consequences
from services.dashboard.sources import Sources
from shared.contracts.vocabulary import HaltLevel


class Face(Struct, frozen=True):
    """How a button looks, and what its dialog asks."""

    name: str
    icon: str
    colour: str
    question: str
    confirm: str


FACES: Final[Mapping[Order, Face]] = {
    Order.PAUSE: Face("Pause", "pause", "pausing", "Pause entries?", "Pause entries"),
    Order.HALT: Face("Halt", "front_hand", "halting", "Halt and cancel entries?", "Halt now"),
    Order.FLATTEN: Face("Flatten", "eject", "flattening", "Sell everything?", "Sell everything"),
    Order.RESUME: Face("Resume", "play_arrow", "resuming", "Resume trading?", "Resume trading"),
}


class Controls:
    """The buttons and their dialog."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._order = Order.PAUSE
        self._buttons: dict[Order, ui.button] = {}
        with ui.element("div").classes("controls").props('role=group aria-label="Stop and go"'):
            for order, face in FACES.items():
                button = ui.button(
                    face.name, icon=face.icon, color=face.colour, on_click=lambda _, o=order: self._ask(o)
                )
                self._buttons[order] = button.props(f"unelevated no-caps data-order={order}").classes("control")
        self._dialog, self._question, self._list, self._typed, self._confirm = self._build_dialog()

    def refresh(self, level: HaltLevel, *, stopped: bool) -> None:
        """Offer what makes sense at `level`. stopped: the account's own stop holds."""
        self._buttons[Order.RESUME].set_enabled(level is not HaltLevel.NONE or stopped)
        self._buttons[Order.PAUSE].set_enabled(level is HaltLevel.NONE)
        self._buttons[Order.HALT].set_enabled(level in (HaltLevel.NONE, HaltLevel.PAUSE))

    def _build_dialog(self) -> tuple[ui.dialog, ui.label, ui.html, ui.input, ui.button]:
        with ui.dialog().props("aria-labelledby=order-question") as dialog, ui.card().classes("order-card"):
            question = ui.label().classes("order-question").props("id=order-question role=heading aria-level=2")
            listed = ui.html().classes("order-list")
            typed = ui.input("Type FLATTEN to sell for real money").props("outlined dense").classes("w-full")
            typed.on_value_change(lambda _: self._allow())
            with ui.row().classes("order-buttons"):
                ui.button("Leave it as it is", on_click=dialog.close).props("flat no-caps autofocus data-leave")
                confirm = ui.button(on_click=self._give).props("unelevated no-caps data-confirm")
        return dialog, question, listed, typed, confirm

    def _ask(self, order: Order) -> None:
        face = FACES[order]
        self._order = order
        sources = self._sources
        alive = sources.bus.machinery.state_alive
        said = consequences(order, sources.ledger.seen.view, sources.bus.prices(), alive=alive)
        mode = {"exchange": "Dry run: no real money.", "paper": "Paper account: no real money."}.get(sources.mode)
        said.append(mode or "LIVE: this is real money.")
        self._question.set_text(face.question)
        self._list.set_content(f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in said)}</ul>")
        self._typed.set_value("")
        self._typed.set_visibility(order is Order.FLATTEN and sources.mode == "live")
        self._confirm.set_text(face.confirm)
        self._confirm.props(f"color={face.colour}")
        self._allow()
        self._dialog.open()

    def _allow(self) -> None:
        self._confirm.set_enabled(not self._typed.visible or str(self._typed.value).strip().upper() == "FLATTEN")

    async def _give(self) -> None:
        order = self._order
        self._confirm.props("loading")
        try:
            alive = self._sources.bus.machinery.state_alive
            answer = await run.io_bound(self._sources.desk.give, order, alive=alive)
        finally:
            self._confirm.props(remove="loading")
        self._dialog.close()
        _tell(answer or Answer(False, "the page is ending"))


def _tell(answer: Answer) -> None:
    ui.notify(
        answer.text,
        type="positive" if answer.confirmed else "negative",
        position="top",
        multi_line=True,
        close_button="OK",
        timeout=8_000 if answer.confirmed else 0,
    )
