"""`execution digest` and `execution diff`: whether two ledgers are of the same day, and where they part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home

LedgerHome = Annotated[Path, typer.Argument(metavar="HOME", help="A folder with data/, as --home takes it.")]


def register(app: typer.Typer) -> None:
    app.command()(digest)
    app.command()(diff)


def digest(home: Home = None, json: AsJson = False) -> None:
    """Print the ledger's digest: equal digests, equal verdicts, intents, orders, fills and positions.

    Example: execution digest --home replayed
    """
    from cli.ledger_diff import show_digest

    raise typer.Exit(show_digest(json))


def diff(one: LedgerHome, other: LedgerHome, json: AsJson = False) -> None:
    """Name the first row in which two ledgers differ, and what caused it; exit code 1 if they do.

    Example: execution diff replayed backtested
    """
    from cli.ledger_diff import show_difference

    raise typer.Exit(show_difference(one, other, json))
