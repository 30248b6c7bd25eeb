"""What hurt the users of engines like this one, each by its report, and the test that it does not happen here.

Owners: nautilus = nautechsystems/nautilus_trader; Lean, lean-cli, Lean.Alpaca, Lean.IB = QuantConnect; freqtrade;
hummingbot; lumibot = Lumiwealth/lumibot; alpaca-py, Alpaca-API, alpaca-trade-api-python = alpacahq; alpaca-java =
Petersoj. A test that is named here must exist; those that no other page of the tests had stand below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from services.exchange.faults import Do, Fault
from shared.contracts.commands import Reconcile
from shared.contracts.decisions import StopIntent, TrimIntent
from shared.contracts.journal import Alert
from shared.contracts.vocabulary import Status
from tests.orders.floor import Building, Floor
from tests.orders.test_fault_matrix import ASKED, settle
from tests.unit.state.day import ENTRY, LEG, buy, confirmed, mark, of
from tests.unit.state.world import MINUTE, OPEN, World

ROOT: Final = Path(__file__).parents[2]
AT: Final = OPEN + 20 * MINUTE


class Pain(Struct, frozen=True):
    """reports: where it was told. happened: what, in a few words. tests: file and function, `orders/test_peers` too."""

    reports: str
    happened: str
    tests: tuple[str, ...]


PAINS: Final = (
    Pain(
        "freqtrade#7184 freqtrade#6353",
        "filled, the insert failed, trade unknown",
        (
            "unit/state/test_crashes::test_a_kill_at_any_step_ends_in_the_same_ledger",
            "unit/state/test_service::test_with_no_room_on_the_disk_nothing_is_lost_and_nothing_goes_on",
        ),
    ),
    Pain(
        "hummingbot#8457",
        "accepted orders were marked failed in an outage",
        (
            "orders/test_peers::test_an_outage_after_the_order_was_taken_fails_nothing_and_counts_it",
            "unit/state_rules/test_admission::test_an_entry_of_unknown_fate_counts_as_if_it_worked",
        ),
    ),
    Pain(
        "nautilus#4958",
        "retries used up, 'rejected', though it may live",
        (
            "unit/executor/test_work::test_a_second_attempt_that_finds_nothing_sends_with_the_same_id",
            "orders/test_fault_matrix::test_a_request_that_goes_wrong",
        ),
    ),
    Pain(
        "nautilus#3176 nautilus#3046",
        "restarts made duplicate orders and replayed fills",
        (
            "unit/state/test_reconciliation::test_reconciling_three_times_writes_nothing_new",
            "unit/state/test_reconciliation::test_an_old_backup_takes_its_own_orders_in_again_and_uses_no_number_twice",
        ),
    ),
    Pain(
        "nautilus#4736",
        "an invented opposite fill",
        (
            "unit/state/test_reconciliation::test_an_order_that_the_broker_does_not_know_is_told_once_and_not_invented_away",
        ),
    ),
    Pain(
        "nautilus#5000",
        "a working order dropped as past fills did not add up",
        ("orders/test_peers::test_a_stop_is_kept_though_the_executions_do_not_add_up",),
    ),
    Pain(
        "nautilus#3104",
        "a position older than the look-back: no start",
        ("orders/test_peers::test_a_position_older_than_the_brokers_lists_is_no_reason_not_to_start",),
    ),
    Pain(
        "Lean.Alpaca#28",
        "the fill event never came",
        (
            "orders/test_fault_matrix::test_an_update_that_goes_wrong",
            "unit/state/test_broker_word::test_missing_updates_are_asked_for_after_two_seconds",
            "unit/executor/test_listener::"
            "test_an_order_that_moved_on_without_an_update_is_told_and_the_second_reading_connects_anew",
        ),
    ),
    Pain(
        "Lean.Alpaca#78",
        "own orders unknown after a restart",
        (
            "orders/test_alpaca_broker::test_an_entry_goes_out_with_its_stop_leg",
            "unit/executor/test_work::test_the_legs_of_an_entry_are_read_where_the_reply_has_none",
        ),
    ),
    Pain(
        "Lean.IB#249",
        "fills during a disconnect were lost",
        (
            "orders/test_fault_matrix::test_an_update_that_goes_wrong",
            "unit/state/test_free_pace::test_ledger_and_broker_are_compared_each_minute_and_at_every_connection",
        ),
    ),
    Pain(
        "alpaca-py#740",
        "a socket open and silent; reconnects into 429",
        (
            "integration/test_market_data_alpaca::test_a_mute_socket_is_helped_by_rest",
            "orders/test_trade_updates::test_a_refused_upgrade_is_a_lost_connection_and_tried_again",
        ),
    ),
    Pain(
        "Lean.Alpaca#39 Lean.Alpaca#60",
        "several sockets on one key; orders without updates",
        (
            "integration/test_executor_process::test_the_listener_forwards_updates_and_one_that_is_killed_is_replaced",
            "unit/executor/test_listener::test_without_the_lease_there_is_no_connection_and_nothing_is_forwarded",
        ),
    ),
    Pain(
        "nautilus#4168 nautilus#4255",
        "no bars after a reconnect",
        (
            "integration/test_market_data_alpaca::"
            "test_a_cut_socket_comes_back_with_its_subscription_and_rest_fills_the_hole",
            "unit/state_rules/test_admission::test_feed_silent_after_ninety_seconds_without_any_bar",
        ),
    ),
    Pain(
        "Lean#4014 Lean.Alpaca#7",
        "a cumulative quantity booked as a new fill",
        ("unit/state/test_broker_word::test_filled_shares_in_a_reply_are_compared_and_never_booked",),
    ),
    Pain(
        "freqtrade#12343 freqtrade#6457",
        "a trim of 172 sold 196",
        (
            "orders/test_peers::test_a_trim_filled_in_part_and_then_an_exit_sell_what_is_held_and_no_more",
            "unit/state_rules/test_planning_property::"
            "test_on_random_days_planning_never_oversells_converges_and_leaves_every_share_covered",
        ),
    ),
    Pain(
        "freqtrade#8374 freqtrade#8526",
        "a stop for the wrong amount after a partial fill",
        ("orders/test_peers::test_after_a_trim_filled_in_part_the_stop_is_for_what_is_held",),
    ),
    Pain(
        "freqtrade#5451 freqtrade#8045",
        "the stop cancelled before its successor stood",
        (
            "orders/test_peers::test_raising_a_stop_again_and_again_leaves_no_share_a_moment_without_one",
            "unit/state/test_claims::test_a_replace_that_is_refused_leaves_the_old_stop_resting",
        ),
    ),
    Pain(
        "freqtrade#11608",
        "a stop left working after the close",
        ("unit/state_rules/test_planning::test_a_sell_that_rests_with_nothing_held_is_cancelled_and_a_person_told",),
    ),
    Pain(
        "freqtrade#12984",
        "a stop-limit triggered and never filled",
        (
            "unit/exchange/test_matching::test_a_sell_stop_fills_at_the_worse_of_stop_and_open_if_it_is_touched",
            "unit/state_rules/test_planning::test_an_exit_not_filled_after_thirty_seconds_is_sent_again_for_the_rest"
            "_three_times_then_as_market",
        ),
    ),
    Pain(
        "alpaca-py#469 Lean#6933",
        "a split, and the stop stayed",
        ("unit/state/test_reconciliation::test_a_split_scales_the_position_and_its_levels",),
    ),
    Pain(
        "alpaca-trade-api-python#322 alpaca-py#198",
        "held legs missing from 'open', a cancel not streamed",
        (
            "unit/state_rules/test_planning::test_a_leg_not_yet_seen_is_waited_for_before_a_second_stop_is_sent",
            "unit/executor/test_work::test_a_leg_that_is_listed_alone_and_under_its_parent_is_told_once",
        ),
    ),
    Pain(
        "Alpaca-API#82 alpaca-java#145",
        "opposite orders refused",
        (
            "unit/exchange/test_exchange::test_the_wash_trade_table_answers_for_every_pair_of_types",
            "unit/state_rules/test_planning::test_beside_an_open_entry_nothing_is_sent",
        ),
    ),
    Pain(
        "Alpaca-API#281 alpaca-java#166",
        "bars change after they were served",
        (
            "unit/market_data/test_service::test_a_correction_is_told_when_it_comes_and_the_minute_stays_as_it_was",
            "unit/signals/test_process::test_a_revised_bar_is_counted_and_decides_nothing",
        ),
    ),
    Pain(
        "hummingbot#2534",
        "the kill switch crashed in its own check",
        (
            "unit/state/test_claims::test_an_unreadable_halt_file_holds_entries_back",
            "unit/state/test_lists::test_no_halt_file_says_nothing_and_one_that_is_a_folder_halts",
        ),
    ),
    Pain(
        "hummingbot#2399 hummingbot#1486 hummingbot#2497",
        "stop cancelled what should stay",
        (
            "unit/cli/test_operate::test_halt_cancels_working_entries_and_keeps_stops",
            "integration/test_operate::test_state_confirms_what_it_is_asked_and_the_broker_shows_it",
        ),
    ),
    Pain(
        "freqtrade#6649 freqtrade#9946 freqtrade#10973",
        "'why did it not buy?'",
        (
            "unit/signals/test_verdicts::"
            "test_there_is_a_verdict_at_each_ten_minute_boundary_of_the_session_for_each_candidate",
            "unit/cli/test_views::test_why_at_a_time_tells_what_stood_then",
        ),
    ),
    Pain(
        "freqtrade#12894 freqtrade#5494 freqtrade#3685",
        "dry-run differs from backtest",
        (
            "integration/test_replay_equals_backtest::"
            "test_a_replay_ends_with_the_ledger_of_the_backtest_whatever_the_number_of_processes",
            "unit/exchange/test_matching::test_at_most_a_tenth_of_the_volume_is_on_offer",
        ),
    ),
    Pain(
        "nautilus#4063 nautilus#1537 nautilus#1214",
        "filled at the close of the bar that decided",
        (
            "integration/test_exchange_process::"
            "test_an_order_of_one_tick_fills_in_the_next_minute_and_the_tick_says_how_many_events",
        ),
    ),
    Pain(
        "lumibot#910 lumibot#1048 lumibot#662",
        "today's data in a backtest; the open moved with DST",
        (
            "unit/test_research::test_levels_are_those_of_the_bars_strictly_before_the_session",
            "unit/market_data/test_recorded_source::test_daylight_saving_moves_the_session_in_utc_and_not_in_new_york",
        ),
    ),
    Pain(
        "lumibot#373",
        "every order refused by the account, and it slept",
        ("orders/test_peers::test_an_account_that_takes_no_orders_is_told_and_entries_stop",),
    ),
    Pain(
        "lumibot#1145 freqtrade#12386",
        "busy loops and restarts for ever",
        (
            "unit/runtime/test_supervisor::test_a_child_that_ends_five_times_in_a_minute_is_given_up",
            "unit/runtime/test_supervisor::test_the_pause_before_a_restart_doubles",
        ),
    ),
    Pain(
        "Lean#7048 Lean#6722",
        "a redeploy forgot equity and profit",
        ("orders/test_peers::test_a_restart_keeps_the_days_equity_its_peak_and_a_positions_high_water",),
    ),
    Pain(
        "lean-cli#118",
        "a backtest without data: 0 trades, no word",
        (
            "unit/cli/test_replays::test_bad_input_is_one_line_and_changes_nothing",
            "unit/cli/test_bad_input::test_without_a_ledger_every_view_names_the_command_that_makes_one",
        ),
    ),
    Pain(
        "freqtrade#6009 freqtrade#7299",
        "how do I know that it lives?",
        (
            "unit/runtime/test_healthcheck::test_the_newest_beat_decides",
            "unit/cli/test_views::test_status_without_a_server_is_not_well_and_says_what_to_do",
        ),
    ),
    Pain(
        "hummingbot#8374 hummingbot#6854",
        "documented steps fail",
        ("integration/test_docs_commands::test_a_command_of_a_page_does_what_it_says",),
    ),
)


@lru_cache
def functions_of(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("pain", PAINS, ids=lambda pain: pain.reports)
def test_each_pain_has_a_test_that_exists(pain: Pain) -> None:
    assert pain.tests
    for name in pain.tests:
        file, _, function = name.partition("::")
        assert function in functions_of(file), name


def test_all_thirty_five_are_here_and_no_report_twice() -> None:
    reports = [report for pain in PAINS for report in pain.reports.split()]
    assert len(PAINS) == 35
    assert len(reports) == len(set(reports))


# Those that stand nowhere else


@pytest.fixture(scope="module")
def building() -> Iterator[Building]:
    made = Building()
    yield made
    made.close()


def test_an_outage_after_the_order_was_taken_fails_nothing_and_counts_it(building: Building, tmp_path: Path) -> None:
    """hummingbot#8457. The reply is lost, and for a while nothing is answered and nothing heard."""
    asked, floor = ASKED["submit an entry with its stop"], Floor(building, tmp_path)
    asked.before(floor)
    floor.break_requests(
        Fault(on="POST /v2/orders", do=Do.DROP, after=True), Fault(on="GET /v2/*", do=Do.DROP, times=0)
    )
    floor.break_events(Fault(on="event *", do=Do.DROP, times=0))
    floor.patience = 60
    with pytest.raises(AssertionError, match="was not answered"):
        asked.act(floor)  # time stands still for as long as the order's fate is unknown
    entry = floor.store.order(ENTRY)
    assert entry is not None
    assert entry.status is Status.UNRESOLVED
    assert [order.client_order_id for order in floor.store.open_orders()] == [ENTRY]
    floor.mend()
    floor.patience = 1000
    settle(floor, asked)
    assert floor.held() == 16
    assert floor.findings() == ()


