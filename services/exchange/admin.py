"""Routes that no broker has, off unless asked for: faults by hand, and what a market does to an account from outside.

POST   /admin/faults    a fault script (TOML) to be added;  DELETE: all faults end
POST   /admin/halts     {"symbol": "AAPL", "halted": true}
POST   /admin/splits    {"symbol": "AAPL", "ratio": "4"}    one share becomes four, at once
POST   /admin/account   {"blocked": true}
POST   /admin/rejects   {"order_id": "..."}                 the market refuses an accepted order
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct

from services.exchange.exchange import Exchange
from services.exchange.faults import BadScript, Faults
from services.exchange.refusals import Refusal, Why, refuse
from services.exchange.routes import Answer

PREFIX: Final = "/admin/"


class Halt(Struct, frozen=True):
    symbol: str
    halted: bool


class Split(Struct, frozen=True):
    symbol: str
    ratio: Decimal


class AccountChange(Struct, frozen=True):
    blocked: bool


class Reject(Struct, frozen=True):
    order_id: str


class Told(Struct, frozen=True):
    """What an admin route answers with."""

    done: str


Handler = Callable[[Exchange, Faults, dt.datetime, bytes], Answer | Refusal]


def answer(
    exchange: Exchange, faults: Faults, now: dt.datetime, method: str, path: str, body: bytes
) -> Answer | Refusal:
    """What an admin route says."""
    handler = ROUTES.get((method, path.removeprefix(PREFIX)))
    if handler is None:
        return refuse(Why.ROUTE_UNKNOWN)
    try:
        return handler(exchange, faults, now, body)
    except (msgspec.DecodeError, UnicodeDecodeError, BadScript) as fault:
        return Refusal(422, Why.BODY_UNREADABLE.value[1], str(fault))


def _add_faults(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer:
    script = Faults.read(body.decode())
    faults.add(*script.entries)
    return Answer(Told(f"{len(script.entries)} added"))


def _clear_faults(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer:
    faults.clear()
    return Answer(Told("none left"))


def _halt(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer:
    wanted = msgspec.json.decode(body, type=Halt)
    exchange.halt(wanted.symbol, halted=wanted.halted)
    return Answer(Told(f"{wanted.symbol} {'halted' if wanted.halted else 'resumed'}"))


def _split(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer | Refusal:
    wanted = msgspec.json.decode(body, type=Split)
    if not wanted.ratio.is_finite() or wanted.ratio <= 0:
        return refuse(Why.PARAMETER, "ratio")
    exchange.split(wanted.symbol, wanted.ratio, now)
    return Answer(Told(f"{wanted.symbol} split by {wanted.ratio}"))


def _account(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer:
    wanted = msgspec.json.decode(body, type=AccountChange)
    exchange.book.change_account(blocked=wanted.blocked)
    return Answer(Told("blocked" if wanted.blocked else "open"))


def _reject(exchange: Exchange, faults: Faults, now: dt.datetime, body: bytes) -> Answer | Refusal:
    wanted = msgspec.json.decode(body, type=Reject)
    exchange.reject(wanted.order_id, now)
    return Answer(Told(f"{wanted.order_id} rejected"))


ROUTES: Final[dict[tuple[str, str], Handler]] = {
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "halts"): _halt,
    ("POST", "splits"): _split,
    ("POST", "account"): _account,
    ("POST", "rejects"): _reject,
}
