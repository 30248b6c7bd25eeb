"""How long shares are held without protection: measured in trading time, told as a figure, and planned by.

Covered is what an active stop or a working sale of ours stands for. Shares of an entry that is still filling are
*pending cover*: no stop may rest beside an open buy, so they are counted apart (docs/strategy.md section 7).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.state.model import Order, SymbolBook
from services.state.unit import Unit
from shared.contracts.vocabulary import OrderKind, Side, Status

UNPROTECTED: Final = "unprotected_share_seconds"
PENDING_COVER: Final = "pending_cover_share_seconds"
_WATCH: Final = "watched_cover"
_AT_WORK: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})


class Gap(Struct, frozen=True):
    """Shares of one symbol without cover since `at`, and those of an entry that is still filling."""

    shares: int
    pending: int
    at: dt.datetime


_GAPS: Final = msgspec.json.Decoder(dict[str, Gap])


def begin(unit: Unit) -> None:
    """A session begins: its share-seconds are counted from here."""
    for key in (UNPROTECTED, PENDING_COVER):
        if unit.store.note(key):
            unit.store.set_note(key, "")


def covered(orders: tuple[Order, ...]) -> int:
    """Shares that active stops and working sales of ours stand for."""
    return sum(
        order.remaining
        for order in orders
        if order.side is Side.SELL and (order.resting if order.kind is OrderKind.STOP else order.status in _AT_WORK)
    )


def gap(book: SymbolBook, now: dt.datetime) -> Gap:
    """What stands open in one symbol now."""
    held = book.position.qty if book.position is not None else 0
    shares = max(held - covered(book.orders), 0)
    filling = any(order.kind is OrderKind.ENTRY and order.status in _AT_WORK for order in book.orders)
    return Gap(0, shares, now) if filling else Gap(shares, 0, now)


def measure(unit: Unit, book_of: Callable[[str], SymbolBook]) -> None:
    """Add up what stood open until now, and note what stands open from now on in the symbols that were touched."""
    before = _GAPS.decode(unit.store.note(_WATCH) or "{}")
    for found in before.values():
        lasted_s = (unit.as_of - found.at).total_seconds()
        _add(unit, UNPROTECTED, found.shares * lasted_s)
        _add(unit, PENDING_COVER, found.pending * lasted_s)
    after = {symbol: Gap(found.shares, found.pending, max(found.at, unit.as_of)) for symbol, found in before.items()}
    held = {position.symbol for position in unit.store.list_positions()} if unit.touched else set()
    for symbol in sorted(unit.touched & (held | before.keys())):
        book = book_of(symbol)
        found = gap(book, max(unit.as_of, after[book.symbol].at) if book.symbol in after else unit.as_of)
        after[book.symbol] = found
        _mark_position(unit, book, found)
    standing = {symbol: found for symbol, found in after.items() if found.shares or found.pending}
    if standing != before:
        unit.store.set_note(_WATCH, msgspec.json.encode(standing).decode())


def seconds(unit: Unit, key: str) -> float:
    """Share-seconds so far: UNPROTECTED or PENDING_COVER."""
    return float(unit.store.note(key) or 0)


def _add(unit: Unit, key: str, share_seconds: float) -> None:
    if share_seconds > 0:
        unit.store.set_note(key, repr(seconds(unit, key) + share_seconds))


def _mark_position(unit: Unit, book: SymbolBook, found: Gap) -> None:
    position = book.position
    if position is None:
        return
    since = (position.unprotected_since or found.at) if found.shares else None
    if since != position.unprotected_since:
        unit.store.upsert_position(replace(position, unprotected_since=since))
