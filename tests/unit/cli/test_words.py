from __future__ import annotations

from shared.contracts.vocabulary import OrderKind, Reason
from shared.domain.words import IN_WORDS, ORDER_WORDS, figures_in_words, reason_in_words


def test_every_reason_and_every_kind_of_order_has_words() -> None:
    assert set(IN_WORDS) == set(Reason)
    assert set(ORDER_WORDS) == set(OrderKind)
    assert all(IN_WORDS.values())


def test_a_reason_of_a_newer_ledger_is_shown_as_it_stands() -> None:
    assert reason_in_words("no_moon") == "no_moon"
    assert reason_in_words("not_held") == "broke out, did not hold"


def test_figures_name_what_the_rule_saw_and_leave_out_what_is_unknown() -> None:
    figures = {"pivot": 101.2, "prev_close": None, "pivot_date": "2015-02-09", "daily_bars": 250}
    assert figures_in_words(figures) == "pivot 101.2, pivot date 2015-02-09, daily bars 250"


def test_times_among_figures_are_new_yorks() -> None:
    """What stands around them is: a line that says 09:40 must not go on with 14:40."""
    figures = {"last_bar_end": "2026-01-09T14:40:00+00:00", "hold_start": "2026-07-09T14:30:00Z"}
    assert figures_in_words(figures) == "last bar end 09:40, hold start 10:30"
