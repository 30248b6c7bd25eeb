"""`execution replay` and `execution backtest`: past sessions played again, over processes or in this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from cli.options import AsJson, Home
from cli.trouble import Trouble

SEED: Final = 26

Bars = Annotated[Path, typer.Option("--bars", metavar="FILE", help="One-minute bars to play.", show_default=False)]
Daily = Annotated[
    Path | None, typer.Option("--daily", metavar="FILE", help="Daily bars; without it they are built from --bars.")
]
First = Annotated[
    str, typer.Option("--session", metavar="DATE", help="The session to play, YYYY-MM-DD.", show_default=False)
]
Last = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="Play every session from --session to this one.")
]
Watchlist = Annotated[
    str | None, typer.Option("--watchlist", metavar="A,B,...", help="Candidates; else every symbol of the file.")
]
Seed = Annotated[
    int, typer.Option("--seed", help="Of every draw and of our order ids: the same seed gives the same ledger.")
]


def register(app: typer.Typer) -> None:
    app.command()(replay)
    app.command()(backtest)


def replay(
    bars: Annotated[Path | None, typer.Option("--bars", metavar="FILE", help="One-minute bars to play.")] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="The session to play, YYYY-MM-DD.")
    ] = None,
    tape: Annotated[
        Path | None,
        typer.Option("--tape", metavar="FILE", help="A tape of data/tape to decide again instead."),
    ] = None,
    daily: Daily = None,
    to: Last = None,
    watchlist: Watchlist = None,
    seed: Seed = SEED,
    lockstep: Annotated[
        bool, typer.Option("--lockstep", help="Each phase waits for the last one's proof; the only way there is.")
    ] = True,
    signals: Annotated[int, typer.Option("--signals", min=1, max=64, help="Replicas of signals.")] = 1,
    executors: Annotated[int, typer.Option("--executors", min=1, max=64, help="Executors of each kind.")] = 1,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Play sessions on real processes, in lockstep, and print the ledger's digest.

    The digest is that of `execution backtest` with the same options, whatever the number of processes. Ctrl-C ends
    everything; the same command then goes on. What is over is played afresh, the one before kept in data/previous.

    With --tape nothing is started and nothing written: state takes what it took, signals decide anew, and what differs
    is told.

    Example: execution replay --bars bars_1m.parquet --daily bars_1d.parquet --session 2015-02-26
    """
    if tape is not None:
        from cli.tape_run import run as play_tape

        if (bars, session, daily, to, watchlist) != (None,) * 5:
            raise Trouble("--tape holds its own bars, sessions and lists: leave every other option but --json away")
        raise typer.Exit(play_tape(tape, json))
    from cli.replay_run import Asked, run

    if bars is None or session is None:
        raise Trouble("name what is to be played: --bars FILE with --session DATE, or --tape FILE")
    asked = Asked(bars=bars, daily=daily, session=session, to=to, watchlist=watchlist, seed=seed)
    raise typer.Exit(run(asked, signals, executors, json))


def backtest(
    bars: Bars,
    session: First,
    daily: Daily = None,
    to: Last = None,
    watchlist: Watchlist = None,
    seed: Seed = SEED,
    bar_by_bar: Annotated[
        bool, typer.Option("--bar-by-bar", help="Every bar through the services; slower, for the same digest.")
    ] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Play sessions in this process: the same services and the same ledger as `execution replay`, without a server.

    A symbol's session in which nothing is confirmed or held is judged on columns, many times faster.

    Example: execution backtest --bars bars_1m.parquet --daily bars_1d.parquet --session 2015-06-15 --to 2015-06-26
    """
    from cli.backtest import run
    from cli.replay_run import Asked

    asked = Asked(bars=bars, daily=daily, session=session, to=to, watchlist=watchlist, seed=seed)
    raise typer.Exit(run(asked, bar_by_bar, json))
