"""The crash-point matrix: each process killed at each of its named points, at the first, the second and a late pass.

A first day, in which nothing is killed, counts who passes what how often. Then days are played in which every process
has one point to die at, until all points had their turn. In each day the bus is wiped once, so that what is only done
on a new bus is passed a second time.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from shared.runtime.crash import COUNT_PASSES, PASSED
from tests.chaos.day import MINUTES, the_day, undisturbed_digest
from tests.chaos.run import PATIENCE_S, digest_of, findings_at_rest, replayed
from tests.chaos.yard import Yard, wait_until_over

WIPED_AT: Final = MINUTES // 2
LATE: Final = 0.95
"""Of all passes: the very last may not come in a day in which others die."""

POINTS: Final[Mapping[str, tuple[str, ...]]] = {
    "state-1": (
        "state.after_read",
        "state.in_transaction",
        "state.after_commit",
        "state.before_publish",
        "state.between_publishes",
        "state.after_publish",
        "state.reborn",
        "state.reborn_told",
    ),
    "market_data-1": (
        "market_data.before_publish",
        "market_data.between_publishes",
        "market_data.after_publish",
    ),
    "signals-1": ("signals.before_publish", "signals.between_publishes", "signals.after_publish"),
    "exchange-1": (
        "exchange.before_commit",
        "exchange.after_commit",
        "exchange.before_publish",
        "exchange.between_publishes",
        "exchange.after_publish",
    ),
    "executor-protect1": (
        "executor.before_claim",
        "executor.after_claim",
        "executor.before_send",
        "executor.after_send",
        "executor.before_report",
        "executor.between_publishes",
        "executor.after_report",
    ),
    "executor-entry1": (
        "executor.before_claim",
        "executor.after_claim",
        "executor.before_send",
        "executor.after_send",
        "executor.before_report",
        "executor.between_publishes",
        "executor.after_report",
    ),
    "executor-listener": ("listener.before_publish", "executor.between_publishes", "listener.after_publish"),
    "conductor-1": (
        "conductor.before_tick",
        "conductor.between_publishes",
        "conductor.after_tick",
        "conductor.answered",
        "conductor.reached",
        "conductor.before_done",
    ),
}
"""Process → its points: before and after everything that others can see or that lasts."""


class Case(Struct, frozen=True, order=True):
    """A process that is to die at its `number`-th pass of `point`."""

    process: str
    point: str
    number: int

    @property
    def aim(self) -> dict[str, str]:
        return {"EV2_CRASH_AT": f"{self.point}:{self.number}"}

    def __str__(self) -> str:
        return f"{self.process} at {self.point}:{self.number}"


class Round(Struct, frozen=True, kw_only=True):
    """One day. missed: cases whose point was not passed so often. wrong: what was off; empty: the day ended right."""

    cases: tuple[Case, ...]
    missed: tuple[Case, ...]
    wrong: tuple[str, ...]
    seconds: float


def counted(home: Path) -> dict[tuple[str, str], int]:
    """(process, point) → how often it is passed in a day in which nothing is killed and the bus is wiped once."""
    played = play(home, (), count=True)
    assert not played.wrong, played.wrong
    found: Counter[tuple[str, str]] = Counter()
    processes = {process.rpartition("-")[2]: process for process in POINTS if process.startswith("executor")}
    for line in (home / "switches" / PASSED).read_text().splitlines():
        point, _, instance = line.partition(" ")
        service = point.partition(".")[0]
        process = processes.get(instance, f"{service}-1")
        found[process, point] += 1
    return dict(found)


def cases_of(passes: Mapping[tuple[str, str], int]) -> list[Case]:
    """First, second and a late pass of every point."""
    found: set[Case] = set()
    for process, points in POINTS.items():
        for point in points:
            last = passes.get((process, point), 0)
            numbers = {1, min(2, last), max(1, int(last * LATE))} if last else set()
            found |= {Case(process, point, number) for number in numbers}
    return sorted(found)


def never_passed(passes: Mapping[tuple[str, str], int]) -> list[str]:
    """Points of the table that the day does not reach: the matrix proves nothing about them."""
    return [
        f"{process}: {point}"
        for process, points in POINTS.items()
        for point in points
        if not passes.get((process, point))
    ]


def rounds_of(cases: Iterable[Case]) -> list[tuple[Case, ...]]:
    """Days in which each process has at most one case."""
    queues: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        queues[case.process].append(case)
    return [
        tuple(queue[number] for queue in queues.values() if number < len(queue))
        for number in range(max(map(len, queues.values()), default=0))
    ]


def play(home: Path, cases: Sequence[Case], *, count: bool = False) -> Round:
    """One day with these deaths. Raises Stuck where it does not come to its end."""
    began = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    yard = Yard(home, the_day(), aimed={case.process: case.aim for case in cases})
    if count:
        (yard.switches / COUNT_PASSES).touch()
    with yard:
        _wipe_once(yard, began + PATIENCE_S)
        wait_until_over(yard, began + PATIENCE_S)
        missed = tuple(case for case in cases if yard.starts[case.process] < 2)
        differs = () if digest_of(home) == undisturbed_digest() else ("another digest",)
        wrong = (*differs, *findings_at_rest(home), *replayed(home, the_day()))
    return Round(cases=tuple(cases), missed=missed, wrong=wrong, seconds=round(time.monotonic() - began, 1))


def _wipe_once(yard: Yard, deadline: float) -> None:
    while yard.minute() < WIPED_AT and not yard.is_over() and time.monotonic() < deadline:
        yard.tend()
        time.sleep(0.02)
    yard.client.flushall()


def run_matrix(home: Path, only: str) -> bool:
    """Everything, or the points that begin with `only`; prints each day, and tells whether all ended right."""
    passes = counted(home / "counted")
    cases = [case for case in cases_of(passes) if case.point.startswith(only)]
    rounds = rounds_of(cases)
    say(f"{len(cases)} cases in {len(rounds)} days; never passed: {never_passed(passes) or 'none'}")
    missed: list[Case] = []
    wrong = 0
    for number, chosen in enumerate(rounds, 1):
        played = play(home / f"round-{number}", chosen)
        missed += played.missed
        wrong += bool(played.wrong)
        died = ", ".join(str(case) for case in chosen if case not in played.missed)
        say(f"{number}: {'WRONG' if played.wrong else 'right'}, {played.seconds} s: {died}")
        for text in played.wrong[:20]:
            say(f"   {text}")
    say(f"{len(cases) - len(missed)} deaths in {len(rounds)} days, {wrong} days wrong; not reached: {len(missed)}")
    for case in missed:
        say(f"   not reached: {case}")
    return not wrong


def say(text: str) -> None:
    sys.stdout.write(text + os.linesep)
    sys.stdout.flush()
