"""Peers on the same bars with one small rule (bench/peers/rule.py): trades, profit, bars a second.

python3.11 -m venv bench/peers/.venv
bench/peers/.venv/bin/pip install -r bench/peers/requirements.txt
bench/peers/.venv/bin/python -m bench.peers.run [FILE]

Seconds of the processor, without reading: a busy machine changes them least. Every peer must come to the trades and the
profit that plain arithmetic comes to; one that does not is shown with what differs. Our own figure is of another kind:
`python -m bench.backtest` plays all rules, an exchange and a ledger, and counts reading, writing and digest as well.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.peers.rule import read

REPOSITORY: Final = Path(__file__).resolve().parents[2]
FILE: Final = REPOSITORY.parent / "shared" / "market" / "bars_1m_us6_2014-11_2015-07.parquet"
MODULES: Final = {"backtrader": "backtrader", "backtesting.py": "backtesting", "vectorbt": "vectorbt"}
A_CENT: Final = 0.01


def run(file: Path = FILE) -> None:
    """Print a line for each peer that is installed."""
    if not file.exists():
        print(f"peers: {file.name} is not here; give a file of one-minute bars as the argument")
        return
    from bench.peers.engines import ENGINES

    market = read(file)
    count = sum(len(bars.close) for bars in market)
    expected = ENGINES["numpy alone"](market)
    print(
        f"peers: {count:,} bars of {len(market)} symbols; the rule trades {expected.trades} times, "
        f"{expected.profit:+.2f} dollars"
    )
    for name, play in ENGINES.items():
        if name in MODULES and find_spec(MODULES[name]) is None:
            print(f"  {name:<15} not installed")
            continue
        found = play(market)
        same = found.trades == expected.trades and abs(found.profit - expected.profit) < A_CENT
        told = "the same trades and profit" if same else f"differs: {found.trades} trades, {found.profit:+.2f}"
        print(f"  {name:<15} {count / found.seconds:>14,.0f} bars/s  ({found.seconds:.2f} s)  {told}")


if __name__ == "__main__":
    run(*(Path(argument) for argument in sys.argv[1:2]))
