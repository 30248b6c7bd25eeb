"""What `execution check` looks at: each side is asked once, and a side that cannot be reached says why."""

from __future__ import annotations

import datetime as dt
import fcntl
import sqlite3
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar

from msgspec import Struct

from cli.ledger import reading, rows
from cli.operating.asking import bus_in_haste
from cli.operating.ledger_books import LedgerBooks
from cli.operating.standing import OVER, Books, Ours, Standing, standings
from cli.place import Place, broker_of, kept_place, place_of
from cli.trouble import Trouble
from services.executor.broker import Answer, Replied
from services.executor.broker_words import (
    BrokerClock,
    Unreadable,
    read_account,
    read_market,
    read_orders,
    read_positions,
)
from services.executor.snapshot import LOOK_BACK, merged
from services.state import store
from services.state.model import Account
from services.state.store import LedgerRefused
from shared.contracts.orders import BrokerAccount, BrokerOrder, BrokerPosition
from shared.runtime import health
from shared.runtime.bus import BusDown
from shared.runtime.settings import Settings

Parsed = TypeVar("Parsed")


class Broker(Struct, frozen=True, kw_only=True):
    """What the broker said, and our own clock (UTC) in the middle of its answer about the time."""

    account: BrokerAccount
    clock: BrokerClock
    asked_at: dt.datetime
    orders: tuple[BrokerOrder, ...]
    positions: tuple[BrokerPosition, ...]
    unread: int


class Silence(Struct, frozen=True):
    """Why a side could not be looked at. status: the broker's HTTP status, if it gave one."""

    why: str
    status: int | None = None


class Sight:
    """One look at an installation."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def runs(self) -> bool:
        """Whether processes of this home run: their supervisor holds its lock."""
        try:
            with (self.settings.data_folder / "up.lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @cached_property
    def place(self) -> Place:
        """Where the broker is: of what runs, else by the settings."""
        return kept_place(self.settings) if self.runs else place_of(self.settings)

    @cached_property
    def services(self) -> tuple[health.Service, ...] | Silence:
        try:
            with bus_in_haste(self.settings) as bus:
                return health.services(bus, dt.datetime.now(dt.UTC))
        except BusDown as fault:
            return Silence(str(fault))

    @cached_property
    def account(self) -> Account | None:
        """The ledger's account; None where there is no ledger, or it cannot be read."""
        try:
            with reading(self.settings.ledger) as ledger:
                accounts = rows(ledger, store.ACCOUNT)
        except (Trouble, LedgerRefused, sqlite3.DatabaseError):
            return None
        return accounts[0] if accounts else None

    @cached_property
    def books(self) -> Books | Silence:
        try:
            return LedgerBooks(self.settings.ledger, self.settings.run.installation).books()
        except (Trouble, LedgerRefused) as fault:
            return Silence(str(fault))

    @cached_property
    def broker(self) -> Broker | Silence:
        broker = broker_of(self.settings, self.place)
        try:
            account = _read(broker.account(), read_account)
            before = dt.datetime.now(dt.UTC)
            clock = _read(broker.clock(), read_market)
            asked_at = before + (dt.datetime.now(dt.UTC) - before) / 2
            working, one = _read(broker.open_orders(), read_orders)
            recent, two = _read(broker.orders_since(clock.at - LOOK_BACK), read_orders)
            positions, three = _read(broker.positions(), read_positions)
        except _Unread as fault:
            return fault.silence
        return Broker(
            account=account,
            clock=clock,
            asked_at=asked_at,
            orders=merged(working, recent),
            positions=positions,
            unread=len(one) + len(two) + len(three),
        )

    @cached_property
    def standings(self) -> tuple[Standing, ...] | Silence:
        """What is ours at the broker."""
        if isinstance(self.broker, Silence):
            return self.broker
        if isinstance(self.books, Silence):
            return self.books
        return standings(self.books, self.broker.orders, self.broker.positions, "")

    @cached_property
    def foreign(self) -> tuple[str, ...] | Silence:
        """Shares and open orders at the broker that are none of ours, in words."""
        ours = self.standings
        if isinstance(ours, Silence):
            return ours
        assert isinstance(self.broker, Broker)
        assert isinstance(self.books, Books)
        own = {standing.symbol: standing.shares for standing in ours}
        shares = [
            f"{position.qty - own.get(position.symbol, 0)} {position.symbol}"
            for position in self.broker.positions
            if position.qty != own.get(position.symbol, 0)
        ]
        known = {order.broker_id for order in Ours(self.books, self.broker.orders).all}
        every = [one for order in self.broker.orders for one in (order, *order.legs)]
        orders = [
            f"{one.side} {one.qty} {one.symbol} ({one.client_order_id})"
            for one in every
            if one.broker_id not in known and one.status not in OVER
        ]
        return (*shares, *orders)


class _Unread(Exception):
    def __init__(self, silence: Silence) -> None:
        super().__init__(silence.why)
        self.silence = silence


def _read(answer: Answer, parse: Callable[[object], Parsed]) -> Parsed:
    if not isinstance(answer, Replied):
        raise _Unread(Silence(f"{answer.fault.value.replace('_', ' ')}"))
    if answer.status != 200:
        raise _Unread(Silence(f"{answer.status} {answer.text}"[:200], answer.status))
    try:
        return parse(answer.body)
    except Unreadable as fault:
        raise _Unread(Silence(str(fault))) from None
