"""`execution tail STREAM`: what travels on the bus, a line an entry."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(tail)


def tail(
    stream: Annotated[str, typer.Argument(help="bars, intents, orders, journal, ... or one partition: bars:3")],
    count: Annotated[int, typer.Option("--count", min=1, help="So many of the newest entries first.")] = 10,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for more, until Ctrl-C.")] = True,
    symbol: Annotated[str | None, typer.Option("--symbol", help="Only entries about this one.")] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Show the newest entries of a stream, then follow it. With --json, a line of JSON an entry.

    Example: execution tail journal --symbol AAPL --count 20
    """
    from cli.tail_run import run

    run(stream, count, follow, symbol, json)
