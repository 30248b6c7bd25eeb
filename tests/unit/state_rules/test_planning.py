"""What is asked of the broker next (docs/strategy.md sections 7, 8 and 10), case by case.

An answer is written in one line: `stop 100 @ 48.00`, `stop 50 @ 48.00 for stop-1` (a replacement), `exit 100 @ market`,
`cancel stop-1`, `end trim-r1 done`.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from services.state.model import (
    CancelRefused,
    IntentStatus,
    Market,
    Planned,
    PlannedCancel,
    PlannedEnd,
    PlannedOrder,
    SymbolBook,
)
from services.state.planning import plan
from shared.contracts.rules import Rules, TrimRules
from shared.contracts.vocabulary import HaltLevel, OrderType, Side, Status, StopMode, TimeInForce
from tests.unit.state_rules.books import (
    DAY,
    LEG,
    at,
    book,
    ended,
    entry,
    held_leg,
    leave,
    leg,
    market,
    order,
    position,
    raise_to,
    sale,
    stop,
    trim,
    trim_order,
)

NO_SLIP = Rules(trim=TrimRules(max_slip=0.0))


def planned(case: SymbolBook, now: Market | None = None, rules: Rules = NO_SLIP) -> list[str]:
    return [shown(one) for one in plan(case, now or market(), rules, salt="s")]


def shown(one: Planned) -> str:
    match one:
        case PlannedCancel():
            return f"cancel {one.target.removeprefix('e7f3-260109-ACME-')}"
        case PlannedEnd():
            return f"end {one.intent} {one.status}"
        case PlannedOrder():
            price = one.stop_price or one.limit_price or "market"
            target = f" for {one.replaces.removeprefix('e7f3-260109-ACME-')}" if one.replaces else ""
            return f"{one.kind} {one.qty} @ {price}{target}"


# Holding


def test_a_position_with_its_stop_needs_nothing() -> None:
    assert planned(book(stop(), held=position())) == []


def test_the_entrys_own_leg_is_adopted_as_the_stop() -> None:
    assert planned(book(ended(entry(filled_qty=100), Status.FILLED), leg(), held=position())) == []


def test_shares_without_a_stop_get_one_good_till_cancelled() -> None:
    (one,) = plan(book(held=position()), market(), NO_SLIP, salt="s")
    assert isinstance(one, PlannedOrder)
    assert (one.side, one.type, one.time_in_force, one.qty, one.stop_price, one.replaces) == (
        Side.SELL,
        OrderType.STOP,
        TimeInForce.GTC,
        100,
        Decimal("48.00"),
        "",
    )
    assert one.cause == "bars-0-260109T1455"


def test_a_stop_is_sent_down_to_the_grid() -> None:
    assert planned(book(held=position(stop="48.019"))) == ["stop 100 @ 48.01"]


def test_a_raised_stop_replaces_the_resting_one_and_is_explained_by_the_raise() -> None:
    case = book(stop(), held=position(), exits=(raise_to("49.50"),))
    (one,) = plan(case, market(), NO_SLIP, salt="s")
    assert isinstance(one, PlannedOrder)
    assert (one.qty, one.stop_price, one.replaces) == (100, Decimal("49.50"), stop().client_order_id)
    assert (one.intent, one.cause) == ("raise", "bars-0-260109T1600")


def test_a_raise_is_done_when_it_rests() -> None:
    assert planned(book(stop(price="49.50"), held=position(stop="49.50"), exits=(raise_to("49.50"),))) == [
        "end raise done"
    ]


def test_of_two_raises_the_higher_is_sent_and_both_are_done_by_it() -> None:
    raises = (raise_to("49.00", "low"), raise_to("49.50", "high"))
    assert planned(book(stop(), held=position(), exits=raises)) == ["stop 100 @ 49.50 for stop-1"]
    assert planned(book(stop(price="49.50"), held=position(), exits=raises)) == ["end high done", "end low done"]


def test_a_stop_is_never_lowered() -> None:
    assert planned(book(stop(price="49.00"), held=position())) == []


def test_after_a_split_the_stop_is_lowered_to_what_the_position_says() -> None:
    case = book(stop(price="48.00"), held=position(qty=400, stop="12.00", bought=400), close=12.75)
    assert planned(replace(case, rescaled=True)) == ["stop 400 @ 12.00 for stop-1"]


def test_a_stop_that_holds_the_wrong_number_of_shares_is_fitted() -> None:
    assert planned(book(stop(qty=60), held=position())) == ["stop 100 @ 48.00 for stop-1"]
    assert planned(book(stop(qty=100), held=position(qty=60))) == ["stop 60 @ 48.00 for stop-1"]


def test_a_refused_replacement_makes_way_for_cancel_and_a_new_stop() -> None:
    refused = ended(stop(price="49.50", name="stop-2", parent=stop().client_order_id), Status.REJECTED)
    case = book(stop(), refused, held=position(stop="49.50"))
    assert planned(case) == ["cancel stop-1"]
    gone = ended(stop(), Status.CANCELED)
    for order_of_ends in ((refused, gone), (gone, refused)):  # both at one instant of a replay
        assert planned(book(*order_of_ends, held=position(stop="49.50"))) == ["stop 100 @ 49.50"]


def test_of_two_stops_the_lower_is_cancelled_and_the_other_grows() -> None:
    two = (stop(qty=50, price="48.00", name="stop-1"), stop(qty=50, price="49.00", name="stop-2"))
    assert planned(book(*two, held=position())) == ["cancel stop-1"]
    assert planned(book(two[1], held=position())) == ["stop 100 @ 49.00 for stop-2"]


@pytest.mark.parametrize("clock", ["15:59:00", "16:00", "23:00"])
def test_when_a_short_stop_may_not_be_replaced_a_second_one_covers_the_rest_until_it_may(clock: str) -> None:
    assert planned(book(stop(qty=50), held=position()), market(clock)) == ["stop 50 @ 48.00"]
    two = (stop(qty=50, name="stop-1"), stop(qty=50, name="stop-2"))
    assert planned(book(*two, held=position()), market(clock)) == []
    assert planned(book(*two, held=position()), market("9:30")) == ["cancel stop-2"]


def test_a_stop_is_not_shrunk_for_a_trim_while_the_price_is_at_or_below_it() -> None:
    assert planned(book(stop(), held=position(), exits=(trim(),), close=47.9)) == []


def test_shares_beside_a_triggered_stop_are_sold_too() -> None:
    triggered = stop(qty=50, filled_qty=40, status=Status.PARTIALLY_FILLED, broker_status="partially_filled")
    falling = book(triggered, held=position(qty=60), close=47.5)
    assert planned(falling) == ["exit 50 @ market"]
    assert planned(replace(falling, exits=(leave(),))) == ["exit 50 @ market"]
    recovered = replace(falling, last_close=51.0)
    assert planned(recovered) == ["stop 50 @ 48.00"]
    both = book(triggered, stop(qty=50, name="stop-2"), held=position(qty=60))
    assert planned(both) == []


def test_a_triggered_stop_is_left_to_sell() -> None:
    triggered = stop(filled_qty=40, status=Status.PARTIALLY_FILLED, broker_status="partially_filled")
    case = book(triggered, held=position(qty=60), close=47.5)
    assert planned(case) == []
    assert planned(replace(case, exits=(leave(),))) == []


@pytest.mark.parametrize("word", ["pending_new", "pending_cancel", "pending_replace"])
def test_while_the_broker_is_between_two_states_nothing_is_asked(word: str) -> None:
    assert planned(book(stop(broker_status=word), held=position(), exits=(leave(),))) == []


@pytest.mark.parametrize(
    "waiting",
    [
        {"in_flight": "replace"},
        {"status": Status.PLANNED},
        {"status": Status.CLAIMED},
        {"status": Status.UNRESOLVED},
    ],
)
def test_one_request_at_a_time(waiting: dict[str, Any]) -> None:
    assert planned(book(stop(**waiting), held=position(), exits=(leave(), raise_to("49.50")))) == []


def test_a_stop_that_does_not_come_to_rest_is_cancelled_after_the_bound() -> None:
    suspended = stop(broker_status="suspended", resting=False, accepted_at=at("10:59:57"))
    assert planned(book(suspended, held=position()), market("11:00:00")) == []
    assert planned(book(suspended, held=position()), market("11:00:02")) == ["cancel stop-1"]


def test_a_word_of_the_night_is_given_five_seconds_from_the_opening() -> None:
    tired = stop(broker_status="done_for_day", resting=False, accepted_at=at("9:00") - dt.timedelta(days=1))
    assert planned(book(tired, held=position()), market("9:30:04")) == []
    assert planned(book(tired, held=position()), market("9:30:05")) == ["cancel stop-1"]


def test_a_stop_just_accepted_is_not_replaced_before_the_broker_would_take_it() -> None:
    fresh = stop(broker_status="accepted", accepted_at=at("10:59:57"))
    case = book(fresh, held=position(stop="49.50"))
    assert planned(case, market("11:00:00")) == []
    assert planned(case, market("11:00:02")) == ["stop 100 @ 49.50 for stop-1"]
    assert planned(case, market("11:00:00", conducted=True)) == ["stop 100 @ 49.50 for stop-1"]


def test_a_stop_near_its_expiry_is_renewed_once_in_the_session() -> None:
    yesterday = DAY - dt.timedelta(days=1)
    soon = stop(expires_at=at("16:15") + dt.timedelta(days=9), session=yesterday)
    assert planned(book(soon, held=position())) == ["cancel stop-1"]
    assert planned(book(ended(soon, Status.CANCELED), held=position())) == ["stop 100 @ 48.00"]
    assert planned(book(replace(soon, session=DAY), held=position())) == []
    assert planned(book(soon, held=position()), market("17:00")) == []
    assert planned(book(replace(soon, expires_at=at("16:15") + dt.timedelta(days=11)), held=position())) == []


# Prices through the stop, and refused stops


def test_a_stop_at_or_above_the_price_is_not_sent_but_the_shares_are_sold() -> None:
    assert planned(book(held=position(), close=48.0)) == ["exit 100 @ market"]
    assert planned(book(held=position(), close=47.0)) == ["exit 100 @ market"]


def test_a_raise_to_or_above_the_price_sells_instead() -> None:
    case = book(stop(), held=position(), exits=(raise_to("51.00"),), close=51.0)
    assert planned(case) == ["cancel stop-1"]
    assert planned(book(ended(stop(), Status.CANCELED), held=position(stop="51.00"), close=51.0)) == [
        "exit 100 @ market"
    ]


def test_a_stop_that_rests_at_its_price_is_left_to_the_broker_when_the_price_comes_to_it() -> None:
    assert planned(book(stop(), held=position(), close=47.9)) == []


def test_when_the_price_recovers_before_the_sale_the_stop_returns() -> None:
    assert planned(book(ended(stop(), Status.CANCELED), held=position(stop="50.90"), close=51.0)) == [
        "stop 100 @ 50.90"
    ]


def test_a_stop_refused_for_its_side_of_the_price_sells_at_once() -> None:
    refused = ended(stop(), Status.REJECTED, note="stop price must be less than current price")
    assert planned(book(refused, held=position())) == ["exit 100 @ market"]


def test_a_stop_refused_for_another_reason_is_tried_again_later_each_time_and_then_sold() -> None:
    def refused(number: int) -> Any:
        return ended(stop(name=f"stop-{number}"), Status.REJECTED, "11:00:00", note="insufficient qty available")

    once = book(refused(1), held=position())
    assert planned(once, market("11:00:04")) == []
    assert planned(once, market("11:00:05")) == ["stop 100 @ 48.00"]
    twice = book(refused(1), refused(2), held=position())
    assert planned(twice, market("11:00:09")) == []
    assert planned(twice, market("11:00:10")) == ["stop 100 @ 48.00"]
    assert planned(book(refused(1), refused(2), refused(3), held=position())) == ["exit 100 @ market"]


def test_a_stop_that_stood_since_ends_the_count_of_refusals() -> None:
    refused = [ended(stop(name=f"stop-{number}"), Status.REJECTED) for number in (1, 2, 3)]
    stood = ended(stop(name="stop-4"), Status.CANCELED)
    assert planned(book(*refused, stood, held=position())) == ["stop 100 @ 48.00"]


def test_without_a_price_the_stop_is_sent_as_it_is() -> None:
    assert planned(book(held=position(), close=None)) == ["stop 100 @ 48.00"]


# Trims


def test_a_trim_first_shrinks_the_stop_then_sells_then_the_stop_fits_the_rest() -> None:
    begun = book(stop(), held=position(), exits=(trim(),))
    assert planned(begun) == ["stop 50 @ 48.00 for stop-1"]

    shrunk = book(stop(qty=50, name="stop-2"), held=position(), exits=(trim(),))
    assert planned(shrunk) == ["trim 50 @ 51.00"]

    working = book(stop(qty=50), trim_order(), held=position(), exits=(trim(),))
    assert planned(working, market("10:00:30")) == []

    sold = ended(trim_order(filled_qty=50), Status.FILLED)
    done = book(stop(qty=50), sold, held=position(qty=50), exits=(trim(),))
    assert planned(done) == ["end trim-r1 done"]


def test_a_trim_and_its_raised_stop_are_one_replacement() -> None:
    case = book(stop(), held=position(), exits=(trim(), raise_to("50.00")))
    assert planned(case) == ["stop 50 @ 50.00 for stop-1"]


def test_a_trim_sells_the_lower_half_of_an_odd_number() -> None:
    assert planned(book(stop(qty=7), held=position(qty=7), exits=(trim(),))) == ["stop 4 @ 48.00 for stop-1"]


def test_a_trim_of_one_share_is_done_without_a_sale() -> None:
    assert planned(book(stop(qty=1), held=position(qty=1), exits=(trim(),))) == ["end trim-r1 done"]


def test_two_trims_of_one_bar_are_worked_one_after_the_other() -> None:
    both = (trim("r2"), trim("r1"))
    assert planned(book(stop(), held=position(), exits=both)) == ["stop 50 @ 48.00 for stop-1"]
    first = ended(trim_order(filled_qty=50), Status.FILLED)
    assert planned(book(stop(qty=50), first, held=position(qty=50), exits=both)) == [
        "end trim-r1 done",
        "stop 25 @ 48.00 for stop-1",
    ]


def test_a_trim_that_does_not_fill_is_cancelled_and_the_stop_grows_back() -> None:
    working = book(stop(qty=50), trim_order(accepted_at=at("11:00")), held=position(), exits=(trim(),))
    assert planned(working, market("11:00:59")) == []
    assert planned(working, market("11:01:00")) == ["cancel trim-1"]
    over = book(stop(qty=50), ended(trim_order(), Status.CANCELED), held=position(), exits=(trim(),))
    assert planned(over) == ["end trim-r1 expired", "stop 100 @ 48.00 for stop-1"]


def test_a_trim_that_sold_one_share_is_done() -> None:
    over = book(stop(qty=50), ended(trim_order(filled_qty=1), Status.CANCELED), held=position(qty=99), exits=(trim(),))
    assert planned(over) == ["end trim-r1 done", "stop 99 @ 48.00 for stop-1"]


def test_a_refused_trim_ends_and_the_stop_grows_back() -> None:
    over = book(stop(qty=50), ended(trim_order(), Status.REJECTED), held=position(), exits=(trim(),))
    assert planned(over) == ["end trim-r1 expired", "stop 100 @ 48.00 for stop-1"]


def test_a_trim_whose_shrunk_stop_is_refused_cancels_it_and_sells_beside_a_new_smaller_one() -> None:
    refused = ended(stop(qty=50, name="stop-2", parent=stop().client_order_id), Status.REJECTED)
    assert planned(book(stop(), refused, held=position(), exits=(trim(),))) == ["cancel stop-1"]
    gone = ended(stop(), Status.CANCELED)
    assert planned(book(refused, gone, held=position(), exits=(trim(),))) == ["stop 50 @ 48.00"]
    assert planned(book(stop(qty=50, name="stop-3"), gone, held=position(), exits=(trim(),))) == ["trim 50 @ 51.00"]


def test_a_trim_of_everything_ends_the_stop_first() -> None:
    everything = (trim(fraction=1.0),)
    assert planned(book(stop(), held=position(), exits=everything)) == ["cancel stop-1"]
    assert planned(book(ended(stop(), Status.CANCELED), held=position(), exits=everything)) == ["trim 100 @ 51.00"]


def test_while_a_trim_works_the_stop_may_still_be_raised() -> None:
    case = book(stop(qty=50), trim_order(accepted_at=at("11:00")), held=position(stop="49.50"), exits=(trim(),))
    assert planned(case, market("11:00:10")) == ["stop 50 @ 49.50 for stop-1"]


def test_a_trim_beside_more_stop_than_is_left_is_cancelled_first() -> None:
    case = book(stop(), trim_order(accepted_at=at("11:00")), held=position(), exits=(trim(),))
    assert planned(case, market("11:00:01")) == ["cancel trim-1"]


def test_two_minutes_before_the_close_trims_end_and_the_stop_is_whole() -> None:
    working = book(stop(qty=50), trim_order(accepted_at=at("15:57:50")), held=position(), exits=(trim(),))
    assert planned(working, market("15:57:59")) == []
    assert planned(working, market("15:58:00")) == ["cancel trim-1"]
    assert planned(book(stop(qty=50), held=position(), exits=(trim(),)), market("15:58:00")) == [
        "end trim-r1 expired",
        "stop 100 @ 48.00 for stop-1",
    ]


def test_a_trim_is_priced_by_the_last_close_less_its_drawn_slip() -> None:
    case = book(stop(qty=50), held=position(), exits=(trim(),), close=51.0)
    prices = {planned_price(case, salt) for salt in "abcdefgh"}
    assert all(Decimal("50.94") <= price <= Decimal("51.00") for price in prices)
    assert len(prices) > 1


def planned_price(case: SymbolBook, salt: str) -> Decimal:
    (one,) = plan(case, market(), Rules(), salt)
    assert isinstance(one, PlannedOrder)
    assert one.limit_price is not None
    return one.limit_price


# Exits


def test_an_exit_ends_the_stop_awaits_it_and_sells_a_quarter_percent_below_the_close() -> None:
    assert planned(book(stop(), held=position(), exits=(leave(),))) == ["cancel stop-1"]
    assert planned(book(stop(in_flight="cancel"), held=position(), exits=(leave(),))) == []
    gone = ended(stop(), Status.CANCELED)
    assert planned(book(gone, held=position(), exits=(leave(),))) == ["exit 100 @ 50.87"]


def test_an_exit_beats_a_working_trim() -> None:
    both = (leave(), trim())
    case = book(stop(qty=50), trim_order(accepted_at=at("11:00")), held=position(), exits=both)
    assert planned(case) == ["cancel trim-1"]
    gone = ended(trim_order(filled_qty=10), Status.CANCELED)
    assert planned(book(stop(qty=50), gone, held=position(qty=90), exits=both)) == [
        "end trim-r1 done",
        "cancel stop-1",
    ]


def test_an_exit_not_filled_after_thirty_seconds_is_sent_again_for_the_rest_three_times_then_as_market() -> None:
    waiting = book(sale(accepted_at=at("11:00:00")), held=position(), exits=(leave(),))
    assert planned(waiting, market("11:00:29")) == []
    assert planned(waiting, market("11:00:30")) == ["cancel exit-1"]
    over = [ended(sale(name=f"exit-{number}"), Status.CANCELED) for number in (1, 2, 3)]
    assert planned(book(over[0], held=position(qty=70), exits=(leave(),))) == ["exit 70 @ 50.87"]
    assert planned(book(*over[:2], held=position(qty=70), exits=(leave(),))) == ["exit 70 @ 50.87"]
    assert planned(book(*over, held=position(qty=70), exits=(leave(),))) == ["exit 70 @ market"]


def test_a_count_of_tries_kept_in_the_row_counts_as_well() -> None:
    assert planned(book(held=position(), exits=(leave(tries=3),))) == ["exit 100 @ market"]


def test_a_market_sale_is_waited_for() -> None:
    selling = sale(type=OrderType.MARKET, limit_price=None, accepted_at=at("10:00"))
    assert planned(book(selling, held=position(), exits=(leave(),))) == []


@pytest.mark.parametrize(
    ("case", "now"),
    [
        (book(held=position(), exits=(leave(market=True),)), market()),
        (book(held=position(), exits=(leave(),), close=48.0), market()),
        (book(held=position(unprotected_since=at("10:59:55")), exits=(leave(),)), market("11:00:00")),
        (book(held=position(), exits=(leave(),), close=None), market()),
        (book(held=position(), exits=(leave(at=at("9:00")),)), market("9:30")),  # pending since the day before
        (book(held=position(), exits=(leave(),)), market("15:59:00")),
        (book(held=position(stop_mode=StopMode.EXITING)), market()),
    ],
)
def test_an_exit_goes_to_the_market_at_once(case: SymbolBook, now: Market) -> None:
    assert planned(case, now) == ["exit 100 @ market"]


def test_shares_a_moment_without_a_stop_still_go_by_limit() -> None:
    case = book(held=position(unprotected_since=at("10:59:56")), exits=(leave(),))
    assert planned(case, market("11:00:00")) == ["exit 100 @ 50.87"]


def test_a_limit_makes_way_for_a_market_order_when_the_price_falls_through_the_stop() -> None:
    case = book(sale(accepted_at=at("11:00")), held=position(), exits=(leave(),), close=47.9)
    assert planned(case) == ["cancel exit-1"]


def test_when_the_sale_is_refused_the_stop_returns_and_the_sale_is_tried_again_later() -> None:
    refused = ended(sale(), Status.REJECTED, "11:00:00")
    case = book(ended(stop(), Status.CANCELED), refused, held=position(), exits=(leave(),))
    assert planned(case, market("11:00:00")) == ["stop 100 @ 48.00"]
    back = book(refused, stop(name="stop-2"), held=position(), exits=(leave(),))
    assert planned(back, market("11:00:29")) == []
    assert planned(back, market("11:00:30")) == ["cancel stop-2"]


def test_a_sale_refused_again_and_again_waits_longer_each_time_but_never_more_than_ten_minutes() -> None:
    refusals = [ended(sale(name=f"exit-{number}"), Status.REJECTED, "11:00:00") for number in range(50)]
    case = book(*refusals[:4], stop(), held=position(), exits=(leave(),))
    assert planned(case, market("11:01:59")) == []
    assert planned(case, market("11:02:00")) == ["cancel stop-1"]
    assert planned(book(*refusals, stop(), held=position(), exits=(leave(),)), market("11:10")) == ["cancel stop-1"]


def test_a_cancel_that_was_refused_is_not_repeated_at_once() -> None:
    case = book(stop(), held=position(), exits=(leave(),))
    refused = replace(case, cancels_refused=(CancelRefused(order=stop().client_order_id, at=at("11:00:00")),))
    assert planned(refused, market("11:00:04")) == []
    assert planned(refused, market("11:00:05")) == ["cancel stop-1"]


def test_an_exit_is_done_when_nothing_is_held() -> None:
    assert planned(book(held=None, exits=(leave(),))) == ["end leave done"]
    assert planned(book(held=position(qty=0), exits=(leave(), trim()))) == ["end leave done", "end trim-r1 expired"]


def test_an_intent_of_an_earlier_position_ends() -> None:
    assert planned(book(stop(), held=position(), exits=(leave(position_id="another"),))) == ["end leave expired"]


def test_a_sale_at_work_is_never_joined_by_a_stop() -> None:
    selling = sale(type=OrderType.MARKET, limit_price=None, intent="")
    assert planned(book(selling, held=position(), close=51.0)) == []


# Entries


def test_beside_an_open_entry_nothing_is_sent() -> None:
    assert planned(book(entry(accepted_at=at("11:00")), held_leg())) == []
    partly = entry(accepted_at=at("11:00"), filled_qty=40, first_fill_at=at("11:00"), status=Status.PARTIALLY_FILLED)
    assert planned(book(partly, held_leg(), held=position(qty=40, bought=40, sold=0))) == []


def test_an_entry_not_filled_in_five_minutes_is_cancelled() -> None:
    case = book(entry(accepted_at=at("11:00")), held_leg())
    assert planned(case, market("11:04:59")) == []
    assert planned(case, market("11:05:00")) == ["cancel entry-1"]


def test_an_entry_partly_filled_for_three_seconds_is_cancelled() -> None:
    partly = entry(accepted_at=at("11:00"), filled_qty=40, first_fill_at=at("11:00:10"))
    case = book(partly, held_leg(), held=position(qty=40, bought=40, sold=0))
    assert planned(case, market("11:00:12")) == []
    assert planned(case, market("11:00:13")) == ["cancel entry-1"]


def test_what_a_cancelled_entry_bought_gets_one_simple_stop_and_its_leg_is_not_counted() -> None:
    over = ended(entry(filled_qty=40), Status.CANCELED)
    case = book(over, held_leg(), held=position(qty=40, bought=40, sold=0))
    assert planned(case) == ["stop 40 @ 48.00"]


def test_an_entry_filled_after_all_has_its_leg_adopted() -> None:
    over = ended(entry(filled_qty=100), Status.FILLED)
    just_now = position(last_entry_fill_at=at("11:00:00"))
    assert planned(book(over, held_leg(), held=just_now), market("11:00:03")) == []
    assert planned(book(over, leg(), held=just_now), market("11:00:03")) == []


def test_a_leg_that_does_not_wake_up_is_replaced_by_a_stop_of_our_own() -> None:
    over = ended(entry(filled_qty=100), Status.FILLED)
    case = book(over, held_leg(), held=position(last_entry_fill_at=at("11:00:00")))
    assert planned(case, market("11:00:05")) == ["cancel entry-1-stop"]


def test_a_leg_not_yet_seen_is_waited_for_before_a_second_stop_is_sent() -> None:
    case = book(ended(entry(filled_qty=100), Status.FILLED), held=position(last_entry_fill_at=at("11:00:00")))
    assert planned(case, market("11:00:04")) == []
    assert planned(case, market("11:00:05")) == ["stop 100 @ 48.00"]


def test_a_leg_cancelled_by_hand_is_replaced_at_once() -> None:
    case = book(ended(entry(filled_qty=100), Status.FILLED), ended(leg(), Status.CANCELED), held=position())
    assert planned(case) == ["stop 100 @ 48.00"]


@pytest.mark.parametrize(
    ("changes", "now"),
    [
        ({"session": DAY - dt.timedelta(days=1)}, market("9:00")),  # before the open, before anything else
        ({}, market("15:59:00")),
        ({}, market("16:00:00")),
        ({}, market("11:00:01", HaltLevel.HALT)),
        ({}, market("11:00:01", HaltLevel.FLATTEN)),
    ],
)
def test_an_entry_is_cancelled(changes: dict[str, Any], now: Market) -> None:
    working = entry(accepted_at=now.now, **changes)
    assert planned(book(working, held_leg()), now) == ["cancel entry-1"]


def test_pause_lets_a_working_entry_go_on() -> None:
    assert planned(book(entry(accepted_at=at("11:00"))), market("11:00:30", HaltLevel.PAUSE)) == []


def test_leaving_a_partly_bought_position_ends_the_entry_first() -> None:
    partly = entry(accepted_at=at("11:00"), filled_qty=40, first_fill_at=at("11:00"))
    case = book(partly, held_leg(), held=position(qty=40, bought=40, sold=0), exits=(leave(),))
    assert planned(case, market("11:00:01")) == ["cancel entry-1"]


def test_an_order_given_up_for_absent_that_turns_up_is_cancelled() -> None:
    case = book(stop(), trim_order(), held=position(), turned_up=(trim_order().client_order_id,))
    (one,) = plan(case, market(), NO_SLIP, salt="s")
    assert isinstance(one, PlannedCancel)
    assert (one.target, one.alert) == (trim_order().client_order_id, True)


# Nothing held


def test_a_sell_that_rests_with_nothing_held_is_cancelled_and_a_person_told() -> None:
    for left in (stop(), trim_order(), sale()):
        (one,) = plan(book(left), market(), NO_SLIP, salt="s")
        assert isinstance(one, PlannedCancel)
        assert (one.target, one.alert) == (left.client_order_id, True)


def test_the_leg_of_an_entry_that_bought_nothing_needs_nothing() -> None:
    assert planned(book(ended(entry(), Status.CANCELED), held_leg())) == []


def test_a_leg_that_rests_before_its_entrys_fill_is_booked_is_left_alone() -> None:
    filled = ended(entry(), Status.FILLED, "11:00:00")
    assert planned(book(filled, leg()), market("11:00:01")) == []
    assert planned(book(filled, leg()), market("11:00:06")) == [f"cancel {LEG.removeprefix('e7f3-260109-ACME-')}"]


# The close, the night, halts and the kill levels


def test_in_the_last_minute_nothing_is_replaced() -> None:
    raised = book(stop(), held=position(stop="49.50"))
    assert planned(raised, market("15:58:59")) == ["stop 100 @ 49.50 for stop-1"]
    assert planned(raised, market("15:59:00")) == []


def test_in_the_last_minute_a_missing_stop_is_still_sent() -> None:
    assert planned(book(held=position()), market("15:59:30")) == ["stop 100 @ 48.00"]


def test_nothing_is_replaced_between_the_close_and_four_in_the_morning() -> None:
    raised = book(stop(), held=position(stop="49.50"))
    assert planned(raised, market("16:00")) == []
    assert planned(raised, market("23:00")) == []
    monday = dt.timedelta(days=3)
    assert planned(raised, market(now=at("3:59:59") + monday)) == []
    assert planned(raised, market(now=at("4:00") + monday)) == ["stop 100 @ 49.50 for stop-1"]
    assert planned(raised, market("4:00")) == ["stop 100 @ 49.50 for stop-1"]


def test_an_exit_pending_at_the_close_keeps_the_stop_and_is_sold_at_the_next_open_as_market() -> None:
    pending = (leave(at=at("16:00")),)
    assert planned(book(stop(), held=position(), exits=pending), market("16:00")) == []
    assert planned(book(ended(sale(), Status.EXPIRED), held=position(), exits=pending), market("16:00")) == [
        "stop 100 @ 48.00"
    ]
    monday = market(now=NEXT, session=NEXT.date(), opens_at=NEXT, closes_at=NEXT + dt.timedelta(hours=6.5))
    assert planned(book(stop(), held=position(), exits=pending), monday) == ["cancel stop-1"]
    assert planned(book(ended(stop(), Status.CANCELED), held=position(), exits=pending), monday) == [
        "exit 100 @ market"
    ]


NEXT = at("9:30") + dt.timedelta(days=3)


def test_at_the_close_a_stop_through_which_the_price_fell_is_not_sent() -> None:
    assert planned(book(held=position(), close=47.0), market("16:30")) == []


@pytest.mark.parametrize("reason", ["exit", "flatten", "trim"])
def test_in_a_halted_symbol_the_stop_is_kept(reason: str) -> None:
    exits = {"exit": (leave(),), "trim": (trim(),), "flatten": ()}[reason]
    level = HaltLevel.FLATTEN if reason == "flatten" else HaltLevel.NONE
    case = book(stop(), held=position(), exits=exits, halted=True)
    assert planned(case, market(halt=level)) == (["end trim-r1 expired"] if reason == "trim" else [])


def test_in_a_halted_symbol_a_missing_stop_is_sent_and_a_sale_left_as_it_is() -> None:
    assert planned(book(held=position(), halted=True)) == ["stop 100 @ 48.00"]
    assert planned(book(sale(accepted_at=at("10:00")), held=position(), exits=(leave(),), halted=True)) == []


def test_flatten_sells_everything_at_the_market() -> None:
    assert planned(book(stop(), held=position()), market(halt=HaltLevel.FLATTEN)) == ["cancel stop-1"]
    assert planned(book(held=position()), market(halt=HaltLevel.FLATTEN)) == ["exit 100 @ market"]


def test_flatten_while_closed_keeps_the_stop_and_sells_at_the_open() -> None:
    case = book(stop(), held=position())
    assert planned(case, market("17:00", HaltLevel.FLATTEN)) == []
    assert planned(case, market("9:29:59", HaltLevel.FLATTEN)) == []
    assert planned(case, market("9:30", HaltLevel.FLATTEN)) == ["cancel stop-1"]


@pytest.mark.parametrize("level", [HaltLevel.PAUSE, HaltLevel.HALT])
def test_pause_and_halt_leave_stops_trims_and_exits_alone(level: HaltLevel) -> None:
    assert planned(book(stop(), held=position()), market(halt=level)) == []
    assert planned(book(held=position(), exits=(leave(),)), market(halt=level)) == ["exit 100 @ 50.87"]
    assert planned(book(stop(), held=position(), exits=(trim(),)), market(halt=level)) == ["stop 50 @ 48.00 for stop-1"]


@pytest.mark.parametrize(
    ("case", "steps"),
    [
        pytest.param(book(stop(), held=position(), missing=40), [], id="a stop that rests stays as it is"),
        pytest.param(book(held=position(), missing=40), ["stop 60 @ 48.00"], id="a new one is for what is there"),
        pytest.param(book(stop(60), held=position(), missing=40), [], id="and does not grow"),
        pytest.param(
            book(stop(60), held=position(), missing=40, exits=(raise_to("49.50"),)),
            ["stop 60 @ 49.50 for stop-1"],
            id="but rises",
        ),
        pytest.param(book(held=position(), missing=40, exits=(leave(),)), ["exit 60 @ 50.87"], id="so is a sale"),
        pytest.param(book(stop(), held=position(), missing=100, exits=(leave(),)), [], id="a stop for nothing stays"),
        pytest.param(book(held=position(), missing=100, exits=(leave(),)), [], id="nothing is sold of nothing"),
        pytest.param(book(held=position(), missing=120), [], id="fewer than none cannot be there"),
    ],
)
def test_no_order_sells_what_the_broker_does_not_hold(case: SymbolBook, steps: list[str]) -> None:
    assert planned(case) == steps


def test_an_ended_intent_is_not_planned_again() -> None:
    done = tuple(replace(row, status=IntentStatus.DONE) for row in (leave(), trim(), raise_to("49.50")))
    assert planned(book(stop(), held=position(), exits=done)) == []


def test_planning_twice_gives_the_same_answer() -> None:
    case = book(stop(), order(kind=trim_order().kind), held=position(), exits=(trim(), raise_to("49.50")))
    assert plan(case, market(), NO_SLIP, "s") == plan(case, market(), NO_SLIP, "s")
