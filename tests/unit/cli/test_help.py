from __future__ import annotations

import subprocess
import sys

import pytest

from cli.main import app
from tests.unit.cli.conftest import Execute

COMMANDS = sorted(command.callback.__name__ for command in app.registered_commands if command.callback is not None)
PROMISED = {
    "up", "run", "demo", "breakouts", "levels", "regime", "calendar", "status", "candidates", "intents", "orders",
    "positions", "why", "tail", "version",
}  # fmt: skip

PRINTS_NO_RESULT = {"completion", "sweep_worker"}


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(
    command: str, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(command.replace("_", "-") if command in PRINTS_NO_RESULT else command, "--help") == 0
    text = capsys.readouterr().out
    assert "Example: execution" in text
    assert "--json" in text or command in PRINTS_NO_RESULT


def test_without_a_command_help_is_shown(execute: Execute, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute() == 0
    assert "Commands:" in capsys.readouterr().out


def test_help_loads_no_heavy_library() -> None:
    heavy = ["polars", "redis", "rq", "exchange_calendars", "pandas", "numpy", "rich.live", "alpaca"]
    code = f"import cli.main, sys; print([name for name in {heavy} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_home_may_stand_before_or_after_the_command(execute: Execute, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("--home", "somewhere", "orders") == 2
    assert execute("orders", "--home", "somewhere") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == said[1]
    assert "no ledger at somewhere/data" in said[0]


def test_a_narrow_terminal_gets_every_commands_whole_sentence(
    execute: Execute, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    execute("--help")
    told = capsys.readouterr().out
    _, _, commands = told.partition("Commands:")
    assert "Sell everything: entries and stops are cancelled" in commands
    assert "..." not in commands
    assert max(map(len, told.splitlines())) <= 80
