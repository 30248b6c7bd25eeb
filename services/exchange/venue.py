"""The exchange as a running thing: one lock around everything, and nothing goes out before it is kept.

Requests come from the web server's thread, minutes from the bus's; whoever holds the lock has the book, the clock and
the file to itself. In this order: change the book, commit it, then answer and announce.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from services.exchange.book import Changes
from services.exchange.exchange import Exchange
from services.exchange.market import Market
from services.exchange.orders import Update
from shared.runtime.crash import crash_here

Result = TypeVar("Result")


class Clock(Protocol):
    def now(self) -> dt.datetime:
        """UTC; never falls."""


class Keeps(Protocol):
    def keep(self, changes: Changes, exchange: Exchange, notes: Mapping[str, str]) -> None:
        """One transaction: what changed in the book, and notes (name to text) that belong to it."""


class KeepsNothing:
    """For tests: the book lives as long as the process."""

    def keep(self, changes: Changes, exchange: Exchange, notes: Mapping[str, str]) -> None: ...


class TickClock:
    """Conducted time: it stands where the last tick put it."""

    def __init__(self, now: dt.datetime) -> None:
        self._now = now

    def now(self) -> dt.datetime:
        return self._now

    def move_to(self, now: dt.datetime) -> None:
        """An earlier time, such as of a tick that is given again, moves nothing."""
        self._now = max(self._now, now)


Listener = Callable[[Sequence[Update]], None]


class Broken(Exception):
    """A change failed half-way, or could not be kept. Nothing of it went out, and nothing does any more."""


class Venue:
    """`listener` is told of trade updates in the order of their numbers, while the lock is held: it must not wait."""

    def __init__(self, exchange: Exchange, market: Market, clock: Clock, keeps: Keeps) -> None:
        self.exchange = exchange
        self.market = market
        self.clock = clock
        self._keeps = keeps
        self.is_broken = False
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def do(
        self,
        call: Callable[[Exchange, dt.datetime], Result],
        notes: Callable[[], Mapping[str, str]] = dict,
    ) -> tuple[Result, int]:
        """`call` with the exchange and the time; its result, and the number of the last trade update after it.

        notes: what else to keep in the same transaction, asked after `call`.
        """
        with self._lock:
            if self.is_broken:
                raise Broken("the book in memory is not the book in the file; start again")
            try:
                result = self._do(call, notes)
            except BaseException:
                self.is_broken = True
                raise
            return result, self.exchange.book.account.updates

    def _do(self, call: Callable[[Exchange, dt.datetime], Result], notes: Callable[[], Mapping[str, str]]) -> Result:
        now = self.clock.now()
        self.exchange.advance(now)
        result = call(self.exchange, now)
        changes, updates = self.exchange.book.take_changes(), self.exchange.book.take_updates()
        kept = notes()
        if changes or kept:
            crash_here("exchange.before_commit")
            self._keeps.keep(changes, self.exchange, kept)
            crash_here("exchange.after_commit")
        if updates:
            for listener in self._listeners:
                listener(updates)
        return result
