"""What is asked of the broker once is asked once, and what may have reached it is never given up by our clock alone."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from services.state.records import ActionStatus
from shared.contracts import ids, streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import StopIntent
from shared.contracts.journal import Alert
from shared.contracts.market import Bar, Bars
from shared.contracts.orders import Action, BrokerOrder, BrokerSnapshot, ClaimRequest
from shared.contracts.vocabulary import HaltLevel, Outcome, Status
from tests.unit.state.day import ENTRY, LEG, buy, confirmed, mark, of
from tests.unit.state.world import MINUTE, OPEN, PARTITIONS, SESSION, ListBus, World, dump, nothing_decided

AT = OPEN + 20 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.open()
    return world


def confirm(world: World) -> None:
    world.minute(AT, {"AAPL": 100.0}, of("AAPL", AT, entries=(confirmed("AAPL", AT),)))


def ask(world: World, request: str, attempt: int = 1, executor: str = "one", action: str = ENTRY) -> str:
    """The answer to a claim: `granted`, or the reason of the refusal."""
    world.bus.publish([ClaimRequest(id=request, at=AT, action=action, attempt=attempt, executor=executor)])
    for _ in range(3):
        world.monotonic += 0.01
        world._step()
    reply = world.bus.replies.pop(request)
    return "granted" if reply.granted else reply.reason


def plan_without_executor(world: World) -> None:
    """The entry is planned, and nobody works its job."""
    world.executor.working = False
    world.bus.publish([of("AAPL", AT, entries=(confirmed("AAPL", AT),))])
    other = 1 - ids.partition_of("AAPL", PARTITIONS)
    mine = ids.partition_of("AAPL", PARTITIONS)
    world.broker.now = AT
    world.bus.publish(
        [
            Bars(
                id="bars-now",
                at=AT,
                partition=mine,
                minute=AT - MINUTE,
                rows=(Bar("AAPL", 100.0, 100.0, 100.0, 100.0, 1000.0),),
            ),
            nothing_decided(other, AT),
        ]
    )
    covered = streams.names(("daily", "bars", "intents"), range(PARTITIONS))
    world.bus.publish(
        [Tick(id="tick-now", at=AT, session=SESSION, phase=TickPhase.ACT, upto=world.bus.last_ids(covered))]
    )
    for _ in range(3):
        world.monotonic += 0.01
        world._step()


def status(world: World, order: str = ENTRY) -> Status:
    found = world.store.order(order)
    assert found is not None
    return found.status


def attempts(world: World, action: str = ENTRY) -> int:
    found = world.store.action(action)
    assert found is not None
    return found.attempt


def test_one_attempt_is_granted_to_one_request_and_the_same_request_gets_the_same_answer(world: World) -> None:
    plan_without_executor(world)
    assert ask(world, "first") == "granted"
    assert ask(world, "first") == "granted"
    assert ask(world, "second", executor="two") == "granted to one"
    assert status(world) is Status.CLAIMED


@pytest.mark.parametrize(
    ("action", "attempt", "answer"),
    [
        (ENTRY, 2, "attempt 2 is over; 1 is due"),
        (ENTRY, 0, "attempt 0 is over; 1 is due"),
        ("e7f3-260109-AAPL-entry-9", 1, "unknown action"),
        ("rm -rf /", 1, "unknown action"),
    ],
)
def test_a_stale_or_garbled_claim_is_refused(world: World, action: str, attempt: int, answer: str) -> None:
    plan_without_executor(world)
    assert ask(world, "stale", attempt=attempt, action=action) == answer
    assert status(world) is Status.PLANNED


def test_an_entry_is_held_back_at_its_claim_when_the_file_says_halt(world: World) -> None:
    plan_without_executor(world)
    world.halt.write(HaltLevel.HALT)
    assert ask(world, "late") == "kill_switch"
    assert status(world) is Status.DENIED
    [intent] = dump(world.store)["entries"]
    assert intent[1:3] == ("refused", "kill_switch")


def test_an_entry_held_back_at_its_claim_spends_as_little_as_one_refused_when_due(world: World) -> None:
    plan_without_executor(world)
    world.halt.write(HaltLevel.PAUSE)
    assert ask(world, "late") == "paused"
    [candidate] = world.store.list_active_candidates()
    assert (candidate.spent, candidate.released_at) == (False, AT)
    assert world.store.account().entry_orders == 0


def test_an_unreadable_halt_file_holds_entries_back(world: World) -> None:
    plan_without_executor(world)
    (world.home / "halt").write_bytes(b"\xff\xfe")
    assert ask(world, "late") == "kill_switch"


def test_a_job_that_nobody_takes_is_given_again_under_a_new_id_and_the_old_attempt_is_over(world: World) -> None:
    plan_without_executor(world)
    world.monotonic += 1.5
    world._step()
    jobs = [job for job in world.bus.jobs if ENTRY in job.actions]
    assert [job.attempts for job in jobs] == [(1,), (2,)]
    assert len({job.id for job in jobs}) == 2
    assert ask(world, "old", attempt=1) == "attempt 1 is over; 2 is due"
    assert ask(world, "new", attempt=2) == "granted"


def test_a_lease_that_ends_in_silence_leaves_the_order_unresolved_and_the_next_attempt_looks_first(
    world: World,
) -> None:
    plan_without_executor(world)
    assert ask(world, "killed") == "granted"
    world.monotonic += 1.0
    world._step()
    assert status(world) is Status.CLAIMED
    world.monotonic += 0.6
    world._step()
    assert status(world) is Status.UNRESOLVED
    for _ in range(5):
        world._step()
    assert attempts(world) == 2, "whoever is woken has time to come"
    world.bus.publish([ClaimRequest(id="next", at=AT, action=ENTRY, attempt=2, executor="two")])
    world._step()
    reply = world.bus.replies["next"]
    assert (reply.granted, reply.look_up_first) == (True, True)


def test_a_reply_that_was_lost_after_the_broker_took_the_order_ends_in_one_order(world: World) -> None:
    lost: list[str] = []

    def outcome(action: Action, attempt: int) -> Outcome | None:
        if action.id == ENTRY and not lost:
            lost.append(action.id)
            return Outcome.UNKNOWN
        return None

    world.executor.outcome = outcome
    confirm(world)
    assert status(world) is Status.ACCEPTED
    assert status(world, LEG) is Status.SUBMITTED
    assert [order.client_order_id for order in world.broker.orders.values()].count(ENTRY) == 1


def test_what_never_left_the_machine_is_sent_again_under_the_same_id(world: World) -> None:
    refusals: list[int] = []

    def outcome(action: Action, attempt: int) -> Outcome | None:
        if action.id == ENTRY and len(refusals) < 2:
            refusals.append(attempt)
            return Outcome.NOT_SENT
        return None

    world.executor.outcome = outcome
    confirm(world)
    assert refusals == [1, 2]
    assert attempts(world) == 3
    assert status(world) is Status.ACCEPTED


def test_a_refusal_by_the_broker_ends_the_intent_with_its_words(world: World) -> None:
    world.broker.refuse = lambda action: "insufficient buying power" if action.id == ENTRY else ""
    confirm(world)
    order = world.store.order(ENTRY)
    assert order is not None
    assert (order.status, order.note) == (Status.REJECTED, "403/ insufficient buying power")
    [intent] = dump(world.store)["entries"]
    assert intent[1:3] == ("refused", "rejected")


def test_an_unresolved_order_that_is_no_longer_wanted_is_absent_after_three_snapshots_and_the_grace(
    world: World,
) -> None:
    lost: list[int] = []

    def outcome(action: Action, attempt: int) -> Outcome | None:
        if action.id == ENTRY:
            world.halt.write(HaltLevel.HALT)  # from now on nobody wants it
            lost.append(attempt)
            return Outcome.UNKNOWN
        return None

    world.broker.refuse = lambda action: "the request never arrived" if action.id == ENTRY else ""
    world.executor.outcome = outcome
    started = world.monotonic
    confirm(world)
    assert lost == [1]
    assert status(world) is Status.ABSENT
    assert world.monotonic - started >= world.setup.grace_s
    assert len(world.bus.said(BrokerSnapshot)) >= 3
    [intent] = dump(world.store)["entries"]
    assert intent[1:3] == ("expired", "absent")


def test_an_order_given_up_for_absent_that_turns_up_is_cancelled_at_once(world: World) -> None:
    hidden: list[Action] = []

    def outcome(action: Action, attempt: int) -> Outcome | None:
        if action.id == ENTRY:
            world.halt.write(HaltLevel.HALT)
            return Outcome.UNKNOWN
        return None

    def refuse(action: Action) -> str:
        if action.id == ENTRY:
            hidden.append(action)
            return "frozen on its way"
        return ""

    world.broker.refuse = refuse
    world.executor.outcome = outcome
    confirm(world)
    assert status(world) is Status.ABSENT
    world.broker.refuse = lambda action: ""
    world.broker.perform(hidden[0])  # the frozen executor wakes up and sends
    world.minute(AT + MINUTE, {"AAPL": 100.1})
    assert status(world) is Status.CANCELED
    assert world.broker.named(ENTRY).status == "canceled"
    assert any("turned up" in alert.text for alert in alerts(world.bus))


def test_a_replace_that_is_refused_leaves_the_old_stop_resting(world: World) -> None:
    buy(world, AT)
    world.broker.refuse = lambda action: "insufficient qty" if action.target == LEG else ""
    at = AT + 3 * MINUTE
    raised = StopIntent(id="stop-x", symbol="AAPL", stop=Decimal("99.00"), basis="structural", cause="bars")
    world.minute(at, {"AAPL": 101.0}, of("AAPL", at, stops=(raised,), marks=(mark("AAPL", 101.0),)))
    assert status(world, LEG) is Status.ACCEPTED
    leg = world.store.order(LEG)
    assert leg is not None
    assert leg.resting
    assert status(world, "e7f3-260109-AAPL-stop-1") is Status.REJECTED


def test_a_replace_whose_reply_was_lost_is_known_by_the_brokers_own_word(world: World) -> None:
    buy(world, AT)
    lost: list[str] = []

    def outcome(action: Action, attempt: int) -> Outcome | None:
        if action.target == LEG and not lost:
            lost.append(action.id)
            return Outcome.UNKNOWN
        return None

    world.executor.outcome = outcome
    at = AT + 3 * MINUTE
    raised = StopIntent(id="stop-x", symbol="AAPL", stop=Decimal("99.00"), basis="structural", cause="bars")
    world.minute(at, {"AAPL": 101.0}, of("AAPL", at, stops=(raised,), marks=(mark("AAPL", 101.0),)))
    assert lost
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.stop_price, stop.resting, stop.in_flight) == (
        "e7f3-260109-AAPL-stop-1",
        Decimal("99.00"),
        True,
        "",
    )
    assert len([order for order in world.broker.orders.values() if order.status == "new"]) == 1


def test_an_action_that_is_over_grants_nothing(world: World) -> None:
    confirm(world)
    action = world.store.action(ENTRY)
    assert action is not None
    assert action.status is ActionStatus.DONE
    assert ask(world, "again") == "the action is done: "


def alerts(bus: ListBus) -> list[Alert]:
    return [message for message in bus.said(Alert) if isinstance(message, Alert)]


def test_a_cancel_that_the_broker_takes_without_any_effect_is_asked_for_again(world: World) -> None:
    confirm(world)
    cancel = world.broker._cancel
    ignored: list[str] = []

    def lazily(action: Action) -> tuple[Outcome, BrokerOrder | None, str]:
        if not ignored:
            ignored.append(action.id)
            return Outcome.DONE, world.broker.shown(world.broker.named(ENTRY)), ""
        return cancel(action)

    world.broker._cancel = lazily  # type: ignore[method-assign]
    world.halt.write(HaltLevel.HALT)
    started = world.monotonic
    world.minute(AT + MINUTE, {"AAPL": 100.0})
    world.minute(AT + 2 * MINUTE, {"AAPL": 100.0})
    assert world.monotonic - started >= 15
    assert len(world.bus.said(BrokerSnapshot)) <= 6, "read now and then, not all the time"
    assert status(world) is Status.CANCELED
