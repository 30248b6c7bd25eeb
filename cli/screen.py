"""The session while it runs: a live picture in a terminal, plain lines elsewhere."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Protocol

import typer
from msgspec import Struct
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.picture import Picture
from cli.show import cell, clock
from services.state.model import Order
from services.state.records import VerdictRow
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, OrderKind, Reason
from shared.domain.words import ORDER_WORDS, reason_in_words
from shared.runtime.health import Progress, Service

ORDERS_SHOWN: Final = 12
LINE_EVERY: Final = 30
"""Minutes of the session between two plain lines."""

GOOD: Final = frozenset({Reason.CONFIRMED, Reason.ADMITTED})


class Moment(Struct, frozen=True):
    """Everything that is known now."""

    progress: Progress | None
    picture: Picture | None
    services: tuple[Service, ...]


class Screen(Protocol):
    def show(self, moment: Moment) -> None: ...

    def say(self, line: str) -> None: ...

    def close(self) -> None: ...


def screen_for(title: str, as_json: bool) -> Screen:
    """Live in a terminal; with --json stdout is for the summary alone."""
    if sys.stdout.isatty() and not as_json:
        return Terminal(title)
    return Lines(title, err=as_json)


class Terminal:
    """Redraws in place, and in the caller's thread: whoever starts children must have one thread alone."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=False)
        self._live.start()

    def show(self, moment: Moment) -> None:
        self._live.update(self._drawn(moment), refresh=True)

    def say(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()

    def _drawn(self, moment: Moment) -> RenderableType:
        parts: list[RenderableType] = [_bar(self._title, moment.progress)]
        if moment.picture is not None:
            parts += [_candidates(moment.picture), _positions(moment.picture), _orders(moment.picture)]
        parts.append(_health(moment.services))
        return Group(*parts)


class Lines:
    """A line every half hour of the session, and one for each fill."""

    def __init__(self, title: str, err: bool) -> None:
        self._err = err
        self._last: tuple[dt.date, int] | None = None
        self._told: set[str] = set()
        self.say(title)

    def show(self, moment: Moment) -> None:
        if moment.picture is not None:
            self._tell_fills(moment.picture)
        progress = moment.progress
        if progress is None:
            return
        part = (progress.session, progress.minute // LINE_EVERY)
        if part == self._last:
            return
        self._last = part
        self.say(f"{progress.session} {clock(progress.at)} New York, minute {progress.minute} of {progress.minutes}")

    def say(self, line: str) -> None:
        typer.echo(line, err=self._err)

    def close(self) -> None:
        """Nothing to do: lines stay."""

    def _tell_fills(self, picture: Picture) -> None:
        orders = {order.client_order_id: order for order in picture.orders}
        for fill in picture.fills:
            if fill.execution_id in self._told:
                continue
            self._told.add(fill.execution_id)
            order = orders.get(fill.client_order_id)
            reason = why(order, picture) if order is not None else "no order of this session"
            self.say(f"{clock(fill.at)} {fill.symbol} {fill.side} {fill.qty} at {cell(fill.price)}: {reason}")


def why(order: Order, picture: Picture) -> str:
    """Why this order exists, in words."""
    if order.kind is OrderKind.ENTRY:
        for entry in picture.entries:
            if entry.id == order.intent:
                return f"broke {entry.pivot:,.2f} and held at {entry.confirm_close:,.2f}"
    for intent in picture.exits:
        if intent.id == order.intent:
            return f"{ORDER_WORDS[order.kind]} ({intent.level or intent.reason})"
    return ORDER_WORDS[order.kind]


def _bar(title: str, progress: Progress | None) -> RenderableType:
    if progress is None:
        return Group(Text(title, style="bold"), Text("starting"))
    line = Table.grid(padding=(0, 2))
    line.add_row(
        ProgressBar(total=progress.minutes, completed=max(0, progress.minute), width=40),
        f"{progress.session} {clock(progress.at)} New York, minute {progress.minute} of {progress.minutes}",
    )
    return Group(Text(title, style="bold"), line)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _candidates(picture: Picture) -> RenderableType:
    table = _table("Candidates", "symbol", "pivot", "last close", "verdict", "at")
    verdicts = picture.last_verdicts() | _breakouts(picture)
    for symbol in sorted({candidate.symbol for candidate in picture.candidates}):
        verdict = verdicts.get(symbol)
        if verdict is None:
            table.add_row(symbol, "-", "-", "-", "-")
            continue
        figures = verdict.figures
        style = "green" if verdict.reason in GOOD else ""
        table.add_row(
            symbol,
            _price(figures.get("pivot")),
            _price(figures.get("hold_close")),
            Text(reason_in_words(verdict.reason), style=style),
            clock(verdict.at),
        )
    return table


def _breakouts(picture: Picture) -> dict[str, VerdictRow]:
    """The latest word on each symbol that broke out and held, whatever its later bars were."""
    return {verdict.symbol: verdict for verdict in picture.verdicts if verdict.reason not in NOT_A_CONFIRMATION}


def _positions(picture: Picture) -> RenderableType:
    table = _table("Positions", "symbol", "shares", "paid", "stop", "R1", "R2", "trims", "state")
    for position in picture.held:
        trims = f"{position.r1_state}/{position.r2_state}"
        table.add_row(
            position.symbol,
            str(position.qty),
            _price(position.avg_price),
            _price(position.stop),
            _price(position.r1),
            _price(position.r2),
            trims,
            position.stop_mode.value,
        )
    return table if picture.held else Text("Positions: none", style="bold")


def _orders(picture: Picture) -> RenderableType:
    if not picture.orders:
        return Text("Orders: none", style="bold")
    table = _table(f"Orders ({len(picture.orders)})", "at", "order", "side", "shares", "price", "status", "why")
    for order in picture.orders[-ORDERS_SHOWN:]:
        table.add_row(
            clock(order.planned_at),
            order.client_order_id,
            order.side.value,
            f"{order.filled_qty}/{order.qty}",
            _price(order.limit_price or order.stop_price),
            order.status.value,
            why(order, picture),
        )
    return table


def _health(services: Sequence[Service]) -> RenderableType:
    return Columns(
        [
            Text(f"{service.name} {service.memory_mb} MB", style="green" if service.well else "red")
            for service in services
        ]
    )


def _price(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float | int | Decimal) else "-"
