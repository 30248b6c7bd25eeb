"""How fast `execution simulate` goes: sessions a minute in which nothing goes wrong, every core at work.

python -m bench.simulation

Six stocks, processes that take turns, the auditor after every step. Seeds differ (a session in which ninety orders
are sent takes twice as long as one with twenty), so the figure is over many. `full days` leaves out half days.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
SEEDS: Final = 120
FULL_DAY: Final = 390
SESSIONS_A_MINUTE: Final = 200


def run() -> None:
    """Print the figures."""
    for name, options in (("as drawn", []), ("full days", ["--steps", str(FULL_DAY)])):
        told = _simulated(*options)
        rate = told["sessions"] / told["seconds"] * 60
        print(
            f"simulation, {name}: {told['sessions']} sessions without faults in {told['seconds']} s on "
            f"{os.cpu_count()} cores, {rate:.0f} a minute (target {SESSIONS_A_MINUTE} on 2)"
        )


def _simulated(*options: str) -> Any:
    command = [sys.executable, "-m", "cli.main", "simulate", "--no-faults", "--seeds", str(SEEDS), "--json", *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return json.loads(done.stdout)


if __name__ == "__main__":
    run()
