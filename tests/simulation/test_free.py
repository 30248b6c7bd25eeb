"""Days by the wall clock, as live: nobody gives ticks, and the market goes on while somebody is dead."""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter

import pytest

from cli.simulation import trial
from services.state import reports
from shared.runtime.settings import Pace
from tests.simulation.test_seeds import SECONDS

HALF_DAY = 210
SHARE = 0.5


@pytest.mark.timeout(SECONDS + 300)
def test_fresh_seeds_end_with_books_that_are_the_brokers() -> None:
    seed = secrets.randbelow(1_000_000_000)
    sys.stdout.write(f"first seed: {seed}\n")
    until = time.monotonic() + SECONDS * SHARE
    orders: Counter[str] = Counter()
    played = 0
    while time.monotonic() < until:
        outcome = trial.try_seed(seed + played, pace=Pace.FREE)
        assert outcome.findings == (), f"execution simulate --free --seed {seed + played}: {outcome.findings}"
        orders.update(outcome.orders)
        played += 1
    assert orders["entry filled"] >= played, "a simulation that trades nothing proves nothing"


def test_a_day_by_the_wall_clock_buys_trims_and_leaves() -> None:
    orders: Counter[str] = Counter()
    for seed in (1, 3):
        outcome = trial.undisturbed(seed, pace=Pace.FREE)
        assert outcome.findings == ()
        orders.update(outcome.orders)
    assert orders["entry filled"] > 0
    assert orders["trim filled"] > orders["trim canceled"], "what is marketable meets the last price at once"
    assert orders["exit filled"] > 0


def test_to_plan_before_the_executions_of_an_order_are_booked_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker may say `filled` before it says what: a stop for the shares just sold is one for too many."""
    monkeypatch.setattr(reports, "awaits_executions", lambda unit, symbol: False)
    found = {
        finding.invariant for seed in (1, 2, 3) for finding in trial.undisturbed(seed, HALF_DAY, Pace.FREE).findings
    }
    assert "A5" in found
