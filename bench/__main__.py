"""`make bench`: every measurement, one after the other. Figures of a run are kept in bench/results by whoever ran it.

Absolute times depend on the machine and what else it does: compare ratios of one run.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
from typing import Final

MEASUREMENTS: Final = ("bench.breakouts", "bench.burst", "bench.backtest", "bench.simulation", "bench.operate")


def main() -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.python_version()}, {os.cpu_count()} cores, load {load}")
    for name in MEASUREMENTS:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name).run()


if __name__ == "__main__":
    main()
