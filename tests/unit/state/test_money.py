"""The account's cash is the broker's once two readings agree, and its equity is marked with all that it holds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.state.model import Account
from shared.contracts.commands import Adopt, Resume
from shared.contracts.orders import BrokerPosition, BrokerSnapshot
from tests.unit.state.day import ENTRY, confirmed, of
from tests.unit.state.world import CLOSE, MINUTE, OPEN, World, opened

AT = OPEN + 20 * MINUTE
OVER_NIGHT = dt.timedelta(days=3)
CASH = Decimal(100_000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, symbols=("AAPL", "MSFT"), conducted=False)


def open_session(world: World, later: dt.timedelta = dt.timedelta()) -> Account:
    world.bus.publish([opened(opened().session + later, OPEN + later, CLOSE + later)])
    world.second(OPEN + later, turns=40)
    return world.store.account()


def minutes(world: World, first: int, last: int) -> Account:
    """Play these minutes after the opening; the account at their end."""
    for number in range(first, last + 1):
        world.bars(OPEN + number * MINUTE, {"AAPL": 100.0, "MSFT": 400.0})
        world.second(OPEN + number * MINUTE)
    return world.store.account()


def hold(world: World, symbol: str, qty: int, price: int) -> None:
    """By hand: the broker's account holds `qty` shares more, paid from its cash."""
    world.broker.shares[symbol] = world.broker.shares.get(symbol, Decimal(0)) + qty
    world.broker.paid[symbol] = Decimal(price)
    world.broker.cash -= qty * price


def buy(world: World) -> int:
    """AAPL is bought at 100.10; the shares bought."""
    world.bars(AT, {"AAPL": 100.0})
    world.second(AT)
    world.bus.publish([of("AAPL", AT, entries=(confirmed("AAPL", AT),))])
    world.settle(6)
    order = world.store.order(ENTRY)
    assert order is not None
    world.broker.fill(ENTRY, order.qty, "100.10")
    world.executor.forward()
    minutes(world, 21, 23)
    return order.qty


def answer_first(world: World, *stale: BrokerSnapshot) -> None:
    """The broker's next answers are these, one after the other, and only then what is so."""
    waiting: Iterator[BrokerSnapshot] = iter(stale)
    fresh = world.broker.snapshot

    def snapshot(request: str, message_id: str, by_id: tuple[str, ...] = ()) -> BrokerSnapshot:
        old, new = next(waiting, None), fresh(request, message_id, by_id)
        return new if old is None else replace(new, account=old.account)

    world.broker.snapshot = snapshot  # type: ignore[method-assign]


def test_cash_that_fills_explain_is_the_brokers(world: World) -> None:
    open_session(world)
    qty = buy(world)
    account = world.store.account()
    assert account.cash == world.broker.cash == CASH - qty * Decimal("100.10")
    assert account.opening_equity == CASH


def test_what_moves_cash_beside_fills_counts_at_the_second_reading_that_tells_it(world: World) -> None:
    open_session(world)
    minutes(world, 1, 2)
    world.broker.cash -= Decimal("12.50")
    assert minutes(world, 3, 3).cash == CASH
    assert minutes(world, 4, 4).cash == CASH - Decimal("12.50")


def test_one_answer_alone_that_differs_is_not_taken(world: World) -> None:
    """A list may answer what it answered before a fill that the ledger has."""
    open_session(world)
    minutes(world, 1, 2)
    for number in range(3, 9):
        world.broker.cash = CASH - 900 if number % 2 else CASH
        assert minutes(world, number, number).cash == CASH


def test_an_opening_with_an_account_from_before_yesterdays_fills_is_read_again(world: World) -> None:
    open_session(world)
    stale = world.broker.snapshot("before", "before")
    qty = buy(world)
    answer_first(world, stale)
    account = open_session(world, OVER_NIGHT)
    assert account.cash == CASH - qty * Decimal("100.10")
    assert account.opening_equity == CASH, "bought and marked at the same price"


def test_a_dividend_over_night_is_in_the_next_opening(world: World) -> None:
    open_session(world)
    world.broker.cash += 40
    account = open_session(world, OVER_NIGHT)
    assert (account.cash, account.opening_equity) == (CASH + 40, CASH + 40)


def test_money_taken_out_is_no_loss_and_money_paid_in_hides_none(world: World) -> None:
    open_session(world)
    qty = buy(world)
    world.broker.cash -= 20_000
    out = minutes(world, 24, 26)
    assert (out.stopped, out.peak_equity) == ("", CASH - 20_000)
    world.broker.cash += 50_000
    world.bars(OPEN + 27 * MINUTE, {"AAPL": 40.10})
    for number in (27, 28, 29):
        world.second(OPEN + number * MINUTE)
    paid_in = world.store.account()
    assert (paid_in.equity, paid_in.peak_equity, paid_in.stopped) == (CASH + 30_000 - 60 * qty, CASH + 30_000, "")
    told = [text for (text,) in world.store._db.execute("SELECT text FROM journal WHERE kind = 'money_moved'")]
    assert [text.split()[0] for text in told] == ["-20,000.00", "+50,000.00"]


