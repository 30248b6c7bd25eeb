"""What an operator asks for is done or refused, and answered in the journal with the command's id."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from shared.contracts.commands import (
    Adopt,
    Arm,
    Block,
    Cancel,
    Command,
    Flatten,
    Halt,
    Pause,
    Reconcile,
    Reload,
    Resume,
    Sell,
    Unblock,
)
from shared.contracts.journal import JournalEntry
from shared.contracts.vocabulary import HaltLevel, Status, StopMode
from tests.unit.state.day import ENTRY, buy, confirmed, of
from tests.unit.state.world import MINUTE, OPEN, World, dump

AT = OPEN + 20 * MINUTE
LATER = AT + 2 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    return world


def say(world: World, command: Command) -> tuple[str, str]:
    """The kind and text of the answer."""
    world.bus.publish([command])
    world.settle(3)
    [answer] = [
        one for one in world.bus.said(JournalEntry) if isinstance(one, JournalEntry) and one.cause == command.id
    ]
    return answer.kind, answer.text


@pytest.mark.parametrize(
    ("command", "level"),
    [
        (Pause(id="c", at=AT, by="me"), HaltLevel.PAUSE),
        (Halt(id="c", at=AT, by="me"), HaltLevel.HALT),
        (Flatten(id="c", at=AT, by="me"), HaltLevel.FLATTEN),
        (Resume(id="c", at=AT, by="me"), HaltLevel.NONE),
    ],
)
def test_a_level_stands_in_the_ledger_and_in_the_file(world: World, command: Command, level: HaltLevel) -> None:
    kind, text = say(world, command)
    assert kind == "command_done"
    assert text.startswith(f"{type(command).__name__.lower()} by me: ")
    assert world.store.account().halt is level
    assert world.halt.read() is level


def test_a_command_is_obeyed_once_even_when_it_is_read_again(world: World) -> None:
    pause = Pause(id="c", at=AT, by="me")
    say(world, pause)
    say(world, Resume(id="d", at=AT, by="me"))
    world.bus.publish([pause])
    world.settle(3)
    assert world.store.account().halt is HaltLevel.NONE


def test_pause_refuses_entries_and_spends_nothing(world: World) -> None:
    say(world, Pause(id="c", at=AT, by="me"))
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    assert dump(world.store)["entries"][0][1:3] == ("refused", "paused")
    [aapl, _] = world.store.list_active_candidates()
    assert (aapl.spent, aapl.released_at) == (False, AT)


def test_halt_cancels_working_entries_and_keeps_stops(world: World) -> None:
    buy(world, AT)
    world.minute(LATER, {"MSFT": 100.0}, of("MSFT", LATER, entries=(confirmed("MSFT", LATER),)))
    say(world, Halt(id="c", at=AT, by="me"))
    world.minute(LATER + MINUTE, {"AAPL": 100.2, "MSFT": 100.0})
    entry = world.store.order("e7f3-260109-MSFT-entry-1")
    assert entry is not None
    assert entry.status is Status.CANCELED
    [stop] = world.store.open_orders("AAPL")
    assert stop.resting


def test_flatten_sells_everything_once_however_often_it_is_asked(world: World) -> None:
    buy(world, AT)
    say(world, Flatten(id="c", at=AT, by="me"))
    say(world, Flatten(id="d", at=AT, by="me"))
    world.minute(LATER, {"AAPL": 100.2})
    [sale] = world.store.open_orders("AAPL")
    assert (sale.type, sale.qty) == ("market", 16)
    world.minute(LATER + MINUTE, {"AAPL": 100.2}, fills=lambda: world.broker.fill(sale.client_order_id, 16, "100.15"))
    assert world.store.list_positions() == []
    assert world.broker.shares["AAPL"] == 0


def test_a_position_is_sold_by_hand(world: World) -> None:
    buy(world, AT)
    assert say(world, Sell(id="c", at=AT, by="me", symbol="AAPL"))[0] == "command_done"
    [position] = world.store.list_positions()
    assert position.stop_mode is StopMode.EXITING
    world.minute(LATER, {"AAPL": 100.2})
    [sale] = world.store.open_orders("AAPL")
    assert (sale.kind, sale.intent) == ("exit", "sell-c")


def test_a_working_entry_is_cancelled_by_hand_a_stop_is_not(world: World) -> None:
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    assert say(world, Cancel(id="c", at=AT, by="me", order=f"{ENTRY}-stop"))[0] == "command_refused"
    assert say(world, Cancel(id="d", at=AT, by="me", order=ENTRY))[0] == "command_done"
    world.settle(6)
    order = world.store.order(ENTRY)
    assert order is not None
    assert order.status is Status.CANCELED
    assert say(world, Cancel(id="e", at=AT, by="me", order=ENTRY)) == (
        "command_refused",
        f"cancel by me: {ENTRY} is over: canceled",
    )


def test_a_blocked_symbol_is_not_bought_until_it_is_unblocked(world: World) -> None:
    say(world, Block(id="c", at=AT, by="me", symbol="AAPL"))
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    assert dump(world.store)["entries"][0][1:3] == ("refused", "block_list")
    say(world, Unblock(id="d", at=AT, by="me", symbol="AAPL"))
    assert world.store.note("blocked_symbols") == "[]"


@pytest.mark.parametrize(
    "command",
    [
        Sell(id="c", at=AT, by="me", symbol="TSLA"),
        Cancel(id="c", at=AT, by="me", order="nothing"),
        Adopt(id="c", at=AT, by="me", symbol="TSLA", stop=Decimal(1)),
        Arm(id="c", at=AT, by="me", account="someone else's"),
        Block(id="c", at=AT, by="me", symbol="<b>"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(world: World, command: Command) -> None:
    before = dump(world.store)
    kind, text = say(world, command)
    assert kind == "command_refused"
    assert len(text) > 20
    assert dump(world.store) == before


def test_reload_and_reconcile_answer_at_once(world: World) -> None:
    assert say(world, Reload(id="c", at=AT, by="me"))[1] == "reload by me: 2 candidates"
    assert say(world, Reconcile(id="d", at=AT, by="me"))[0] == "command_done"


def test_resume_ends_a_daily_loss_for_the_rest_of_the_session(world: World) -> None:
    buy(world, AT)
    world.minute(LATER, {"AAPL": 100.2})
    with world.store.transaction():
        world.store._db.execute("UPDATE account SET cash = '95000'")
    world.minute(LATER + MINUTE, {"AAPL": 100.2})
    assert world.store.account().stopped == "daily_loss"
    say(world, Resume(id="c", at=AT, by="me"))
    world.minute(LATER + 2 * MINUTE, {"AAPL": 100.2})
    assert world.store.account().stopped == "resumed"
