"""Fresh seeds for as long as there is time, and every seed that ever failed.

EV2_SIMULATE_SECONDS says how long; the first seed is printed before anything is played, and a seed alone repeats it.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from cli.simulation import many, trial
from cli.simulation.faults import CATALOGUE

SECONDS = float(os.environ.get("EV2_SIMULATE_SECONDS", "60"))
REGRESSIONS = [
    int(line.split()[0])
    for line in (Path(__file__).parent / "regressions.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.timeout(SECONDS + 300)
def test_fresh_seeds_end_with_the_ledger_of_a_quiet_day() -> None:
    seed = secrets.randbelow(1_000_000_000)
    _say(f"first seed: {seed}")
    until = time.monotonic() + SECONDS
    orders: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    played = 0
    while time.monotonic() < until:
        outcome = trial.try_seed(seed + played)
        assert outcome.findings == (), f"execution simulate --seed {seed + played}: {outcome.findings}"
        orders.update(outcome.orders)
        hit.update(fault.point for fault in outcome.hit)
        played += 1
    _say(f"{played} seeds, {sum(hit.values())} faults at {len(hit)} of {len(CATALOGUE)} points, {dict(orders)}")
    assert orders["entry filled"] >= played, "a simulation that trades nothing proves nothing"


@pytest.mark.parametrize("seed", REGRESSIONS)
def test_a_seed_that_failed_once_fails_no_more(seed: int) -> None:
    assert trial.try_seed(seed).findings == ()


def test_a_seed_alone_repeats_its_day() -> None:
    case = trial.case_of(7)
    one, two = trial.with_faults(case), trial.with_faults(case)
    assert (one.digest, one.hit, one.trace, one.turns) == (two.digest, two.hit, two.trace, two.turns)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def test_several_processes_tell_what_one_does_in_the_same_order() -> None:
    seeds, half_days = range(3, 6), partial(trial.undisturbed, minutes=trial.HALF_DAY)
    told = [(outcome.seed, outcome.digest, outcome.turns) for outcome in many.outcomes(seeds, half_days, 2)]
    assert told == [(outcome.seed, outcome.digest, outcome.turns) for outcome in map(half_days, seeds)]


def test_a_day_without_faults_is_that_of_the_plain_engine() -> None:
    case = trial.case_of(11, trial.HALF_DAY, faults=0)
    assert trial.with_faults(case).digest == trial.without_faults(case).digest