def test_a_stop_is_kept_though_the_executions_do_not_add_up(building: Building, tmp_path: Path) -> None:
    """nautilus#5000. Executions are not shown; what rests at the broker is kept all the same."""
    floor = Floor(building, tmp_path)
    ASKED["replace a stop"].before(floor)
    floor.break_requests(Fault(on="GET /v2/account/activities", do=Do.EMPTY, times=0))
    for _ in range(3):
        floor.reconcile()
        floor.minute({"AAPL": 100.5})
    assert all(floor.hits)
    leg = floor.store.order(LEG)
    assert leg is not None
    assert (leg.status, leg.resting) == (Status.ACCEPTED, True)
    assert [order.status for order in floor.orders() if order.type == "stop"] == ["new"]


def test_a_position_older_than_the_brokers_lists_is_no_reason_not_to_start(tmp_path: Path) -> None:
    """nautilus#3104. Of what is held only the shares and the stop are shown any more; the entry is too old."""
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    buy(world, AT)
    leg = world.broker.leg(ENTRY)
    world.broker.orders = {leg.broker_id: leg}
    world.broker.fills = []
    world.restart()
    world.bus.publish([Reconcile(id="again", at=AT, by="test")])
    world.settle(20)
    [position] = world.store.list_positions()
    [stop] = world.store.open_orders("AAPL")
    assert (position.qty, stop.client_order_id, stop.resting) == (16, LEG, True)
    assert world.store.foreign_items() == []
    later = AT + 3 * MINUTE
    world.minute(later, {"AAPL": 100.2, "MSFT": 100.0}, of("MSFT", later, entries=(confirmed("MSFT", later),)))
    assert world.store.order("e7f3-260109-MSFT-entry-1") is not None


