"""One symbol as planning looks at it: what is held, what is at work for it, what is wanted, what was refused.

Everything is read from the book; nothing is remembered from one plan to the next.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from functools import cached_property
from typing import Final

from services.state.model import ExitRow, IntentStatus, Market, Order, Position, SymbolBook
from services.state.pricing import resting_stop
from services.state.session_rules import quiet
from shared.contracts.ids import leg_id
from shared.contracts.money import exact, figure
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import HaltLevel, OrderKind, OrderType, Status, StopMode
from shared.domain.order_life import IN_TRANSIT, LIVE

NOT_YET_SENT: Final = (Status.PLANNED, Status.CLAIMED, Status.UNRESOLVED)
SALES: Final = (OrderKind.EXIT, OrderKind.FLAT)
BESIDE_THE_STOP: Final = "price at the stop, shares beside it"
LONGEST_WAIT: Final = dt.timedelta(minutes=10)
"""Between two attempts at a sale or stop that the broker keeps refusing."""


class Scene:
    """The facts of one symbol that several steps of the plan ask for, each worked out when first asked."""

    def __init__(self, book: SymbolBook, market: Market, rules: Rules) -> None:
        self.book = book
        self.market = market
        self.rules = rules
        self.now = market.now
        self.position: Position | None = book.position
        self.qty = book.position.qty if book.position is not None else 0
        self.price = None if book.last_close is None else exact(book.last_close)
        self.max_gap = dt.timedelta(seconds=rules.protection.max_gap)

    @property
    def tradable(self) -> bool:
        """Whether a sale can trade now: in the session, and the symbol is not halted."""
        return self.market.open and not self.book.halted

    # Orders at work

    @cached_property
    def live(self) -> tuple[Order, ...]:
        return tuple(order for order in self.book.orders if order.status in LIVE)

    @cached_property
    def busy(self) -> bool:
        """An action of this symbol is on its way, or the broker is between two states: wait for how it ends."""
        return any(
            order.in_flight
            or order.broker_status in IN_TRANSIT
            or (order.status in NOT_YET_SENT and not is_leg(order))  # a leg is the broker's: we never send it
            for order in self.live
        )

    @cached_property
    def entry(self) -> Order | None:
        return next((order for order in self.live if order.kind is OrderKind.ENTRY), None)

    @cached_property
    def trim_order(self) -> Order | None:
        return next((order for order in self.live if order.kind is OrderKind.TRIM), None)

    @cached_property
    def sale(self) -> Order | None:
        return next((order for order in self.live if order.kind in SALES), None)

    @cached_property
    def stops(self) -> tuple[Order, ...]:
        """Stops that rest or will, the best first: resting, triggered, then the highest, then the largest."""
        stops = (order for order in self.live if order.kind is OrderKind.STOP and not self._dead_leg(order))
        return tuple(
            sorted(
                stops,
                key=lambda stop: (
                    not stop.resting,
                    stop.filled_qty == 0,
                    -(stop.stop_price or Decimal(0)),
                    -stop.remaining,
                    stop.client_order_id,
                ),
            )
        )

    @property
    def stop(self) -> Order | None:
        return self.stops[0] if self.stops else None

    @property
    def on_offer(self) -> int:
        """Shares that orders of ours may sell."""
        others = (order for order in (self.trim_order, self.sale) if order is not None)
        return sum(order.remaining for order in (*self.stops, *others))

    @property
    def sellable(self) -> int:
        """Shares that a new order may sell: what is held and at the broker, less what is on offer already."""
        return max(self.qty - self.book.missing - self.on_offer, 0)

    def _dead_leg(self, order: Order) -> bool:
        """A leg whose entry ended before it was filled never becomes active, whatever the broker still says of it."""
        if not is_leg(order) or order.resting or order.filled_qty:
            return False
        if self.entry is not None:
            return False
        entry = self.parent_of(order)
        if entry is not None:
            return entry.filled_qty < entry.qty
        return self.position is None or self.position.bought < order.qty

    def parent_of(self, order: Order) -> Order | None:
        return next((ended for ended in self.book.ended if ended.client_order_id == order.parent), None)

    @cached_property
    def leg_to_come(self) -> bool:
        """The entry is filled and its leg was not seen yet: the broker has it, a second stop would be refused."""
        position = self.position
        entry = next((one for one in reversed(self.book.ended) if one.kind is OrderKind.ENTRY), None)
        if position is None or entry is None or entry.leg_stop_price is None or entry.filled_qty < entry.qty:
            return False
        seen = any(order.client_order_id == leg_id(entry.client_order_id) for order in (*self.live, *self.book.ended))
        return not seen and self.now < position.last_entry_fill_at + self.max_gap

    # What is wanted

    @cached_property
    def wanted_stop(self) -> Decimal | None:
        """Where the stop should rest, dollars on the grid: the position's, or a raise that is not taken over yet."""
        if self.position is None:
            return None
        raises = [row.stop for row in self.rows("stop") if row.stop is not None]
        stops = [*raises, *([self.position.stop] if self.position.stop is not None else [])]
        return resting_stop(max(stops)) if stops else None

    @cached_property
    def through(self) -> bool:
        """The price is at or below the wanted stop: the broker would refuse it."""
        return self.wanted_stop is not None and self.price is not None and self.price <= self.wanted_stop

    @cached_property
    def exit_row(self) -> ExitRow | None:
        return next(iter(self.rows("exit")), None)

    @cached_property
    def leaving(self) -> str:
        """Why all shares are to be sold; empty: they are not."""
        if self.position is None or self.qty == 0:
            return ""
        if self.exit_row is not None:
            return self.exit_row.reason or "exit"
        if self.market.halt is HaltLevel.FLATTEN:
            return "flatten"
        if self.position.stop_mode is StopMode.EXITING:
            return "exiting"
        if self.through and not self._stop_at_wanted:
            return "stop at or above the price"
        if self.through and self.on_offer < self.qty:
            return BESIDE_THE_STOP
        if self.stop is None and self._stop_given_up:
            return "stop refused"
        return ""

    @property
    def _stop_at_wanted(self) -> bool:
        """A stop at the wanted price stands already: the broker sells by it."""
        stop = self.stop
        return (
            stop is not None
            and stop.stop_price is not None
            and self.wanted_stop is not None
            and stop.stop_price >= self.wanted_stop
        )

    @property
    def urgent(self) -> bool:
        """A sale goes to the market at once, without a limit (docs/strategy.md section 8, "Exits")."""
        row = self.exit_row
        if row is None or row.market or self.price is None or self.through:
            return True
        from_before = row.at < self.market.opens_at
        flatten = self.market.halt is HaltLevel.FLATTEN
        tried = self.tries(row) >= self.rules.exit.tries
        return from_before or flatten or tried or quiet(self.market, self.rules) or self._unprotected_too_long

    @property
    def _unprotected_too_long(self) -> bool:
        since = self.position.unprotected_since if self.position is not None else None
        return since is not None and self.now - since >= self.max_gap

    # Intents

    def rows(self, kind: str) -> list[ExitRow]:
        """Open intents of `kind` for this position, in the order in which they are worked: r1, r2, then by age."""
        if self.position is None:
            return []
        return sorted(
            (row for row in self.open_rows if row.kind == kind and row.position_id == self.position.position_id),
            key=lambda row: (row.level, row.at, row.id),
        )

    @cached_property
    def open_rows(self) -> list[ExitRow]:
        return [row for row in self.book.exits if row.status in (IntentStatus.PENDING, IntentStatus.WORKING)]

    def tries(self, row: ExitRow) -> int:
        """Limit orders of `row` that ended, at the broker, whatever they sold; a refused trim counts too."""
        ended = [order for order in self._ended_of(row) if order.type is OrderType.LIMIT]
        tried = {Status.CANCELED, Status.EXPIRED, Status.FILLED} | ({Status.REJECTED} if row.kind == "trim" else set())
        return max(row.tries, sum(order.status in tried for order in ended))

    def sold(self, row: ExitRow) -> int:
        working = (order for order in self.live if order.intent == row.id)
        return max(row.sold, sum(order.filled_qty for order in (*working, *self._ended_of(row))))

    def trim_shares(self, row: ExitRow) -> int:
        """Shares that a trim still has to sell: its fraction of what was held when it began, less what it sold."""
        sold = self.sold(row)
        whole = row.shares if row.shares is not None else math.floor(figure(row.fraction * (self.qty + sold)))
        return min(whole - sold, self.qty)

    def _ended_of(self, row: ExitRow) -> Iterator[Order]:
        sells = (OrderKind.TRIM, *SALES)
        return (order for order in self.book.ended if order.intent == row.id and order.kind in sells)

    # Refusals

    def replace_refused(self, stop: Order) -> bool:
        return any(
            order.parent == stop.client_order_id and order.status is Status.REJECTED for order in self.book.ended
        )

    def cancel_refused(self, order: Order) -> bool:
        """A moment ago: it may just have ended, its last word is on the way."""
        return any(
            refused.order == order.client_order_id and self.now < refused.at + self.max_gap
            for refused in self.book.cancels_refused
        )

    @cached_property
    def sale_must_wait(self) -> bool:
        """The last sale was refused: the stop is back, and the next attempt waits longer after each refusal."""
        return self._waits(SALES, dt.timedelta(seconds=self.rules.exit.fill_for))

    @cached_property
    def stop_must_wait(self) -> bool:
        refused = self._refused_in_a_row((OrderKind.STOP,))
        if refused and self.sellable < refused[-1].qty:
            return False  # why it was refused is known by now, and this one is smaller
        return self._waits((OrderKind.STOP,), self.max_gap)

    @property
    def _stop_given_up(self) -> bool:
        refused = self._refused_in_a_row((OrderKind.STOP,))
        too_high = bool(refused) and "stop price must be" in refused[-1].note
        return too_high or len(refused) >= self.rules.exit.tries

    def _waits(self, kinds: tuple[OrderKind, ...], step: dt.timedelta) -> bool:
        refused = self._refused_in_a_row(kinds)
        if not refused or refused[-1].ended_at is None:
            return False
        return self.now < refused[-1].ended_at + min(step * len(refused), LONGEST_WAIT)

    def _refused_in_a_row(self, kinds: tuple[OrderKind, ...]) -> list[Order]:
        """The newest orders of `kinds`, as long as each was refused, oldest first.

        A refused replacement left its stop standing, so it says nothing about a new one.
        """
        refused: list[Order] = []
        for order in reversed(self.book.ended):
            if order.kind not in kinds or order.status in (Status.DENIED, Status.ABSENT):
                continue
            if order.status is not Status.REJECTED:
                break
            if not order.parent:
                refused.append(order)
        return refused[::-1]


def is_leg(order: Order) -> bool:
    """The stop leg of an OTO entry, as the broker made it; a stop that replaced it is an order of our own."""
    return bool(order.parent) and order.client_order_id == leg_id(order.parent)
