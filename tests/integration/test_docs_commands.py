"""Every command in a `sh` block of the pages is run here as it stands, in a home where a demo was played before."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.unit.market_files import MARKET

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"redis.md"}
"""Asked of a demo that still runs: tests/integration/test_permissions_day.py."""
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md")]
    if page.name not in ELSEWHERE
)
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = {"BARS": "bars_1m_us6_2014-11_2015-07.parquet", "DAILY": "bars_1d_us24_2018-01_2019-02.parquet"}
PATIENCE_S = 170


class Command(NamedTuple):
    page: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text}"


def commands() -> list[Command]:
    """In the order of the pages and of each page."""
    return [
        Command(page.relative_to(ROOT).as_posix(), line)
        for page in PAGES
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.strip()
    ]


FOR_MAKE = [command for command in commands() if command.text.startswith("make ")]
TO_RUN = [command for command in commands() if not command.text.startswith("make ")]


def environment() -> dict[str, str]:
    """What a person has whose virtual environment is active."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{clean.get('PATH', '')}"
    if shutil.which("redis-cli", path=path) is None:
        path = f"{path}{os.pathsep}{stand_in()}"
    return {**clean, "PATH": path, "PYTHONPATH": str(ROOT)}


@cache
def stand_in() -> Path:
    """A folder with a `redis-cli` that asks and shows as the real one does."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    program = folder / "redis-cli"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.integration.redis_cli "$@"\n')
    program.chmod(0o755)
    return folder


def run(text: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", text],
        cwd=home,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home in which `execution demo` was played, and what it printed."""
    home = tmp_path_factory.mktemp("home")
    done = run("execution demo", home)
    assert done.returncode == 0, done.stderr
    return home, done.stdout


@pytest.mark.parametrize("command", FOR_MAKE, ids=lambda command: command.name)
def test_a_target_that_a_page_names_exists(command: Command) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(command.text.split()[1:]) <= set(targets)


@pytest.mark.timeout(2 * PATIENCE_S)
@pytest.mark.parametrize("command", TO_RUN, ids=lambda command: command.name)
def test_a_command_of_a_page_does_what_it_says(command: Command, played: tuple[Path, str]) -> None:
    home, _ = played
    program = command.text.split()[0]
    if shutil.which(program, path=environment()["PATH"]) is None:
        pytest.skip(f"no {program} here")
    files = {name: MARKET / file for name, file in FILES.items() if f"${name}" in command.text}
    if not all(file.exists() for file in files.values()):
        pytest.skip(f"no recorded market at {MARKET}")
    with serving(home, wanted=program == "redis-cli"):
        done = run(command.text, home, **{name: str(file) for name, file in files.items()})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it says nothing"
    assert "Traceback" not in done.stderr


@contextmanager
def serving(home: Path, *, wanted: bool) -> Iterator[None]:
    """The home's server, for commands that look at it."""
    if not wanted:
        yield
        return
    server = subprocess.Popen(["execution", "server"], cwd=home, env=environment(), stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdout is not None
        assert server.stdout.readline()
        yield
        server.terminate()


def test_the_summary_that_the_readme_shows_has_the_lines_of_the_demo(played: tuple[Path, str]) -> None:
    _, printed = played
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```\nSession ")[2].partition("\n```")[0]
    assert heads(f"Session {shown}") == heads(printed.partition("\nSession ")[1] + printed.partition("\nSession ")[2])


def heads(text: str) -> list[str]:
    """The first word of every line."""
    return [line.split()[0] for line in text.splitlines() if line.strip()]
