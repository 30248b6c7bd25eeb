"""What a demo plays, and what that means for a home that has played before.

A demo's home holds `data/demo.json`, which says what its ledger is of. Asked for the same again, an interrupted
session goes on from where it was; the session that follows the last one goes on with the same ledger, over night;
anything else, a finished session included, starts afresh, and what was there is kept in `data/previous`.
"""

from __future__ import annotations

import datetime as dt
import shutil
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from cli.trouble import Trouble
from shared.domain import calendar

RECORD: Final = "demo.json"
PREVIOUS: Final = "previous"
LOCK: Final = "up.lock"
FRESH: Final = "backtest.sqlite"
"""A ledger that is whole and waits to take the place of the one before."""


class Market(Struct, frozen=True, kw_only=True):
    """Where the bars come from: absolute paths of files, both empty for the synthetic market of `seed`.

    seed: goes into every draw as well.
    """

    bars: str
    daily: str
    seed: int
    watchlist: tuple[str, ...]


class Play(Struct, frozen=True, kw_only=True):
    """Sessions `first` to `last` of a market. bus: names the server it is played on, empty for the home's own.

    installation: prefix of our order ids where it is given (replays), empty where the ledger draws its own.
    """

    market: Market
    first: dt.date
    last: dt.date
    bus: str = ""
    installation: str = ""


class Start(StrEnum):
    """How a play begins, in the words that the screen shows."""

    FIRST = "starts"
    RESUMED = "goes on where it was interrupted"
    NEXT_DAY = "goes on over night"
    AFRESH = "starts afresh; the session before is kept in data/previous"


def start_of(data: Path, play: Play) -> Start:
    """How `play` begins in a home with this data folder. Raises Trouble for a ledger that is no demo's."""
    if not (data / RECORD).exists():
        if (data / "execution_v2.sqlite").exists():
            raise Trouble(f"{data} holds a ledger that is no demo's; choose another folder with --home")
        return Start.FIRST
    old = read_record(data / RECORD)
    over = _over(data)
    if old == play and (over is None or over < play.last):
        return Start.RESUMED
    same_place = (old.market, old.bus, old.installation) == (play.market, play.bus, play.installation)
    if same_place and over == old.last and calendar.following(old.last).session == play.first:
        return Start.NEXT_DAY
    return Start.AFRESH


def begin(data: Path, play: Play, start: Start) -> None:
    """Make the data folder ready for `play` and write down what it is. The home's lock must be held."""
    if start is Start.AFRESH:
        _set_aside(data)
    (data / RECORD).write_bytes(msgspec.json.encode(play))


def read_record(path: Path) -> Play:
    """What a home played last. Raises Trouble."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Play)
    except (OSError, msgspec.DecodeError) as fault:
        raise Trouble(f"{path} cannot be read ({fault}); remove {path.parent} or choose another --home") from None


def _over(data: Path) -> dt.date | None:
    """The last session that is over, as the conductor wrote it down."""
    try:
        return dt.date.fromisoformat((data / "conductor.txt").read_text().strip())
    except (OSError, ValueError):
        return None


def _set_aside(data: Path) -> None:
    previous = data / PREVIOUS
    shutil.rmtree(previous, ignore_errors=True)
    kept = [path for path in data.iterdir() if path.name not in (PREVIOUS, LOCK, FRESH)]
    previous.mkdir()
    for path in kept:
        path.rename(previous / path.name)
