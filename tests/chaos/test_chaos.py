"""The short form of `python -m tests.chaos`: each kind of harm once, and each process dying at a point of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.day import MINUTES, the_day, undisturbed_digest
from tests.chaos.faults import FAULTS
from tests.chaos.matrix import POINTS, Case, play
from tests.chaos.run import disturb, plan

pytestmark = pytest.mark.timeout(600)

HALVES = (tuple(sorted(FAULTS))[::2], tuple(sorted(FAULTS))[1::2])
DEATHS = (
    Case("state-1", "state.in_transaction", 40),
    Case("market_data-1", "market_data.between_publishes", 30),
    Case("signals-1", "signals.between_publishes", 50),
    Case("exchange-1", "exchange.after_commit", 25),
    Case("executor-protect1", "executor.after_send", 2),
    Case("executor-entry1", "executor.after_send", 1),
    Case("executor-listener", "listener.before_publish", 3),
    Case("conductor-1", "conductor.answered", 77),
)


@pytest.mark.parametrize("faults", HALVES, ids=lambda faults: f"{faults[0]}-to-{faults[-1]}")
def test_a_day_of_every_kind_of_harm_ends_in_the_ledger_of_the_undisturbed_one(
    faults: tuple[str, ...], tmp_path: Path
) -> None:
    seed = 7
    outcome = disturb(tmp_path / "day", the_day(), plan(random.Random(seed), faults, MINUTES), seed, signals=2)
    assert (outcome.findings, outcome.replayed) == ((), ())
    assert outcome.digest == undisturbed_digest()
    assert outcome.done.keys() == set(faults)


def test_every_process_dies_between_two_effects_and_the_ledger_is_the_same(tmp_path: Path) -> None:
    assert {case.process for case in DEATHS} == POINTS.keys()
    played = play(tmp_path / "day", DEATHS)
    assert (played.wrong, played.missed) == ((), ())
