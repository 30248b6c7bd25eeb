"""Where a sweep stands: what was asked, a file for each point that is done, one for each that failed."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from cli.sweeping.grid import Point, Vary, points
from cli.trouble import Trouble

ASKED: Final = "asked.json"
POINTS: Final = "points"


class Asked(Struct, frozen=True, kw_only=True):
    """What is played, and what is varied. Paths are absolute, so that workers may stand anywhere."""

    bars: str
    daily: str
    first: dt.date
    last: dt.date
    watchlist: tuple[str, ...]
    seed: int
    varied: tuple[Vary, ...]


class Result(Struct, frozen=True, kw_only=True):
    """What a point comes to. trades: closed ones. win_rate: fraction. change: of equity; it and the rest in dollars."""

    number: int
    settings: Mapping[str, str]
    trades: int
    held: int
    win_rate: float | None
    average_r: float | None
    realized: Decimal
    change: Decimal | None
    drawdown: Decimal
    digest: str


class Folder:
    """A sweep's folder, which is also the home of its server."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, asked: Asked) -> None:
        """Begin, or go on with the same. Raises Trouble for another question's folder."""
        note = self.path / ASKED
        if note.exists():
            if self.asked() != asked:
                raise Trouble(f"{self.path} holds another sweep: give what {note} says, or another --out")
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise Trouble(f"{self.path} is not empty and holds no sweep: name another --out")
        try:
            (self.path / POINTS).mkdir(parents=True, exist_ok=True)
            _write(note, msgspec.json.encode(asked))
        except OSError as fault:
            raise Trouble(f"{self.path} cannot be written ({fault.strerror}): name another --out") from None

    def asked(self) -> Asked:
        """Raises Trouble where no sweep was begun."""
        try:
            return msgspec.json.decode((self.path / ASKED).read_bytes(), type=Asked)
        except (OSError, msgspec.DecodeError):
            raise Trouble(f"{self.path} holds no sweep: begin one there with `execution sweep`") from None

    def points(self) -> list[Point]:
        return points(self.asked().varied)

    def result(self, number: int) -> Result | None:
        path = self._of(number, "json")
        return msgspec.json.decode(path.read_bytes(), type=Result) if path.exists() else None

    def results(self) -> list[Result]:
        return [result for point in self.points() if (result := self.result(point.number)) is not None]

    def done(self) -> set[int]:
        return {int(path.stem) for path in (self.path / POINTS).glob("*.json")}

    def keep(self, result: Result) -> None:
        _write(self._of(result.number, "json"), msgspec.json.encode(result))

    def fail(self, number: int, why: str) -> None:
        _write(self._of(number, "failed"), why.encode())

    def failures(self) -> dict[int, str]:
        return {int(path.stem): path.read_text() for path in sorted((self.path / POINTS).glob("*.failed"))}

    def forget_failures(self) -> None:
        for path in (self.path / POINTS).glob("*.failed"):
            path.unlink()

    def _of(self, number: int, kind: str) -> Path:
        return self.path / POINTS / f"{number:05}.{kind}"


def missing(all_points: Sequence[Point], done: set[int]) -> list[int]:
    return [point.number for point in all_points if point.number not in done]


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all; two workers that finish the same point write the same."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
