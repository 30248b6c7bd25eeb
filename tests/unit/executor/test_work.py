"""One action: nothing is sent without a claim in hand, nothing after its lease, and what came of it is told once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from services.executor.broker import Answer, Fault, Replied, Silent
from services.executor.budget import Budget
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.orders import ClaimReply
from shared.contracts.vocabulary import Outcome
from shared.runtime.bus import BusDown
from tests.orders import desk as table
from tests.orders.desk import START, cancelling, entry, granted, reconciling, replacing, stop
from tests.orders.loopback_broker import order
from tests.unit.executor.scripted_broker import ScriptedBroker, holding, ok, stop_order

NOT_FOUND = Replied(status=404, code=40410000, text="order not found", body={})


def test_a_granted_submit_is_sent_once_and_reported_with_what_the_broker_said() -> None:
    broker = ScriptedBroker(submit=ok(stop_order(), events_seen=41))
    room = table.room(broker)
    report = room.grant(stop())
    assert broker.asked == ["submit"]
    assert (report.outcome, report.attempt, report.events_seen) == (Outcome.DONE, 1, 41)
    assert report.order is not None
    assert report.order.stop_price == Decimal("96.5")
    assert report.at == dt.datetime(2026, 1, 9, 14, 50, 0, 123_456, tzinfo=dt.UTC)
    assert report.id == f"report-{stop().id}-1-protect-1"


@pytest.mark.parametrize("reply", [None, ClaimReply(request="claim", granted=False, reason="paused")])
def test_without_a_granted_claim_nothing_is_sent_and_nothing_is_said(reply: ClaimReply | None) -> None:
    broker = ScriptedBroker()
    room = table.room(broker)
    if reply is not None:
        room.desk.answers[entry().id] = reply
    room.executor.perform([entry().id], [1])
    assert broker.asked == []
    assert room.desk.said == []
    assert room.executor.dropped == 1


def test_a_claim_that_is_not_answered_is_asked_again_with_the_same_id() -> None:
    room = table.room(ScriptedBroker())
    room.executor.perform([entry().id], [1])
    assert len(room.desk.asked) == 5
    assert {request.id for request in room.desk.asked} == {f"claim-{entry().id}-1-protect-1"}


def test_after_sigterm_nothing_is_claimed() -> None:
    room = table.room(ScriptedBroker(), stop=lambda: True)
    room.desk.answers = {stop().id: granted(stop())}
    room.executor.perform([stop().id], [1])
    assert room.desk.asked == []
    assert room.desk.said == []


def test_sigterm_in_the_middle_of_a_job_lets_the_request_in_hand_end_and_gives_the_rest_back() -> None:
    asked_to_stop = False
    broker = ScriptedBroker(submit=ok(stop_order()))
    room = table.room(broker, stop=lambda: asked_to_stop)

    def stop_now(name: str) -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    broker.on_request = stop_now
    room.desk.answers = {action.id: granted(action) for action in (stop(1), stop(2))}
    room.executor.perform([stop(1).id, stop(2).id], [1, 1])
    assert broker.asked == ["submit"]
    assert [(report.action, report.outcome) for report in room.desk.reports] == [
        (stop(1).id, Outcome.DONE),
        (stop(2).id, Outcome.NOT_SENT),
    ]


def test_the_actions_of_a_job_are_claimed_together_and_worked_in_their_order() -> None:
    broker = ScriptedBroker(submit=[ok(stop_order(number)) for number in (3, 1, 2)])
    room = table.room(broker)
    room.desk.answers = {action.id: granted(action) for action in (stop(1), stop(2), stop(3))}
    room.executor.perform([stop(number).id for number in (3, 1, 2)], [1, 1, 1])
    assert len(room.desk.asked) == 3
    assert [report.action for report in room.desk.reports] == [stop(number).id for number in (3, 1, 2)]
    assert {report.outcome for report in room.desk.reports} == {Outcome.DONE}


def test_of_a_job_only_what_is_granted_is_worked() -> None:
    broker = ScriptedBroker(submit=ok(stop_order(2)))
    room = table.room(broker)
    room.desk.answers = {
        stop(1).id: ClaimReply(request="claim", granted=False, reason="not wanted"),
        stop(2).id: granted(stop(2)),
    }
    room.executor.perform([stop(1).id, stop(2).id, stop(3).id], [1, 1, 1])
    assert broker.asked == ["submit"]
    assert [report.action for report in room.desk.reports] == [stop(2).id]
    assert room.executor.dropped == 2


def test_a_process_asked_to_stop_while_it_waits_for_its_claim_asks_no_more() -> None:
    asked_to_stop = False
    room = table.room(ScriptedBroker(), stop=lambda: asked_to_stop)

    def stop_now() -> None:
        nonlocal asked_to_stop
        asked_to_stop = True

    room.desk.before_answer = stop_now
    room.executor.perform([entry().id], [1])
    assert len(room.desk.asked) == 1


def test_the_same_wake_up_twice_is_worked_once() -> None:
    broker = ScriptedBroker(submit=ok(stop_order()))
    room = table.room(broker)
    room.grant(stop())
    room.executor.perform([stop().id], [1])
    assert broker.asked == ["submit"]
    assert len(room.desk.asked) == 1


def test_a_process_frozen_between_its_claim_and_the_request_sends_nothing() -> None:
    broker = ScriptedBroker(by_client_order_id=NOT_FOUND)
    room = table.room(broker)

    def freeze(name: str) -> None:
        room.time.passed_s += 7

    broker.on_request = freeze
    report = room.grant(entry(), look_up_first=True, lease_s=5.0)
    assert broker.asked == ["by_client_order_id"]
    assert (report.outcome, report.text) == (Outcome.NOT_SENT, "late: the lease was over before the request")


def test_a_process_frozen_while_it_asks_for_its_claim_sends_nothing() -> None:
    room = table.room(ScriptedBroker())
    room.desk.answer_takes_s = 7
    assert room.grant(entry(), lease_s=5.0).outcome is Outcome.NOT_SENT


def test_an_order_that_the_rate_limit_holds_past_its_lease_is_not_sent() -> None:
    budget = Budget(60, 0.0, 1000.0)
    budget.told(1000.0, remaining=0, reset_s=1.0)
    broker = ScriptedBroker(submit=ok(stop_order()))
    room = table.room(broker, budget=budget)
    report = room.grant(stop(), lease_s=0.5)
    assert report.outcome is Outcome.NOT_SENT
    assert "rate limit" in report.text
    assert room.grant(stop(), attempt=2, lease_s=5.0).outcome is Outcome.DONE


def test_a_second_attempt_looks_first_and_sends_nothing_that_exists() -> None:
    broker = ScriptedBroker(by_client_order_id=ok(stop_order()))
    report = table.room(broker).grant(stop(), attempt=2, look_up_first=True)
    assert broker.asked == ["by_client_order_id"]
    assert report.outcome is Outcome.FOUND


def test_a_second_attempt_that_finds_nothing_sends_with_the_same_id() -> None:
    broker = ScriptedBroker(by_client_order_id=NOT_FOUND, submit=ok(stop_order()))
    report = table.room(broker).grant(stop(), attempt=2, look_up_first=True)
    assert broker.asked == ["by_client_order_id", "submit"]
    assert report.outcome is Outcome.DONE


def test_a_second_attempt_whose_look_up_fails_sends_nothing() -> None:
    broker = ScriptedBroker(by_client_order_id=Replied(status=503))
    report = table.room(broker).grant(stop(), attempt=2, look_up_first=True)
    assert broker.asked == ["by_client_order_id"]
    assert report.outcome is Outcome.UNKNOWN


def test_the_legs_of_an_entry_are_read_where_the_reply_has_none() -> None:
    action = entry()
    bare = order(action.id, order_class="oto")
    leg = stop_order(1, client_order_id="invented", status="held")
    broker = ScriptedBroker(submit=ok(bare, 5), by_id=ok(bare | {"legs": [leg]}, 6))
    report = table.room(broker).grant(action)
    assert report.order is not None
    assert [leg.client_order_id for leg in report.order.legs] == ["invented"]
    assert report.events_seen == 6


def test_terms_that_differ_from_what_stands_at_the_broker_alert_a_person() -> None:
    broker = ScriptedBroker(by_client_order_id=ok(stop_order(qty="12")))
    room = table.room(broker)
    report = room.grant(stop(), attempt=2, look_up_first=True)
    alerts = [message for message in room.desk.said if isinstance(message, Alert)]
    assert report.outcome is Outcome.FOUND
    assert [alert.text for alert in alerts] == [f"{stop().id} exists at the broker with other terms: qty is 12, not 10"]


def test_a_replace_finds_its_target_by_our_id_where_its_broker_id_is_unknown() -> None:
    broker = ScriptedBroker(by_client_order_id=ok(stop_order(1)), replace=ok(stop_order(2, qty="5")))
    report = table.room(broker).grant(replacing("", stop(2, qty=5), target=stop(1).id))
    assert broker.asked == ["by_client_order_id", "replace"]
    assert report.outcome is Outcome.DONE


def test_a_repeated_replace_that_is_refused_because_it_was_done_is_found() -> None:
    refused = Replied(status=422, code=42210000, text="order already replaced", body={})
    broker = ScriptedBroker(by_client_order_id=[NOT_FOUND, ok(stop_order(2, qty="5"))], replace=refused)
    report = table.room(broker).grant(replacing("some-id", stop(2, qty=5)), attempt=2, look_up_first=True)
    assert report.outcome is Outcome.FOUND


def test_a_repeated_cancel_of_an_ended_order_sends_nothing() -> None:
    broker = ScriptedBroker(by_id=ok(stop_order(status="filled", filled_qty="10")))
    report = table.room(broker).grant(cancelling("some-id"), attempt=2, look_up_first=True)
    assert broker.asked == ["by_id"]
    assert report.outcome is Outcome.FOUND
    assert report.order is not None
    assert report.order.status == "filled"


def test_a_cancel_of_an_order_whose_broker_id_is_unknown_looks_it_up() -> None:
    broker = ScriptedBroker(by_client_order_id=NOT_FOUND)
    report = table.room(broker).grant(cancelling("", target=entry().id))
    assert broker.asked == ["by_client_order_id"]
    assert report.outcome is Outcome.MISSING


def test_an_action_that_we_get_wrong_is_told_and_the_next_one_is_worked() -> None:
    broker = ScriptedBroker(submit=ok(stop_order(2)))
    room = table.room(broker)
    without_terms = structs.replace(stop(1), terms=None)
    room.desk.answers = {stop(1).id: granted(without_terms), stop(2).id: granted(stop(2))}
    with pytest.raises(AssertionError):
        room.executor.perform([stop(1).id, stop(2).id], [1, 1])
    assert [(report.action, report.outcome) for report in room.desk.reports] == [(stop(2).id, Outcome.DONE)]


def test_an_order_that_is_found_but_not_readable_leaves_the_fate_open_and_alerts() -> None:
    broker = ScriptedBroker(by_client_order_id=ok(stop_order(status="paused")))
    room = table.room(broker)
    assert room.grant(stop(), attempt=2, look_up_first=True).outcome is Outcome.UNKNOWN
    assert [message.key for message in room.desk.said if isinstance(message, Alert)] == ["unreadable"]
    assert broker.asked == ["by_client_order_id"]


def test_refused_keys_alert_a_person() -> None:
    broker = ScriptedBroker(submit=Replied(status=401, text="unauthorized."))
    room = table.room(broker)
    assert room.grant(stop()).outcome is Outcome.REFUSED
    assert [message.key for message in room.desk.said if isinstance(message, Alert)] == ["unauthorized"]


def test_a_refusal_without_a_time_carries_the_time_of_its_claim() -> None:
    broker = ScriptedBroker(submit=Replied(status=403, code=40310000, text="insufficient buying power", body={}))
    assert table.room(broker).grant(stop()).at == START


def test_a_report_waits_for_a_bus_that_is_down_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    room = table.room(ScriptedBroker(submit=ok(stop_order())))
    publish, failures = room.desk.publish, [BusDown("gone"), BusDown("gone")]

    def unsteady(outgoing: Any) -> None:
        if failures:
            raise failures.pop()
        publish(outgoing)

    monkeypatch.setattr(room.desk, "publish", unsteady)
    assert room.grant(stop()).outcome is Outcome.DONE


def test_a_reconcile_asks_which_symbols_are_traded_and_leaves_out_what_it_could_not_read() -> None:
    found: dict[str, Answer | list[Answer]] = {
        "asset AAPL": ok({"symbol": "AAPL", "status": "active", "tradable": True}),
        "asset GONE": ok({"symbol": "GONE", "status": "inactive", "tradable": True}),
        "asset LATE": Silent(fault=Fault.READ_TIMEOUT),
        "asset MISS": Replied(status=404, code=40410000, text="asset not found for MISS", body={}),
        "asset PROX": Replied(status=404, text="<html>not here</html>"),
        "asset STOP": ok({"symbol": "STOP", "status": "active", "tradable": False}),
    }
    room = table.room(holding(**found))
    symbols = tuple(name.removeprefix("asset ") for name in found)
    room.desk.answers["reconcile-1"] = granted(structs.replace(reconciling(), symbols=symbols))
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    said = {asset.symbol: asset.tradable for asset in snapshot.assets}
    assert said == {"AAPL": True, "GONE": False, "MISS": False, "STOP": False}


def test_a_reconcile_tells_what_the_broker_holds_at_the_brokers_time() -> None:
    room = table.room(holding())
    room.desk.answers["reconcile-1"] = granted(reconciling())
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    assert snapshot.request == "reconcile-1"
    assert snapshot.at == dt.datetime(2026, 1, 9, 14, 50, 0, 123_456, tzinfo=dt.UTC)
    assert snapshot.events_seen == 11
    assert [known.client_order_id for known in snapshot.orders or ()] == [stop().id]
    assert [position.symbol for position in snapshot.positions or ()] == ["AAPL"]
    assert [fill.execution_id for fill in snapshot.fills or ()] == ["execution-1"]
    assert snapshot.account is not None
    assert snapshot.dropped == ()
    assert room.desk.reports == []


@pytest.mark.parametrize(
    ("failing", "field"),
    [
        ("account", "account"),
        ("positions", "positions"),
        ("open_orders", "orders"),
        ("orders_since", "orders"),
        ("fills_since", "fills"),
    ],
)
@pytest.mark.parametrize(
    "answer", [Replied(status=503), Silent(fault=Fault.READ_TIMEOUT), ok(None), ok({"no": "list"})]
)
def test_a_failed_read_is_unknown_and_never_empty(failing: str, field: str, answer: Answer) -> None:
    room = table.room(holding(**{failing: answer}))
    room.desk.answers["reconcile-1"] = granted(reconciling())
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    for name in ("account", "positions", "orders", "fills"):
        assert (getattr(snapshot, name) is None) is (name == field)
    assert f"{field} could not be read" in snapshot.dropped


def test_an_element_that_cannot_be_read_goes_to_the_dead_letters_with_an_alert() -> None:
    room = table.room(holding(open_orders=ok([stop_order(2, status="paused"), stop_order(1)])))
    room.desk.answers["reconcile-1"] = granted(reconciling())
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    letters = [message for message in room.desk.said if isinstance(message, DeadLetter)]
    alerts = [message for message in room.desk.said if isinstance(message, Alert)]
    assert [known.client_order_id for known in snapshot.orders or ()] == [stop(1).id]
    assert [letter.reason for letter in letters] == list(snapshot.dropped)
    assert '"paused"' in letters[0].raw
    assert [alert.key for alert in alerts] == ["unreadable"]


def test_a_leg_that_is_listed_alone_and_under_its_parent_is_told_once() -> None:
    leg = stop_order(1, client_order_id="invented", id="leg", status="new")
    parent = order(entry().id, order_class="oto", status="filled", filled_qty="10", filled_avg_price="100", legs=[leg])
    room = table.room(holding(open_orders=ok([leg]), orders_since=ok([parent])))
    room.desk.answers["reconcile-1"] = granted(reconciling())
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    assert [(known.client_order_id, len(known.legs)) for known in snapshot.orders or ()] == [(entry().id, 1)]


def test_an_order_that_no_list_shows_is_read_by_its_id_where_state_asks_for_it() -> None:
    old = stop_order(1)
    broker = holding(open_orders=ok([]), orders_since=ok([]), by_id=ok(old | {"status": "canceled"}))
    room = table.room(broker)
    room.desk.answers["reconcile-1"] = granted(structs.replace(reconciling(), orders=(old["id"],)))
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    assert [known.status for known in snapshot.orders or ()] == ["canceled"]


def test_options_and_crypto_are_told_apart_from_stocks_and_priced_by_what_one_is_worth() -> None:
    contract = {
        "asset_class": "us_option", "symbol": "AAPL260116C00100000", "side": "short", "qty": "-2",
        "avg_entry_price": "5.00", "market_value": "-1300.00", "current_price": "6.50",
    }  # fmt: skip
    coin = {
        "asset_class": "crypto", "symbol": "BTCUSD", "side": "long", "qty": "0.5",
        "avg_entry_price": "60000", "market_value": "40000.00", "current_price": "80000",
    }  # fmt: skip
    odd = {"asset_class": "us_equity", "symbol": "MSFT", "side": "long", "qty": "many"}
    room = table.room(holding(positions=ok([contract, coin, odd])))
    room.desk.answers["reconcile-1"] = granted(reconciling())
    room.executor.perform(["reconcile-1"], [1])
    (snapshot,) = room.desk.snapshots
    assert snapshot.positions == ()
    assert [(one.symbol, one.qty, one.current_price) for one in snapshot.others] == [
        ("AAPL260116C00100000", Decimal(-2), Decimal(650)),
        ("BTCUSD", Decimal("0.5"), Decimal(80_000)),
    ]
    assert snapshot.unread == ("MSFT",)
