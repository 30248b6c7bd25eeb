"""Reads the broker's side: the book file of the paper exchange, or what a broker's API answers.

The file is read by SQL of the auditor's own; the exchange that wrote it may run beside.
"""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from cli.auditor.views import BrokerView, Executed, Held, Sent


def of_book_file(path: Path) -> BrokerView:
    """The book of the paper exchange at `path`. Raises sqlite3.Error for a file that is none."""
    wal = path.with_name(path.name + "-wal").exists()
    book = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{'' if wal else '&immutable=1'}", uri=True)
    try:
        book.execute("BEGIN")
        account = json.loads(book.execute("SELECT text FROM notes WHERE name = 'account'").fetchone()[0])
        return BrokerView(
            orders=tuple(_sent(json.loads(row)) for (row,) in book.execute("SELECT data FROM orders ORDER BY number")),
            executions=tuple(
                msgspec.convert(json.loads(row), type=Executed)
                for (row,) in book.execute("SELECT data FROM executions ORDER BY number")
            ),
            positions=tuple(
                msgspec.convert(json.loads(row), type=Held)
                for (row,) in book.execute("SELECT data FROM positions ORDER BY symbol")
            ),
            cash=Decimal(account["cash"]),
            opening_cash=Decimal(account["opening_cash"]),
        )
    finally:
        book.close()


def of_answers(
    orders: Iterable[dict[str, Any]],
    fills: Iterable[dict[str, Any]],
    positions: Iterable[dict[str, Any]],
    account: dict[str, Any],
    begins_at: dt.datetime | None = None,
) -> BrokerView:
    """What a broker's API says: all orders nested, all executions, positions, the account; as decoded JSON.

    begins_at: how far back the lists were read.
    """
    sent: list[Sent] = []
    for order in sorted(orders, key=lambda order: str(order["submitted_at"])):
        legs = order.get("legs") or []
        sent.append(_answered(order, len(sent), legs=[leg["id"] for leg in legs], parent=None))
        sent += [_answered(leg, len(sent) + place, legs=[], parent=order["id"]) for place, leg in enumerate(legs)]
    in_order = sorted(fills, key=lambda fill: str(fill["transaction_time"]))
    return BrokerView(
        orders=tuple(sent),
        executions=tuple(_execution(fill, number) for number, fill in enumerate(in_order)),
        positions=tuple(
            msgspec.convert({**position, "avg_price": position["avg_entry_price"]}, type=Held) for position in positions
        ),
        cash=Decimal(str(account["cash"])),
        begins_at=begins_at,
    )


def _sent(row: dict[str, Any]) -> Sent:
    return msgspec.convert(row, type=Sent)


def _answered(order: dict[str, Any], number: int, *, legs: list[str], parent: str | None) -> Sent:
    names = {"number": number, "legs": legs, "parent": parent, "created_at": order["submitted_at"]}
    return msgspec.convert({**order, **names}, type=Sent)


def _execution(fill: dict[str, Any], number: int) -> Executed:
    names = {
        "id": fill.get("execution_id") or str(fill["id"]).partition("::")[2],
        "number": number,
        "side": "sell" if fill["side"] == "sell_short" else fill["side"],
        "at": fill["transaction_time"],
    }
    return msgspec.convert({**fill, **names}, type=Executed)