def test_money_taken_out_over_night_is_no_drawdown(world: World) -> None:
    open_session(world)
    world.broker.cash -= 30_000
    account = open_session(world, OVER_NIGHT)
    assert (account.opening_equity, account.peak_equity, account.stopped) == (CASH - 30_000, CASH - 30_000, "")


def test_an_account_that_holds_other_shares_is_not_taken_for_one_that_lost_them(world: World) -> None:
    hold(world, "GOOG", 100, 500)
    open_session(world)
    account = minutes(world, 1, 4)
    assert (account.cash, account.opening_equity, account.equity, account.stopped) == (CASH / 2, CASH, CASH, "")


def test_shares_bought_and_sold_by_hand_do_not_move_the_equity_by_what_they_cost(world: World) -> None:
    open_session(world)
    minutes(world, 1, 2)
    hold(world, "GOOG", 100, 500)
    seen = [minutes(world, number, number) for number in range(3, 7)]
    hold(world, "GOOG", -100, 500)
    seen += [minutes(world, number, number) for number in range(7, 11)]
    assert {(account.equity, account.stopped, account.peak_equity) for account in seen} == {(CASH, "", CASH)}
    assert [seen[0].cash, seen[3].cash, seen[-1].cash] == [CASH, CASH / 2, CASH]


def test_what_is_beside_goes_with_the_brokers_price(world: World) -> None:
    hold(world, "GOOG", 100, 500)
    open_session(world)
    world.broker.paid["GOOG"] = Decimal(503)
    assert minutes(world, 1, 2).equity == CASH + 300


def option(qty: int, price: int) -> tuple[BrokerPosition, ...]:
    """So many contracts, one of them worth `price` dollars."""
    one, name = Decimal(price), "AAPL260116C00100000"
    return (BrokerPosition(symbol=name, qty=Decimal(qty), avg_entry_price=one / 100, current_price=one),)


def test_options_are_a_part_of_the_equity_and_neither_won_nor_lost_when_they_are_bought(world: World) -> None:
    world.broker.cash -= 20_000
    world.broker.others = option(10, 2_000)
    open_session(world)
    account = minutes(world, 1, 4)
    assert (account.equity, account.opening_equity, account.stopped) == (CASH, CASH, "")
    world.broker.cash -= 20_000
    world.broker.others = option(20, 2_000)
    account = minutes(world, 5, 8)
    assert (account.cash, account.equity, account.peak_equity) == (CASH - 40_000, CASH, CASH)


def test_a_loss_that_was_resumed_does_not_stop_the_next_session(world: World) -> None:
    open_session(world)
    qty = buy(world)
    world.bars(OPEN + 24 * MINUTE, {"AAPL": 100.10 - 3_000 / qty})
    world.second(OPEN + 24 * MINUTE)
    assert world.store.account().stopped == "daily_loss"
    world.bus.publish([Resume(id="on", at=OPEN + 24 * MINUTE, by="me")])
    world.settle(4)
    assert world.store.account().stopped == "resumed"
    world.broker.paid["AAPL"] = Decimal("100.10") - Decimal(3_000) / qty
    account = open_session(world, OVER_NIGHT)
    assert (account.opening_equity < CASH * Decimal("0.98"), account.stopped) == (True, "")


def test_while_the_account_was_not_read_today_nothing_is_bought(world: World) -> None:
    """Yesterday's equity sizes no order of today, nor does its loss stop the account."""
    open_session(world)
    fresh = world.broker.snapshot
    world.broker.snapshot = lambda request, message_id, by_id=(): replace(  # type: ignore[method-assign]
        fresh(request, message_id, by_id), account=None
    )
    assert open_session(world, OVER_NIGHT).opening_equity == 0
    due = AT + OVER_NIGHT
    world.bars(due, {"AAPL": 100.0})
    world.second(due)
    world.bus.publish([of("AAPL", due, entries=(confirmed("AAPL", due),))])
    world.settle(6)
    [intent] = world.store._db.execute("SELECT status, reason FROM entry_intents")
    assert tuple(intent) == ("refused", "account_blocked")
    world.broker.snapshot = fresh  # type: ignore[method-assign]
    world.bars(due + MINUTE, {"AAPL": 100.0})
    world.second(due + MINUTE, turns=40)
    assert world.store.account().opening_equity == CASH


def test_shares_taken_over_are_counted_once(world: World) -> None:
    hold(world, "MSFT", 100, 400)
    open_session(world)
    minutes(world, 1, 4)
    world.bus.publish([Adopt(id="mine", at=OPEN + 4 * MINUTE, by="test", symbol="MSFT", stop=Decimal(390))])
    world.settle(4)
    account = minutes(world, 5, 8)
    assert [position.symbol for position in world.store.list_positions()] == ["MSFT"]
    assert (account.equity, account.peak_equity) == (CASH, CASH)


def test_while_shares_of_ours_are_missing_cash_waits_for_their_sale(world: World) -> None:
    open_session(world)
    qty = buy(world)
    cash = world.broker.cash
    hold(world, "AAPL", -qty, 101)
    assert minutes(world, 30, 33).cash == cash
    assert open_session(world, OVER_NIGHT).cash == cash
