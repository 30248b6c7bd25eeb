"""Halting and flattening without state: the broker is asked directly, look by look, until the level holds there.

Each look reads what stands at the broker and in the ledger, works out the next steps (steps.py), and does them. So it
may be started twice, beside another one, or beside a state that comes back: what is there counts, ids are unique at
the broker for life, and more than is held is never offered. Nothing that no record of ours explains is touched.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct

from cli.operating.standing import Books, Standing, standings
from cli.operating.steps import Cancel, Plan, Send, Step, Today, plan
from services.executor import fate
from services.executor.broker import Answer, Broker, Fault, Replied
from services.executor.broker_words import (
    BrokerClock,
    Unreadable,
    read_account,
    read_market,
    read_order,
    read_orders,
    read_positions,
)
from services.executor.budget import Budget
from services.executor.fate import Verb
from services.executor.snapshot import LOOK_BACK, merged
from services.executor.work import Clock
from shared.contracts.orders import BrokerAccount, BrokerOrder
from shared.contracts.vocabulary import HaltLevel, Outcome

T = TypeVar("T")

NEW_YORK: Final = ZoneInfo("America/New_York")
CLOCK: Final = Clock(monotonic=time.monotonic, wait=time.sleep, now=lambda: dt.datetime.now(dt.UTC))
LOOK_EVERY_S: Final = 0.05
TRIES: Final = 3
"""Refusals of a sale or stop in a row, then it is given up."""
READ_TRIES: Final = 2
"""Each of them is three, by the broker's own repeats of a read."""
PATIENCE_S: Final = 3.0
"""With nothing to do but to wait for what the broker does, it is waited for so long."""
READS: Final = 3
"""Requests of one look: open orders, those of the last days, positions."""


class Unreachable(Exception):
    """The broker does not answer, or not readably; the text is one line."""


class Ledger(Protocol):
    """The ledger's side, read anew for each look."""

    def books(self) -> Books: ...


class Sent(Struct, frozen=True):
    """An order that was sent. what: in words."""

    order: str
    what: str


class Done(Struct, frozen=True, kw_only=True):
    """What came of it. ended: our ids, or the broker's, of orders that were asked to end. refused: in words.

    standing: what of ours is left at the broker. open: the market is; then `opens` is None. settled: nothing is left
    to do, or under way. last_s: seconds from the start to the last request that ended or sent something.
    """

    ended: tuple[str, ...]
    sent: tuple[Sent, ...]
    refused: tuple[str, ...]
    standing: tuple[Standing, ...]
    unread: tuple[str, ...]
    open: bool
    opens: dt.datetime | None
    settled: bool
    last_s: float


class Look(Struct, frozen=True):
    """One reading of both sides."""

    standings: tuple[Standing, ...]
    unread: tuple[str, ...]


