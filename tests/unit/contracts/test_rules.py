"""The settings of the rules: a mistyped number must not become an order."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.contracts.rules import EntryRules, LevelRules, Rules, StrategyRules


def test_a_rule_cannot_be_changed_once_it_was_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Rules().entry.max_drift = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("entry", "max_drift", 1.5),
        ("entry", "delay_min", -1),
        ("size", "base_fraction", 2),
        ("limits", "max_positions", 0),
        ("limits", "daily_loss", -0.02),
        ("risk", "max_pct", 0),
        ("exit", "tries", 0),
        ("levels", "pivot", "lucky"),
        ("regime", "unit", "dollars"),
        ("breakout", "first", "9 o'clock"),
    ],
)
def test_a_number_outside_its_bounds_is_refused(section: str, key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        Rules.model_validate({section: {key: value}})


@pytest.mark.parametrize("section", sorted(Rules.model_fields))
def test_an_unknown_key_is_refused_in_every_section(section: str) -> None:
    with pytest.raises(ValidationError, match="max_drfit"):
        Rules.model_validate({section: {"max_drfit": 1}})


def test_adding_to_a_position_is_refused_in_this_version() -> None:
    with pytest.raises(ValidationError, match="allow_adds is not supported"):
        StrategyRules(allow_adds=True)


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(ValidationError, match="delay_max"):
        EntryRules(delay_min=240, delay_max=60)
    with pytest.raises(ValidationError, match="r2_multiple"):
        LevelRules(r1_multiple=1.0, r2_multiple=1.0)
