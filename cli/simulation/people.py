"""People in a simulated run: an operator's commands, and what somebody does at the broker by hand."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final, Protocol

from cli.simulation.bus import SimulatedBus
from cli.simulation.faults import Do, Fault, Plan
from cli.simulation.market import FOREIGN
from services.exchange.book import Book
from services.exchange.exchange import Exchange
from services.exchange.orders import Order
from services.exchange.requests import OrderRequest
from services.exchange.venue import Venue
from services.exchange.words import Side, Status, Tif, Type
from shared.contracts.commands import Command, Flatten, Halt, Pause, Reconcile, Resume, Sell


class Desk(Protocol):
    """The broker's side, and its book; the venue is None while the exchange does not run."""

    @property
    def venue(self) -> Venue | None: ...

    @property
    def book(self) -> Book: ...


class Place(Protocol):
    """What people reach of a simulated world."""

    @property
    def exchange(self) -> Desk: ...

    @property
    def bus(self) -> SimulatedBus: ...

    @property
    def plan(self) -> Plan: ...

    def note(self, text: str) -> None: ...

    def request(self, call: Callable[[Venue], object]) -> object: ...


def obey(world: Place, fault: Fault | None, at: dt.datetime) -> None:
    """Do what `fault` says, if it says something. at: trading time."""
    if fault is None:
        return
    world.note(str(fault))
    if fault.do in _BY_HAND:
        if world.exchange.venue is not None:
            world.request(lambda venue: venue.do(lambda exchange, now: _by_hand(exchange, fault.do, now)))
        return
    command = _command(world, fault, at)
    if command is not None:
        world.bus.publish([command])


_BY_HAND: Final = frozenset({Do.HAND_CANCEL, Do.HAND_BUY, Do.HAND_SELL})
_COMMANDS: Final[dict[Do, type[Command]]] = {
    Do.PAUSE: Pause,
    Do.RESUME: Resume,
    Do.HALT: Halt,
    Do.FLATTEN: Flatten,
    Do.RECONCILE: Reconcile,
}


def _command(world: Place, fault: Fault, at: dt.datetime) -> Command | None:
    name = f"command-{fault.minute}-{len(world.plan.hit)}"
    if fault.do is Do.SELL:
        held = sorted(position.symbol for position in world.exchange.book.positions() if position.symbol != FOREIGN)
        return Sell(id=name, at=at, by="simulation", symbol=held[0]) if held else None
    return _COMMANDS[fault.do](id=name, at=at, by="simulation")


def _by_hand(exchange: Exchange, do: Do, now: dt.datetime) -> None:
    """At the broker's own page. What is refused there is refused."""
    stops = _stops(exchange)
    match do:
        case Do.HAND_CANCEL if stops:
            exchange.cancel(stops[0].id, now)
        case Do.HAND_BUY:
            _order(exchange, FOREIGN, Side.BUY, Decimal(3), None, now)
            _order(exchange, FOREIGN, Side.BUY, Decimal(1), Decimal("1.00"), now)
        case Do.HAND_SELL if stops:
            exchange.cancel(stops[0].id, now)
            _order(exchange, stops[0].symbol, Side.SELL, Decimal(1), None, now)
        case _:
            pass


def _stops(exchange: Exchange) -> list[Order]:
    orders = exchange.book.open_orders()
    found = [order for order in orders if order.type is Type.STOP and order.status is Status.NEW]
    return sorted(found, key=lambda order: order.number)


def _order(exchange: Exchange, symbol: str, side: Side, qty: Decimal, limit: Decimal | None, now: dt.datetime) -> None:
    exchange.submit(
        OrderRequest(
            symbol=symbol,
            qty=qty,
            side=side,
            type=Type.MARKET if limit is None else Type.LIMIT,
            time_in_force=Tif.GTC,
            limit_price=limit,
        ),
        now,
    )
