"""`execution up` and `execution server`: the processes of a home in the foreground, as it is configured."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(server)


def up(home: Home = None, json: AsJson = False) -> None:
    """Run everything as execution.toml says, in the foreground, until it is stopped with Ctrl-C.

    Dry run against the paper exchange unless broker.kind says otherwise. A live feed trades by the clock; a recorded
    or synthetic one is played by the conductor, session after session. With --json, one line says what runs.

    Example: execution up --home ~/trading
    """
    from cli.up_run import run

    raise typer.Exit(run(json))


def server(
    home: Home = None,
    json: AsJson = False,
    seconds: Annotated[
        float | None, typer.Option("--seconds", min=0.1, help="End by itself after so many seconds.")
    ] = None,
) -> None:
    """Start the bundled server of a home alone, to look at what its streams hold. Nothing trades.

    Example: execution server
    """
    from cli.up_run import serve

    raise typer.Exit(serve(json, seconds))
