"""Each refusal by the account, its figures, and the order of the questions (docs/strategy.md sections 5 to 9)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.state.admission import (
    CHECKS,
    AdmissionView,
    Admitted,
    Buying,
    Exposure,
    Gates,
    Holding,
    Refused,
    buying_of,
    exposure,
    judge,
    on_arrival,
    planned_entry,
    still_wanted,
)
from services.state.model import EntryRow, IntentStatus
from shared.contracts.rules import EntryRules, LimitRules, RiskRules, Rules
from shared.contracts.vocabulary import HaltLevel, OrderKind, OrderType, Reason, Side, Status, TimeInForce
from tests.unit.state_rules.books import DAY, at, entry, market, stop
from tests.unit.state_rules.test_account_stop import account

NO_SLIP = Rules(entry=EntryRules(max_slip=0.0))
NOTHING_HELD = Exposure(gross=Decimal(0), symbol=Decimal(0), sector=Decimal(0), symbols=0)

ROW = EntryRow(
    id="260109-ACME-entry-091600",
    symbol="ACME",
    strategy="boh",
    session=DAY,
    confirmed_at=at("11:00"),
    confirm_close=50.00,
    pivot=49.50,
    r1=52.00,
    r2=54.00,
    first_stop=48.90,
    swing_low=49.00,
    scan_stop=None,
    atr_pct=3.0,
    dist_pct=1.0,
    sector="Energy",
    cause="bars-0-260109T1600",
    due=at("11:02"),
    status=IntentStatus.PENDING,
)
"""Confirmed at 50.00 over a pivot of 49.50; half size by its ATR: 20 shares at 50.00 for 100,000 dollars."""


def gates(clock: str = "11:02", **changes: Any) -> Gates:
    now = changes.pop("market", market(clock))
    plain = Gates(
        market=now,
        halt=HaltLevel.NONE,
        armed=True,
        broker_open=True,
        feed_at=now.now,
        symbol_at=now.now,
        halted=False,
        account_blocked=False,
        foreign=False,
        stopped="",
    )
    return replace(plain, **changes)


def view(clock: str = "11:02", *, gate: dict[str, Any] | None = None, **changes: Any) -> AdmissionView:
    plain = AdmissionView(
        gates=gates(clock, **(gate or {})),
        account=account(),
        reference=50.00,
        closes_since=(),
        has_position=False,
        has_order=False,
        entered_today=False,
        minutes_since_fill=None,
        exposure=NOTHING_HELD,
    )
    return replace(plain, **changes)


def rules(**limits: Any) -> Rules:
    return NO_SLIP.model_copy(update={"limits": LimitRules(**limits)})


def verdict(seen: AdmissionView, row: EntryRow = ROW, with_rules: Rules = NO_SLIP) -> Admitted | Refused:
    return judge(row, seen, with_rules, salt="s")


def refusal(seen: AdmissionView, row: EntryRow = ROW, with_rules: Rules = NO_SLIP) -> tuple[str, dict[str, Any]]:
    answer = verdict(seen, row, with_rules)
    assert isinstance(answer, Refused), answer
    return answer.reason.value, answer.figures


def test_an_entry_is_admitted_with_shares_limit_and_stop() -> None:
    answer = verdict(view())
    assert isinstance(answer, Admitted)
    assert (answer.shares, answer.limit, answer.stop) == (20, Decimal("50.00"), Decimal("48.90"))
    assert answer.figures == {
        "reference": 50.0,
        "limit": 50.0,
        "stop": 48.9,
        "shares": 20.0,
        "scale": 0.5,
        "penalty": 0.0,
        "equity": 100_000.0,
    }


def test_its_order_is_one_oto_good_till_cancelled() -> None:
    answer = verdict(view())
    assert isinstance(answer, Admitted)
    wanted = planned_entry(ROW, answer)
    assert (wanted.kind, wanted.side, wanted.type, wanted.time_in_force) == (
        OrderKind.ENTRY,
        Side.BUY,
        OrderType.LIMIT,
        TimeInForce.GTC,
    )
    assert (wanted.qty, wanted.limit_price, wanted.leg_stop_price) == (20, Decimal("50.00"), Decimal("48.90"))
    assert (wanted.intent, wanted.cause) == (ROW.id, ROW.cause)


def test_a_drawn_slip_raises_the_limit_and_the_stop_is_recomputed_from_it() -> None:
    row = replace(ROW, swing_low=49.50)  # 49.40 is nearer than 1.5 percent
    answer = verdict(view(), row, Rules())
    assert isinstance(answer, Admitted)
    assert Decimal("50.00") <= answer.limit <= Decimal("50.06")
    assert answer.stop == (answer.limit * Decimal("0.985")).quantize(Decimal("0.01"), rounding="ROUND_FLOOR")


def test_a_correlation_penalty_and_an_unknown_atr_shrink_the_size() -> None:
    correlated = verdict(view(penalty=0.5))
    unknown = verdict(view(), replace(ROW, atr_pct=None))
    assert isinstance(correlated, Admitted)
    assert isinstance(unknown, Admitted)
    assert (correlated.shares, unknown.shares) == (10, 10)


# On arrival


def test_on_arrival_a_spent_symbol_and_one_that_is_not_tradable_are_refused() -> None:
    assert on_arrival(spent=False, tradable=True) is None
    for answer, reason in (
        (on_arrival(spent=True, tradable=False), Reason.SPENT),
        (on_arrival(spent=False, tradable=False), Reason.NOT_TRADABLE),
    ):
        assert answer is not None
        assert answer.reason is reason


# When due, in the order of the rules


@pytest.mark.parametrize("level", [HaltLevel.HALT, HaltLevel.FLATTEN])
def test_kill_switch(level: HaltLevel) -> None:
    assert refusal(view(gate={"halt": level})) == ("kill_switch", {"level": level})


def test_not_armed() -> None:
    assert refusal(view(gate={"armed": False})) == ("not_armed", {})


def test_paused() -> None:
    assert refusal(view(gate={"halt": HaltLevel.PAUSE})) == ("paused", {"level": "pause"})


@pytest.mark.parametrize(
    ("clock", "closes_in_s"),
    [("9:29:59", 23_401.0), ("15:50:00", 600.0), ("15:59:59", 1.0), ("16:00:00", 0.0)],
)
def test_market_closed_outside_the_session_and_in_its_last_ten_minutes(clock: str, closes_in_s: float) -> None:
    row = replace(ROW, due=at(clock))
    assert refusal(view(clock), row) == ("market_closed", {"closes_in_s": closes_in_s, "broker": "open"})
    assert isinstance(verdict(view("15:49:59"), replace(ROW, due=at("15:49:59"))), Admitted)


def test_market_closed_where_broker_and_calendar_disagree() -> None:
    reason, figures = refusal(view(gate={"broker_open": False}))
    assert (reason, figures["broker"]) == ("market_closed", "closed")
    assert isinstance(verdict(view(gate={"broker_open": None})), Admitted)


def test_feed_silent_after_ninety_seconds_without_any_bar() -> None:
    assert isinstance(verdict(view(gate={"feed_at": at("11:00:30")})), Admitted)
    assert refusal(view(gate={"feed_at": at("11:00:29")})) == ("feed_silent", {"silent_s": 91.0, "allowed_s": 90.0})


def test_before_the_first_bar_silence_counts_from_the_opening() -> None:
    row = replace(ROW, due=at("9:31"))
    assert isinstance(verdict(view("9:31:30", gate={"feed_at": None, "symbol_at": None}), row), Admitted)
    assert refusal(view("9:31:31", gate={"feed_at": None}), row)[0] == "feed_silent"


def test_a_thin_symbol_may_pause_ten_minutes() -> None:
    assert isinstance(verdict(view(gate={"symbol_at": at("10:52:00")})), Admitted)
    assert refusal(view(gate={"symbol_at": at("10:51:59")})) == ("stale_data", {"silent_s": 601.0, "allowed_s": 600.0})


def test_without_a_price_the_data_is_stale() -> None:
    assert refusal(view(reference=None)) == ("stale_data", {"reference": None})


def test_halted() -> None:
    assert refusal(view(gate={"halted": True})) == ("halted", {})


def test_account_blocked_or_not_read_yet() -> None:
    assert refusal(view(gate={"account_blocked": True})) == ("account_blocked", {"account": "blocked"})
    assert refusal(view(account=account(opening="0"))) == ("account_blocked", {"opening_equity": 0.0})


def test_foreign() -> None:
    assert refusal(view(gate={"foreign": True})) == ("foreign", {})


def test_block_list_of_the_configuration_and_of_the_operator() -> None:
    assert refusal(view(), with_rules=rules(block=("ACME",))) == ("block_list", {"list": "configuration"})
    assert refusal(view(gate={"blocked": frozenset({"ACME"})})) == ("block_list", {"list": "operator"})


def test_allow_list() -> None:
    assert refusal(view(), with_rules=rules(allow=("OTHER", "MORE"))) == ("allow_list", {"allowed": 2.0})
    assert isinstance(verdict(view(), with_rules=rules(allow=("ACME",))), Admitted)


def test_existing_position_and_existing_order() -> None:
    assert refusal(view(has_position=True)) == ("existing_position", {})
    assert refusal(view(has_order=True)) == ("existing_order", {})


def test_cooldown_of_120_market_minutes_and_one_entry_a_session() -> None:
    assert refusal(view(minutes_since_fill=119.0)) == ("cooldown", {"minutes": 119.0, "wanted": 120.0})
    assert isinstance(verdict(view(minutes_since_fill=120.0)), Admitted)
    assert refusal(view(entered_today=True)) == ("cooldown", {"entries_this_session": 1.0})


def test_max_positions_counts_symbols_held_or_being_bought() -> None:
    five = replace(NOTHING_HELD, symbols=5)
    assert refusal(view(exposure=five)) == ("max_positions", {"positions": 5.0, "most": 5.0})
    assert isinstance(verdict(view(exposure=replace(five, symbols=4))), Admitted)


def test_max_orders() -> None:
    busy = replace(account(), entry_orders=20)
    assert refusal(view(account=busy)) == ("max_orders", {"orders": 20.0, "most": 20.0})
    assert isinstance(verdict(view(account=replace(busy, entry_orders=19))), Admitted)


@pytest.mark.parametrize("reason", ["daily_loss", "drawdown"])
def test_an_account_that_is_stopped(reason: str) -> None:
    assert refusal(view(gate={"stopped": reason})) == (reason, {"stopped": reason})
    assert isinstance(verdict(view(gate={"stopped": "resumed"})), Admitted)


def test_expired_more_than_five_minutes_after_due() -> None:
    assert isinstance(verdict(view("11:07:00")), Admitted)
    assert refusal(view("11:07:01")) == ("expired", {"late_s": 301.0, "allowed_s": 300.0})


def test_failed_hold_where_the_price_or_a_bar_since_fell_below_the_pivot() -> None:
    assert refusal(view(reference=49.49)) == (
        "failed_hold",
        {"reference": 49.49, "lowest_close": 49.49, "pivot": 49.5},
    )
    assert refusal(view(closes_since=(50.2, 49.4, 50.1)))[0] == "failed_hold"
    assert isinstance(verdict(view(reference=49.50, closes_since=(49.50,))), Admitted)


def test_drift_of_more_than_one_percent_above_the_confirming_close() -> None:
    assert isinstance(verdict(view(reference=50.50)), Admitted)
    assert refusal(view(reference=50.51)) == ("drift", {"drift": 0.0102, "most": 0.01, "reference": 50.51})


def test_extended_where_the_limit_reaches_r1() -> None:
    row = replace(ROW, r1=50.40)
    assert refusal(view(reference=50.40), row) == ("extended", {"limit": 50.4, "r1": 50.4})
    assert isinstance(verdict(view(reference=50.39), row), Admitted)


@pytest.mark.parametrize("swing_low", [None, 50.10])
def test_no_stop_at_the_limit_price(swing_low: float | None) -> None:
    row = replace(ROW, swing_low=swing_low)
    assert refusal(view(), row) == ("no_stop", {"limit": 50.0, "swing_low": swing_low, "scan_stop": None})


def test_risk_too_wide_in_percent_of_the_limit() -> None:
    assert isinstance(verdict(view(), replace(ROW, swing_low=48.10)), Admitted)  # stop 48.00: 4.0 percent
    assert refusal(view(), replace(ROW, swing_low=48.09)) == (
        "risk_too_wide",
        {"limit": 50.0, "stop": 47.99, "risk_pct": 4.02, "most_pct": 4.0},
    )


def test_risk_too_wide_in_dollars_where_that_is_set() -> None:
    one_dollar = NO_SLIP.model_copy(update={"risk": RiskRules(max_per_share=1.0)})
    assert refusal(view(), with_rules=one_dollar)[0] == "risk_too_wide"
    assert isinstance(verdict(view(), replace(ROW, swing_low=49.10), one_dollar), Admitted)


def test_size_zero() -> None:
    small = account("1000", opening="1000")
    assert refusal(view(account=small)) == ("size_zero", {"limit": 50.0, "equity": 1000.0, "scale": 0.5})


def test_sector_cap_of_thirty_percent_where_the_sector_is_known() -> None:
    full = replace(NOTHING_HELD, sector=Decimal("29000.01"))
    assert refusal(view(exposure=full)) == ("sector_cap", {"held": 29_000.01, "order": 1000.0, "most": 30_000.0})
    assert isinstance(verdict(view(exposure=replace(full, sector=Decimal(29000)))), Admitted)
    assert isinstance(verdict(view(exposure=full), replace(ROW, sector="")), Admitted)


def test_symbol_cap_of_ten_percent() -> None:
    full = replace(NOTHING_HELD, symbol=Decimal("9000.01"))
    assert refusal(view(exposure=full)) == ("symbol_cap", {"held": 9000.01, "order": 1000.0, "most": 10_000.0})
    assert isinstance(verdict(view(exposure=replace(full, symbol=Decimal(9000)))), Admitted)


def test_gross_cap_of_all_equity() -> None:
    full = replace(NOTHING_HELD, gross=Decimal("99000.01"))
    assert refusal(view(exposure=full)) == ("gross_cap", {"held": 99_000.01, "order": 1000.0, "most": 100_000.0})
    assert isinstance(verdict(view(exposure=replace(full, gross=Decimal(99000)))), Admitted)


def test_buying_power_less_what_was_admitted_since_the_broker_told_it() -> None:
    assert refusal(view(committed=Decimal("199000.01"))) == ("buying_power", {"order": 1000.0, "free": 999.99})
    assert isinstance(verdict(view(committed=Decimal(199000))), Admitted)


def test_the_questions_are_asked_in_the_order_of_the_rules() -> None:
    said = [check.reason.value for check in CHECKS if check.reason is not Reason.STALE_DATA]
    order = (
        "kill_switch not_armed paused market_closed feed_silent halted account_blocked foreign block_list allow_list"
        " existing_position existing_order cooldown max_positions max_orders daily_loss drawdown expired failed_hold"
        " drift extended no_stop risk_too_wide size_zero sector_cap symbol_cap gross_cap buying_power"
    )
    without_repeats = list(dict.fromkeys(said))
    assert without_repeats == order.split()


def test_of_many_objections_the_first_is_the_verdict() -> None:
    everything = view(
        gate={"halt": HaltLevel.PAUSE, "foreign": True, "halted": True}, has_position=True, reference=40.0
    )
    assert refusal(everything)[0] == "paused"
    assert refusal(replace(everything, gates=replace(everything.gates, halt=HaltLevel.NONE)))[0] == "halted"


@pytest.mark.parametrize(
    ("reason", "spends"),
    [
        (Reason.KILL_SWITCH, False),
        (Reason.NOT_ARMED, False),
        (Reason.PAUSED, False),
        (Reason.FEED_SILENT, False),
        (Reason.STALE_DATA, False),
        (Reason.HALTED, False),
        (Reason.MARKET_CLOSED, True),
        (Reason.MAX_POSITIONS, True),
        (Reason.DRIFT, True),
    ],
)
def test_some_refusals_leave_the_symbols_session_unspent(reason: Reason, spends: bool) -> None:
    assert Refused(reason=reason, figures={}).spends is spends


# At the claim


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"halt": HaltLevel.HALT}, Reason.KILL_SWITCH),
        ({"armed": False}, Reason.NOT_ARMED),
        ({"halt": HaltLevel.PAUSE}, Reason.PAUSED),
        ({"broker_open": False}, Reason.MARKET_CLOSED),
        ({"feed_at": at("11:00")}, Reason.FEED_SILENT),
        ({"halted": True}, Reason.HALTED),
        ({"account_blocked": True}, Reason.ACCOUNT_BLOCKED),
        ({"foreign": True}, Reason.FOREIGN),
        ({"blocked": frozenset({"ACME"})}, Reason.BLOCK_LIST),
        ({"stopped": "daily_loss"}, Reason.DAILY_LOSS),
        ({"stopped": "drawdown"}, Reason.DRAWDOWN),
    ],
)
def test_the_quick_questions_are_asked_again_at_the_claim(changes: dict[str, Any], reason: Reason) -> None:
    answer = still_wanted(ROW, gates(**changes), NO_SLIP)
    assert answer is not None
    assert answer.reason is reason


def test_at_the_claim_an_entry_may_have_expired() -> None:
    assert still_wanted(ROW, gates("11:07:00"), NO_SLIP) is None
    late = still_wanted(ROW, gates("11:07:01"), NO_SLIP)
    assert late is not None
    assert late.reason is Reason.EXPIRED


# Exposure


def test_exposure_counts_holdings_at_their_mark_and_entries_at_limit_times_what_is_left() -> None:
    held = [
        Holding(symbol="ACME", sector="Energy", qty=10, mark=Decimal("50.00")),
        Holding(symbol="BOLT", sector="Tools", qty=5, mark=Decimal("20.00")),
        Holding(symbol="GONE", sector="Energy", qty=0, mark=Decimal("9.00")),
    ]
    buying = [
        Buying(symbol="ACME", sector="Energy", remaining=2, limit=Decimal("51.00")),
        Buying(symbol="COIL", sector="", remaining=1, limit=Decimal("7.00")),
    ]
    assert exposure(held, buying, "ACME", "Energy") == Exposure(
        gross=Decimal("709.00"), symbol=Decimal("602.00"), sector=Decimal("602.00"), symbols=3
    )
    assert exposure(held, buying, "COIL", "").sector == 0


@pytest.mark.parametrize("status", [Status.PLANNED, Status.CLAIMED, Status.UNRESOLVED, Status.PARTIALLY_FILLED])
def test_an_entry_of_unknown_fate_counts_as_if_it_worked(status: Status) -> None:
    orders = [entry(qty=10, filled_qty=4, status=status), stop(qty=4)]
    assert buying_of(orders, lambda symbol: "Energy") == [
        Buying(symbol="ACME", sector="Energy", remaining=6, limit=Decimal("51.00"))
    ]


@settings(max_examples=100, deadline=None)
@given(
    equity=st.integers(1_000, 1_000_000),
    held=st.integers(0, 1_000_000),
    close=st.integers(4950, 5050),
    atr=st.one_of(st.none(), st.floats(0, 20)),
    penalty=st.floats(0, 0.5),
)
def test_nothing_admitted_breaks_a_cap(equity: int, held: int, close: int, atr: float | None, penalty: float) -> None:
    holding = Exposure(gross=Decimal(held), symbol=Decimal(0), sector=Decimal(held) / 3, symbols=2)
    seen = view(
        account=account(str(equity), opening=str(equity)),
        exposure=holding,
        penalty=penalty,
        reference=close / 100,
    )
    answer = verdict(seen, replace(ROW, atr_pct=atr), Rules())
    if isinstance(answer, Admitted):
        cost = answer.shares * answer.limit
        assert answer.shares >= 1
        assert cost <= equity * Decimal("0.10")
        assert holding.sector + cost <= equity * Decimal("0.30")
        assert holding.gross + cost <= equity
        assert answer.stop < answer.limit
        assert answer.limit - answer.stop <= answer.limit * Decimal("0.04")
