"""Gathers from ledger and memory what the pure rules are asked with: the market, the gates, one entry's view."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from decimal import Decimal

from services.state import clocks, foreign, gates, reports, sizing
from services.state.admission import AdmissionView, Gates, Holding, buying_of, exposure
from services.state.memory import Memory
from services.state.model import CancelRefused, EntryRow, Market, Order, Position, SymbolBook
from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts.money import exact
from shared.contracts.vocabulary import Status
from shared.domain.calendar import market_minutes_between


class Judging:
    """The questions of one unit. halt: the level in force, `halt` where it could not be read."""

    def __init__(self, unit: Unit, memory: Memory, setup: Setup) -> None:
        self._unit = unit
        self._memory = memory
        self._setup = setup

    def market(self) -> Market | None:
        """The session as the ledger has it; None before the first one."""
        session = self._unit.store.last_session()
        if session is None:
            return None
        return Market(
            now=self._unit.now,
            session=session.session,
            opens_at=session.opens_at,
            closes_at=session.closes_at,
            following_opens_at=session.following_opens_at,
            halt=self._unit.store.account().halt,
            conducted=self._setup.conducted,
        )

    def book(self, symbol: str) -> SymbolBook:
        """Everything of one symbol that planning sees."""
        store, memory = self._unit.store, self._memory
        close = memory.last_close(symbol)
        position = store.open_position(symbol)
        orders = tuple(store.open_orders(symbol))
        return SymbolBook(
            symbol=symbol,
            position=position,
            orders=orders,
            exits=tuple(store.open_exit_intents(symbol)),
            missing=foreign.missing_of(store.foreign_items(), symbol),
            halted=memory.halted(symbol),
            last_close=close if close is not None else memory.last_daily_close(symbol),
            ended=tuple(store.ended_orders(symbol, self._since(position, orders))),
            cancels_refused=tuple(
                CancelRefused(order=action.target, at=action.ended_at)
                for action in store.refused_cancels(symbol)
                if action.ended_at is not None and any(order.client_order_id == action.target for order in orders)
            ),
            turned_up=tuple(order.client_order_id for order in orders if order.note == reports.TURNED_UP),
            rescaled=position is not None and bool(store.splits_of(position.position_id)),
        )

    def _since(self, position: Position | None, orders: tuple[Order, ...]) -> dt.datetime:
        """From when on orders that ended belong to what is held or at work now."""
        store = self._unit.store
        session = store.last_session()
        starts = [order.planned_at for order in orders]
        if position is not None:
            entry = store.order(position.position_id)
            starts.append(entry.planned_at if entry is not None else position.entered_at)
        if session is not None and position is None:
            starts.append(session.opens_at)
        parents = [store.order(order.parent) for order in orders if order.parent]
        return min((*starts, *(parent.planned_at for parent in parents if parent is not None)), default=self._unit.now)

    def gates(self, market: Market, symbol: str) -> Gates:
        store, memory = self._unit.store, self._memory
        account = store.account()
        return Gates(
            market=market,
            halt=account.halt,
            armed=gates.entries_allowed(self._unit, self._setup),
            broker_open=False if clocks.differ(store) else None,
            feed_at=memory.feed_at,
            symbol_at=memory.traded_at(symbol),
            halted=memory.halted(symbol),
            account_blocked=account.blocked,
            foreign=any(
                item.certain and (item.symbol == symbol or item.kind == "installation")
                for item in store.foreign_items()
            ),
            stopped=account.stopped,
            blocked=frozenset(blocked_symbols(self._unit)),
        )

    def view(self, row: EntryRow, market: Market) -> AdmissionView:
        """What `row` is judged by now; entries admitted before it are in it."""
        store, memory = self._unit.store, self._memory
        positions = store.list_positions()
        orders = store.open_orders()
        today = store.entry_orders_of(market.session)
        account = store.account()
        return AdmissionView(
            gates=self.gates(market, row.symbol),
            account=account,
            reference=memory.last_close(row.symbol),
            closes_since=memory.spans_since(row.symbol, row.confirmed_at),
            has_position=any(position.symbol == row.symbol for position in positions),
            has_order=any(order.symbol == row.symbol for order in orders),
            entered_today=any(order.symbol == row.symbol and order.status is not Status.DENIED for order in today),
            minutes_since_fill=self._minutes_since_fill(row.symbol),
            exposure=exposure(
                (
                    Holding(
                        symbol=position.symbol,
                        sector=position.sector,
                        qty=position.qty,
                        mark=_mark(memory.last_close(position.symbol), position.avg_price),
                    )
                    for position in positions
                ),
                buying_of(orders, self._sector_of),
                row.symbol,
                row.sector,
            ),
            penalty=self._penalty(row.symbol, [position.symbol for position in positions]),
            committed=Decimal(store.note("committed") or "0"),
        )

    def last_closes(self, symbols: Iterable[str]) -> dict[str, float]:
        """The last one-minute closes that are known."""
        found = {symbol: self._memory.last_close(symbol) for symbol in symbols}
        return {symbol: close for symbol, close in found.items() if close is not None}

    def _sector_of(self, symbol: str) -> str:
        for candidate in self._unit.store.candidates_of(symbol):
            if candidate.sector:
                return candidate.sector
        return ""

    def _minutes_since_fill(self, symbol: str) -> float | None:
        times = self._unit.store.last_fill_times(symbol)
        return market_minutes_between(max(times.values()), self._unit.now) if times else None

    def _penalty(self, symbol: str, held: list[str]) -> float:
        own = self._memory.daily_closes(symbol)
        others = [self._memory.daily_closes(other) for other in held]
        rules = self._setup.rules.size
        return sizing.correlation_penalty(sizing.correlations_with(own, others, rules), rules)


def blocked_symbols(unit: Unit) -> list[str]:
    """The operator's own blocks."""
    return list(json.loads(unit.store.note("blocked_symbols") or "[]"))


def _mark(close: float | None, average: Decimal) -> Decimal:
    return exact(close) if close is not None else average
