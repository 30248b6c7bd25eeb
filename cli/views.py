"""Commands that show what the ledger knows: status, candidates, intents, orders, positions, why."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home

Session = Annotated[str | None, typer.Option("--session", metavar="DATE", help="Only of this session, YYYY-MM-DD.")]


def register(app: typer.Typer) -> None:
    for command in (status, candidates, intents, orders, positions, why):
        app.command()(command)


def status(home: Home = None, json: AsJson = False) -> None:
    """Say how everything is: services, session, halt level, orders whose fate is unknown.

    Ends with 1 if something is not well, and names it.

    Example: execution status
    """
    from cli.status import show_status

    raise typer.Exit(show_status(json))


def candidates(home: Home = None, json: AsJson = False) -> None:
    """List the symbols that may be bought, each with its latest verdict.

    "spent" is a candidate that had its chance: it is not bought again in this session.

    Example: execution candidates
    """
    from cli.ledger_rows import candidates as rows
    from cli.views_run import show
    from shared.domain.words import reason_in_words

    columns = {
        "symbol": "symbol",
        "source": "source",
        "active": "active",
        "spent": "spent",
        "since": "since",
        "at": "judged",
        "reason": "verdict",
    }
    show("Candidates", rows, columns, json, words={"reason": reason_in_words})


def intents(session: Session = None, home: Home = None, json: AsJson = False) -> None:
    """List what was decided: entries, trims, raised stops and exits, and what became of each.

    Example: execution intents --session 2015-02-11
    """
    from cli.ledger_rows import intents as rows
    from cli.views_run import show_of_session

    columns = {"at": "decided", "id": "intent", "kind": "kind", "due": "due", "status": "status", "reason": "reason"}
    show_of_session("Intents", rows, session, columns, json)


def orders(session: Session = None, home: Home = None, json: AsJson = False) -> None:
    """List every order of ours, the stop legs included.

    Example: execution orders --session 2015-02-11
    """
    from cli.ledger_rows import orders as rows
    from cli.views_run import show_of_session

    columns = {
        "submitted_at": "at the broker",
        "client_order_id": "order",
        "side": "side",
        "type": "type",
        "qty": "shares",
        "filled_qty": "filled",
        "filled_avg_price": "at",
        "limit_price": "limit",
        "stop_price": "stop",
        "status": "status",
    }
    show_of_session("Orders", rows, session, columns, json)


def positions(home: Home = None, json: AsJson = False) -> None:
    """List what is held, with stop, targets and high water.

    Example: execution positions
    """
    from cli.ledger_rows import positions as rows
    from cli.views_run import show

    columns = {
        "symbol": "symbol",
        "qty": "shares",
        "avg_price": "paid",
        "stop": "stop",
        "stop_mode": "state",
        "pivot": "pivot",
        "r1": "R1",
        "r2": "R2",
        "high_water": "high water",
        "entered_at": "since",
    }
    show("Positions", rows, columns, json)


def why(
    symbol: Annotated[str, typer.Argument(help="The symbol that was bought, or not.")],
    time: Annotated[str | None, typer.Argument(help="HH:MM of New York, or ISO 8601: only the verdict then.")] = None,
    session: Session = None,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Say why a candidate was bought or not: one verdict for each closed 10-minute bar, and the account's.

    Of its latest session where none is named; with a time, the verdicts that stood then.

    Example: execution why AAPL 10:20
    """
    from cli.views_run import show_why

    show_why(symbol, time, session, json)
