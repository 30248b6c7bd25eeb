"""`execution fetch`: Alpaca's history into a file that every command here reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(fetch)


def fetch(
    symbols: Annotated[str, typer.Option("--symbols", metavar="A,B|FILE", help="Whose bars; a file: a watchlist.")],
    from_: Annotated[str, typer.Option("--from", metavar="DATE", help="First session, YYYY-MM-DD.")],
    to: Annotated[str, typer.Option("--to", metavar="DATE", help="Last session, YYYY-MM-DD.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet", help="The file to write; it must not exist.")],
    timeframe: Annotated[
        Literal["1m", "1d"], typer.Option("--timeframe", help="1m: as traded. 1d: adjusted for splits.")
    ] = "1m",
    feed: Annotated[
        Literal["iex", "sip"] | None, typer.Option("--feed", help="Else feed.feed of the configuration, else iex.")
    ] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Fetch bars of the regular session from Alpaca into a Parquet file.

    What is there already stands in FILE.parts: stopped or killed, the same command goes on. Keys as for trading
    (APCA_API_KEY_ID, APCA_API_SECRET_KEY); those of a paper account will do.

    Example: execution fetch --symbols AAPL,MSFT,SPY --from 2026-01-05 --to 2026-01-30 --out bars_1m.parquet
    """
    from cli.fetching import Asked
    from cli.fetching import fetch as fetched

    asked = Asked.read(symbols, from_, to, out, timeframe, feed)
    raise typer.Exit(fetched(asked, json))
