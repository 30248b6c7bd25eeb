"""What a person may order on the page, and what it says will happen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct

from services.dashboard.rows import Held, LedgerView, Working
from services.dashboard.tape import Price
from shared.contracts.commands import Command, Flatten, Halt, Pause, Resume
from shared.contracts.vocabulary import HaltLevel, OrderKind


class Order(StrEnum):
    """By how much it stops."""

    RESUME = "resume"
    PAUSE = "pause"
    HALT = "halt"
    FLATTEN = "flatten"


LEVEL: Final[Mapping[Order, HaltLevel]] = {
    Order.RESUME: HaltLevel.NONE,
    Order.PAUSE: HaltLevel.PAUSE,
    Order.HALT: HaltLevel.HALT,
    Order.FLATTEN: HaltLevel.FLATTEN,
}
COMMAND: Final[Mapping[Order, type[Command]]] = {
    Order.RESUME: Resume,
    Order.PAUSE: Pause,
    Order.HALT: Halt,
    Order.FLATTEN: Flatten,
}


class Answer(Struct, frozen=True):
    """How an order ended. confirmed: state says in its journal that it was obeyed."""

    confirmed: bool
    text: str


def command(order: Order, number: str, at: dt.datetime) -> Command:
    """The message for state. number: makes its id unique."""
    return COMMAND[order](id=f"page-{order}-{number}", at=at, by="the page")


def consequences(order: Order, view: LedgerView | None, prices: Mapping[str, Price], *, alive: bool) -> list[str]:
    """What will happen, one sentence each, named as far as the ledger is known. alive: state is heard."""
    entries = [one for one in view.orders if one.kind is OrderKind.ENTRY] if view is not None else []
    held: Sequence[Held] = view.held if view is not None else ()
    stops = [one for one in view.orders if one.kind is OrderKind.STOP and one.resting] if view is not None else []
    said: list[str] = []
    match order:
        case Order.RESUME:
            said.append("New entries are allowed again.")
            if view is not None and view.money is not None and view.money.stopped:
                said.append(f"It also ends the account's stop ({view.money.stopped.replace('_', ' ')}).")
        case Order.PAUSE:
            said.append("No new entries are sent.")
            if entries:
                said.append(f"{_count(entries, 'working entry goes', 'working entries go')} on{_named(entries)}.")
            said.append(f"{_count(held, 'position is', 'positions are')} kept; stops, trims and exits go on.")
        case Order.HALT:
            said.append("No new entries are sent.")
            said.append(_cancelled(entries))
            said.append(
                f"{_count(held, 'position is', 'positions are')} kept; {_count(stops, 'stop rests', 'stops rest')} on."
            )
        case Order.FLATTEN:
            said.append(_cancelled(entries))
            said += [
                f"{one.qty} {one.symbol} are sold at the market{_worth(one.qty, prices.get(one.symbol))}."
                for one in held
            ]
            if held and not _is_open(view):
                said.append("The market is closed: stops stay, and the shares are sold when it opens.")
            said.append("Nothing is bought until somebody resumes." if held else "Nothing is held, so nothing is sold.")
    if view is None:
        said.append("The ledger cannot be read, so what is held and working is not known here.")
    if not alive:
        said.append(_without_state(order))
    return said


def _without_state(order: Order) -> str:
    if order is Order.RESUME:
        return "State is not heard: it has to run before anything can be resumed."
    return (
        "State is not heard. The level is written to the halt file, which state obeys before anything else when it is"
        " back; until then nothing new is sent, and nothing is cancelled or sold. `execution halt` and `execution"
        " flatten` speak to the broker without it."
    )


def not_confirmed(order: Order, written: str, sent: str) -> Answer:
    """No answer of state in time. written: what became of the halt file; sent: of the message to state."""
    return Answer(False, f"{order} is NOT confirmed by state. {written} {sent}".strip())


def _is_open(view: LedgerView | None) -> bool:
    """Whether the session goes on, by the ledger's own time; taken for granted where it has none."""
    if view is None or view.now is None or view.opens_at is None or view.closes_at is None:
        return True
    return view.opens_at <= view.now < view.closes_at


def _cancelled(entries: Sequence[Working]) -> str:
    if not entries:
        return "No entry is working, so none is cancelled."
    return f"{_count(entries, 'working entry is', 'working entries are')} cancelled{_named(entries)}."


def _count(rows: Sequence[object], one: str, many: str) -> str:
    return f"{len(rows) or 'No'} {one if len(rows) < 2 else many}"


def _named(orders: Sequence[Working]) -> str:
    if not orders:
        return ""
    names = [f"{one.remaining} {one.symbol}" for one in orders[:6]]
    return f": {', '.join(names)}{', ...' if len(orders) > 6 else ''}"


def _worth(qty: int, price: Price | None) -> str:
    return f", about {qty * price.close:,.0f} dollars" if price is not None else ""
