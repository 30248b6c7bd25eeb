"""Options that many commands share, and what they lead to: the home, its settings, its bus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.runtime.settings import Settings


def _choose_home(home: Path | None) -> Path | None:
    """Let everything after this, children included, work in `home`: the variable is where settings look for it."""
    if home is not None:
        os.environ["EV2_HOME"] = str(home)
    return home


Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="FOLDER",
        callback=_choose_home,
        help="Folder of execution.toml and data/; else EV2_HOME, else the current folder.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON.")]


def settings_of_home() -> Settings:
    """The settings of the chosen home. Raises BadSettings."""
    from shared.runtime.settings import load_settings

    return load_settings()


def typed(command: str) -> str:
    """`command` as a person would type it here: with `--home` where that is not the current folder."""
    home = os.environ.get("EV2_HOME", "")
    return f"{command} --home {home}" if home and Path(home).resolve() != Path.cwd() else command
