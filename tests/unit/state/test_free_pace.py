"""Live, the wall clock gives time: the same things happen at the first tick at or after their time."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.contracts.commands import Arm
from shared.contracts.decisions import ExitIntent, TrimIntent
from shared.contracts.journal import Alert
from shared.contracts.orders import BrokerEvent, ListenerConnected
from shared.contracts.rules import EntryRules, Rules
from shared.contracts.vocabulary import OrderKind, Status, TrimState
from shared.domain.order_life import CHECKED
from tests.unit.state.day import ENTRY, LEG, confirmed, mark, of
from tests.unit.state.world import LIVE, MINUTE, OPEN, QUICK, World, dump, opened

AT = OPEN + 20 * MINUTE
SECOND = dt.timedelta(seconds=1)
SLOW = Rules(entry=EntryRules(delay_min=30, delay_max=30, max_slip=0.0))


def started(tmp_path: Path, rules: Rules = QUICK, *, live: bool = False) -> World:
    world = World(tmp_path, rules, conducted=False, live=live)
    world.bus.publish([opened()])
    world.second(OPEN)
    return world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return started(tmp_path)


def confirm(world: World) -> None:
    world.bars(AT, {"AAPL": 100.0})
    world.second(AT)
    world.bus.publish([of("AAPL", AT, entries=(confirmed("AAPL", AT),))])
    world.settle(6)


def test_the_first_tick_of_a_session_rolls_it_reads_the_account_and_lists_candidates(world: World) -> None:
    account = world.store.account()
    assert (account.session, account.opening_equity) == (opened().session, Decimal(100_000))
    assert [candidate.symbol for candidate in world.store.list_active_candidates()] == ["AAPL"]


def test_an_entry_that_is_due_at_once_goes_out_with_the_decision_that_brings_it(world: World) -> None:
    confirm(world)
    order = world.store.order(ENTRY)
    assert order is not None
    assert order.status is Status.ACCEPTED


def test_an_entry_waits_for_its_due_second(tmp_path: Path) -> None:
    world = started(tmp_path, SLOW)
    confirm(world)
    world.second(AT + 29 * SECOND)
    assert world.store.order(ENTRY) is None
    world.second(AT + 30 * SECOND)
    order = world.store.order(ENTRY)
    assert order is not None
    assert order.planned_at == AT + 30 * SECOND


def test_a_fill_is_protected_without_waiting_for_a_tick(world: World) -> None:
    confirm(world)
    world.broker.fill(ENTRY, 16, "100.00")
    world.executor.forward()
    world.settle(4)
    leg = world.store.order(LEG)
    assert leg is not None
    assert (leg.status, leg.resting) == (Status.ACCEPTED, True)


def test_ledger_and_broker_are_compared_each_minute_and_at_every_connection(world: World) -> None:
    before = count_of_reconciles(world)
    world.second(AT + 1 * SECOND)
    world.second(AT + 61 * SECOND)
    assert count_of_reconciles(world) == before + 2
    world.bus.publish([ListenerConnected(id="listener-1", at=AT, listener="one", fence=1)])
    world.settle(6)
    assert count_of_reconciles(world) == before + 3


def count_of_reconciles(world: World) -> int:
    return int(world.store.note("reconciles"))


def test_the_clock_never_falls(world: World) -> None:
    world.second(AT)
    world.second(AT - dt.timedelta(hours=1))
    assert world.store.note("now") == AT.isoformat()


def test_real_money_is_not_spent_before_arming_and_is_no_more_after_the_close(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "not_armed")
    world.bus.publish([Arm(id="wrong", at=AT, by="test", account="PA2"), Arm(id="arm", at=AT, by="test", account=LIVE)])
    world.settle(2)
    assert world.store.account().armed
    later = AT + 10 * MINUTE
    world.bars(later, {"AAPL": 100.0})
    world.second(later)
    world.bus.publish([of("AAPL", later, entries=(confirmed("AAPL", later),))])
    world.settle(6)
    assert world.store.order(ENTRY) is not None
    world.second(opened().closes_at)
    assert not world.store.account().armed


def test_a_day_at_the_wall_clock_sells_what_signals_want_sold(world: World) -> None:
    confirm(world)
    world.broker.fill(ENTRY, 16, "100.00")
    world.executor.forward()
    at = AT + MINUTE
    leave = ExitIntent(id="exit", symbol="AAPL", reason="invalidation", price=99.0, market=False, cause="bars")
    world.bars(at, {"AAPL": 99.0})
    world.second(at)
    world.bus.publish([of("AAPL", at, marks=(mark("AAPL", 99.0),), exits=(leave,))])
    world.settle(10)
    world.broker.fill("e7f3-260109-AAPL-exit-1", 16, "98.80")
    world.executor.forward()
    world.settle(4)
    assert world.store.list_positions() == []
    assert world.store.open_orders() == []
    assert world.broker.shares["AAPL"] == 0


def test_entries_wait_while_our_clock_and_the_brokers_are_far_apart(world: World) -> None:
    world.second(AT)
    world.bus.publish([replace(world.broker.snapshot("x", "late"), at=AT - dt.timedelta(minutes=2))])
    world.settle(3)
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "market_closed")
    world.second(AT + 61 * SECOND)  # the next comparison finds them together again
    assert world.store.note("clocks_apart_s") == ""


def test_entries_wait_while_the_broker_says_that_the_market_is_closed(world: World) -> None:
    world.broker.says_open = False
    world.second(AT + SECOND)
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "market_closed")
    assert [one.text for one in world.bus.said(Alert) if isinstance(one, Alert)] == [
        "the broker says that the market is closed, the calendar of 2026-01-09 does not; entries wait"
    ]
    world.broker.says_open = True
    world.second(AT + 61 * SECOND)
    assert world.store.note("broker_is_closed") == ""


def test_nothing_is_planned_while_the_broker_shows_more_filled_than_its_executions_tell(world: World) -> None:
    """`filled` may be heard before what was sold: a stop for those shares would offer them twice."""
    confirm(world)
    order = world.store.order(ENTRY)
    assert order is not None
    world.broker.fill(ENTRY, order.qty, "100.10")
    world.executor.forward()
    world.settle(6)
    at = AT + MINUTE
    trim = TrimIntent(id="trim", symbol="AAPL", level="r1", fraction=0.5, price=103.1, cause="bars")
    world.bars(at, {"AAPL": 103.1})
    world.second(at)
    world.bus.publish([of("AAPL", at, trims=(trim,), marks=(mark("AAPL", 103.1),))])
    world.settle(20)
    [sale] = [one for one in world.store.open_orders("AAPL") if one.kind is OrderKind.TRIM]
    told = world.executor.told
    world.broker.fill(sale.client_order_id, sale.qty, "103.10")
    shown = world.broker.shown(world.broker.named(sale.client_order_id))
    world.bus.publish([BrokerEvent(id="checked", at=at, event=CHECKED, order=shown)])
    before = dump(world.store)["orders"]
    world.settle(6)
    assert len(dump(world.store)["orders"]) == len(before), "no order more"
    assert world.executor.told == told
    world.executor.forward()
    world.settle(20)
    [held] = world.store.list_positions()
    stops = [one for one in world.store.open_orders("AAPL") if one.kind is OrderKind.STOP]
    assert (held.qty, held.r1_state) == (order.qty - sale.qty, TrimState.DONE)
    assert [one.qty for one in stops] == [held.qty]
