"""`execution init`: writes a commented configuration, and asks what it must know."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(init)


def init(
    mode: Annotated[
        str | None, typer.Option("--mode", metavar="dry|paper|live", help="What orders go to; dry: the paper exchange.")
    ] = None,
    watchlist: Annotated[
        str | None, typer.Option("--watchlist", metavar="A,B|FILE", help="Candidates; else every symbol of the market.")
    ] = None,
    bars: Annotated[Path | None, typer.Option("--bars", metavar="FILE", help="dry: one-minute bars to play.")] = None,
    daily: Annotated[Path | None, typer.Option("--daily", metavar="FILE", help="dry: daily bars before them.")] = None,
    account: Annotated[
        str | None, typer.Option("--account", metavar="NUMBER", help="live: the account's number at the broker.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is not given is as by default.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration that is there.")] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Write execution.toml into the home: what you decide, and every other setting as a comment with its default.

    Asks what is not given. The file is readable by you alone, so it may hold keys; asked for them, press Enter to leave
    them to the environment (APCA_API_KEY_ID, APCA_API_SECRET_KEY). An existing file is not touched without --force.

    Example: execution init --mode paper --watchlist AAPL,MSFT
    """
    from cli.configuring import Wanted, configure

    wanted = Wanted(mode=mode, watchlist=watchlist, bars=bars, daily=daily, account=account)
    raise typer.Exit(configure(wanted, ask=not yes, force=force, as_json=json))
