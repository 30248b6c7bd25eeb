"""`execution lookahead`: whether any decision knew what came after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.options import AsJson
from cli.replays import SEED, Daily, Watchlist

CUTS: Final = 5


def register(app: typer.Typer) -> None:
    app.command()(lookahead)


def lookahead(
    bars: Annotated[Path | None, typer.Option("--bars", metavar="FILE", help="One-minute bars.")] = None,
    session: Annotated[str | None, typer.Option("--session", metavar="DATE", help="Of the file, YYYY-MM-DD.")] = None,
    daily: Daily = None,
    watchlist: Watchlist = None,
    tape: Annotated[Path | None, typer.Option("--tape", metavar="FILE", help="A session's tape instead.")] = None,
    cuts: Annotated[int, typer.Option("--cuts", min=1, max=390, help="Minutes at which to cut.")] = CUTS,
    seed: Annotated[int, typer.Option("--seed", help="Of the minutes, and of every draw.")] = SEED,
    bar_by_bar: Annotated[
        bool, typer.Option("--bar-by-bar", help="Every bar through the services, not on columns.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Cut file or tape at random minutes, decide again on what is left, and compare everything up to the cut.

    A decision that differs looked ahead: it depended on bars that came after it. Exit code 1 if one does.

    Example: execution lookahead --bars bars_1m.parquet --daily bars_1d.parquet --session 2015-02-26 --cuts 10
    """
    from cli.lookahead_run import Asked, run

    asked = Asked(
        bars=bars,
        daily=daily,
        session=session,
        watchlist=watchlist,
        tape=tape,
        cuts=cuts,
        seed=seed,
        bar_by_bar=bar_by_bar,
    )
    raise typer.Exit(run(asked, json))
