"""What the broker says comes late, twice and in any order; the ledger ends the same."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.contracts.commands import Reconcile
from shared.contracts.journal import Alert, DeadLetter, JournalEntry
from shared.contracts.message import Message
from shared.contracts.orders import Action, BrokerEvent, BrokerOrder, OrderReport
from shared.contracts.vocabulary import Outcome, Status
from shared.domain.order_life import CHECKED
from tests.unit.state.day import ENTRY, LEG, confirmed, of
from tests.unit.state.world import MINUTE, OPEN, World, dump

AT = OPEN + 20 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.open()
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    return world


def say(world: World, *messages: Message) -> None:
    world.bus.publish(messages)
    world.settle(2)


def position(world: World) -> tuple[int, Decimal]:
    [held] = world.store.list_positions()
    return held.qty, held.avg_price


def filled(world: World, *parts: tuple[int, str]) -> list[BrokerEvent]:
    """The broker fills the entry in these parts; its updates, not told yet."""
    before = len(world.broker.events)
    world.broker.now = AT + MINUTE
    for qty, price in parts:
        world.broker.fill(ENTRY, qty, price)
    world.executor.told = len(world.broker.events)
    return world.broker.events[before:]


def test_an_execution_told_three_times_is_booked_once(world: World) -> None:
    events = filled(world, (16, "100.10"))
    say(world, *events)
    say(world, *(replace(event, id=f"{event.id}-again") for event in events))
    say(world, *(replace(event, id=f"{event.id}-and-again") for event in events))
    assert position(world) == (16, Decimal("100.1"))
    assert len(dump(world.store)["fills"]) == 1


def test_updates_in_any_order_end_the_same(tmp_path: Path) -> None:
    ends = []
    for number, order in enumerate(itertools.permutations(range(3))):
        world = World(tmp_path / str(number))
        world.open()
        world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
        events = filled(world, (5, "100.00"), (11, "100.16"))
        assert [event.event for event in events] == ["partial_fill", "fill", "new"]
        for place in order:
            say(world, events[place])
        ends.append({name: rows for name, rows in dump(world.store).items() if name != "account"})
        world.store.close()
    assert all(end == ends[0] for end in ends)
    [row] = ends[0]["positions"]
    assert row[1:6] == (16, 16, 0, "100.110000", "0.000000")


def test_nothing_moves_an_order_backwards(world: World) -> None:
    [event, leg] = filled(world, (16, "100.10"))
    say(world, event, leg)
    old = replace(event.order, status="new", filled_qty=Decimal(0))
    say(world, replace(event, id="stale", event="new", order=old, execution_id=None, qty=None, price=None))
    say(world, replace(event, id="pending", event="pending_new", order=replace(old, status="pending_new")))
    order = world.store.order(ENTRY)
    assert order is not None
    assert (order.status, order.filled_qty) == (Status.FILLED, 16)


def test_a_legs_update_that_overtakes_the_reply_naming_it_waits_for_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.open()
    told: list[BrokerEvent] = []
    perform = world.executor.broker.perform

    def perform_and_fill(action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        answer = perform(action)
        if action.id == ENTRY:
            world.broker.fill(ENTRY, 16, "99.95")
            told.extend(reversed(world.broker.events))
            world.executor.told = len(world.broker.events)
            world.bus.publish(told)  # all of it, newest first, before the reply
        return answer

    world.broker.perform = perform_and_fill  # type: ignore[method-assign]
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    assert position(world) == (16, Decimal("99.95"))
    leg = world.store.order(LEG)
    assert leg is not None
    assert (leg.status, leg.resting) == (Status.ACCEPTED, True)
    assert world.store.foreign_items() == []


def test_a_fill_that_crossed_the_cancel_is_booked_and_protected(world: World) -> None:
    [event] = filled(world, (4, "100.00"))
    world.broker.end(world.broker.named(ENTRY).broker_id, "canceled")
    world.broker.end(world.broker.leg(ENTRY).broker_id, "canceled")
    canceled, leg = world.broker.events[-2:]
    world.executor.told = len(world.broker.events)
    say(world, canceled, leg, event)
    order = world.store.order(ENTRY)
    assert order is not None
    assert (order.status, order.filled_qty) == (Status.CANCELED, 4)
    world.minute(AT + MINUTE, {"AAPL": 100.1})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.qty, stop.resting) == ("e7f3-260109-AAPL-stop-1", 4, True)


def test_filled_shares_in_a_reply_are_compared_and_never_booked(world: World) -> None:
    filled(world, (16, "100.10"))
    shown = world.broker.shown(world.broker.named(ENTRY))
    say(world, report(shown))
    assert world.store.list_positions() == []
    world.monotonic += 2.5
    world.settle(10)  # the executions never come: they are asked for
    assert position(world) == (16, Decimal("100.1"))


def report(order: BrokerOrder) -> OrderReport:
    return OrderReport(
        id="report-late",
        at=AT + MINUTE,
        action=ENTRY,
        attempt=1,
        executor="executor-1",
        outcome=Outcome.FOUND,
        order=order,
    )


def test_a_word_that_nobody_knows_is_an_alert_and_changes_nothing(world: World) -> None:
    before = dump(world.store)
    order = replace(world.broker.named(ENTRY), status="quantum_superposition")
    say(world, BrokerEvent(id="odd", at=AT + MINUTE, event="quantum_superposition", order=order))
    assert dump(world.store) == before
    assert any("quantum" in message.text for message in world.bus.said(Alert) if isinstance(message, Alert))


def test_an_execution_of_part_of_a_share_goes_to_dead_and_the_rest_goes_on(world: World) -> None:
    [event, leg] = filled(world, (16, "100.10"))
    say(world, replace(event, id="broken", qty=Decimal("0.5"), execution_id="x-broken"), event, leg)
    assert position(world) == (16, Decimal("100.1"))
    [dead] = [message for message in world.bus.said(DeadLetter) if isinstance(message, DeadLetter)]
    assert "0.5 shares" in dead.reason


def test_missing_updates_are_asked_for_after_two_seconds(world: World) -> None:
    filled(world, (16, "100.10"))  # and never told
    world.tick_fold(AT + MINUTE)
    assert position(world) == (16, Decimal("100.1"))
    assert any(
        "trade updates are missing" in action.reason
        for action in [world.store.action("e7f3-reconcile-2")]
        if action is not None
    )


def test_each_fill_stands_in_the_journal_with_its_order(world: World) -> None:
    say(world, *filled(world, (16, "100.10")))
    fills = [one for one in world.bus.said(JournalEntry) if isinstance(one, JournalEntry) and one.kind == "fill"]
    assert [(one.order, one.symbol, one.at) for one in fills] == [(ENTRY, "AAPL", AT + MINUTE)]


def test_an_order_that_was_read_because_the_stream_was_silent_counts_by_its_status(world: World) -> None:
    [bought, leg] = filled(world, (16, "100.10"))
    say(world, bought)
    assert world.store.order(LEG).resting is False  # type: ignore[union-attr]
    say(world, replace(leg, id="read", event=CHECKED, seq=None))
    assert world.store.order(LEG).resting is True  # type: ignore[union-attr]
    assert [one.text for one in world.bus.said(Alert) if isinstance(one, Alert)] == []


@pytest.mark.parametrize(("status", "over"), [("new", True), ("accepted", False), ("pending_new", False)])
def test_a_replacement_that_works_says_that_the_old_order_is_over(world: World, status: str, over: bool) -> None:
    """Its own update may be lost; one that is only taken says nothing, since the old one may fill first."""
    say(world, *filled(world, (16, "100.10")))
    old = world.broker.leg(ENTRY)
    new = replace(
        old, broker_id="new", client_order_id="e7f3-260109-AAPL-stop-1", status=status, replaces=old.broker_id
    )
    say(world, BrokerEvent(id="by-hand", at=AT + MINUTE, event=status, order=new))
    world.bus.publish([Reconcile(id="again", at=AT, by="test")])
    world.broker.orders["new"] = new
    world.settle(8)
    found = world.store.order(LEG)
    assert found is not None
    assert (found.status is Status.REPLACED, found.resting) == (over, not over)
