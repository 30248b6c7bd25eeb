"""`execution replay --tape`: a recorded session decided again, and whether it came to the same."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from cli.ledger import copied
from cli.outcome import counted
from cli.playback import Difference, Played, play_tape
from cli.show import clock, print_json
from cli.trouble import DONE, NOT_WELL, Trouble
from shared.runtime.tape import unread

SHOWN: Final = 20


class TapeOutcome(Struct, frozen=True, kw_only=True):
    """same: whether all of the tape could be read, and decisions and ledger are those of the session.

    digest_then: None where the session did not end on the tape. unread: bytes at its end that are torn or damaged.

    steps: transactions. restarts: of state. lives: new ones of the bus. decisions: compared ones, each of a minute and
    partition.
    """

    session: dt.date
    same: bool
    steps: int
    restarts: int
    lives: int
    decisions: int
    differences: tuple[Difference, ...]
    counts: dict[str, int]
    digest: str
    digest_then: str | None
    unread: int
    seconds: float


def run(tape: Path, as_json: bool) -> int:
    """Play the tape and print what came of it; returns the exit code. Nothing is written. Raises Trouble and NoTape."""
    began = time.monotonic()
    try:
        played, left = play_tape(tape), unread(tape)
    except OSError as fault:
        raise Trouble(f"{tape} cannot be read ({fault.strerror}); tapes are in data/tape of a home") from None
    outcome = outcome_of(played, left, time.monotonic() - began)
    if as_json:
        print_json(outcome)
    else:
        typer.echo(in_words(outcome))
    return DONE if outcome.same else NOT_WELL


def outcome_of(played: Played, left: int, seconds: float) -> TapeOutcome:
    with copied(played.store) as ledger:
        counts = counted(ledger)
    return TapeOutcome(
        session=played.session,
        same=not left and not played.differences and played.digest_then in (None, played.digest),
        steps=played.steps,
        restarts=played.restarts,
        lives=played.lives,
        decisions=played.decisions,
        differences=played.differences,
        counts=counts,
        digest=played.digest,
        digest_then=played.digest_then,
        unread=left,
        seconds=round(seconds, 3),
    )


def in_words(outcome: TapeOutcome) -> str:
    """The outcome for people."""
    count = outcome.counts
    ends = {
        None: "the tape has no ending, so there is no digest to compare with",
        outcome.digest: "the ledger is the recorded one",
    }
    return "\n".join(
        [
            f"Session {outcome.session} from its tape: {outcome.steps:,} steps, {outcome.restarts} restarts, "
            f"{outcome.lives} new buses",
            f"  {outcome.decisions:,} decisions made again, {len(outcome.differences)} differ",
            *(_line(one) for one in outcome.differences[:SHOWN]),
            f"  verdicts {count['verdicts']:,}, confirmed {count['confirmed']}, orders {count['order_ledger']}, "
            f"fills {count['fills']}",
            f"  {ends.get(outcome.digest_then, f'ANOTHER LEDGER: the recorded digest is {outcome.digest_then}')}",
            *([f"  UNREAD: the last {outcome.unread:,} bytes are torn or damaged"] if outcome.unread else []),
            f"Took {outcome.seconds:.1f} s. digest {outcome.digest}",
        ]
    )


def _line(one: Difference) -> str:
    return f"    {clock(one.minute)} partition {one.partition}, {one.what}: was {one.then[:200]}, is {one.now[:200]}"
