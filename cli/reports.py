"""Commands that look back: `execution report` over sessions, `execution explain` at one order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(report)
    app.command()(explain)


def report(
    date: Annotated[
        str | None, typer.Argument(metavar="[DATE]", help="A session, YYYY-MM-DD; else the ledger's latest.")
    ] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="Every session from this day on.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Up to this day; else to the latest.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as a page too: one file, with plots.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FOLDER", help="Write its tables too, a CSV file each.")
    ] = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Report on sessions: trades in dollars and R, slippage, what the refused did, protection gaps, equity.

    What each figure means, with its formula: docs/reports.md.

    Example: execution report --from 2015-02-02 --to 2015-02-27 --html february.html
    """
    from cli.reporting.command import Asked, run

    run(Asked(date=date, first=first, last=last, html=html, csv=csv), json)


def explain(
    order: Annotated[
        str, typer.Argument(metavar="ORDER", help="Our order id, the broker's, an intent's, or the beginning of one.")
    ],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Explain an order: bar, verdict, intent, admission and size, requests and answers, fills, and its trade.

    A beginning does where only one order has it.

    Example: execution explain e7f3-150226-FB-entry-1
    """
    from cli.explaining.command import run

    run(order, json)
