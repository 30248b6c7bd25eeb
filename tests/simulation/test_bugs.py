"""What the auditor is worth: every planted error of bugs.py is found, and without one nothing is."""

from __future__ import annotations

from functools import cache

import pytest

from cli.simulation import trial
from cli.simulation.trial import Outcome
from tests.simulation.bugs import BUGS, Bug

HALF_DAY = 210
FAULTS = 24
LEAST = 20


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_error_is_found_within_its_number_of_seeds(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    told: set[str] = set()
    for seed in range(1, bug.seeds + 1):
        case = trial.case_of(seed, HALF_DAY, FAULTS, bug.points)
        outcome = trial.without_faults(case)
        if not outcome.failed:
            outcome = trial.with_faults(case, outcome.digest)
        told |= {finding.invariant for finding in outcome.findings}
        if told:
            break
    assert told & bug.found_by, f"{bug.name}: {bug.seeds} seeds told {sorted(told) or 'nothing'}"


def test_there_are_twenty_errors_and_each_rule_of_the_catalogue_is_told_by_one() -> None:
    assert len(BUGS) >= LEAST
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    invariants = {name for bug in BUGS for name in bug.found_by}
    assert {"A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12"} <= invariants


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_without_an_error_the_same_seeds_tell_nothing(seed: int) -> None:
    assert _sound(seed).findings == ()


@cache
def _sound(seed: int) -> Outcome:
    case = trial.case_of(seed, HALF_DAY, FAULTS)
    plain = trial.without_faults(case)
    assert plain.findings == ()
    return trial.with_faults(case, plain.digest)
