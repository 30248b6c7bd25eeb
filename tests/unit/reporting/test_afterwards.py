"""What refused breakouts did until the close, on minutes short enough to follow with a finger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.reporting.afterwards import Afterwards, follow, refused_breakouts
from cli.reporting.rows import Market, Minute, Recorded
from shared.contracts.rules import StopRules
from tests.unit.reporting.made import SESSION, at, refusal, rows


def minutes(*bars: tuple[float, float, float, float], start: float = 60) -> tuple[Minute, ...]:
    """Open, high, low, close of minutes from `start` on."""
    return tuple(Minute(at(start + place), *bar) for place, bar in enumerate(bars))


def market(*bars: tuple[float, float, float, float], start: float = 60, swing_low: float | None = None) -> Market:
    recorded = Recorded(minutes=minutes(*bars, start=start), swing_low=swing_low)
    return Market(source="a file", recorded={(SESSION, "AAPL"): recorded}, missing={})


def test_best_and_worst_move_are_the_highest_and_lowest_price_until_the_close() -> None:
    found = follow(10.0, 9.5, minutes((10, 10.2, 9.9, 10.1), (10.1, 10.6, 10.0, 10.4)))
    assert found == Afterwards(best=0.6, worst=-0.1, last=0.4, best_r=1.2, worst_r=-0.2, would_r=0.8, would_end="close")


def test_the_stop_sells_at_its_price_and_a_gap_through_it_at_the_open() -> None:
    touched = follow(10.0, 9.5, minutes((10, 10.1, 9.4, 9.9), (9.9, 11.0, 9.9, 11.0)))
    gapped = follow(
        10.0,
        9.5,
        minutes(
            (9.0, 9.2, 8.9, 9.1),
        ),
    )
    assert touched is not None
    assert gapped is not None
    assert (touched.would_r, touched.would_end, touched.best_r) == (-1.0, "stop", 2.0)
    assert (gapped.would_r, gapped.would_end) == (-2.0, "stop")


def test_moves_are_never_below_nothing_for_the_best_nor_above_for_the_worst() -> None:
    found = follow(
        10.0,
        None,
        minutes(
            (9.9, 9.95, 9.8, 9.9),
        ),
    )
    assert found is not None
    assert (found.best, found.worst, found.would_r, found.would_end) == (0.0, -0.2, None, "close")


def test_only_minutes_from_the_refusal_on_count() -> None:
    verdict = refusal(minutes=62, hold_close=10.0, first_stop=9.5)
    [one] = refused_breakouts(
        rows(refused=[verdict]), market((10, 99, 1, 10), (10, 99, 1, 10), (10, 10.5, 9.9, 10.2)), StopRules()
    )
    assert one.afterwards is not None
    assert (one.afterwards.best, one.afterwards.worst) == (0.5, -0.1)


def test_where_the_rules_refused_before_they_came_to_the_stop_it_is_what_they_would_have_given() -> None:
    verdict = refusal(hold_close=10.0)
    [one] = refused_breakouts(rows(refused=[verdict]), market((10, 10, 10, 10), swing_low=9.6), StopRules())
    assert one.stop == pytest.approx(9.5)  # swing low less 0.10: docs/strategy.md section 2


def test_where_the_rules_found_no_place_for_a_stop_nothing_is_said_in_r() -> None:
    verdict = refusal(reason="no_stop", hold_close=10.0, first_stop=None)
    [one] = refused_breakouts(rows(refused=[verdict]), market((10, 11, 10, 11), swing_low=9.6), StopRules())
    assert one.afterwards is not None
    assert (one.stop, one.afterwards.would_r, one.afterwards.best) == (None, None, 1.0)


def test_without_minutes_it_is_unknown_and_says_why() -> None:
    verdict = refusal(hold_close=10.0)
    nothing = Market(source="", recorded={}, missing={SESSION: "bars.parquet does not exist: check the path"})
    [one] = refused_breakouts(rows(refused=[verdict]), nothing, StopRules())
    assert one.afterwards is None
    assert one.unknown == "bars.parquet does not exist: check the path"


def test_a_refusal_for_silent_data_is_no_breakout() -> None:
    assert refused_breakouts(rows(refused=[refusal(reason="stale_data")]), market(), StopRules()) == ()


PRICE = st.floats(1, 100, allow_nan=False)


@given(price=PRICE, below=st.floats(0.01, 0.9), moves=st.lists(st.tuples(PRICE, PRICE), min_size=1, max_size=20))
def test_what_it_would_have_made_lies_between_its_best_and_its_worst(
    price: float, below: float, moves: list[tuple[float, float]]
) -> None:
    bars = [(one, max(one, other), min(one, other), other) for one, other in moves]
    found = follow(price, price * below, minutes(*bars))
    assert found is not None
    assert found.would_r is not None
    assert found.best_r is not None
    assert found.worst_r is not None
    assert found.worst_r - 1e-5 <= found.would_r <= found.best_r + 1e-5
