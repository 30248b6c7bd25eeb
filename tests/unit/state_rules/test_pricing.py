"""docs/strategy.md sections 7 and 8: due times and prices."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.state.pricing import due_at, entry_limit, entry_slip, exit_limit, first_stop, trim_limit, trim_slip
from shared.contracts.money import exact, tick
from shared.contracts.rules import EntryRules, ExitRules, StopRules, TrimRules

RULES = EntryRules()
DAY = dt.date(2026, 1, 9)
CONFIRMED = dt.datetime(2026, 1, 9, 14, 50, tzinfo=dt.UTC)


def due(symbol: str = "AAPL", salt: str = "s", rules: EntryRules = RULES) -> dt.datetime:
    return due_at(CONFIRMED, rules, salt=salt, strategy="boh", session=DAY, symbol=symbol)


def slip(symbol: str = "AAPL", salt: str = "s") -> float:
    return entry_slip(RULES, salt=salt, strategy="boh", session=DAY, symbol=symbol)


def test_the_delay_is_the_same_each_time_and_another_with_another_salt_or_symbol() -> None:
    assert due() == due()
    assert len({due(), due(salt="t"), due(symbol="MSFT")}) == 3


def test_delays_spread_over_one_to_four_minutes_in_whole_seconds() -> None:
    delays = [(due(symbol=f"S{number}") - CONFIRMED).total_seconds() for number in range(500)]
    assert min(delays) >= 60
    assert max(delays) <= 240
    assert all(delay == int(delay) for delay in delays)
    assert min(delays) < 75
    assert max(delays) > 225


def test_without_a_delay_an_entry_is_due_when_confirmed() -> None:
    assert due(rules=EntryRules(delay_min=0, delay_max=0)) == CONFIRMED


def test_slips_lie_between_nothing_and_a_tenth_of_a_percent() -> None:
    slips = [slip(symbol=f"S{number}") for number in range(500)]
    assert min(slips) >= 0
    assert max(slips) < 0.0010
    assert slip() != trim_slip(TrimRules(), salt="s", strategy="boh", session=DAY, symbol="AAPL", level="r1")


@pytest.mark.parametrize(
    ("reference", "slip_fraction", "limit"),
    [
        (100.00, 0.0, "100.00"),
        (100.00, 0.0005, "100.05"),
        (100.01, 0.0005, "100.07"),  # 100.060005, up to the grid
        (2.00, 0.001, "2.00"),  # 2.01 would lie above 2.00 x 1.0025
        (0.5000, 0.001, "0.5005"),
        (0.9999, 0.0005, "1.00"),  # 1.00039995 lies above the dollar, whose grid is cents: 1.01 is above the cap
        (2.0044, 0.001, "2.00"),  # no cent lies between the reference and its cap: the cap wins
    ],
)
def test_the_entry_limit(reference: float, slip_fraction: float, limit: str) -> None:
    assert entry_limit(reference, slip_fraction, RULES) == Decimal(limit)


@pytest.mark.parametrize("slip_fraction", [-0.0001, 0.0026, 1.0])
def test_a_mistyped_slip_does_not_become_an_order(slip_fraction: float) -> None:
    with pytest.raises(ValueError, match="slip"):
        entry_limit(100.0, slip_fraction, RULES)


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_no_price_is_an_error(price: float) -> None:
    with pytest.raises(ValueError, match="price"):
        entry_limit(price, 0.0, RULES)
    with pytest.raises(ValueError, match="price"):
        exit_limit(price, ExitRules())


def test_a_trim_asks_for_the_close_less_its_slip_down_to_the_grid() -> None:
    assert trim_limit(100.0, 0.0005) == Decimal("99.95")
    assert trim_limit(33.33, 0.0005) == Decimal("33.31")  # 33.313335


def test_an_exit_asks_for_a_quarter_percent_below_the_close() -> None:
    assert exit_limit(100.0, ExitRules()) == Decimal("99.75")
    assert exit_limit(33.33, ExitRules()) == Decimal("33.24")  # 33.246675


@pytest.mark.parametrize(
    ("price", "swing_low", "stop"),
    [
        ("50.00", 49.00, "48.90"),  # the swing low, less ten cents
        ("50.00", 49.95, "49.25"),  # nearer than 1.5 percent: that instead
        ("33.33", 33.30, "32.83"),  # 32.83005, down to the grid
        ("50.00", None, None),
        ("50.00", 50.10, None),  # 50.00 is not below the price
        ("50.00", 0.05, None),  # no price left
    ],
)
def test_the_first_stop(price: str, swing_low: float | None, stop: str | None) -> None:
    assert first_stop(Decimal(price), swing_low, StopRules()) == (None if stop is None else Decimal(stop))


def test_a_scan_rows_stop_stands_as_it_is() -> None:
    assert first_stop(Decimal("50.00"), 40.0, StopRules(), scan_stop=49.905) == Decimal("49.90")
    assert first_stop(Decimal("50.00"), 40.0, StopRules(), scan_stop=50.0) is None


@settings(max_examples=200, deadline=None)
@given(price=st.floats(0.02, 5000), fraction=st.floats(0, 0.0010))
def test_limits_lie_on_the_grid_and_never_above_their_cap(price: float, fraction: float) -> None:
    buying, selling = entry_limit(price, fraction, RULES), trim_limit(price, fraction)
    assert buying <= exact(price) * Decimal("1.0025")
    assert 0 < selling <= exact(price)
    for limit in (buying, selling):
        assert limit % tick(limit) == 0


@settings(max_examples=200, deadline=None)
@given(price=st.decimals("0.10", "900", places=2), fraction=st.floats(0, 0.0010))
def test_a_limit_on_a_price_of_the_grid_is_never_below_it(price: Decimal, fraction: float) -> None:
    assert entry_limit(float(price), fraction, RULES) >= price
