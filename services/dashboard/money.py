"""The account at a glance, what is held and where it stands, and what is at work at the broker."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nicegui import ui

from services.dashboard import fragments
from services.dashboard.chart import equity_chart
from services.dashboard.rows import Held, LedgerView, Working
from services.dashboard.standing import standing
from services.dashboard.tape import Point, Price

WIDE: Final = {"classes": "wide", "headerClasses": "wide"}
"""Columns that a phone has no room for."""
ORDER_COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "symbol", "label": "Symbol", "field": "symbol", "align": "left"},
    {"name": "does", "label": "Does", "field": "does", "align": "left"},
    {"name": "qty", "label": "Shares", "field": "qty", "align": "right"},
    {"name": "price", "label": "Price", "field": "price", "align": "right"},
    {"name": "status", "label": "Status", "field": "status", "align": "left", **WIDE},
    {"name": "since", "label": "Since", "field": "since", "align": "right", **WIDE},
    {"name": "id", "label": "Order", "field": "id", "align": "left", "classes": "wide mono", "headerClasses": "wide"},
]
SYMBOL_SLOT: Final = """
<q-td :props="props">
  <button type="button" class="link" :aria-label="'chart of ' + props.row.symbol"
          @click="$parent.$emit('pick', props.row.symbol)">{{ props.row.symbol }}</button>
</q-td>
"""


class MoneyPanel:
    """pick: shows a symbol's chart."""

    def __init__(self, pick: Callable[[str], None]) -> None:
        self._pick = pick
        self._cards: dict[str, _Card] = {}
        self._tiles = ui.html().classes("tiles")
        with ui.element("div").classes("two"):
            with ui.element("section").classes("panel").props('aria-label="Positions"'):
                ui.html("<h2>Positions</h2>")
                self._positions = ui.element("div").classes("positions")
                self._nothing = ui.html('<p class="muted">Nothing is held.</p>')
                self._closed_head = ui.html("<h3>Closed today</h3>")
                self._closed = ui.html()
            with ui.element("section").classes("panel").props('aria-label="Equity and exposure"'):
                ui.html("<h2>Equity and exposure <small>New York time</small></h2>")
                self._chart = ui.echart(equity_chart((), None)).classes("equity-chart").props("id=equity-chart")
        with ui.element("section").classes("panel").props('aria-label="Open orders"'):
            ui.html("<h2>Open orders</h2>")
            self._orders = ui.table(columns=ORDER_COLUMNS, rows=[], row_key="id").classes("grid-table orders")
            self._orders.props("flat dense hide-pagination :rows-per-page-options=[0]")
            self._orders.add_slot("body-cell-symbol", SYMBOL_SLOT)
            self._orders.add_slot("no-data", '<span class="muted">No order is open.</span>')
            self._orders.on("pick", lambda event: pick(str(event.args)))

    def refresh(self, view: LedgerView | None, prices: Mapping[str, Price], points: Sequence[Point]) -> None:
        """Show this instant."""
        _set(self._tiles, fragments.tiles(view, prices))
        self._refresh_positions(view.held if view is not None else (), prices, view.now if view is not None else None)
        closed = fragments.closed(view.closed) if view is not None else ""
        _set(self._closed, closed)
        self._closed_head.set_visibility(bool(closed))
        rows = [_row(order) for order in view.orders] if view is not None else []
        if rows != self._orders.rows:
            self._orders.rows = rows
        opening = (view.money.opening_equity or None) if view is not None and view.money is not None else None
        options = equity_chart(points, opening)
        if options != self._chart.options:
            self._chart.options.update(options)
            self._chart.update()

    def _refresh_positions(self, held: Sequence[Held], prices: Mapping[str, Price], now: dt.datetime | None) -> None:
        known = {one.symbol: one for one in held}
        for symbol in [symbol for symbol in self._cards if symbol not in known]:
            self._cards.pop(symbol).remove()
        for symbol, one in known.items():
            if symbol not in self._cards:
                with self._positions:
                    self._cards[symbol] = _Card(symbol, self._pick)
            self._cards[symbol].refresh(fragments.position(one, standing(one, prices.get(symbol)), now))
        self._nothing.set_visibility(not known)


class _Card:
    def __init__(self, symbol: str, pick: Callable[[str], None]) -> None:
        self._card = ui.element("article").classes("pos").props(f"data-symbol={symbol}")
        with self._card:
            button = (
                ui.element("button").classes("link pos-symbol").props(f'type=button aria-label="chart of {symbol}"')
            )
            with button:
                ui.label(symbol)
            button.on("click", lambda: pick(symbol))
            self._body = ui.html()

    def refresh(self, body: str) -> None:
        _set(self._body, body)

    def remove(self) -> None:
        self._card.delete()


def _set(element: ui.html, content: str) -> None:
    if element.content != content:
        element.set_content(content)


def _row(order: Working) -> dict[str, Any]:
    price = order.stop_price if order.stop_price is not None else order.limit_price
    return {
        "id": order.client_order_id,
        "symbol": order.symbol,
        "does": f"{order.side.value} {order.type.replace('_', ' ')}: {fragments.order_words(order.kind)}",
        "qty": f"{order.filled_qty} of {order.qty}" if order.filled_qty else str(order.qty),
        "price": fragments.dollars(price) if price is not None else "market",
        "status": f"{order.status.replace('_', ' ')}{', rests' if order.resting else ''}",
        "since": fragments.clock(order.planned_at),
    }
