"""`execution exchange`: the paper exchange alone, for any program that speaks Alpaca's API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(exchange)


def exchange(
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free one; it is printed.")] = 8765,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    bars: Annotated[
        Path | None, typer.Option("--bars", metavar="FILE", help="One-minute bars to trade against, Parquet or CSV.")
    ] = None,
    session: Annotated[
        str | None, typer.Option("--session", metavar="DATE", help="The session of the file to play, YYYY-MM-DD.")
    ] = None,
    live_feed: Annotated[
        bool, typer.Option("--live-feed", help="Trade against Alpaca's live bars (keys in APCA_API_KEY_ID, ...).")
    ] = False,
    symbols: Annotated[
        str | None, typer.Option("--symbols", metavar="A,B", help="Whom the live feed follows; else the watchlist.")
    ] = None,
    speed: Annotated[
        float, typer.Option("--speed", min=0.01, help="Market seconds a second, from the session's opening.")
    ] = 1.0,
    faults: Annotated[
        Path | None, typer.Option("--faults", metavar="FILE", help="Fault script (TOML): what is to go wrong.")
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Open the routes /admin/...: faults and halts by hand.")
    ] = False,
    json_log: Annotated[
        Path | None, typer.Option("--json-log", metavar="FILE", help="A JSON line for each request and trade update.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option("--requests-per-minute", min=0, help="Answer 429 above this; Alpaca's is 200.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin with an empty book; the old one is put aside.")] = False,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Run the paper exchange alone: REST, /stream and /v2/iex on one port, keys demo and demo.

    With --bars and --session it plays that session from its opening; with --live-feed it follows the market; with
    neither it takes orders and never fills one. Its book stands in the home folder and is gone on with after a restart.

    Example: execution exchange --port 8765 --bars bars.parquet --session 2015-02-11 --speed 20 --json-log log.jsonl
    """
    from cli.exchange_run import Wanted, run

    wanted = Wanted(
        host=host,
        port=port,
        bars=bars,
        session=session,
        live_feed=live_feed,
        symbols=symbols,
        speed=speed,
        faults=faults,
        admin=admin,
        json_log=json_log,
        requests_per_minute=requests_per_minute,
        fresh=fresh,
    )
    raise typer.Exit(run(wanted, json))
