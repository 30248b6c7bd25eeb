"""The account's cash and equity in the ledger: the broker's word on cash, and our own mark of what it is worth.

`beside` is what the account holds that is not ours, by symbol: foreign shares are left alone (see `snapshots`), options
and crypto are not looked at, and yet they are a part of the equity that the broker told at the opening.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec
from msgspec import Struct
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


class Beside(Struct, frozen=True):
    """What is foreign in one symbol. qty: below zero where sold short. price: dollars of one, as last told."""

    qty: Decimal
    price: Decimal


def take(
    unit: Unit,
    account: Account,
    seen: BrokerAccount,
    positions: tuple[BrokerPosition, ...],
    others: tuple[BrokerPosition, ...],
) -> Account | None:
    """`account` with the broker's cash; what the broker holds beside ours is noted at the broker's prices.

    others: options, crypto and whatever else is no stock; all of it is beside.

    Fees, dividends, deposits and a person's own trades are in the broker's cash and in no fill of ours. They count
    where two readings in a row differ from the ledger in the same way: one answer alone may be older than a fill that
    we have. Until then None. As it is while shares of ours are missing: their sale may be in the broker's cash, and is
    not booked. The first reading of all counts at once: there is nothing that it could be older than.
    """
    items = [item for item in unit.store.foreign_items() if item.kind == "shares"]
    held = [(item.symbol, item.qty) for item in items] + [(one.symbol, one.qty) for one in others]
    names = " ".join(f"{symbol}:{qty.normalize():f}" for symbol, qty in held)
    differs = f"{(seen.cash - account.cash).normalize():f} {names}"
    before = unit.store.note(DIFFERS)
    unit.store.set_note(DIFFERS, differs)
    if _is_known(account) and differs != before:
        return None
    ours = {position.symbol for position in unit.store.list_positions()}
    if any(item.qty < 0 and item.symbol in ours for item in items):
        return account
    unit.store.set_note(DIFFERS, f"0 {names}")
    prices = {one.symbol: one.current_price or one.avg_entry_price for one in (*positions, *others)}
    beside = {symbol: Beside(qty, prices[symbol]) for symbol, qty in held if symbol in prices}
    moved = seen.cash - account.cash + _worth_more(_beside(unit), beside)
    _note_beside(unit, beside)
    return _with_moved(unit, replace(account, cash=seen.cash), moved)


def _worth_more(before: Mapping[str, Beside], after: Mapping[str, Beside]) -> Decimal:
    """Dollars of the shares that came, less those that went; what their prices did is no matter here."""
    nothing = Beside(NOTHING, NOTHING)
    return sum(
        (
            (after.get(symbol, nothing).qty - before.get(symbol, nothing).qty)
            * (after if symbol in after else before)[symbol].price
            for symbol in sorted(before.keys() | after.keys())
        ),
        NOTHING,
    )


def _with_moved(unit: Unit, account: Account, moved: Decimal) -> Account:
    """Money that came or went is neither won nor lost: loss and drawdown are measured as if it had always been so."""
    if not moved or not _is_known(account):
        return account
    unit.journal("money_moved", f"{moved:+,.2f} dollars came or went by no fill of ours")
    return replace(account, opening_equity=account.opening_equity + moved, peak_equity=account.peak_equity + moved)


def _is_known(account: Account) -> bool:
    """Whether it was ever taken: it has a peak since its first opening."""
    return account.peak_equity > 0


def adopted(unit: Unit, symbol: str) -> None:
    """What was beside in `symbol` is a position of ours now."""
    _note_beside(unit, {name: one for name, one in _beside(unit).items() if name != symbol})


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
    equity = account.cash + shares + sum((one.qty * one.price for one in _beside(unit).values()), NOTHING)
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


def _beside(unit: Unit) -> dict[str, Beside]:
    noted = unit.store.note(BESIDE)
    return msgspec.json.decode(noted, type=dict[str, Beside]) if noted else {}


def _note_beside(unit: Unit, beside: Mapping[str, Beside]) -> None:
    unit.store.set_note(BESIDE, encode_json(beside).decode() if beside else "")
