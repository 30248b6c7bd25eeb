"""The simulated market trades: on a dozen seeds there is everything that the rules can do."""

from __future__ import annotations

import datetime as dt
from collections import Counter

import pytest

from cli.simulation import trial
from cli.simulation.market import SYMBOLS, SimulatedMarket
from shared.domain import calendar

DAY = calendar.session(dt.date(2019, 7, 3))


def test_a_dozen_seeds_buy_trim_raise_stops_leave_and_stay_over_night() -> None:
    orders: Counter[str] = Counter()
    for seed in range(1, 13):
        outcome = trial.without_faults(trial.case_of(seed, 210))
        assert outcome.findings == (), seed
        orders.update(outcome.orders)
    assert orders["entry filled"] >= 30
    assert orders["entry canceled"] >= 3
    assert orders["trim filled"] >= 12
    assert orders["stop filled"] >= 12
    assert orders["stop replaced"] >= 100
    assert orders["exit filled"] >= 6
    assert orders["stop accepted"] >= 3


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_makes_the_same_market_and_another_one_another(seed: int) -> None:
    def day(number: int) -> object:
        return SimulatedMarket(number, DAY.session).day(DAY, None)

    assert day(seed) == day(seed)
    assert day(seed) != day(seed + 1)


def test_the_next_session_goes_on_near_the_last_close() -> None:
    market = SimulatedMarket(3, DAY.session)
    after = calendar.following(DAY.session)
    last = {row.bar.symbol: row.bar.close for row in market.day(DAY, SYMBOLS).rows}
    first = {row.bar.symbol: row.bar.open for row in reversed(market.day(after, SYMBOLS).rows)}
    assert all(abs(first[symbol] / last[symbol] - 1) < 0.05 for symbol in SYMBOLS)
