"""The account's cash and equity in the ledger: the broker's word on cash, and our own mark of what it is worth.

`beside` is what the account holds that is not ours, in dollars by symbol: foreign shares are left alone (see
`snapshots`), and yet they are a part of the equity that the broker told at the opening.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from services.state import account_stop
from services.state.model import Account
from services.state.unit import Unit
from shared.contracts.money import exact
from shared.contracts.orders import BrokerAccount, BrokerPosition
from shared.contracts.rules import LimitRules
from shared.contracts.wire import encode_json

NOTHING: Final = Decimal(0)
DIFFERS: Final = "account_differs"
BESIDE: Final = "beside"


def take(unit: Unit, account: Account, seen: BrokerAccount, positions: tuple[BrokerPosition, ...]) -> Account | None:
    """`account` with the broker's cash; what the broker holds beside ours is noted at the broker's prices.

    Fees, dividends, deposits and a person's own trades are in the broker's cash and in no fill of ours. They count
    where two readings in a row differ from the ledger in the same way: one answer alone may be older than a fill that
    we have. Until then None. As it is while shares of ours are missing: their sale may be in the broker's cash, and is
    not booked. The first reading of all counts at once: there is nothing that it could be older than.
    """
    items = [item for item in unit.store.foreign_items() if item.kind == "shares"]
    beside = " ".join(f"{item.symbol}:{item.qty.normalize():f}" for item in items)
    differs = f"{(seen.cash - account.cash).normalize():f} {beside}"
    before = unit.store.note(DIFFERS)
    unit.store.set_note(DIFFERS, differs)
    if account.account_number and differs != before:
        return None
    ours = {position.symbol for position in unit.store.list_positions()}
    if any(item.qty < 0 and item.symbol in ours for item in items):
        return account
    unit.store.set_note(DIFFERS, f"0 {beside}")
    prices = {one.symbol: one.current_price or one.avg_entry_price for one in positions}
    _note_beside(unit, {item.symbol: item.qty * prices[item.symbol] for item in items if item.symbol in prices})
    return replace(account, cash=seen.cash)


def adopted(unit: Unit, symbol: str) -> None:
    """What was beside in `symbol` is a position of ours now."""
    _note_beside(unit, {name: dollars for name, dollars in _beside(unit).items() if name != symbol})


def marked(unit: Unit, limits: LimitRules, closes: dict[str, float]) -> None:
    """The account by the ledger's own mark: cash, shares at their last closed one-minute close, and what is beside."""
    account = unit.store.account()
    if account.session is None:
        return
    shares = sum(
        (
            position.qty * (exact(closes[position.symbol]) if position.symbol in closes else position.avg_price)
            for position in unit.store.list_positions()
        ),
        NOTHING,
    )
    equity = account.cash + shares + sum(_beside(unit).values(), NOTHING)
    after = account_stop.marked(replace(account, equity=equity), limits)
    if after != account:
        unit.store.put_account(after)
    if after.stopped != account.stopped and after.stopped in (account_stop.DAILY_LOSS, account_stop.DRAWDOWN):
        unit.alert(
            "critical",
            f"stopped-{after.stopped}",
            f"{after.stopped}: equity {after.equity}, opening {after.opening_equity}, peak {after.peak_equity};"
            " no entries until `execution resume`, or the next session after a daily loss",
        )


def _beside(unit: Unit) -> dict[str, Decimal]:
    noted = unit.store.note(BESIDE)
    return msgspec.json.decode(noted, type=dict[str, Decimal]) if noted else {}


def _note_beside(unit: Unit, beside: dict[str, Decimal]) -> None:
    unit.store.set_note(BESIDE, encode_json(beside).decode() if beside else "")
