"""A home of its own for every test, and commands called as the entry point calls them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.main import app

Execute = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home that EV2_HOME names; no other variable of ours is set, and all are put back afterwards."""
    for name in [name for name in os.environ if name.startswith("EV2_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EV2_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def execute(home: Path) -> Execute:
    """Runs one command line in this process; returns its exit code."""

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            app(list(arguments), prog_name="execution")
        assert isinstance(end.value.code, int)
        return end.value.code

    return run
