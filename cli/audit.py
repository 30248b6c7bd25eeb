"""`execution audit`: the ledger against the broker, every order with its cause, every share with its protection."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    date: Annotated[str, typer.Argument(metavar="DATE", help="The session, YYYY-MM-DD, or `last`.")] = "last",
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Recompute a session's books from the broker's side and compare the ledger with them.

    Shares no code with the ledger. Shows each order of the session with what led to it, and names whatever is off, by
    the invariants of docs/reliability.md. Ends with 1 if anything is.

    Example: execution audit 2026-01-09
    """
    from cli.auditor.command import show_audit

    raise typer.Exit(show_audit(date, json))
