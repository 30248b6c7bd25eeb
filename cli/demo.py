"""`execution demo`: one session of a recorded or synthetic market, on real processes, shown and then summed up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.options import AsJson, Home

SEED: Final = 72
SPEED: Final = "max"


def register(app: typer.Typer) -> None:
    app.command()(demo)


def demo(
    bars: Annotated[
        Path | None, typer.Option("--bars", metavar="FILE", help="One-minute bars to play; else a synthetic market.")
    ] = None,
    daily: Annotated[
        Path | None, typer.Option("--daily", metavar="FILE", help="Daily bars; without it they are built from --bars.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="The session to play, YYYY-MM-DD.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Play every session from --session to this one.")
    ] = None,
    watchlist: Annotated[
        str | None, typer.Option("--watchlist", metavar="A,B|FILE", help="Candidates; else every symbol of the market.")
    ] = None,
    seed: Annotated[
        int,
        typer.Option("--seed", help="Of the synthetic market, and of the exchange's draws."),
    ] = SEED,
    speed: Annotated[
        str, typer.Option("--speed", metavar="N|max", help="Market seconds a second, or as fast as it goes.")
    ] = SPEED,
    signals: Annotated[int, typer.Option("--signals", min=1, max=64, help="Replicas of signals.")] = 1,
    executors: Annotated[int, typer.Option("--executors", min=1, max=64, help="Executors of each kind.")] = 1,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Play one session on real processes against the paper exchange, show it live, and sum it up.

    Needs no keys, no network and no Redis. Ctrl-C ends everything; the same command then goes on. A session that is
    over is played afresh, and the one before is kept in data/previous.

    Example: execution demo --bars bars_1m.parquet --daily bars_1d.parquet --session 2015-02-11
    """
    from cli.demo_run import Asked, run

    asked = Asked(
        bars=bars,
        daily=daily,
        session=session,
        to=to,
        watchlist=watchlist,
        seed=seed,
        speed=speed,
        signals=signals,
        executors=executors,
    )
    raise typer.Exit(run(asked, json))
