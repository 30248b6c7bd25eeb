"""One batch is one transaction; what fails fails alone; what was said and not sent is said again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.signals.__main__ import READS as READ_BY_SIGNALS
from services.signals.service import Signals
from services.state.service import BusLife
from shared.contracts.clock import Answer, Folded, Tick, TickPhase
from shared.contracts.decisions import Decided, StopIntent
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.message import Message
from shared.contracts.outgoing import Job, Outgoing
from shared.contracts.streams import stream_for
from shared.contracts.views import CandidateChanged, PartitionDecided, PositionChanged
from shared.contracts.vocabulary import Side, TrimState
from shared.runtime.bus import Entry
from tests.unit.state.day import ENTRY, MSFT_ENTRY, buy, confirmed, mark, of, play
from tests.unit.state.world import MINUTE, OPEN, PARTITIONS, QUICK, SESSION, World, dump, nothing_decided

AT = OPEN + 20 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    return world


def test_the_scripted_day_ends_as_the_rules_say(tmp_path: Path) -> None:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    play(world)
    ended = {position.position_id: position for position in map(world.store.position, (ENTRY, MSFT_ENTRY)) if position}
    assert {name: (one.bought, one.sold, one.realized) for name, one in ended.items()} == {
        ENTRY: (16, 16, Decimal("23.20")),  # 8 x 2.95 for the trim, less 8 x 0.05 at the stop
        MSFT_ENTRY: (5, 5, Decimal("-5.75")),
    }
    assert ended[ENTRY].r1_state is TrimState.DONE
    assert world.store.open_orders() == []
    assert world.store.note("unprotected_share_seconds") == ""
    assert float(world.store.note("pending_cover_share_seconds")) == 5 * 60  # MSFT, until its entry was cancelled
    orders = [order.client_order_id for order in world.store.orders_of_session(SESSION)]
    fills = [fill for order in orders for fill in world.store.fills_of(order)]
    assert sum(fill.qty for fill in fills if fill.side is Side.SELL) == 21
    assert dump(world.store)["entries"][-1][1:3] == ("refused", "spent")


def test_a_repeated_message_takes_effect_once(world: World) -> None:
    decided = of("AAPL", AT, entries=(confirmed("AAPL", AT),))
    world.minute(AT, {"AAPL": 100.0}, decided, decided)
    assert len(dump(world.store)["entries"]) == 1


def test_a_minute_that_was_taken_is_not_taken_again_from_another_replica(world: World) -> None:
    world.minute(AT, {"AAPL": 100.0})
    world.minute(AT + MINUTE, {"AAPL": 100.0}, of("AAPL", AT, fence=9, entries=(confirmed("AAPL", AT),)))
    assert dump(world.store)["entries"] == []


def test_of_two_replicas_the_one_with_the_higher_fence_decides(world: World) -> None:
    stale = of("AAPL", AT, fence=1, entries=(confirmed("AAPL", AT, id="stale"),))
    fresh = of("AAPL", AT, fence=2, entries=(confirmed("AAPL", AT, id="fresh"),))
    world.minute(AT, {"AAPL": 100.0}, stale, fresh)
    assert [row[0] for row in dump(world.store)["entries"]] == ["fresh"]


def test_an_unreadable_entry_goes_to_dead_and_the_batch_goes_on(world: World) -> None:
    bad = Entry("orders", "999999-0", None, "version 9 is newer", "raw bytes")
    out = world.state.step([bad, Entry("", "", nothing_decided(0, AT))])
    [dead] = [item for item in out if isinstance(item, DeadLetter)]
    assert (dead.stream, dead.reason, dead.raw) == ("orders", "version 9 is newer", "raw bytes")
    assert world.store.stream_positions()["orders"] == "999999-0"


def test_a_message_that_state_does_not_take_goes_to_dead(world: World) -> None:
    out = world.state.step([Entry("", "", Alert(id="odd", at=AT, level="info", key="k", text="t"))])
    assert [item.reason for item in out if isinstance(item, DeadLetter)] == ["TypeError: state takes no Alert"]


def test_one_symbol_that_cannot_be_planned_does_not_stop_the_others(world: World) -> None:
    buy(world, AT)
    buy(world, AT + 3 * MINUTE, "MSFT")
    with world.store.transaction():
        world.store._db.execute(
            "UPDATE order_ledger SET stop_price = NULL WHERE client_order_id = ?", (f"{ENTRY}-stop",)
        )
    at = AT + 6 * MINUTE
    raised = StopIntent(id="raise", symbol="MSFT", stop=Decimal("99.00"), basis="structural", cause="bars")
    world.minute(at, {"AAPL": 101.0, "MSFT": 101.0}, of("MSFT", at, stops=(raised,)))
    told = [item.text for item in world.bus.said(Alert) if isinstance(item, Alert)]
    assert [text for text in told if text.startswith("AAPL could not be planned")]
    [stop] = world.store.open_orders("MSFT")
    assert stop.stop_price == Decimal("99.00")


def test_what_was_committed_and_not_sent_is_sent_after_a_restart(world: World) -> None:
    world.executor.working = False
    world.bars(AT, {"AAPL": 100.0})
    bars = [Entry(name, *pairs[-1]) for name, pairs in world.bus.streams.items() if name.startswith("bars")]
    batch = [*bars, Entry("intents", "9999-0", of("AAPL", AT, entries=(confirmed("AAPL", AT),)))]
    tick = Tick(id="tick-x", at=AT, session=SESSION, phase=TickPhase.ACT)
    committed = world.state.step([*batch, Entry("clock", "9999-0", tick)])
    jobs = [item for item in committed if isinstance(item, Job)]
    assert len(jobs) == 1
    world.restart()
    again = world.state.step([])
    assert jobs[0] in again
    world.state.sent()
    world.state.step([Entry("", "", nothing_decided(0, AT + MINUTE))])
    world.state.sent()
    world.state.step([Entry("", "", nothing_decided(1, AT + MINUTE))])
    assert jobs[0] not in [item for _, item in world.store.outbox()]


def test_with_no_room_on_the_disk_nothing_is_lost_and_nothing_goes_on(world: World) -> None:
    pages = world.store._db.execute("PRAGMA page_count").fetchone()[0]
    world.store._db.execute(f"PRAGMA max_page_count = {pages}")
    big = of("AAPL", AT, entries=(confirmed("AAPL", AT, cause="x" * 4_000_000),))
    out = world.state.step([Entry("intents", "9999-0", big)])
    assert [item.key for item in out if isinstance(item, Alert)] == ["ledger-full"]
    world.monotonic += 1
    assert world.state.step([]) == []
    assert "intents" not in world.store.stream_positions()
    world.store._db.execute("PRAGMA max_page_count = 1000000")
    world.monotonic += 1
    world.state.step([])
    assert world.store.stream_positions()["intents"] == "9999-0"


def test_a_new_bus_hears_everything_again_and_is_read_from_its_start(world: World) -> None:
    buy(world, AT)
    life = BusLife(world.store)
    epoch = life.epoch
    out = life.reborn("run-2")
    assert (life.run_id, life.epoch) == ("run-2", epoch + 1)
    assert (BusLife(world.store).run_id, BusLife(world.store).epoch) == ("run-2", epoch + 1)
    assert world.store.stream_positions() == {}
    assert {item.symbol for item in out if isinstance(item, PositionChanged)} == {"AAPL"}
    assert {item.symbol for item in out if isinstance(item, CandidateChanged)} == {"AAPL", "MSFT"}
    assert {item.partition for item in out if isinstance(item, PartitionDecided)} == {0, 1}


def test_a_day_whose_bus_is_wiped_ends_the_same(tmp_path: Path) -> None:
    whole = World(tmp_path / "whole", symbols=("AAPL", "MSFT"))
    whole.open()
    buy(whole, AT)
    wiped = World(tmp_path / "wiped", symbols=("AAPL", "MSFT"))
    wiped.open()
    said: list[Message] = []
    publish = wiped.bus.publish
    wiped.bus.publish = lambda outgoing: (said.extend(out := list(outgoing)), publish(out))[1]  # type: ignore
    wiped.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    wiped.bus.streams.clear()
    wiped.bus.replies.clear()
    publish(BusLife(wiped.store).reborn("run-1"))
    wiped.restart()
    wiped.bus.publish([one for one in said if type(one).__name__ in ("Bars",)])
    wiped.minute(
        AT + MINUTE,
        {"AAPL": 100.2},
        of("AAPL", AT + MINUTE, marks=(mark("AAPL", 100.2),)),
        fills=lambda: wiped.broker.fill(ENTRY, 16, "100.10"),
    )
    assert {name: rows for name, rows in dump(wiped.store).items() if name != "account"} == {
        name: rows for name, rows in dump(whole.store).items() if name != "account"
    }


def test_a_tick_that_is_given_again_is_answered_again_and_does_nothing(world: World) -> None:
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))
    before = dump(world.store)
    tick = Tick(id=f"tick-{AT:%y%m%dT%H%M}-act", at=AT, session=SESSION, phase=TickPhase.ACT)
    out = world.state.step([Entry("clock", "99999-0", tick)])
    assert [item.id for item in out if isinstance(item, Answer)] == [f"{tick.id}-state"]
    assert dump(world.store) == before


def test_an_answer_to_a_tick_is_the_last_thing_that_a_step_says(tmp_path: Path) -> None:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    steps: list[list[Outgoing]] = []
    publish = world.bus.publish

    def noted(outgoing: Iterable[Outgoing]) -> None:
        steps.append(list(outgoing))
        publish(steps[-1])

    world.bus.publish = noted  # type: ignore[method-assign]
    play(world)
    answered = [step for step in steps if any(isinstance(item, Answer) for item in step)]
    assert any(isinstance(item, PositionChanged) for step in answered for item in step)
    for step in answered:
        assert [isinstance(item, Answer) for item in step] == [*[False] * (len(step) - 1), True]


def test_signals_that_read_as_far_as_the_answer_know_of_a_sale_in_that_minute(world: World) -> None:
    """The conductor goes on as soon as it sees `Folded`: the next tick may cover nothing that comes behind it."""
    buy(world, AT)
    held, sold = AT + 2 * MINUTE, AT + 3 * MINUTE
    world.minute(held, {"AAPL": 100.5})
    world.bars(sold, {"AAPL": 97.0})
    world.broker.now = sold
    world.broker.fill(f"{ENTRY}-stop", 16, "98.30")
    fold = Tick(
        id=f"fold-{sold}",
        at=sold,
        session=SESSION,
        phase=TickPhase.FOLD,
        upto=world.bus.last_ids(["bars:0", "bars:1"]),
        events=len(world.broker.events),
    )
    world.bus.publish([fold])
    world.turn()
    assert not any(one.cause == fold.id for one in world.bus.said(Folded))
    world.executor.forward()  # the sale comes behind the tick: one step books it and answers
    world.turn()
    signals = Signals(PARTITIONS, QUICK, lambda partition: 1)
    marked: dict[dt.datetime, list[str]] = {}
    for message in world.bus.said(Message):
        if stream_for(message).partition(":")[0] in READ_BY_SIGNALS:
            signals.handle(message)
        elif isinstance(message, Folded):
            tick = Tick(id=f"decide-{message.at}", at=message.at, session=SESSION, phase=TickPhase.DECIDE)
            answers = [one for one in signals.handle(tick) if isinstance(one, Decided)]
            marked[message.at] = [mark.symbol for one in answers for mark in one.marks]
    assert (marked[held], marked[sold]) == (["AAPL"], [])


def test_ticks_of_others_are_none_of_states_business(world: World) -> None:
    for number, phase in enumerate((TickPhase.OPEN, TickPhase.FEED, TickPhase.MATCH, TickPhase.DECIDE)):
        tick = Tick(id=f"t-{phase}", at=AT, session=SESSION, phase=phase)
        out = world.state.step([Entry("clock", f"9999{number}-0", tick)])
        assert [item for item in out if isinstance(item, Answer)] == []


def test_views_are_told_when_they_change_and_hashes_go_with_what_they_show(world: World) -> None:
    buy(world, AT)
    assert world.bus.hashes["position:AAPL"]["qty"] == "16"
    assert world.bus.hashes[f"order:{ENTRY}-stop"]["broker_status"] == "new"
    assert f"order:{ENTRY}" not in world.bus.hashes
    told = len(world.bus.said(PositionChanged))
    world.settle(5)
    assert len(world.bus.said(PositionChanged)) == told
    at = AT + 2 * MINUTE
    world.minute(at, {"AAPL": 97.0}, fills=lambda: world.broker.fill(f"{ENTRY}-stop", 16, "98.30"))
    assert "position:AAPL" not in world.bus.hashes
    last = world.bus.said(PositionChanged)[-1]
    assert isinstance(last, PositionChanged)
    assert (last.symbol, last.qty) == ("AAPL", 0)
    assert world.bus.hashes["account"]["open_positions"] == "0"


def test_a_restart_tells_nothing_new(world: World) -> None:
    buy(world, AT)
    known = {message.id for message in world.bus.said(Message)}
    world.restart()
    assert {item.id for item in world.state.step([]) if isinstance(item, Message)} <= known


def test_memory_is_read_again_after_a_restart(world: World) -> None:
    world.minute(AT, {"AAPL": 100.0})
    world.restart()
    at = AT + MINUTE
    world.minute(at, {}, of("AAPL", at, entries=(confirmed("AAPL", at),)))  # no bar since: the old close is the price
    assert [row[5] for row in dump(world.store)["entries"]] == [16]


def test_the_decisions_of_a_position_are_counted_through_the_last_minute(world: World) -> None:
    buy(world, AT)
    [position] = world.store.list_positions()
    assert position.decided_through == AT + MINUTE
    assert position.high_water == 100.2
    late = AT + 2 * MINUTE
    old = of("AAPL", late, marks=(mark("AAPL", 99.0, position_id="e7f3-260108-AAPL-entry-1"),))
    world.minute(late, {"AAPL": 99.5}, replace(old, id="old"))
    [position] = world.store.list_positions()
    assert position.decided_through == AT + MINUTE


def test_now_is_the_time_of_the_last_tick(world: World) -> None:
    assert dt.datetime.fromisoformat(world.store.note("now")) == OPEN