class Direct:
    """tell: says a line to the person who waits."""

    def __init__(self, broker: Broker, ledger: Ledger, budget: Budget, clock: Clock, tell: Callable[[str], None]):
        self._broker = broker
        self._ledger = ledger
        self._budget = budget
        self._clock = clock
        self._tell = tell
        self._started = clock.monotonic()
        self._last = self._started
        self._ended: dict[str, None] = {}
        self._sent: dict[str, Sent] = {}
        self._refused: dict[str, str] = {}
        self._refusals: dict[str, int] = {}
        self._said_limit = False

    def account(self) -> BrokerAccount:
        """Raises Unreachable."""
        return self._read(self._broker.account, read_account, "account")

    def work(self, level: HaltLevel, within_s: float) -> Done:
        """Ask until `level` holds, for so many seconds; waiting for the rate limit is not counted.

        Raises Unreachable where nothing could be read, or no longer.
        """
        clock = self._read(self._broker.clock, read_market, "clock")
        today = Today(
            installation=self._ledger.books().installation,
            session=clock.at.astimezone(NEW_YORK).date(),
            open=clock.is_open,
        )
        give_up = self._clock.monotonic() + within_s
        while True:
            look = self._look(today, clock.at - LOOK_BACK)
            plans = [self._plan(standing, level, today) for standing in look.standings]
            steps = [step for one in plans for step in one.steps]
            for place, step in enumerate(steps):
                give_up += self._pace(len(steps) - place + READS)
                self._do(step)
            settled = not steps and not any(one.waits for one in plans)
            idle_s = self._clock.monotonic() - self._last
            if settled or self._clock.monotonic() >= give_up or (not steps and idle_s >= PATIENCE_S):
                return self._done(look, clock, settled=settled)
            self._clock.wait(LOOK_EVERY_S)

    def _plan(self, standing: Standing, level: HaltLevel, today: Today) -> Plan:
        given_up = self._refusals.get(f"{standing.symbol} market", 0) >= TRIES
        wanted = plan(standing, level, today, refused=given_up)
        if self._refusals.get(f"{standing.symbol} stop", 0) >= TRIES:
            kept = tuple(step for step in wanted.steps if isinstance(step, Cancel))
            return Plan(kept, waits=wanted.waits and bool(kept))
        return wanted

    def _look(self, today: Today, since: dt.datetime) -> Look:
        books = self._ledger.books()
        working, unread = self._read(self._broker.open_orders, read_orders, "open orders")
        recent, more = self._read(lambda: self._broker.orders_since(since), read_orders, "orders")
        held, unheld = self._read(self._broker.positions, read_positions, "positions")
        orders = merged(working, recent)
        orders += self._vanished(books, orders)
        reasons = tuple(dict.fromkeys(one.reason for one in (*unread, *more, *unheld)))
        return Look(standings(books, orders, held, f"{today.session:%y%m%d}"), reasons)

    def _vanished(self, books: Books, orders: tuple[BrokerOrder, ...]) -> tuple[BrokerOrder, ...]:
        """Orders that the ledger thinks open and no list shows: they ended days after they were sent."""
        shown = {one.broker_id for order in orders for one in (order, *order.legs)}
        missing = [one.broker_id for one in books.orders if one.open and one.broker_id and one.broker_id not in shown]
        found: list[BrokerOrder] = []
        for broker_id in missing:
            answer = self._ask(lambda broker_id=broker_id: self._broker.by_id(broker_id))  # type: ignore[misc]
            if isinstance(answer, Replied) and answer.status == 200:
                try:
                    found.append(read_order(answer.body).order)
                except Unreadable:
                    continue
        return tuple(found)

    def _do(self, step: Step) -> None:
        match step:
            case Cancel(order):
                answer = self._heard(self._broker.cancel(order.broker_id))
                outcome = fate.outcome(Verb.CANCEL, answer, readable=True)
                if outcome is Outcome.DONE:
                    self._ended[order.client_order_id] = None
            case Send(terms):
                answer = self._heard(self._broker.submit(terms))
                outcome = fate.outcome(
                    Verb.SUBMIT, answer, readable=isinstance(answer, Replied) and answer.body is not None
                )
                key = f"{terms.symbol} {terms.type}"
                if outcome is Outcome.DONE:
                    stop = f" if it falls to {terms.stop_price}" if terms.stop_price is not None else " at the market"
                    what = f"sell {terms.qty} {terms.symbol}{stop}"
                    self._sent[terms.client_order_id] = Sent(terms.client_order_id, what)
                    self._refused.pop(key, None)
                elif outcome is Outcome.REFUSED:
                    self._refusals[key] = self._refusals.get(key, 0) + 1
                    self._refused[key] = f"{terms.client_order_id}: {_words(answer)}"
        self._last = self._clock.monotonic()

    def _pace(self, left: int) -> float:
        """Wait until the rate limit lets a request through; the seconds waited.

        left: requests still to make; 0: it is not known yet.
        """
        waited = 0.0
        while (wait := self._budget.wait_s(self._clock.monotonic())) > 0:
            if left and not self._said_limit:
                self._said_limit = True
                self._tell(
                    f"at the broker's rate limit: {left} requests to go, about {self._estimate_s(wait, left):.0f} s"
                )
            self._clock.wait(wait)
            waited += wait
        return waited

    def _estimate_s(self, wait: float, left: int) -> float:
        return wait + (left - 1) * self._budget.seconds_each

    def _ask(self, call: Callable[[], Answer]) -> Answer:
        self._pace(0)
        return self._heard(call())

    def _heard(self, answer: Answer) -> Answer:
        if isinstance(answer, Replied) and answer.remaining is not None:
            self._budget.told(self._clock.monotonic(), answer.remaining, answer.reset_s or 1.0)
        return answer

    def _read(self, call: Callable[[], Answer], parse: Callable[[object], T], what: str) -> T:
        """What `parse` makes of a good reply; asked a few times. Raises Unreachable."""
        why = ""
        for _ in range(READ_TRIES):
            answer = self._ask(call)
            why = _words(answer)
            if isinstance(answer, Replied) and answer.status in (401, 403):
                break
            if isinstance(answer, Replied) and answer.status == 200:
                try:
                    return parse(answer.body)
                except Unreadable as fault:
                    raise Unreachable(f"the broker's {what} cannot be read: {fault}") from None
            self._clock.wait(LOOK_EVERY_S)
        raise Unreachable(f"the broker's {what} cannot be read: {why}")

    def _done(self, look: Look, clock: BrokerClock, *, settled: bool) -> Done:
        return Done(
            ended=tuple(self._ended),
            sent=tuple(self._sent.values()),
            refused=tuple(self._refused.values()),
            standing=look.standings,
            unread=look.unread,
            open=clock.is_open,
            opens=None if clock.is_open else clock.next_open,
            settled=settled,
            last_s=round(self._last - self._started, 3),
        )


def _words(answer: Answer) -> str:
    if isinstance(answer, Replied):
        return f"{answer.status} {answer.text or 'without a reason'}"
    if answer.fault is Fault.NOT_CONNECTED:
        return "nothing answers at its address"
    return f"{answer.fault.value}: {answer.text}"