def trimmed_in_part(floor: Floor) -> None:
    """8 of 16 are to be sold; 5 are, at a market with next to no volume."""
    ASKED["trim"].before(floor)
    at = floor.at + MINUTE
    wanted = TrimIntent(id="trim", symbol="AAPL", level="r1", fraction=0.5, price=103.1, cause="bars")
    floor.minute({"AAPL": 103.1}, of("AAPL", at, trims=(wanted,), marks=(mark("AAPL", 103.1),)))
    floor.minute({"AAPL": 103.2}, volume=50)
    assert floor.held() == 11


def test_a_trim_filled_in_part_and_then_an_exit_sell_what_is_held_and_no_more(
    building: Building, tmp_path: Path
) -> None:
    """freqtrade#12343, freqtrade#6457."""
    floor = Floor(building, tmp_path)
    trimmed_in_part(floor)
    ASKED["exit at the market"].act(floor)
    for _ in range(3):
        floor.minute({"AAPL": 100.5})
    assert floor.held() == 0
    sold = sum(order.filled_qty for order in floor.orders() if order.side == "sell")
    assert sold == 16
    assert floor.note("oversold_shares") == 0
    assert floor.findings() == ()


def test_after_a_trim_filled_in_part_the_stop_is_for_what_is_held(building: Building, tmp_path: Path) -> None:
    """freqtrade#8374, freqtrade#8526."""
    floor = Floor(building, tmp_path)
    trimmed_in_part(floor)
    floor.minute({"AAPL": 103.0})
    at_work = [(order.qty, order.stop_price) for order in floor.orders() if order.status == "new"]
    assert at_work == [(Decimal(11), Decimal("98.4"))]
    assert floor.findings() == ()


