"""`execution sweep`: a backtest under every combination of settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home
from cli.replays import SEED, Bars, Daily, First, Last, Seed, Watchlist


def register(app: typer.Typer) -> None:
    app.command()(sweep)
    app.command("sweep-worker")(sweep_worker)


def sweep(
    bars: Bars,
    session: First,
    vary: Annotated[
        list[str], typer.Option("--vary", metavar="NAME=A,B,...", help="A setting of the rules, and its values.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where results go, and where it goes on from.")],
    daily: Daily = None,
    to: Last = None,
    watchlist: Watchlist = None,
    seed: Seed = SEED,
    workers: Annotated[int, typer.Option("--workers", min=0, max=64, help="On this machine; 0: all elsewhere.")] = 2,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Play the same sessions under every combination of values, and show what each came to.

    Each combination is the backtest that `execution backtest` would play with these settings. Stopped or killed, the
    same command goes on. Results go to FOLDER/results.csv, and with two settings a heat map to FOLDER/heatmap.html.

    Example: execution sweep --bars bars_1m.parquet --session 2015-02-09 --to 2015-03-06
    --vary breakout.min_rvol=0,0.8,1.5 --vary risk.max_pct=3,4 --out sweep
    """
    from cli.replay_run import Asked
    from cli.sweeping.command import sweep as swept
    from cli.sweeping.grid import read_vary

    asked = Asked(bars=bars, daily=daily, session=session, to=to, watchlist=watchlist, seed=seed)
    raise typer.Exit(swept(asked, [read_vary(text) for text in vary], out.resolve(), workers, json))


def sweep_worker(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The sweep's --out, as this machine sees it.")],
) -> None:
    """One more worker for a sweep that runs, until Ctrl-C; on another machine with the folder and EV2_REDIS_URL shared.

    Example: execution sweep-worker sweep
    """
    import os

    from cli.sweeping.worker import work

    os.environ["EV2_HOME"] = str(folder.resolve())
    raise typer.Exit(work(folder.resolve()))
