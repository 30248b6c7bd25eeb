"""Real money needs every gate at once; whatever lacks one protects and leaves, and buys nothing."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.contracts.commands import Arm, Flatten, Halt, Pause, Reconcile, Resume
from shared.contracts.decisions import ExitIntent
from shared.contracts.journal import Alert, JournalEntry
from shared.contracts.orders import BrokerOrder
from shared.contracts.vocabulary import HaltLevel, OrderKind, Status
from tests.unit.state.day import ENTRY, LEG, buy, confirmed, mark, of
from tests.unit.state.test_commands import say
from tests.unit.state.test_free_pace import started
from tests.unit.state.world import CLOSE, LIVE, MINUTE, OPEN, World, dump

AT = OPEN + 20 * MINUTE
LATER = AT + 10 * MINUTE


def arm(world: World, name: str = "arm", at: dt.datetime = AT, account: str = LIVE) -> tuple[str, str]:
    return say(world, Arm(id=name, at=at, by="me", account=account))


def confirm(world: World, at: dt.datetime = AT) -> None:
    world.bars(at, {"AAPL": 100.0})
    world.second(at)
    world.bus.publish([of("AAPL", at, entries=(confirmed("AAPL", at),))])
    world.settle(6)


def reconcile(world: World, name: str) -> None:
    world.bus.publish([Reconcile(id=name, at=AT, by="test")])
    world.settle(8)


def alerts(world: World) -> list[str]:
    return [message.text for message in world.bus.said(Alert) if isinstance(message, Alert)]


def test_armed_with_every_gate_open_an_entry_is_sent(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    assert arm(world)[0] == "command_done"
    confirm(world)
    assert world.store.order(ENTRY) is not None


def test_not_armed_what_is_held_is_protected_and_left_and_nothing_is_bought(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    arm(world)
    confirm(world)
    world.broker.fill(ENTRY, 16, "100.00")
    world.executor.forward()
    world.settle(4)
    with world.store.transaction():
        world.store.put_account(replace(world.store.account(), armed=False))
    world.bars(LATER, {"AAPL": 99.0, "MSFT": 100.0})
    world.second(LATER)
    leave = ExitIntent(id="exit", symbol="AAPL", reason="invalidation", price=99.0, market=False, cause="bars")
    world.bus.publish([of("AAPL", LATER, marks=(mark("AAPL", 99.0),), exits=(leave,))])
    world.bus.publish([of("MSFT", LATER, entries=(confirmed("MSFT", LATER),))])
    world.settle(10)
    [sale] = world.store.open_orders("AAPL")
    assert sale.kind is OrderKind.EXIT
    assert [row[1:3] for row in dump(world.store)["entries"] if "MSFT" in str(row[0])] == [("refused", "not_armed")]


def test_an_account_without_margin_is_not_armed_and_not_bought_with(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    world.broker.multiplier = Decimal(1)
    reconcile(world, "again")
    assert "has no margin" in arm(world)[1]
    assert f"account {LIVE} has no margin: no entry is sent" in alerts(world)
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "not_armed")


def test_margin_that_is_taken_away_after_arming_stops_entries(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    arm(world)
    world.broker.multiplier = Decimal(1)
    reconcile(world, "again")
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "not_armed")


@pytest.mark.parametrize(
    ("account", "at", "why"),
    [
        ("499999999", AT, "not the number"),
        (LIVE, AT - dt.timedelta(days=1), "of another day"),
    ],
)
def test_arming_needs_the_number_and_the_day(tmp_path: Path, account: str, at: dt.datetime, why: str) -> None:
    world = started(tmp_path, live=True)
    world.second(AT)
    kind, text = arm(world, at=at, account=account)
    assert kind == "command_refused"
    assert why in text
    assert not world.store.account().armed


def test_arming_needs_the_number_in_the_configuration(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    world.setup = replace(world.setup, account="")
    world.restart()
    world.second(AT)
    assert "broker.account is not set" in arm(world)[1]


def test_arming_after_the_close_is_refused(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    world.second(CLOSE)
    assert arm(world, at=CLOSE)[0] == "command_refused"


@pytest.mark.parametrize(
    ("live", "account", "why"),
    [
        (True, "PA9", "broker.kind is live and the keys lead to the paper account PA9"),
        (True, "499999999", f"broker.account is {LIVE} and the keys lead to account 499999999"),
        (False, "PA2", "this ledger belongs to account PA1, the broker's is PA2"),
    ],
)
def test_of_another_account_nothing_is_taken_and_nothing_is_sent(
    tmp_path: Path, live: bool, account: str, why: str
) -> None:
    world = started(tmp_path, live=live)
    before = dump(world.store)
    world.broker.account_number = account
    world.broker.shares["MSFT"], world.broker.paid["MSFT"] = Decimal(7), Decimal("400.00")
    world.restart()
    world.second(AT)
    assert dump(world.store) == before
    assert [text for text in alerts(world) if text.startswith(why)] != []
    assert world.store.foreign_items() == []
    sent = len(world.broker.orders)
    confirm(world)
    assert len(world.broker.orders) == sent


# Two installations on one account


def of_another(status: str, leg_status: str) -> BrokerOrder:
    """An entry of another installation with its stop leg."""
    base = BrokerOrder(
        broker_id="theirs",
        client_order_id="a1b2-260109-TSLA-entry-1",
        symbol="TSLA",
        side="buy",
        type="limit",
        order_class="oto",
        time_in_force="gtc",
        status=status,
        qty=Decimal(3),
        filled_qty=Decimal(3 if status == "filled" else 0),
        limit_price=Decimal("200.00"),
    )
    leg = replace(base, broker_id="their-leg", client_order_id="invented", side="sell", type="stop", status=leg_status)
    leg = replace(leg, filled_qty=Decimal(0), limit_price=None, stop_price=Decimal("190"))
    return replace(base, legs=(leg,))


@pytest.mark.parametrize(("status", "leg"), [("new", "held"), ("filled", "new")])
def test_an_order_or_a_resting_stop_of_another_installation_stops_entries(
    tmp_path: Path, status: str, leg: str
) -> None:
    world = started(tmp_path)
    theirs = of_another(status, leg)
    world.broker.orders["theirs"] = theirs
    world.broker.orders["their-leg"] = theirs.legs[0]
    reconcile(world, "again")
    assert any("another installation trades on this account" in text for text in alerts(world))
    confirm(world)
    assert dump(world.store)["entries"][0][1:3] == ("refused", "foreign")


def test_what_another_installation_has_finished_stops_nothing(tmp_path: Path) -> None:
    world = started(tmp_path)
    theirs = of_another("filled", "filled")
    world.broker.orders["theirs"] = theirs
    world.broker.orders["their-leg"] = theirs.legs[0]
    reconcile(world, "again")
    confirm(world)
    assert world.store.order(ENTRY) is not None


# Levels


def test_only_resume_goes_back_to_a_weaker_level(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    say(world, Flatten(id="a", at=AT, by="me"))
    for number, command in enumerate((Pause(id="b", at=AT, by="me"), Halt(id="c", at=AT, by="me"))):
        kind, text = say(world, command)
        assert kind == "command_done", number
        assert "stricter and stays until `resume`" in text
        assert world.store.account().halt is world.halt.read() is HaltLevel.FLATTEN
    say(world, Resume(id="d", at=AT, by="me"))
    assert world.halt.read() is HaltLevel.NONE


# What was done at the broker while state was dead


def test_sales_and_stops_that_were_sent_without_state_are_taken_in(tmp_path: Path) -> None:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    buy(world, AT)
    leg = world.broker.leg(ENTRY)
    world.broker.end(leg.broker_id, "canceled")
    flat = replace(
        leg,
        broker_id="flat",
        client_order_id="e7f3-260109-AAPL-flat-1",
        type="market",
        stop_price=None,
        status="new",
        order_class="simple",
    )
    world.broker.orders["flat"] = flat
    world.halt.write(HaltLevel.FLATTEN)
    world.broker.fill(flat.client_order_id, 16, "99.50")
    world.restart()
    reconcile(world, "again")
    assert world.store.list_positions() == []
    taken = world.store.order("e7f3-260109-AAPL-flat-1")
    assert taken is not None
    assert (taken.kind, taken.status, taken.filled_qty) == (OrderKind.FLAT, Status.FILLED, 16)
    assert world.store.order(LEG).status is Status.CANCELED  # type: ignore[union-attr]
    world.minute(AT + 2 * MINUTE, {"AAPL": 99.5})
    assert world.broker.shares["AAPL"] == 0
    assert world.store.account().cash == world.broker.cash


def test_a_stop_that_was_sent_without_state_is_the_positions_stop(tmp_path: Path) -> None:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    buy(world, AT)
    leg = world.broker.leg(ENTRY)
    world.broker.end(leg.broker_id, "canceled")
    world.broker.orders["flat"] = replace(
        leg, broker_id="flat", client_order_id="e7f3-260109-AAPL-flat-1", status="new", order_class="simple"
    )
    world.restart()
    sent = len(world.broker.orders)
    reconcile(world, "again")
    world.minute(AT + 2 * MINUTE, {"AAPL": 100.0})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.kind, stop.resting) == ("e7f3-260109-AAPL-flat-1", OrderKind.STOP, True)
    assert len(world.broker.orders) == sent


def test_an_answer_is_the_journals_with_the_commands_id(tmp_path: Path) -> None:
    world = started(tmp_path, live=True)
    arm(world, "named")
    [entry] = [one for one in world.bus.said(JournalEntry) if isinstance(one, JournalEntry) and one.cause == "named"]
    assert entry.text == "arm by me: entries are allowed until the close of 2026-01-09"
