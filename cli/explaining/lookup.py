"""Which order, or intent, a person means by an id or the beginning of one."""

from __future__ import annotations

import difflib
import sqlite3
from typing import Final

from msgspec import Struct

from cli.trouble import Trouble
from shared.contracts.ids import leg_id

SHOWN: Final = 6
ALIKE: Final = 0.4


class Found(Struct, frozen=True, kw_only=True):
    """order: our id, empty for an intent that no order was made for. intent: empty for an order without one."""

    order: str
    intent: str


class Named(Struct, frozen=True, kw_only=True):
    """Every id there is, and what it stands for."""

    orders: dict[str, Found]
    brokers: dict[str, Found]
    intents: dict[str, Found]


def names(database: sqlite3.Connection) -> Named:
    """Of the whole ledger."""
    orders: dict[str, Found] = {}
    brokers: dict[str, Found] = {}
    first: dict[str, Found] = {}
    for order, broker, intent in database.execute(
        "SELECT client_order_id, broker_id, intent FROM order_ledger ORDER BY planned_at, client_order_id"
    ):
        found = Found(order=order, intent=intent)
        orders[order] = found
        if broker is not None:
            brokers[broker] = found
        if intent:
            first.setdefault(intent, found)
    intents = database.execute("SELECT id FROM entry_intents UNION SELECT id FROM exit_intents ORDER BY id")
    return Named(
        orders=orders,
        brokers=brokers,
        intents={name: first.get(name, Found(order="", intent=name)) for [name] in intents},
    )


def look_up(known: Named, text: str) -> Found:
    """What `text` names, whole or by a beginning that only one thing has. Raises Trouble, naming what is near."""
    for ids in (known.orders, known.brokers, known.intents):
        if text in ids:
            return ids[text]
    everything = {**known.intents, **known.brokers, **known.orders}
    begins = sorted(name for name in everything if text and name.startswith(text))
    whole = [name for name in begins if name != leg_id(begins[0])]  # an entry's id begins its leg's: the entry is meant
    if len({everything[name] for name in whole}) == 1:
        return everything[whole[0]]
    if begins:
        more = f" and {len(begins) - SHOWN} more" if len(begins) > SHOWN else ""
        raise Trouble(
            f"{text} begins {len(begins)} ids: {', '.join(begins[:SHOWN])}{more}; write more of the one meant"
        )
    if not everything:
        raise Trouble("the ledger has no order and no intent yet: see `execution candidates` for what it waits for")
    near = difflib.get_close_matches(text, sorted(everything), n=3, cutoff=ALIKE) or sorted(everything)[-3:]
    raise Trouble(f"no order or intent {text!r}; near it: {', '.join(near)} (`execution orders` lists them)")
