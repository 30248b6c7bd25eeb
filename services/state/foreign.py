"""What is at the broker and not ours: named, told once, left alone; entries in its symbol wait."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state.adoption import installation_of
from services.state.records import ForeignItem
from services.state.unit import Unit
from shared.contracts.orders import BrokerOrder
from shared.contracts.vocabulary import Side
from shared.domain.order_life import BROKER_WORDS, Event

NO_SHARES: Final = Decimal(0)


def tell(unit: Unit, kinds: set[str], found: dict[tuple[str, str], ForeignItem], unread: tuple[str, ...] = ()) -> None:
    """Keep what is foreign now; tell what is new and certain, once, and what is gone. Nothing is said of `unread`."""
    known = {(item.kind, item.name): item for item in unit.store.foreign_items() if item.kind in kinds}
    for key, item in found.items():
        before = known.get(key)
        if before is not None and before.detail == item.detail:
            item = replace(item, readings=before.readings if before.certain else before.readings + 1)
            if before.certain:
                if before.qty != item.qty:
                    unit.store.upsert_foreign(item)
                    unit.touch(item.symbol)
                continue
        unit.store.upsert_foreign(item)
        unit.touch(item.symbol)
        if item.certain:
            unit.alert(
                "critical",
                f"foreign-{item.kind}-{item.name}",
                f"{item.kind} {item.name}: {item.detail}; entries in it wait until this is settled",
                symbol=item.symbol,
            )
        else:
            unit.want_reconciliation(f"{item.symbol}: {item.detail}")
    for key, item in known.items():
        if key not in found and item.symbol not in unread:
            unit.store.drop_foreign(*key)
            unit.touch(item.symbol)
            if item.certain:
                unit.journal("foreign_gone", f"{item.kind} {item.name}: no longer there", symbol=item.symbol)


def items_of(unit: Unit, seen: BrokerOrder) -> Iterable[ForeignItem]:
    """Of an entry that is over, the legs that rest; a leg whose entry is open ends with it."""
    for one in (leg for leg in seen.legs if not _ended(leg)) if _ended(seen) else (seen,):
        qty = (one.qty or NO_SHARES) - one.filled_qty
        detail = f"{one.side} {one.qty or NO_SHARES} {one.type}, {one.client_order_id or one.broker_id}"
        yield ForeignItem(
            kind="order",
            name=one.broker_id,
            symbol=one.symbol,
            qty=qty if one.side == Side.BUY else -qty,
            price=one.limit_price or one.stop_price,
            readings=1,
            detail=detail[:200],
        )
    installation = installation_of(seen.client_order_id)
    if installation and installation != unit.store.installation:
        yield ForeignItem(
            kind="installation",
            name=installation,
            symbol="",
            qty=NO_SHARES,
            price=None,
            readings=1,
            detail="another installation trades on this account",
        )


def missing_of(items: Iterable[ForeignItem], symbol: str) -> int:
    """Shares of `symbol` in the ledger that the broker does not hold, or holds for a foreign sell order."""
    of_symbol = [item for item in items if item.symbol == symbol]
    extra = sum((item.qty for item in of_symbol if item.kind == "shares"), NO_SHARES)
    offered = sum((-item.qty for item in of_symbol if item.kind == "order" and item.qty < 0), NO_SHARES)
    return max(math.ceil(offered - extra), 0)


def over(seen: BrokerOrder) -> bool:
    """Whether nothing of it is at work any more; a filled entry may have a leg that rests."""
    return _ended(seen) and all(_ended(leg) for leg in seen.legs)


def _ended(seen: BrokerOrder) -> bool:
    word = BROKER_WORDS.get(seen.status)
    return word is not None and word.event in (Event.FILL, Event.CANCEL, Event.EXPIRE, Event.REPLACE, Event.REJECT)
