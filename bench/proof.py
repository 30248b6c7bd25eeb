"""Every session of a file over real processes, in lockstep, against the backtest on columns and bar by bar.

python -m bench.proof [--bars FILE] [--daily FILE] [--session D] [--to D] [--signals N] [--executors N] [--min-rvol X]

Three runs over the same sessions, one after the other with one account, must end with one digest. Over processes a
session takes 5 to 15 s, so the 153 sessions of the reference file take half an hour. Exit code 1 and the first row that
differs where they do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
FILE: Final = REPOSITORY.parent / "shared" / "market" / "bars_1m_us6_2014-11_2015-07.parquet"


def main() -> int:
    asked = _asked()
    if not asked.bars.exists():
        print(f"proof: {asked.bars.name} is not here; give a file of one-minute bars with --bars")
        return 2
    first, last = _span(asked)
    print(
        f"proof: {first} to {last} of {asked.bars.name}, {asked.signals} signals, {asked.executors} executors of a kind"
    )
    with tempfile.TemporaryDirectory() as folder:
        homes = {name: Path(folder) / name for name in ("columns", "bars", "processes")}
        market = ["--bars", str(asked.bars), "--session", first, "--to", last]
        market += ["--daily", str(asked.daily)] if asked.daily is not None else []
        replicas = ["--lockstep", "--signals", str(asked.signals), "--executors", str(asked.executors)]
        _run(["backtest", *market, "--home", str(homes["columns"])], asked.min_rvol)
        _run(["backtest", *market, "--bar-by-bar", "--home", str(homes["bars"])], asked.min_rvol)
        _run(["replay", *market, *replicas, "--home", str(homes["processes"])], asked.min_rvol)
        pairs = [("columns", "bars"), ("bars", "processes")]
        same = [_run(["diff", str(homes[one]), str(homes[other])], asked.min_rvol) == 0 for one, other in pairs]
    print("proof: all the same" if all(same) else "proof: NOT the same")
    return 0 if all(same) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.proof", description=__doc__.splitlines()[0])
    parser.add_argument("--bars", type=Path, default=FILE)
    parser.add_argument("--daily", type=Path)
    parser.add_argument("--session", help="first session; else the file's")
    parser.add_argument("--to", help="last session; else the file's, or the first where that is given")
    parser.add_argument("--signals", type=int, default=2)
    parser.add_argument("--executors", type=int, default=2)
    parser.add_argument("--min-rvol", default="0", help="breakout.min_rvol; 0 lets more sessions trade")
    return parser.parse_args()


def _span(asked: argparse.Namespace) -> tuple[str, str]:
    from services.market_data.recorded_source import sessions_in

    if asked.session is not None:
        return asked.session, asked.to or asked.session
    days = sessions_in(asked.bars)
    return str(days[0].session), asked.to or str(days[-1].session)


def _run(arguments: list[str], min_rvol: str) -> int:
    """Run one command of ours, its last lines shown; returns its exit code."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", *arguments],
        cwd=REPOSITORY,
        env=clean | {"EV2_BREAKOUT__MIN_RVOL": min_rvol},
        capture_output=True,
        text=True,
        check=False,
    )
    told = (done.stdout + done.stderr).strip().splitlines()[-12:]
    print(f"--- execution {arguments[0]} ({time.monotonic() - started:.0f} s)", *told, sep="\n", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