def test_raising_a_stop_again_and_again_leaves_no_share_a_moment_without_one(
    building: Building, tmp_path: Path
) -> None:
    """freqtrade#5451, freqtrade#8045."""
    floor = Floor(building, tmp_path)
    ASKED["replace a stop"].before(floor)
    for cents in range(1, 8):
        at, stop = floor.at + MINUTE, Decimal(99) + Decimal(cents) / 100
        raised = StopIntent(id=f"raise-{cents}", symbol="AAPL", stop=stop, basis="test", cause="bars")
        floor.minute({"AAPL": 100.5}, of("AAPL", at, stops=(raised,), marks=(mark("AAPL", 100.5),)))
    assert [order.stop_price for order in floor.orders() if order.status == "new"] == [Decimal("99.07")]
    assert floor.note("unprotected_share_seconds") == 0
    assert floor.findings() == ()


def test_an_account_that_takes_no_orders_is_told_and_entries_stop(building: Building, tmp_path: Path) -> None:
    """lumibot#373."""
    floor = Floor(building, tmp_path)
    ASKED["submit an entry with its stop"].before(floor)
    floor.venue.do(lambda exchange, now: exchange.book.change_account(blocked=True))
    floor.reconcile()
    ASKED["submit an entry with its stop"].act(floor)
    assert floor.store.order(ENTRY) is None
    assert [row.reason for row in floor.store.entry_intents_of(floor.at.date())] == ["account_blocked"]
    assert any("no entry is sent" in text for text in floor.alerts())


def test_a_restart_keeps_the_days_equity_its_peak_and_a_positions_high_water(tmp_path: Path) -> None:
    """Lean#7048, Lean#6722."""
    world = World(tmp_path)
    world.open()
    buy(world, AT)
    at = AT + 2 * MINUTE
    world.minute(at, {"AAPL": 102.0}, of("AAPL", at, marks=(mark("AAPL", 102.0),)))
    before, [held] = world.store.account(), world.store.list_positions()
    assert (before.peak_equity > before.opening_equity, held.high_water) == (True, 102.0)
    world.restart()
    world.minute(at + MINUTE, {"AAPL": 102.0}, of("AAPL", at + MINUTE, marks=(mark("AAPL", 102.0),)))
    after, [still] = world.store.account(), world.store.list_positions()
    assert (after.opening_equity, after.peak_equity) == (before.opening_equity, before.peak_equity)
    assert (still.high_water, still.entered_at) == (held.high_water, held.entered_at)
    assert list(world.bus.said(Alert)) == []
