"""`execution check`: every gate before trading, green or red, with what to do."""

from __future__ import annotations

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(home: Home = None, json: AsJson = False) -> None:
    """Look at everything that trading needs, before it or while it runs. Changes nothing.

    Ends with 0 where no gate is red, else with 1. Yellow is worth a look and stops nothing.

    Example: execution check
    """
    from cli.operating.preflight import show

    raise typer.Exit(show(json))
