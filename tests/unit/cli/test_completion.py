"""Shells complete commands and options, asked in the way of the scripts that `execution completion` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Execute

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("words", "found"), [("execution ba", {"backtest", "backup"}), ("execution demo --se", {"--session", "--seed"})]
)
def test_bash_completes_commands_and_options(
    words: str, found: set[str], execute: Execute, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on PATH")
    assert execute("completion", "bash") == 0
    program = tmp_path / "execution"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    program.chmod(0o755)
    split = words.split()
    asking = f"COMP_WORDS=({words}); COMP_CWORD={len(split) - 1}; _execution_completion {program}"
    script = f'{capsys.readouterr().out}\n{asking}\nprintf "%s\\n" "${{COMPREPLY[@]}}"\n'
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = subprocess.run([bash, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert set(said.stdout.split()) == found


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_of_their_own(
    shell: str, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("completion", shell) == 0
    assert f"complete_{shell}" in capsys.readouterr().out
