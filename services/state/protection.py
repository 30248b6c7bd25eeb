"""How long shares are held without protection: measured in trading time, told as a figure, and planned by.

Covered is what an active stop or a working sale of ours stands for. Shares of an entry that is still filling are
*pending cover*: no stop may rest beside an open buy, so they are counted apart (docs/strategy.md section 7).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from services.state.model import Order, Position
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


def covered(orders: Sequence[Order]) -> int:
    """Shares that active stops and working sales of ours stand for."""
    return sum(
        order.remaining
        for order in orders
        if order.side is Side.SELL and (order.resting if order.kind is OrderKind.STOP else order.status in _AT_WORK)
    )


def gap(position: Position | None, orders: Sequence[Order], now: dt.datetime) -> Gap:
    """What stands open now in one symbol, by its position and open orders."""
    held = position.qty if position is not None else 0
    shares = max(held - covered(orders), 0)
    filling = any(order.kind is OrderKind.ENTRY and order.status in _AT_WORK for order in orders)
    return Gap(0, shares, now) if filling else Gap(shares, 0, now)


def measure(unit: Unit) -> None:
    """Add up what stood open until now, and note what stands open from now on in the symbols that were touched."""
    before = _GAPS.decode(unit.store.note(_WATCH) or "{}")
    for found in before.values():
        lasted_s = (unit.as_of - found.at).total_seconds()
        _add(unit, UNPROTECTED, found.shares * lasted_s)
        _add(unit, PENDING_COVER, found.pending * lasted_s)
    after = {symbol: Gap(found.shares, found.pending, max(found.at, unit.as_of)) for symbol, found in before.items()}
    held = {position.symbol for position in unit.store.list_positions()} if unit.touched else set()
    for symbol in sorted(unit.touched & (held | before.keys())):
        position = unit.store.open_position(symbol)
        at = max(unit.as_of, after[symbol].at) if symbol in after else unit.as_of
        after[symbol] = gap(position, unit.store.open_orders(symbol), at)
        if position is not None:
            _mark_position(unit, position, after[symbol])
    standing = {symbol: found for symbol, found in after.items() if found.shares or found.pending}
    if standing != before:
        unit.store.set_note(_WATCH, msgspec.json.encode(standing).decode())


def seconds(unit: Unit, key: str) -> float:
    """Share-seconds so far: UNPROTECTED or PENDING_COVER."""
    return float(unit.store.note(key) or 0)


def _add(unit: Unit, key: str, share_seconds: float) -> None:
    if share_seconds > 0:
        unit.store.set_note(key, repr(seconds(unit, key) + share_seconds))


def _mark_position(unit: Unit, position: Position, found: Gap) -> None:
    since = (position.unprotected_since or found.at) if found.shares else None
    if since != position.unprotected_since:
        unit.store.upsert_position(replace(position, unprotected_since=since))
