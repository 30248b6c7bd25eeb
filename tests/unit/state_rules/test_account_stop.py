"""docs/strategy.md section 9: daily loss and drawdown."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from services.state.account_stop import marked, resumed, rolled
from services.state.model import Account
from shared.contracts.rules import LimitRules
from shared.contracts.vocabulary import HaltLevel
from tests.unit.state_rules.books import DAY

RULES = LimitRules()


def account(equity: str = "100000", stopped: str = "", peak: str = "100000", opening: str = "100000") -> Account:
    return Account(
        session=DAY,
        account_number="PA1",
        cash=Decimal("100000"),
        opening_equity=Decimal(opening),
        equity=Decimal(equity),
        peak_equity=Decimal(peak),
        buying_power=Decimal("200000"),
        blocked=False,
        halt=HaltLevel.NONE,
        armed=True,
        stopped=stopped,
        entry_orders=0,
    )


@pytest.mark.parametrize(
    ("equity", "peak", "stopped"),
    [
        ("98000.01", "100000", ""),
        ("98000.00", "100000", "daily_loss"),  # 2 % of the opening equity
        ("99000.01", "110000", ""),
        ("99000.00", "110000", "drawdown"),  # 10 % from the peak
        ("90000.00", "100000", "drawdown"),  # both: the one that is measured over longer
        ("120000.00", "110000", ""),
    ],
)
def test_the_account_stops_at_its_limits(equity: str, peak: str, stopped: str) -> None:
    assert marked(account(equity, peak=peak), RULES).stopped == stopped


def test_the_peak_follows_the_mark_up_and_never_down() -> None:
    assert marked(account("101000"), RULES).peak_equity == Decimal(101000)
    assert marked(account("99000"), RULES).peak_equity == Decimal(100000)


@pytest.mark.parametrize("reason", ["daily_loss", "drawdown"])
def test_a_stop_lasts_when_equity_recovers(reason: str) -> None:
    assert marked(account("100000", stopped=reason), RULES).stopped == reason


def test_a_daily_loss_ends_with_its_session_and_a_drawdown_lasts_until_an_operator_resumes() -> None:
    assert rolled(account("97000", stopped="daily_loss")).stopped == ""
    assert rolled(account("89000", stopped="drawdown")).stopped == "drawdown"


def test_after_a_resume_the_same_loss_does_not_stop_again_today_but_a_further_drawdown_does() -> None:
    again = resumed(account("97000", stopped="daily_loss"))
    assert marked(again, RULES).stopped == "resumed"
    assert marked(replace(again, equity=Decimal("87300")), RULES).stopped == "drawdown"  # 10 % below 97,000


def test_the_next_session_counts_its_own_loss() -> None:
    tomorrow = replace(rolled(account("97000", stopped="resumed")), opening_equity=Decimal("97000"))
    assert tomorrow.stopped == ""
    assert marked(replace(tomorrow, equity=Decimal("95060")), RULES).stopped == "daily_loss"


def test_a_resume_of_an_account_that_is_not_stopped_changes_nothing() -> None:
    assert resumed(account("99000")) == account("99000")


def test_an_account_that_was_not_read_yet_is_not_stopped() -> None:
    assert marked(account("0", peak="0", opening="0"), RULES).stopped == ""
