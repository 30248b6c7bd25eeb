"""`execution simulate`: the whole engine on virtual time, faults between any two effects, audited at every step."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from cli.options import AsJson
from cli.show import print_json, tracked
from cli.trouble import Trouble

if TYPE_CHECKING:
    from cli.simulation.trial import Outcome


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(simulate)


class Told(Struct, frozen=True):
    """What a run of seeds came to. seed: the first that failed, or the last one. faults: the fewest that still fail.

    sessions: played, with and without faults.
    """

    seed: int
    seeds: int
    sessions: int
    seconds: float
    failed: bool
    findings: tuple[str, ...]
    faults: tuple[str, ...]
    trace: tuple[str, ...]
    again: str


def simulate(
    seed: Annotated[int, typer.Option("--seed", help="The first seed; it alone gives market, order and faults.")] = 1,
    seeds: Annotated[int, typer.Option("--seeds", help="How many seeds, one after the other.")] = 1,
    seconds: Annotated[float, typer.Option("--seconds", help="Stop after so many; 0: no limit.")] = 0.0,
    steps: Annotated[
        int, typer.Option("--steps", help="Minutes of the market at least, in whole sessions; 0: as the seed draws it.")
    ] = 0,
    faults: Annotated[
        bool, typer.Option("--faults/--no-faults", help="Without faults a seed is one day in which nothing goes wrong.")
    ] = True,
    free: Annotated[
        bool, typer.Option("--free", help="By the wall clock, as live: the market does not wait for who was killed.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", help="Processes that play at once; 0: one for each core.")] = 0,
    shrink: Annotated[
        bool, typer.Option("--shrink/--no-shrink", help="Whether a failing seed's faults are made as few as can be.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Play simulated sessions in which processes die and messages are lost, and audit what comes of them.

    Each seed is played twice, without faults and with them, and must end with the same ledger; with --free once. A
    seed that fails prints what is off, the fewest faults that still make it fail, and the command that repeats it; exit
    code 1. The order of what is printed is that of the seeds, whatever the number of processes.

    Example: execution simulate --seed 1 --seeds 20
    """
    if seeds < 1 or not seconds >= 0 or steps < 0 or jobs < 0:  # `not >=` refuses nan, too
        raise Trouble("--seeds must be 1 or more, --seconds, --steps and --jobs 0 or more")
    from cli.simulation import many, trial
    from shared.runtime.settings import Pace

    pace = Pace.FREE if free else Pace.CONDUCTED
    again = partial(_again, steps, faults=faults, free=free)
    play = partial(trial.try_seed if faults else trial.undisturbed, minutes=steps, pace=pace)
    at_once = min(jobs or os.cpu_count() or 1, seeds)
    started = time.monotonic()
    numbers = range(seed, seed + seeds)
    played = sessions = 0
    for _, outcome in zip(tracked(numbers, "simulating"), many.outcomes(numbers, play, at_once), strict=True):
        played, sessions = played + 1, sessions + outcome.sessions
        if outcome.failed:
            shown = trial.shrunk(outcome, steps, pace) if shrink else outcome
            told = _told(shown, played, sessions, started, again(shown.seed))
            print_json(told) if json else _tell_failure(told)
            raise typer.Exit(1)
        if not json:
            _tell_one(outcome)
        if seconds and time.monotonic() - started > seconds:
            break
    told = _told(outcome, played, sessions, started, again(outcome.seed))
    if json:
        print_json(told)
    else:
        seeds_played = "1 seed" if played == 1 else f"{played} seeds"
        typer.echo(f"{seeds_played}, {sessions} sessions in {told.seconds:.0f} s; nothing is off")


def _told(outcome: Outcome, seeds: int, sessions: int, started: float, again: str) -> Told:
    return Told(
        outcome.seed,
        seeds,
        sessions,
        round(time.monotonic() - started, 1),
        outcome.failed,
        tuple(f"{finding.invariant} {finding.subject}: {finding.text}" for finding in outcome.findings),
        tuple(str(fault) for fault in outcome.faults) if outcome.failed else (),
        outcome.trace if outcome.failed else (),
        again,
    )


def _tell_one(outcome: Outcome) -> None:
    bought = sum(count for name, count in outcome.orders.items() if name.startswith("entry"))
    what = f"{len(outcome.hit)} faults, {bought} entries, {outcome.turns} turns, {outcome.digest[:12]}"
    typer.echo(f"seed {outcome.seed}: {what}")


def _tell_failure(told: Told) -> None:
    typer.echo(f"seed {told.seed} fails:")
    for line in told.findings:
        typer.echo(f"  {line}")
    typer.echo(f"with {len(told.faults)} faults:" if told.faults else "without any fault")
    trace = ("what happened, by minute and virtual time:", *told.trace) if told.trace else ()
    for line in (*told.faults, *trace):
        typer.echo(f"  {line}")
    typer.echo(f"again: {told.again}")


def _again(steps: int, seed: int, *, faults: bool, free: bool) -> str:
    lasting = f" --steps {steps}" if steps else ""
    return f"execution simulate --seed {seed}{lasting}{'' if faults else ' --no-faults'}{' --free' if free else ''}"
