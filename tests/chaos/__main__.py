"""`python -m tests.chaos`: disturbed days until enough has been killed; `--matrix`: a kill at every named point.

    python -m tests.chaos --kills 200 --seed 1
    python -m tests.chaos --fault flush --seed 1      one day with that fault alone
    python -m tests.chaos --matrix

Each day prints its seed, what was done, and whether its end is right; the exit code is 1 if one is not.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Final

from tests.chaos.day import MINUTES, the_day, undisturbed_digest
from tests.chaos.faults import CHANGES_THE_MARKET, FAULTS
from tests.chaos.matrix import run_matrix, say
from tests.chaos.run import Outcome, disturb, mix, plan
from tests.chaos.yard import Stuck

FAULTS_A_DAY: Final = 12
WEIGHTS: Final = {name: 6 if name == "kill" else 1 for name in FAULTS}


def main() -> int:
    asked = _asked()
    home = Path(asked.home or tempfile.mkdtemp(prefix="chaos-"))
    say(f"in {home}; the undisturbed day has the digest {undisturbed_digest()[:12]}")
    if asked.matrix:
        return 0 if run_matrix(home, asked.only) else 1
    kills, seed, wrong = 0, asked.seed, 0
    done: Counter[str] = Counter()
    while kills < asked.kills or seed == asked.seed:
        rng = random.Random(seed)
        faults = [asked.fault] * asked.times if asked.fault else mix(rng, FAULTS_A_DAY, WEIGHTS)
        try:
            outcome = disturb(
                home / f"day-{seed}", the_day(), plan(rng, faults, MINUTES), seed, signals=rng.choice((1, 2))
            )
        except Stuck as stuck:
            say(f"seed {seed}: {faults}\n{stuck}")
            return 1
        kills += outcome.kills
        done.update(outcome.done)
        is_right = _is_right(outcome)
        wrong += not is_right
        say(_line(outcome, is_right))
        seed += 1
    say(f"{seed - asked.seed} days, {kills} kills, {dict(done)}: {wrong} wrong")
    return 1 if wrong else 0


def _is_right(outcome: Outcome) -> bool:
    same = outcome.digest == undisturbed_digest()
    return not outcome.findings and not outcome.replayed and (same or bool(CHANGES_THE_MARKET & outcome.done.keys()))


def _line(outcome: Outcome, is_right: bool) -> str:
    what = ", ".join(f"{name} {count}" for name, count in sorted(outcome.done.items()))
    lines = [
        f"seed {outcome.seed}: {'right' if is_right else 'WRONG'}, {outcome.digest[:12]}, {outcome.kills} kills, "
        f"{sum(outcome.starts.values())} starts, {outcome.seconds} s: {what}",
        *(f"  {finding}" for finding in outcome.findings[:20]),
        *(f"  from the tape: {difference}" for difference in outcome.replayed[:20]),
    ]
    return "\n".join(lines)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=0, help="go on with new seeds until so many processes were killed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fault", choices=sorted(FAULTS), help="this fault alone")
    parser.add_argument("--times", type=int, default=1, help="how often --fault happens in the day")
    parser.add_argument("--home", help="where the days' folders are kept; else a temporary folder")
    parser.add_argument("--matrix", action="store_true", help="kill at every named point instead")
    parser.add_argument("--only", default="", help="with --matrix: points that begin with this")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
