"""What an operator asks for. Each command is answered in the journal, with the command's id as the cause."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from services.state import account_stop, actions, fills, gates, judging, money
from services.state.model import ExitRow, IntentStatus, Order, Position
from services.state.setup import Setup
from services.state.unit import Unit
from services.state.views import level_text
from shared.contracts import ids
from shared.contracts.commands import (
    DONE,
    REFUSED,
    Adopt,
    Arm,
    Block,
    Cancel,
    Command,
    Disown,
    Flatten,
    Halt,
    Pause,
    Reconcile,
    Reload,
    Resume,
    Sell,
    Unblock,
)
from shared.contracts.ids import is_symbol
from shared.contracts.money import round_down
from shared.contracts.vocabulary import (
    HaltLevel,
    OrderClass,
    OrderKind,
    OrderType,
    Side,
    Status,
    StopMode,
    TimeInForce,
    TrimState,
)
from shared.runtime.halt import HaltFile, is_stricter

DISOWNED = "disowned-"
"""How the execution id begins of shares that a person says are gone."""


class Answered(Struct, frozen=True):
    """done: it was obeyed. text: what was done, or why not."""

    done: bool
    text: str


def obey(unit: Unit, command: Command, setup: Setup, halt: HaltFile, reload: Callable[[Unit], str]) -> None:
    """Do what is asked, or say why not. reload: reads the lists of candidates again and says what came of it."""
    answer = _obey(unit, command, setup, halt, reload)
    unit.journal(
        DONE if answer.done else REFUSED,
        f"{type(command).__name__.lower()} by {command.by[:60]}: {answer.text}",
        symbol=getattr(command, "symbol", ""),
        order=getattr(command, "order", ""),
        cause=command.id,
    )


def _obey(unit: Unit, command: Command, setup: Setup, halt: HaltFile, reload: Callable[[Unit], str]) -> Answered:
    match command:
        case Pause():
            return _level(unit, halt, HaltLevel.PAUSE)
        case Halt():
            return _level(unit, halt, HaltLevel.HALT)
        case Flatten():
            return _level(unit, halt, HaltLevel.FLATTEN)
        case Resume():
            unit.store.put_account(account_stop.resumed(unit.store.account()))
            return _level(unit, halt, HaltLevel.NONE)
        case Arm():
            return _arm(unit, command, setup)
        case Adopt():
            return _adopt(unit, command)
        case Disown():
            return _disown(unit, command)
        case Sell():
            return _sell(unit, command)
        case Cancel():
            return _cancel(unit, command)
        case Block() | Unblock():
            return _block(unit, command.symbol, blocked=isinstance(command, Block))
        case Reload():
            return Answered(True, reload(unit))
        case Reconcile():
            unit.want_reconciliation(f"asked for by {command.by[:60]}")
            return Answered(True, "ledger and broker are being compared")
        case _:
            assert_never(command)  # type: ignore[arg-type]


def _level(unit: Unit, halt: HaltFile, level: HaltLevel) -> Answered:
    """The file first: should this process die here, the level holds, and the command is read again."""
    stands = unit.store.account().halt
    if level is not HaltLevel.NONE and is_stricter(stands, level):
        return Answered(True, f"{level_text(stands)}; that is stricter and stays until `resume`")
    halt.write(level)
    set_level(unit, level)
    return Answered(True, level_text(level))


def set_level(unit: Unit, level: HaltLevel) -> None:
    """Take over the halt level; every symbol is planned anew under it."""
    account = unit.store.account()
    if account.halt is level:
        return
    unit.store.put_account(replace(account, halt=level))
    for symbol in unit.store.active_symbols():
        unit.touch(symbol)


def _arm(unit: Unit, command: Arm, setup: Setup) -> Answered:
    why = gates.objection_to_arming(unit, command, setup)
    if why:
        return Answered(False, why)
    account = unit.store.account()
    unit.store.put_account(replace(account, armed=True))
    return Answered(True, f"entries are allowed until the close of {account.session}")


def _adopt(unit: Unit, command: Adopt) -> Answered:
    """Take over shares that no record explains: with a stop, without pivot, R1 and R2."""
    symbol = command.symbol
    item = next(
        (one for one in unit.store.foreign_items() if (one.kind, one.symbol) == ("shares", symbol) and one.certain),
        None,
    )
    if item is None or item.qty <= 0 or item.price is None:
        return Answered(False, f"the broker shows no foreign shares of {symbol}; `execution reconcile` looks again")
    if item.qty != int(item.qty):
        return Answered(False, f"{item.qty} shares of {symbol} are not whole shares")
    if unit.store.open_position(symbol) is not None:
        return Answered(False, f"{symbol} is held by the engine already; sell one of the two first")
    stop = round_down(command.stop)
    if not 0 < stop < item.price * 2:
        return Answered(False, f"a stop at {command.stop} is not meant for shares bought at {item.price}")
    account = unit.store.account()
    if account.session is None:
        return Answered(False, "no session has begun yet")
    number = unit.store.next_number(f"adopted-{symbol}")
    qty = int(item.qty)
    unit.store.upsert_position(
        Position(
            position_id=f"adopted-{unit.store.installation}-{symbol}-{number}",
            symbol=symbol,
            session=account.session,
            strategy="",
            qty=qty,
            bought=qty,
            sold=0,
            avg_price=item.price,
            realized=Decimal(0),
            pivot=None,
            r1=None,
            r2=None,
            stop=stop,
            stop_mode=StopMode.OPEN,
            high_water=float(item.price),
            invalidations=0,
            r1_state=TrimState.DONE,
            r2_state=TrimState.DONE,
            entered_at=unit.now,
            last_entry_fill_at=unit.now,
            last_exit_fill_at=None,
            decided_through=None,
            unprotected_since=None,
            closed_at=None,
            cause=command.id,
        )
    )
    money.adopted(unit, symbol)
    unit.store.drop_foreign("shares", symbol)
    unit.touch(symbol)
    return Answered(True, f"{qty} {symbol} taken over, stop at {stop}")


def _disown(unit: Unit, command: Disown) -> Answered:
    """Book that shares of ours left the account, at the price that a person says: no record of the broker tells it."""
    symbol, session = command.symbol, unit.store.last_session()
    position = unit.store.open_position(symbol)
    item = next(
        (one for one in unit.store.foreign_items() if (one.kind, one.symbol) == ("shares", symbol) and one.certain),
        None,
    )
    if position is None or session is None or item is None or item.qty >= 0:
        return Answered(False, f"the broker holds all shares of {symbol}; `execution reconcile` looks again")
    if item.qty != int(item.qty):
        return Answered(False, f"{-item.qty} shares of {symbol} are not whole shares")
    if not command.price > 0:
        return Answered(False, f"a price of {command.price} dollars a share is not above 0")
    qty = min(int(-item.qty), position.qty)
    number = unit.store.next_order_number(session.session, symbol, OrderKind.EXIT)
    name = ids.client_order_id(unit.store.installation, session.session, symbol, OrderKind.EXIT, number)
    order = Order(
        client_order_id=name,
        broker_id=None,
        session=session.session,
        symbol=symbol,
        kind=OrderKind.EXIT,
        side=Side.SELL,
        type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
        order_class=OrderClass.SIMPLE,
        qty=qty,
        limit_price=None,
        stop_price=None,
        leg_stop_price=None,
        status=Status.FILLED,
        broker_status="",
        resting=False,
        filled_qty=0,
        filled_value=Decimal(0),
        parent="",
        intent="",
        cause=command.id,
        planned_at=unit.now,
        accepted_at=None,
        first_fill_at=None,
        ended_at=unit.now,
        expires_at=None,
        in_flight="",
        note=f"left the account, as {command.by[:60]} says",
    )
    unit.store.record_order_once(order)
    at = max(unit.now, position.last_entry_fill_at + dt.timedelta(microseconds=1))  # after what it takes away
    fills.book(unit, order, f"{DISOWNED}{command.id}", "", Decimal(qty), command.price, at)
    unit.store.drop_foreign("shares", symbol)
    unit.touch(symbol)
    return Answered(True, f"{qty} {symbol} are booked as gone at {command.price}")


def _sell(unit: Unit, command: Sell) -> Answered:
    position = unit.store.open_position(command.symbol)
    if position is None:
        return Answered(False, f"{command.symbol} is not held")
    row = ExitRow(
        id=f"sell-{command.id}",
        symbol=position.symbol,
        position_id=position.position_id,
        kind="exit",
        at=unit.now,
        reason="operator",
        cause=command.id,
        status=IntentStatus.PENDING,
    )
    unit.store.put_exit_intent(row)
    unit.store.upsert_position(replace(position, stop_mode=StopMode.EXITING))
    unit.touch(position.symbol)
    return Answered(True, f"{position.qty} {position.symbol} are sold")


def _cancel(unit: Unit, command: Cancel) -> Answered:
    order = unit.store.order(command.order)
    if order is None:
        return Answered(False, f"no order {command.order[:60]}")
    if order.kind is not OrderKind.ENTRY:
        return Answered(False, f"{order.client_order_id} protects or sells; only entries are cancelled by hand")
    if not any(open_.client_order_id == order.client_order_id for open_ in unit.store.open_orders(order.symbol)):
        return Answered(False, f"{order.client_order_id} is over: {order.status}")
    if order.in_flight:
        return Answered(False, f"{order.client_order_id} is on its way ({order.in_flight}); try again in a moment")
    actions.cancel(unit, order, command.id)
    return Answered(True, f"{order.client_order_id} is being cancelled")


def _block(unit: Unit, symbol: str, *, blocked: bool) -> Answered:
    if not is_symbol(symbol):
        return Answered(False, f"{symbol[:20]!r} is no symbol")
    listed = set(judging.blocked_symbols(unit))
    changed = listed | {symbol} if blocked else listed - {symbol}
    unit.store.set_note("blocked_symbols", json.dumps(sorted(changed)))
    return Answered(True, f"{symbol} is {'not bought' if blocked else 'allowed'} from now on")
