"""`execution backup` and `execution restore`: the ledger kept safe while it is written, and put back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Where to; else a new file in data/backups.")
    ] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Copy the ledger into one file, while everything runs, and check the copy. Never replaces a file.

    Not in it: execution.toml and keys, the halt level, the tape, the bus (made again), the paper exchange's book.

    Example: execution backup
    """
    from cli.safekeeping import back_up

    raise typer.Exit(back_up(file, json))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `execution backup` made.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Put a backup in the ledger's place, while nothing runs here. The old ledger is kept in data/before-restore-*.

    The next start compares it with the broker before anything is planned, and takes in what happened since.

    Example: execution restore data/backups/execution_v2-20260109T150000Z.sqlite
    """
    from cli.safekeeping import put_back

    raise typer.Exit(put_back(file, json))
