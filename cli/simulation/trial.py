"""One seed: the day without faults, the same day with them, and what the auditor says about both."""

from __future__ import annotations

import datetime as dt
import gc
import io
import logging
import random
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from cli.auditor.audit import SETTLED, audit
from cli.auditor.explained import comparing_writes_nothing
from cli.auditor.ledger_side import read_ledger
from cli.auditor.views import Finding, Terms
from cli.inprocess.engine import Engine
from cli.simulation.brokerage import ExchangeProcess
from cli.simulation.conducting import ConductorProcess
from cli.simulation.disk import SimulatedStore
from cli.simulation.faults import MACHINES, Do, Fault, draw_faults, storm
from cli.simulation.feeding import FeedProcess
from cli.simulation.listening import ListenerProcess
from cli.simulation.market import SYMBOLS, SimulatedMarket
from cli.simulation.processes import MarketDataProcess, SignalsProcess, StateProcess
from cli.simulation.shrink import fewest
from cli.simulation.workers import WorkerProcess
from cli.simulation.world import Broken, Cast, MemoryHalt, World, view_of
from services.state.__main__ import setup_of
from services.state.digest import difference, digest
from services.state.setup import Setup
from services.state.sources import CandidateFiles
from shared.contracts.vocabulary import Queue
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.logs import configure_logs
from shared.runtime.settings import LogSettings, Pace, Settings

FIRST: Final = dt.date(2019, 1, 2)
LAST: Final = dt.date(2019, 12, 31)
INSTALLATION: Final = "sim"
HALF_DAY: Final = 210
COMPARISONS: Final = 3
RARELY: Final = (500_000, 5, 5)
NOWHERE: Final = Path("/nonexistent")


class Case(Struct, frozen=True):
    """What a seed stands for. faults: drawn from it, or fewer of them."""

    seed: int
    sessions: tuple[Session, ...]
    faults: tuple[Fault, ...]
    settings: Settings

    @property
    def is_free(self) -> bool:
        return self.settings.run.pace is Pace.FREE


class Outcome(Struct, frozen=True):
    """What came of a case. faults: that were drawn; hit: that took place. orders: kind and status to how many.

    sessions: played, those of the day without faults counted once more where there were two.
    """

    seed: int
    findings: tuple[Finding, ...]
    digest: str
    faults: tuple[Fault, ...] = ()
    hit: tuple[Fault, ...] = ()
    trace: tuple[str, ...] = ()
    turns: int = 0
    sessions: int = 0
    orders: dict[str, int] = {}

    @property
    def failed(self) -> bool:
        return bool(self.findings)


def case_of(
    seed: int,
    minutes: int = 0,
    faults: int | None = None,
    points: Sequence[str] = MACHINES,
    pace: Pace = Pace.CONDUCTED,
) -> Case:
    """The case of a seed. minutes: how long it is played, in whole sessions; 0: as the seed draws it.

    faults: how many, at `points`; None: as the seed draws them.
    """
    draws = _draws(seed, "case")
    half = draws.random() < 0.5 if not minutes else minutes <= HALF_DAY
    days = [day for day in calendar.sessions(FIRST, LAST) if day.early or not half]
    first = draws.choice(days if half else days[:-40])
    sessions = [first]
    while sum(day.minutes for day in sessions) < minutes or (not minutes and draws.random() < 0.15):
        sessions.append(calendar.following(sessions[-1].session))
    settings = Settings.model_validate(
        {
            "run": {
                "pace": pace,
                "salt": str(seed),
                "installation": INSTALLATION,
                "executors": draws.choice((1, 1, 2)),
            },
            "bus": {"partitions": draws.choice((1, 1, 2, 4))},
            "broker": {"grace": 30},
            "exchange": {"random_partials": draws.choice((0.0, 0.1, 0.5))},
            "limits": {"max_positions": draws.choice((2, 5, 5))},
            "candidates": {"watchlist": list(SYMBOLS)},
        }
    )
    total = sum(day.minutes for day in sessions)
    drawn = _draws(seed, "faults")
    chosen = draw_faults(drawn, total) if faults is None else storm(drawn, total, faults, points, same_answer=True)
    return Case(seed, tuple(sessions), chosen, settings)


def without_faults(case: Case) -> Outcome:
    """The day as the plain in-process engine plays it."""
    store = SimulatedStore.new(INSTALLATION)
    setup, market = _parts(case)
    engine = Engine(case.settings, setup, market, store, MemoryHalt(), CandidateFiles(NOWHERE, setup))
    for session in case.sessions:
        engine.play(session)
    findings = audit(view_of(engine.venue.exchange.book), read_ledger(store.database), terms_of(case))
    return Outcome(case.seed, findings, digest(store.database), sessions=len(case.sessions), orders=_orders(store))


def with_faults(case: Case, expected: str = "") -> Outcome:
    """The day with the case's faults. expected: the digest it must end with, if the faults keep the market's answer."""
    world = world_of(case)
    findings: list[Finding] = []
    try:
        world.play()
        findings += _at_the_end(world, case)
    except Broken as broken:
        findings.append(broken.finding)
    found = digest(world.store.database)
    if not findings and expected and found != expected and all(fault.keeps_the_answer for fault in world.plan.hit):
        findings.append(Finding("A11", "digest", f"{found[:12]} with faults, {expected[:12]} without"))
    return Outcome(
        case.seed,
        tuple(sorted({*findings, *world.findings})),
        found,
        case.faults,
        tuple(world.plan.hit),
        tuple(world.trace),
        world.turns,
        len(case.sessions),
        _orders(world.store),
    )


