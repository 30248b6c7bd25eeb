"""One disturbed day: faults at seeded moments, and what must be true when it is over."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from cli.auditor.audit import audit
from cli.auditor.broker_side import of_book_file
from cli.auditor.ledger_side import read_ledger
from cli.auditor.views import Terms
from cli.playback import play_tape
from services.state.digest import digest
from tests.chaos.day import MINUTES, Day
from tests.chaos.faults import FAULTS, UNREACHABLE
from tests.chaos.yard import Stuck, Yard

LOOK_S: Final = 0.02
CONDUCTOR: Final = "conductor-1"
HELD_AT: Final = MINUTES - 8
PATIENCE_S: Final = 300.0
REST_S: Final = 10.0
"""For the rest of the day after its last fault, on a busy machine."""


class Planned(Struct, frozen=True, order=True):
    """minute: of the session, after which it happens; delay_s: a little later, anywhere between two steps."""

    minute: int
    delay_s: float
    fault: str


class Outcome(Struct, frozen=True, kw_only=True):
    """done: faults that took place, by name. kills: processes that were killed; starts: of each, the first included.

    findings: what the auditor found. replayed: what differs when the day's tape is decided again. seconds: the whole
    run.
    """

    seed: int
    digest: str
    findings: tuple[str, ...]
    replayed: tuple[str, ...]
    done: dict[str, int]
    kills: int
    starts: dict[str, int]
    seconds: float


def plan(rng: random.Random, faults: Sequence[str], minutes: int) -> list[Planned]:
    """`faults` at seeded moments, none in the last minutes: what it did must have its effect within the day."""
    return sorted(Planned(rng.randint(0, minutes - 5), rng.uniform(0, 0.3), fault) for fault in faults)


def disturb(home: Path, day: Day, planned: Sequence[Planned], seed: int, *, signals: int = 1) -> Outcome:
    """Play `day` in `home` with these faults. Raises Stuck where it does not come to its end."""
    rng = random.Random(seed)
    began = time.monotonic()
    shutil.rmtree(home, ignore_errors=True)
    with Yard(home, day, signals=signals) as yard:
        done = _drive(yard, list(planned), rng)
        return Outcome(
            seed=seed,
            digest=digest_of(home),
            findings=findings_at_rest(home),
            replayed=replayed(home, day),
            done=dict(done),
            kills=yard.kills,
            starts=dict(yard.starts),
            seconds=round(time.monotonic() - began, 1),
        )


def _drive(yard: Yard, planned: list[Planned], rng: random.Random) -> Counter[str]:
    """Faults when they are due, one after the other, each to its end before the next begins.

    Where they take longer than the day, it is held before its end.
    """
    done: Counter[str] = Counter()
    under_way: Iterator[float] | None = None
    due, is_held = 0.0, False
    deadline = time.monotonic() + PATIENCE_S
    while not yard.is_over():
        now = time.monotonic()
        yard.tend()
        if under_way is not None:
            if now >= due:
                under_way, due = _next(under_way, now)
        elif planned and yard.minute() >= min(planned[0].minute, HELD_AT):  # held there, it gets no further
            wanted = planned.pop(0)
            time.sleep(wanted.delay_s)
            done[wanted.fault] += 1
            deadline = now + PATIENCE_S
            under_way, due = _next(FAULTS[wanted.fault](yard, rng), now)
        if (planned or under_way) and yard.minute() >= HELD_AT:
            yard.freeze(CONDUCTOR)
            is_held = True
        elif is_held:
            yard.thaw(CONDUCTOR)
            is_held = False
        if now > deadline:
            raise Stuck(f"the day is not over at minute {yard.minute()}, {dict(done)}:\n{yard.last_lines()}")
        time.sleep(LOOK_S)
    return done


def _next(fault: Iterator[float], now: float) -> tuple[Iterator[float] | None, float]:
    try:
        return fault, now + next(fault)
    except (StopIteration, *UNREACHABLE):
        return None, now


def digest_of(home: Path) -> str:
    with closing(sqlite3.connect(home / "data" / "execution_v2.sqlite")) as ledger:
        return digest(ledger)


def findings_at_rest(home: Path) -> tuple[str, ...]:
    """What is off once nothing is under way: after the close a listener that has just come back still has a look."""
    until = time.monotonic() + REST_S
    while (found := findings(home)) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return found


def findings(home: Path) -> tuple[str, ...]:
    """What the auditor finds off between the exchange's book and the ledger."""
    broker = of_book_file(home / "data" / "exchange.sqlite")
    with closing(sqlite3.connect(home / "data" / "execution_v2.sqlite")) as database:
        found = audit(broker, read_ledger(database), Terms())
    return tuple(f"{one.invariant} {one.subject}: {one.text}" for one in found)


def replayed(home: Path, day: Day) -> tuple[str, ...]:
    """What is not the same when the session is decided again from its tape."""
    played = play_tape(home / "data" / "tape" / f"{day.session}.tape")
    differences = [f"{one.minute:%H:%M} partition {one.partition}: {one.what}" for one in played.differences]
    if played.digest_then is None:
        differences.append("the tape has no ending")
    elif played.digest != played.digest_then:
        differences.append(f"the ledger from the tape is {played.digest[:12]}, not {played.digest_then[:12]}")
    return tuple(differences)


def mix(rng: random.Random, count: int, weights: Mapping[str, int]) -> list[str]:
    """`count` faults drawn by weight."""
    return rng.choices(list(weights), list(weights.values()), k=count)
