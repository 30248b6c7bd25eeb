"""Gives the points out, looks on until all are done, and shows what came of it."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from cli.installation import end
from cli.options import settings_of_home
from cli.replay_run import Asked as Replayed
from cli.replay_run import play_of
from cli.show import print_json
from cli.sweeping.folder import Asked, Folder, Result, missing
from cli.sweeping.grid import Point, Vary, points
from cli.sweeping.point import settings_of
from cli.sweeping.shown import csv_of, page_of, print_results, ranked
from cli.sweeping.worker import QUEUE
from cli.trouble import DONE, NOT_WELL, STOPPED, Trouble
from shared.contracts.outgoing import Job
from shared.runtime.bus import Bus
from shared.runtime.children import die_with_parent
from shared.runtime.embedded import start_server
from shared.runtime.loop import Stop
from shared.runtime.process import connect
from shared.runtime.settings import BadSettings, Settings
from shared.runtime.supervisor import HomeLock

LOOK_S: Final = 0.1
AGAIN_S: Final = 60.0
"""Seconds without any result after which what is not done is given out again: a worker elsewhere may have died."""


class Swept(Struct, frozen=True, kw_only=True):
    """What `sweep --json` says. best: the most realized. results: in the order of the grid."""

    folder: str
    combinations: int
    best: Result
    results: tuple[Result, ...]


def sweep(replayed: Replayed, varied: Sequence[Vary], out: Path, workers: int, as_json: bool) -> int:
    """Returns the exit code. Raises Trouble; what is done stays done, and the same command goes on."""
    settings = settings_of_home()
    play = play_of(replayed, settings)
    market = play.market
    asked = Asked(
        bars=market.bars,
        daily=market.daily,
        first=play.first,
        last=play.last,
        watchlist=market.watchlist,
        seed=market.seed,
        varied=tuple(varied),
    )
    grid = points(varied)
    for point in grid:
        _try(asked, point, out)
    folder = Folder(out)
    folder.open(asked)
    folder.forget_failures()
    os.environ["EV2_HOME"] = str(out)
    here = settings_of_home()
    stop = Stop().on_signals()
    lock = HomeLock(here.data_folder)
    try:
        if missing(grid, folder.done()):
            with _server(here), _workers(out, workers) as crew:
                _give_and_wait(folder, grid, connect(here, "state"), crew, stop)
    finally:
        lock.release()
    if stop.asked:
        typer.echo(f"stopped; {len(folder.done())} of {len(grid)} are done, the same command goes on", err=True)
        return STOPPED
    return _show(folder, asked, grid, as_json)


def _try(asked: Asked, point: Point, out: Path) -> None:
    """Every value is looked at before anything is played."""
    try:
        settings_of(asked, point, out)
    except BadSettings as fault:
        said = ", ".join(f"{name}={value}" for name, value in point.settings.items())
        raise Trouble(f"--vary {said}: {fault}") from None


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    """The folder's own server, unless one is configured."""
    if settings.bus.url is not None:
        yield
        return
    child = start_server(settings.data_folder, settings.bus.prefix)
    try:
        yield
    finally:
        end(child)


class _Crew:
    """Workers on this machine: as many as asked for, a dead one is followed by another."""

    def __init__(self, out: Path, count: int) -> None:
        self._out = out
        self._hands = [self._start() for _ in range(count)]

    def tend(self) -> bool:
        """Whether one had died."""
        died = False
        for place, child in enumerate(self._hands):
            if child.poll() is not None:
                died = True
                self._hands[place] = self._start()
        return died

    def end(self) -> None:
        for child in self._hands:
            end(child)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "cli.main", "sweep-worker", str(self._out)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - started from this one thread
            start_new_session=True,
        )


@contextmanager
def _workers(out: Path, count: int) -> Iterator[_Crew]:
    crew = _Crew(out, count)
    try:
        yield crew
    finally:
        crew.end()


def _give_and_wait(folder: Folder, grid: Sequence[Point], bus: Bus, crew: _Crew, stop: Stop) -> None:
    """Until every point is done or failed, or a stop is asked for. Raises BusDown."""
    rounds = itertools.count(1)

    def give() -> None:
        round_ = next(rounds)
        bus.publish(
            Job(id=f"sweep-{number}-{round_}", queue=QUEUE, actions=(str(number),), attempts=(1,))
            for number in missing(grid, folder.done() | folder.failures().keys())
        )

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("playing", total=len(grid))
        give()
        seen, since = -1, time.monotonic()
        while not stop.asked:
            over = len(folder.done() | folder.failures().keys())
            progress.update(task, completed=over)
            if over >= len(grid):
                return
            if over != seen:
                seen, since = over, time.monotonic()
            if crew.tend() or time.monotonic() - since > AGAIN_S:
                since = time.monotonic()
                give()
            time.sleep(LOOK_S)


def _show(folder: Folder, asked: Asked, grid: Sequence[Point], as_json: bool) -> int:
    failed, results = folder.failures(), folder.results()
    for number, why in failed.items():
        said = ", ".join(f"{name}={value}" for name, value in grid[number].settings.items())
        typer.echo(f"{said} failed: {why}", err=True)
    if not results:
        return NOT_WELL
    (folder.path / "results.csv").write_text(csv_of(asked, results), encoding="utf-8", newline="")
    if len(asked.varied) == 2:
        (folder.path / "heatmap.html").write_text(page_of(asked, results), encoding="utf-8")
    if as_json:
        best = ranked(results)[0]
        print_json(Swept(folder=str(folder.path), combinations=len(grid), best=best, results=tuple(results)))
    else:
        print_results(asked, results)
        typer.echo(f"written: {folder.path / 'results.csv'}")
    return NOT_WELL if failed else DONE
