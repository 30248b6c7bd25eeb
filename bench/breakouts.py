"""How fast `execution breakouts` goes: bars a second over a real file, in this process and as a whole command.

python -m bench.breakouts [FILE]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

from cli import studies
from cli.studies import Span
from shared.contracts.rules import Rules

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FILE: Final = REPOSITORY.parent / "shared" / "market" / "bars_1m_us6_2014-11_2015-07.parquet"
ROUNDS: Final = 5


def run(file: Path = FILE) -> None:
    """Print the figures; a missing file is said, not guessed."""
    if not file.exists():
        print(f"breakouts: {file.name} is not here; give a file of one-minute bars as the argument")
        return
    minutes = studies.read_minutes(file)  # the first reading pays for polars and the calendar
    reading, judging = [], []
    found = 0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        minutes = studies.read_minutes(file)
        read = time.perf_counter()
        found = len(studies.breakouts(minutes, studies.daily_from_minutes(minutes), Span(), Rules()))
        reading.append(read - started)
        judging.append(time.perf_counter() - read)
    count = minutes.height
    print(
        f"breakouts: {count:,} bars, {found} found, read {median(reading):.2f} s, judged {median(judging):.2f} s: "
        f"{count / (median(reading) + median(judging)):,.0f} bars/s"
    )
    started = time.perf_counter()
    command = [sys.executable, "-m", "cli.main", "breakouts", "--bars", str(file), "--json"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        print(f"breakouts: the command failed: {done.stderr.strip().splitlines()[-1:]}")
        return
    print(f"breakouts: the whole command in {seconds:.2f} s: {count / seconds:,.0f} bars/s")


if __name__ == "__main__":
    run(*(Path(argument) for argument in sys.argv[1:2]))
