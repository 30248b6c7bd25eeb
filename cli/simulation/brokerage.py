"""The broker's side of a simulated run: the paper exchange as a process, its book outliving it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cli.simulation.disk import BookDisk
from cli.simulation.processes import Process
from cli.simulation.world import Killed, World
from services.exchange.__main__ import keep_time
from services.exchange.book import Book
from services.exchange.exchange import Exchange, new_book
from services.exchange.market import Market
from services.exchange.orders import Update
from services.exchange.service import PROGRESS, BusSteps, read_progress, ticks_after
from services.exchange.venue import Clock, TickClock, Venue
from shared.contracts import streams
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.runtime.loop import FreePace, Pace, Steps

FIRST_INSTANT: Final = dt.datetime(1993, 1, 29, tzinfo=dt.UTC)


class ExchangeProcess(Process):
    """The broker's side. Its book file outlives it."""

    name = "exchange"
    covered = ("daily", "bars")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._disk = BookDisk(self._kept)
        self.clock = self._clock(FIRST_INSTANT)
        book = new_book(world.settings.exchange, world.settings.run.salt, self.clock.now())
        self.venue: Venue | None = None
        self._open(book)
        assert self.venue is not None
        self._disk.keep(book.take_changes(), self.venue.exchange, {})

    @property
    def book(self) -> Book:
        """As it stands, also where the process is down."""
        return self._disk.load() if self.venue is None else self.venue.exchange.book

    def time(self) -> dt.datetime:
        """By the exchange's clock."""
        return self.clock.now()

    @property
    def updates(self) -> int:
        return self._last_updates if self.venue is None else self.venue.exchange.book.account.updates

    def may_start(self) -> bool:
        return self.venue is None or super().may_start()

    def start(self) -> None:
        if self.venue is None:
            self.clock = self._clock(read_progress(self._disk.note(PROGRESS), "").at)
            self._open(self._disk.load())
            self.world.listener.reconnect()
        super().start()

    def build(self) -> Steps:
        assert self.venue is not None
        life = self._life
        progress = read_progress(self._disk.note(PROGRESS), f"{life.run_id}/{life.epoch}")
        bars = streams.names(["bars"], self.world.parts)
        move_to = self.clock.move_to if isinstance(self.clock, TickClock) else lambda now: None
        return BusSteps(self.venue, _NoAudience(), progress, bars, move_to)

    def pace(self) -> Pace:
        return FreePace([self._keep_time], ticks_after, 0) if self.is_free else super().pace()

    def time_passed(self) -> None:
        """By the wall clock days end also where nobody says anything."""
        if self.is_free and self.waits():
            self.step(next(self._batches))

    def _keep_time(self) -> Sequence[Message]:
        assert self.venue is not None
        return keep_time(self.venue)

    def _clock(self, at: dt.datetime) -> Clock:
        return self.world.wall or TickClock(at)

    def die(self, death: Killed) -> None:
        super().die(death)
        self._last_updates = self.updates
        self.venue = None
        self.world.listener.disconnect()

    def _open(self, book: Book) -> None:
        exchange = Exchange(book, self.world.settings.exchange, at_once=self.is_free)
        self.venue = Venue(exchange, Market(), self.clock, self._disk)
        self.venue.listen(self._tell)

    def _kept(self, point: str) -> None:
        if self.venue is not None and self._steps is not None:
            self.world.passes(self.name, point)

    def _tell(self, updates: Sequence[Update]) -> None:
        self.world.listener.send(updates)


class _NoAudience:
    """Nobody subscribes to the exchange's market data here."""

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None: ...

    def revised(self, minute: dt.datetime, bar: Bar) -> None: ...

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None: ...
