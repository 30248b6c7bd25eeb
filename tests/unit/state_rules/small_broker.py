"""A broker of one symbol, small enough to check by eye, and the ledger's part around it; shares no code with either.

It reserves shares for open sells, refuses stops at or above the price, knows wash trades, fills in parts, lets cancels
and replacements fail, triggers stops, ends day orders. What the planner must never ask is asserted where it is asked.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state.model import (
    CancelRefused,
    ExitRow,
    IntentStatus,
    Market,
    Order,
    PlannedCancel,
    PlannedEnd,
    PlannedOrder,
    Position,
    SymbolBook,
)
from services.state.planning import plan
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import (
    HaltLevel,
    OrderKind,
    OrderType,
    Side,
    Status,
    StopMode,
    TrimState,
)
from tests.unit.state_rules.books import DAY, OPENS, order

ENTRY: Final = "e7f3-260109-ACME-entry-1"
MOST_STEPS: Final = 40

Chance = Callable[[str], bool]
Share = Callable[[int], int]


class SmallBroker:
    """chance(what): whether a fault happens now. share(n): how many of n shares trade now, 0 to n."""

    def __init__(self, qty: int, chance: Chance, share: Share) -> None:
        self.chance = chance
        self.share = share
        self.rules = Rules()
        self.day = DAY
        self.opens = OPENS
        self.now = OPENS + dt.timedelta(hours=1)
        self.price = Decimal("51.00")
        self.halted = False
        self.level = HaltLevel.NONE
        self.orders: dict[str, Order] = {}
        self.ended: list[Order] = []
        self.rows: dict[str, ExitRow] = {}
        self.refused_cancels: list[CancelRefused] = []
        self.bought = self.sold = 0
        self.stop = Decimal("48.00")
        self.leaving = False
        self.first_fill = self.last_fill = self.now
        self.highest_stop = Decimal(0)
        self.numbers = 0
        self._put(order(OrderKind.ENTRY, qty, "entry-1", planned_at=self.now, accepted_at=self.now))
        self._put(
            order(
                OrderKind.STOP,
                qty,
                "entry-1-stop",
                parent=ENTRY,
                status=Status.SUBMITTED,
                broker_status="held",
                resting=False,
                planned_at=self.now,
            )
        )

    # What the planner sees

    @property
    def held(self) -> int:
        return self.bought - self.sold

    def market(self) -> Market:
        return Market(
            now=self.now,
            session=self.day,
            opens_at=self.opens,
            closes_at=self.closes,
            following_opens_at=self.opens + dt.timedelta(days=1),
            halt=self.level,
        )

    @property
    def closes(self) -> dt.datetime:
        return self.opens + dt.timedelta(hours=6, minutes=30)

    @property
    def trading(self) -> bool:
        return self.opens <= self.now < self.closes and not self.halted

    def book(self) -> SymbolBook:
        return SymbolBook(
            symbol="ACME",
            position=self._position() if self.held else None,
            orders=tuple(self.orders[name] for name in sorted(self.orders)),
            exits=tuple(self.rows.values()),
            halted=self.halted,
            last_close=float(self.price),
            ended=tuple(self.ended),
            cancels_refused=tuple(self.refused_cancels),
        )

    def _position(self) -> Position:
        return Position(
            position_id=ENTRY,
            symbol="ACME",
            session=DAY,
            strategy="boh",
            qty=self.held,
            bought=self.bought,
            sold=self.sold,
            avg_price=Decimal("50.00"),
            realized=Decimal(0),
            pivot=49.5,
            r1=52.0,
            r2=54.0,
            stop=self.stop,
            stop_mode=StopMode.EXITING if self.leaving else StopMode.OPEN,
            high_water=51.0,
            invalidations=0,
            r1_state=TrimState.OPEN,
            r2_state=TrimState.OPEN,
            entered_at=self.first_fill,
            last_entry_fill_at=self.last_fill,
            last_exit_fill_at=None,
            decided_through=None,
            unprotected_since=None if self.covered >= self.held else self.now,
            closed_at=None,
        )

    # What is promised at every moment

    @property
    def working_sells(self) -> list[Order]:
        return [one for one in self.orders.values() if one.side is Side.SELL and one.resting]

    @property
    def covered(self) -> int:
        return sum(one.remaining for one in self.working_sells)

    def check(self) -> None:
        assert self.held >= 0, "sold more than was bought"
        assert self.covered <= self.held, f"{self.covered} shares on offer, {self.held} held"

    # The planner's steps

    def settle(self) -> int:
        """Plan and do until nothing is left to do at this instant; how many requests that took."""
        for count in range(MOST_STEPS):
            if not self._step():
                return count
            self.check()
        raise AssertionError(f"still at it after {MOST_STEPS} steps: {self.book()}")

    def _step(self) -> bool:
        requests = 0
        for one in plan(self.book(), self.market(), self.rules, salt="s"):
            match one:
                case PlannedEnd():
                    self.rows[one.intent] = replace(self.rows[one.intent], status=one.status)
                case PlannedCancel():
                    requests += 1
                    self._cancel(self.orders[one.target])
                case PlannedOrder():
                    requests += 1
                    self._submit(one)
        assert requests <= 1, "more than one request at a time"
        return requests > 0

    def _submit(self, wanted: PlannedOrder) -> None:
        assert ENTRY not in self.orders, "a sell beside an open entry is a wash trade"
        self.numbers += 1
        new = order(
            wanted.kind,
            wanted.qty,
            f"{wanted.kind}-{self.numbers + 1}",
            type=wanted.type,
            limit_price=wanted.limit_price,
            stop_price=wanted.stop_price,
            intent=wanted.intent,
            parent=wanted.replaces,
            session=self.day,
            planned_at=self.now,
            accepted_at=self.now,
        )
        last_minute = self.closes - dt.timedelta(seconds=60)
        if wanted.type is OrderType.LIMIT:
            assert self.opens <= self.now < last_minute, "a limit order outside its time"
        if wanted.type is OrderType.MARKET:
            assert self.trading, "a market order that cannot trade"
        if wanted.kind is OrderKind.STOP:
            assert wanted.stop_price is not None
            assert wanted.stop_price < self.price, "a stop at or above the price"
            assert wanted.stop_price >= self.highest_stop, "a stop fell"
            self.highest_stop = wanted.stop_price
        if wanted.replaces:
            self._replace(self.orders[wanted.replaces], new, last_minute)
            return
        free = self.held - self.covered
        assert wanted.qty <= free, f"{wanted.qty} wanted of {free} free shares"
        if self.chance("refuse an order"):
            self._end(new, Status.REJECTED, note="insufficient qty available")
        else:
            self._put(new)

    def _replace(self, old: Order, new: Order, last_minute: dt.datetime) -> None:
        before_open = self.opens - dt.timedelta(hours=5, minutes=30) <= self.now < self.opens
        assert before_open or self.opens <= self.now < last_minute, "a replacement outside its time"
        assert old.filled_qty == 0, "re-priced after a fill"
        assert (old.qty, old.stop_price) != (new.qty, new.stop_price), "order parameters are not changed"
        assert new.qty <= self.held - self.covered + old.remaining, "replaced by more than is free"
        if self.chance("refuse a replacement"):
            self._end(new, Status.REJECTED, note="cannot replace order")
            return
        self._end(old, Status.REPLACED)
        self._put(new)

    def _cancel(self, target: Order) -> None:
        if self.chance("refuse a cancel"):
            self.refused_cancels.append(CancelRefused(order=target.client_order_id, at=self.now))
            return
        if target.resting and self.trading and target.kind is not OrderKind.STOP and self.chance("fill meanwhile"):
            self._fill(target, self.share(target.remaining))
        if target.client_order_id in self.orders:
            self._end(self.orders[target.client_order_id], Status.CANCELED)
            self._kill_held_leg(target)

    def _kill_held_leg(self, parent: Order) -> None:
        """The leg of an entry that was not filled whole is dead; that no event says so is the broker's way."""
        leg = self.orders.get(f"{parent.client_order_id}-stop")
        if leg is not None and self.chance("tell of the dead leg"):
            self._end(leg, Status.CANCELED)

    # The market's steps

    def pass_time(self, seconds: int) -> None:
        """Time goes on, and what can trade trades; day orders end at the close."""
        was_open = self.now < self.closes
        self.now += dt.timedelta(seconds=seconds)
        if self.trading:
            for name in sorted(self.orders):
                if name in self.orders:
                    self._trade(self.orders[name])
        if was_open and self.now >= self.closes:
            for one in [one for one in self.orders.values() if one.kind in (OrderKind.TRIM, OrderKind.EXIT)]:
                self._end(one, Status.EXPIRED)

    def next_morning(self, before_open_s: int) -> None:
        if self.now < self.closes:
            self.pass_time(int((self.closes - self.now).total_seconds()))
            self.settle()
        self.opens += dt.timedelta(days=1)
        self.day = self.opens.date()
        self.now = self.opens - dt.timedelta(seconds=before_open_s)

    def _trade(self, one: Order) -> None:
        if not one.resting:
            return
        if one.kind is OrderKind.ENTRY:
            self._fill(one, self.share(one.remaining))
        elif one.type is OrderType.STOP:
            assert one.stop_price is not None
            if self.price <= one.stop_price or one.filled_qty:
                self._fill(one, max(self.share(one.remaining), 1))
        elif one.type is OrderType.MARKET or (one.limit_price is not None and self.price >= one.limit_price):
            self._fill(one, self.share(one.remaining))

    def _fill(self, one: Order, qty: int) -> None:
        if qty == 0:
            return
        if one.side is Side.BUY:
            self.first_fill = self.first_fill if self.bought else self.now
            self.last_fill = self.now
            self.bought += qty
        else:
            self.sold += qty
        filled = replace(
            one,
            filled_qty=one.filled_qty + qty,
            first_fill_at=one.first_fill_at or self.now,
            status=Status.PARTIALLY_FILLED,
            broker_status="partially_filled",
        )
        if filled.remaining:
            self.orders[one.client_order_id] = filled
            return
        self._end(filled, Status.FILLED)
        leg = self.orders.get(f"{one.client_order_id}-stop")
        if leg is not None:
            self._put(replace(leg, status=Status.ACCEPTED, broker_status="new", resting=True, accepted_at=self.now))

    def _put(self, one: Order) -> None:
        self.orders[one.client_order_id] = one

    def _end(self, one: Order, status: Status, note: str = "") -> None:
        self.orders.pop(one.client_order_id, None)
        self.ended.append(
            replace(one, status=status, broker_status=status.value, resting=False, ended_at=self.now, note=note)
        )

    # What signals and operators want

    def intend(self, kind: str, level: str = "", stop: Decimal | None = None) -> None:
        if not self.held:
            return
        name = f"{kind}{level}-{len(self.rows)}"
        self.rows[name] = ExitRow(
            id=name,
            symbol="ACME",
            position_id=ENTRY,
            kind=kind,
            at=self.now,
            reason="invalidation" if kind == "exit" else "",
            cause="bars-0-260109T1600",
            status=IntentStatus.PENDING,
            level=level,
            fraction=0.5,
            price=float(self.price),
            stop=stop,
        )
        if stop is not None:
            self.stop = max(self.stop, stop)
        self.leaving = self.leaving or kind == "exit"

    def open_rows(self, *kinds: str) -> list[ExitRow]:
        return [row for row in self.rows.values() if row.status is IntentStatus.PENDING and row.kind in kinds]