def hush() -> None:
    """Services log what they meet; in a simulation that is thousands of lines about faults that were meant."""
    with redirect_stderr(io.StringIO()):  # where the lines go from now on
        configure_logs(LogSettings(level="error"), "simulation")
    logging.disable(logging.CRITICAL)


def prepare() -> None:
    """What a process does that simulates and nothing else."""
    hush()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARELY)  # little is left in cycles; looking for it was a tenth of the time


def undisturbed(seed: int, minutes: int = 0, pace: Pace = Pace.CONDUCTED) -> Outcome:
    """The day of a seed in which nothing goes wrong, its processes taking turns and audited at every step."""
    return with_faults(case_of(seed, minutes, faults=0, pace=pace))


def try_seed(seed: int, minutes: int = 0, pace: Pace = Pace.CONDUCTED) -> Outcome:
    """Both days of a seed. What is off in the day without faults is told first.

    By the wall clock the market does not wait for who was killed: there is one day, and no ledger to compare it with.
    """
    case = case_of(seed, minutes, pace=pace)
    if case.is_free:
        return with_faults(case)
    plain = without_faults(case)
    if plain.failed:
        return plain
    disturbed = with_faults(case, plain.digest)
    return structs.replace(disturbed, sessions=plain.sessions + disturbed.sessions)


def shrunk(outcome: Outcome, minutes: int = 0, pace: Pace = Pace.CONDUCTED) -> Outcome:
    """The same failure with as few of its faults as possible."""
    case = case_of(outcome.seed, minutes, pace=pace)
    if not outcome.faults:
        return outcome
    expected = "" if case.is_free else without_faults(case).digest
    name = outcome.findings[0].invariant

    def fails(faults: Sequence[Fault]) -> bool:
        found = with_faults(structs.replace(case, faults=tuple(faults)), expected).findings
        return any(finding.invariant == name for finding in found)

    few = fewest(outcome.faults, fails)
    return with_faults(structs.replace(case, faults=tuple(few)), expected)


def first_difference(case: Case) -> str:
    """The first row in which the day with faults differs from the day without, for a person."""
    store = SimulatedStore.new(INSTALLATION)
    setup, market = _parts(case)
    engine = Engine(case.settings, setup, market, store, MemoryHalt(), CandidateFiles(NOWHERE, setup))
    for session in case.sessions:
        engine.play(session)
    world = world_of(case)
    try:
        world.play()
    except Broken as broken:
        return broken.finding.text
    pair = difference(store.database, world.store.database)
    return "" if pair is None else f"without: {pair[0]}\nwith:    {pair[1]}"


def terms_of(case: Case) -> Terms:
    """What the case's settings allow. In a conducted run trading time is whole minutes, so that is what gaps last.

    By the wall clock time goes on while somebody stands still: shares may be bare, and orders late, for as long.
    """
    rules = case.settings.rules
    terms = Terms(
        max_positions=rules.limits.max_positions,
        max_orders=rules.limits.max_orders,
        span_minutes=rules.breakout.minutes,
        only_we_sell=all(fault.do is not Do.HAND_SELL for fault in case.faults),
    )
    if not case.is_free:
        return terms
    still_s = sum(fault.seconds * fault.times for fault in case.faults)
    gap_s = rules.protection.max_gap + still_s
    return structs.replace(
        terms,
        valid_for_s=rules.entry.valid_for + still_s,
        gap_s=gap_s,
        pending_s=rules.entry.partial_for + gap_s,
    )


def _at_the_end(world: World, case: Case) -> Sequence[Finding]:
    terms = structs.replace(
        terms_of(case),
        bars=frozenset(world.bars),
        only_we_cancel=True,
        # A stop that a person cancels is missed until the next tick; a refused one until the next attempt.
        gap_s=terms_of(case).gap_s + 60.0 * sum(fault.do in (Do.HAND_CANCEL, Do.HAND_SELL) for fault in world.plan.hit),
    )
    before = read_ledger(world.store.database)
    found = audit(world.broker_view(), before, terms, SETTLED)
    world.compare(COMPARISONS)
    return [*found, *comparing_writes_nothing(before, read_ledger(world.store.database), COMPARISONS)]


def world_of(case: Case) -> World:
    setup, market = _parts(case)
    draws = _draws(case.seed, "order")
    lists = CandidateFiles(NOWHERE, setup)
    world = World(case.settings, setup, market, lists, case.faults, draws, terms_of(case))
    workers = [WorkerProcess(world, queue, number) for queue in Queue for number in range(case.settings.run.executors)]
    world.begin(
        Cast(
            StateProcess(world),
            ExchangeProcess(world),
            ListenerProcess(world),
            (FeedProcess if case.is_free else ConductorProcess)(world, case.sessions),
            (MarketDataProcess(world), SignalsProcess(world), *workers),
        )
    )
    return world


def _parts(case: Case) -> tuple[Setup, SimulatedMarket]:
    setup = setup_of(case.settings)
    return setup, SimulatedMarket(case.seed, case.sessions[0].session)


def _orders(store: SimulatedStore) -> dict[str, int]:
    rows = store.database.execute("SELECT kind || ' ' || status, COUNT(*) FROM order_ledger GROUP BY 1")
    return dict(rows.fetchall())


def _draws(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed} {what}")  # noqa: S311 - a simulation, not a secret
