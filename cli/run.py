"""`execution run`: the engine in cycles that say what they see, find and do."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home


def register(app: typer.Typer) -> None:
    app.command()(run)


def run(
    dry_run: Annotated[
        bool, typer.Option("--dry-run/--no-dry-run", help="Trade on the paper exchange, or at the configured broker.")
    ] = True,
    once: Annotated[bool, typer.Option("--once", help="One cycle: evaluate as of now, act, print, end.")] = False,
    poll_seconds: Annotated[
        float, typer.Option("--poll-seconds", min=0.5, help="Seconds between two printed cycles.")
    ] = 5.0,
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Take in the candidates, evaluate entries and positions, execute what is due; print each cycle.

    The same processes as `up`, from the same execution.toml. A recorded or synthetic feed is played to the end of its
    last session; a live one goes on until Ctrl-C. With --json, a line of JSON a cycle.

    Example: execution run --once
    """
    from cli.run_cycles import run_cycles

    raise typer.Exit(run_cycles(dry_run=dry_run, once=once, poll_s=poll_seconds, as_json=json))
