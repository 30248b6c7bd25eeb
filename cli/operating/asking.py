"""Asking state: a command, its answer, and what it means for whoever typed it."""

from __future__ import annotations

import contextlib
import datetime as dt
import getpass
import secrets
from collections.abc import Iterator
from typing import Any, Final

import typer
from msgspec import Struct

from cli.options import settings_of_home
from cli.show import print_json
from cli.trouble import DONE, NOT_CONFIRMED, NOT_WELL
from shared.contracts import commands
from shared.contracts.commands import Command
from shared.contracts.journal import JournalEntry
from shared.runtime import health
from shared.runtime.bus import Bus, BusDown
from shared.runtime.commands import give
from shared.runtime.process import client_of
from shared.runtime.settings import Settings

WITHIN_S: Final = 5.0
REQUEST_S: Final = 2.0
"""A bus that does not answer is given up early: whoever halts must not wait for it."""


class Told(Struct, frozen=True, kw_only=True):
    """What came of a command. confirmed: state answered. done: and it obeyed."""

    command: str
    confirmed: bool
    done: bool
    text: str


def carry(kind: type[Command], as_json: bool, **fields: Any) -> int:
    """Give state a command and show its answer; the exit code."""
    told = told_of(settings_of_home(), made(kind, **fields))
    if as_json:
        print_json(told)
    else:
        typer.echo(told.text)
    return code_of(told)


def told_of(settings: Settings, command: Command, within_s: float = WITHIN_S) -> Told:
    """State's answer, or that there is none."""
    name = type(command).__name__.lower()
    asked = False
    try:
        with bus_in_haste(settings) as bus:
            bus.life()  # one that is not there is asked nothing
            asked = True
            answer = give(bus, command, within_s)
    except BusDown:
        text = f"{name} is not confirmed: the bus does not answer, " + (
            "so state may or may not get it; see `execution status`"
            if asked
            else "so nothing was asked and nothing comes of it; `execution up` starts this installation"
        )
        return Told(command=name, confirmed=False, done=False, text=text)
    if answer is None:
        text = (
            f"{name} is not confirmed: state did not answer in {within_s:.0f} s; it was taken back, nothing comes of it"
        )
        return Told(command=name, confirmed=False, done=False, text=text)
    return answered(name, answer)


def answered(name: str, answer: JournalEntry) -> Told:
    return Told(command=name, confirmed=True, done=answer.kind == commands.DONE, text=answer.text)


def code_of(told: Told) -> int:
    if not told.confirmed:
        return NOT_CONFIRMED
    return DONE if told.done else NOT_WELL


def made(kind: type[Command], **fields: Any) -> Command:
    """A command of this person, now."""
    name = kind.__name__.lower()
    return kind(id=f"{name}-{secrets.token_hex(6)}", at=dt.datetime.now(dt.UTC), by=_person(), **fields)


def _person() -> str:
    try:
        return getpass.getuser()[:60]
    except (KeyError, OSError):
        return "cli"


@contextlib.contextmanager
def bus_in_haste(settings: Settings) -> Iterator[Bus]:
    """A connection that gives up after two seconds."""
    client = client_of(settings, "cli", REQUEST_S)
    with contextlib.closing(client):
        yield Bus(client, settings.bus, "cli")


def state_silent_s(bus: Bus) -> float | None:
    """Seconds since state last said that it lives; None: nothing is known of it. Raises BusDown."""
    beats = [one.beat_age_s for one in health.services(bus, dt.datetime.now(dt.UTC)) if one.name.startswith("state")]
    return min(beats, default=None)
