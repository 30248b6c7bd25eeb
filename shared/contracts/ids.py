"""Names that are functions of named things: the same after a restart, in a replay, and readable in redis-cli."""

from __future__ import annotations

import datetime as dt
import re
import zlib
from functools import lru_cache
from typing import Final

from shared.contracts.vocabulary import OrderKind

SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:[.\-][A-Z0-9]{1,4})?\Z")
MAX_CLIENT_ORDER_ID: Final = 48


def is_symbol(text: str) -> bool:
    """Whether `text` may be a symbol: refused at the edge otherwise, since it goes into ids, keys and pages."""
    return SYMBOL.match(text) is not None


def partition_of(symbol: str, partitions: int) -> int:
    """The partition, 0 to partitions - 1, that carries `symbol`; the same on every machine and Python."""
    return zlib.crc32(symbol.encode()) % partitions


def client_order_id(installation: str, session: dt.date, symbol: str, kind: OrderKind, number: int) -> str:
    """`e7f3-260109-AAPL-entry-1`. number: from 1, per session, symbol and kind. At most 48 characters."""
    text = f"{installation}-{session:%y%m%d}-{symbol}-{kind}-{number}"
    assert len(text) <= MAX_CLIENT_ORDER_ID, text
    return text


def leg_id(entry: str) -> str:
    """Our name for the stop leg of an OTO entry, whose client order id the broker invents."""
    return f"{entry}-stop"


def minute_id(kind: str, partition: int, end: dt.datetime) -> str:
    """Id of a partition's message about the minute ending at `end` (UTC): `bars-2-260109T1450`."""
    return f"{kind}-{partition}-{_short(end)}"


def intent_id(session: dt.date, symbol: str, kind: str, at: dt.datetime) -> str:
    """`260109-AAPL-entry-091450`: one decision on one symbol; `at` (UTC) gives day of month, hour and minute."""
    return f"{session:%y%m%d}-{symbol}-{kind}-{at:%d%H%M}"


@lru_cache(maxsize=64)
def _short(end: dt.datetime) -> str:
    """`260109T1450`. As strftime gives it in twice the time, which was longer than all the rest of an id."""
    iso = end.isoformat()
    return f"{iso[2:4]}{iso[5:7]}{iso[8:13]}{iso[14:16]}"
