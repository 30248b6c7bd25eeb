"""`execution completion`: the script that lets a shell complete commands and options."""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

import typer

PROGRAM: Final = "execution"
VARIABLE: Final = "_EXECUTION_COMPLETE"
Shell = Literal["bash", "zsh", "fish"]


def register(app: typer.Typer) -> None:
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")]) -> None:
    """Print the script with which bash, zsh or fish completes commands and options; load it in the shell's start file.

    Example: execution completion bash >> ~/.bashrc
    """
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell))


def answer_the_shell() -> None:
    """Where this process was started by a shell that completes, have its question answered instead of a command."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
