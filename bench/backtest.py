"""How fast `execution backtest` goes: bars a second over a real file, read, played, kept and digested.

python -m bench.backtest [FILE]

Each round is a process of its own, so that its memory is its own too. `seconds` are of the whole backtest with its
imports paid; `cpu` is what this process itself used of it, which a busy machine does not change so much.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FILE: Final = REPOSITORY.parent / "shared" / "market" / "bars_1m_us6_2014-11_2015-07.parquet"
ROUNDS: Final = 5
BARS_A_SECOND: Final = 1_000_000
MEMORY_MB: Final = 500


def run(file: Path = FILE, rounds: int = ROUNDS) -> None:
    """Print the figures; a missing file is said, not guessed."""
    if not file.exists():
        print(f"backtest: {file.name} is not here; give a file of one-minute bars as the argument")
        return
    measured = [_round(file) for _ in range(rounds)]
    last = measured[-1]
    assert len({found["digest"] for found in measured}) == 1, "rounds differ"
    seconds, cpu = median(found["seconds"] for found in measured), median(found["cpu"] for found in measured)
    print(
        f"backtest: {last['bars']:,} bars, {last['sessions']} sessions, {last['verdicts']:,} verdicts, "
        f"{last['trades']} trades: {seconds:.2f} s (cpu {cpu:.2f} s), {last['bars'] / seconds:,.0f} bars/s "
        f"(by cpu {last['bars'] / cpu:,.0f}; target {BARS_A_SECOND:,}), "
        f"{max(found['memory_mb'] for found in measured)} MB (target {MEMORY_MB})"
    )
    print(f"backtest: digest {last['digest']}")


def _round(file: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
        done = subprocess.run(
            [sys.executable, "-m", "bench.backtest", "--measure", str(file), home],
            cwd=REPOSITORY,
            env=clean | {"EV2_HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(file: Path) -> None:
    """One backtest over the whole file; prints what it took as JSON."""
    from cli.backtest import keep, play_all, scratch_ledger, variables_of
    from cli.market import sessions_from
    from cli.options import settings_of_home
    from cli.outcome import outcome_of
    from cli.play import Start
    from cli.playing import settings_with
    from cli.replay_run import Asked, play_of
    from services.market_data.recorded_source import sessions_in
    from shared.runtime.loop import Stop

    days = sessions_in(file)
    first, last = str(days[0].session), str(days[-1].session)
    asked = Asked(bars=file, daily=None, session=first, to=last, watchlist=None, seed=26)
    play = play_of(asked, settings_of_home())
    settings = settings_with(variables_of(play))
    settings.data_folder.mkdir(parents=True)
    began, began_cpu = time.perf_counter(), time.process_time()
    store = scratch_ledger()
    play_all(settings, store, sessions_from(play.first, play.last), Stop())
    keep(settings, play, store, Start.FIRST)
    outcome = outcome_of(settings, play, 0)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    counts = outcome.counts
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu": cpu,
                "bars": _bars(file),
                "sessions": counts["sessions"],
                "verdicts": counts["verdicts"],
                "trades": len(outcome.trades),
                "digest": outcome.digest,
                "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
    )


def _bars(file: Path) -> int:
    from services.market_data.bar_files import collect, scan_minutes

    return collect(scan_minutes(file), file).height


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        run(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
