"""Errors of commands: one line on stderr (what, where, what to do), an exit code, never a traceback.

  0  done
  1  something is not well: a service, an order, a session that could not be finished
  2  bad input: a setting, a file, a date, a symbol, a port, a home; nothing was started or changed
  3  not confirmed: state did not answer a command
130  stopped by Ctrl-C
"""

from __future__ import annotations

import sys
from typing import Any, Final, NoReturn

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

DONE: Final = 0
NOT_WELL: Final = 1
BAD_INPUT: Final = 2
NOT_CONFIRMED: Final = 3
STOPPED: Final = 130

WHOLE: Final = 1_000
"""Characters of a sentence that are shown before it is cut."""
ONE_LINE: Final = {
    ("shared.runtime.settings", "BadSettings"): BAD_INPUT,
    ("shared.runtime.embedded", "NoServer"): BAD_INPUT,
    ("shared.runtime.supervisor", "AlreadyRunning"): BAD_INPUT,
    ("shared.runtime.supervisor", "ChildGaveUp"): NOT_WELL,
    ("shared.runtime.bus", "BusDown"): NOT_WELL,
    ("shared.runtime.tape", "NoTape"): BAD_INPUT,
    ("shared.domain.calendar", "NotASession"): BAD_INPUT,
    ("services.market_data.bar_files", "BadFile"): BAD_INPUT,
    ("services.state.store", "LedgerRefused"): BAD_INPUT,
}
"""Errors whose text is the line to show. Named, not imported: a command loads only what it needs."""


class Trouble(Exception):
    """A command cannot do what was asked. Its text is the one line."""

    def __init__(self, line: str, code: int = BAD_INPUT) -> None:
        super().__init__(line)
        self.code = code


class Commands(TyperGroup):
    """The root of all commands; the one place where their errors become a line and an exit code."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        options["standalone_mode"] = False
        try:
            code = super().main(*args, **options)
        except TyperException as fault:
            complain(f"{fault.format_message()} See `{_command_of(fault)} --help`.", fault.exit_code)
        except Exception as fault:
            code = exit_code_of(fault)
            if code is None:
                raise
            complain(str(fault), code)
        sys.exit(code if isinstance(code, int) else DONE)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Every command with its whole first sentence, over as many lines as the terminal needs."""
        commands = [self.get_command(ctx, name) for name in self.list_commands(ctx)]
        shown = [command for command in commands if command is not None and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.get_short_help_str(WHOLE)) for command in shown])


def exit_code_of(fault: Exception) -> int | None:
    """The exit code of an error whose text is a line for people; None for any other one, which is a bug."""
    if isinstance(fault, Trouble):
        return fault.code
    for (module, name), code in ONE_LINE.items():
        if module in sys.modules and isinstance(fault, getattr(sys.modules[module], name)):
            return code
    return None


def complain(text: str, code: int) -> NoReturn:
    """End with `text` as one line on stderr."""
    line = " ".join(text.split())
    typer.echo(f"execution: {line}", err=True)
    sys.exit(code)


def _command_of(fault: TyperException) -> str:
    context = getattr(fault, "ctx", None)
    return str(context.command_path) if context is not None else "execution"
