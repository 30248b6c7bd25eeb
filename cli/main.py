"""`execution`: the commands. Parse, ask, show; what they need is imported inside them, so that help is quick."""

from __future__ import annotations

import atexit
import gc

import typer

from cli import (
    acl,
    audit,
    backup,
    check,
    completion,
    demo,
    digests,
    exchange,
    fetch,
    init,
    lookahead,
    operate,
    replays,
    reports,
    research,
    run,
    simulate,
    sweep,
    tail,
    up,
    views,
)
from cli.options import AsJson, Home
from cli.trouble import Commands

app = typer.Typer(
    name="execution",
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    help=(
        "Buys confirmed breakouts from a list of candidates, protects, trims and leaves them. Dry run by default.\n\n"
        "Exit codes: 0 done, 1 something is not well, 2 bad input, 3 not confirmed, 130 stopped by Ctrl-C.\n\n"
        "Example: execution demo"
    ),
)


@app.callback(invoke_without_command=True)
def root(context: typer.Context, home: Home = None) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def version(json: AsJson = False) -> None:
    """Print this program's version.

    Example: execution version
    """
    from importlib.metadata import version as installed

    from cli.show import print_json

    number = installed("execution-v2")
    if json:
        print_json({"version": number})
    else:
        typer.echo(f"execution {number}")


for part in (
    demo,
    up,
    run,
    exchange,
    fetch,
    init,
    operate,
    check,
    completion,
    backup,
    audit,
    replays,
    sweep,
    simulate,
    lookahead,
    digests,
    views,
    reports,
    tail,
    research,
    acl,
):
    part.register(app)


def main() -> None:
    """The entry point."""
    atexit.register(gc.freeze)  # without it a last collection looks through all that a backtest holds: 55 ms
    completion.answer_the_shell()
    app(prog_name=completion.PROGRAM)


if __name__ == "__main__":
    main()
