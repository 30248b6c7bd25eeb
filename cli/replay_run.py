"""A replay from what was asked for to its outcome: a demo's processes, with ids and draws that the seed gives."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import typer
from msgspec import Struct
from msgspec.structs import replace

from cli import demo_run
from cli.installation import Installation, home_held
from cli.options import settings_of_home
from cli.outcome import in_words, outcome_of
from cli.play import Play, Start, begin, start_of
from cli.playing import play_to_the_end, settings_with
from cli.screen import screen_for
from cli.show import print_json
from cli.trouble import DONE, NOT_WELL, STOPPED
from shared.runtime.loop import Stop
from shared.runtime.settings import Settings


class Asked(Struct, frozen=True, kw_only=True):
    """The options of both commands, as they were written."""

    bars: Path
    daily: Path | None
    session: str
    to: str | None
    watchlist: str | None
    seed: int

    def as_demo(self, signals: int = 1, executors: int = 1) -> demo_run.Asked:
        """The demo that plays the same."""
        return demo_run.Asked(
            bars=self.bars,
            daily=self.daily,
            session=self.session,
            to=self.to,
            watchlist=self.watchlist,
            seed=self.seed,
            speed="max",
            signals=signals,
            executors=executors,
        )


def run(asked: Asked, signals: int, executors: int, as_json: bool) -> int:
    """Play what was asked for and print its outcome; returns the exit code. Refuses before anything is started."""
    settings = settings_of_home()
    play = play_of(asked, settings)
    variables = demo_run.variables_of(play, asked.as_demo(signals, executors), settings)
    settings = settings_with({**variables, "EV2_RUN__INSTALLATION": play.installation, "EV2_RUN__SPEED": "0"})
    data = settings.data_folder
    stop = Stop().on_signals()
    with home_held(settings):
        start = start_of_replay(data, play)
        demo_run.prepare_bus(settings, start)
        begin(data, play, start)
        screen = screen_for(f"replay of {demo_run.title_of(play)}, {start}", as_json)
        began = time.monotonic()
        try:
            with Installation(settings) as installation:
                over = play_to_the_end(settings, installation, play.last, screen, stop)
                restarts = installation.restarts()
        finally:
            screen.close()
    if not over:
        typer.echo("stopped; the same command goes on from here", err=True)
        return STOPPED
    return show(settings, play, time.monotonic() - began, as_json, restarts=restarts, bar_by_bar="over processes")


def play_of(asked: Asked, settings: Settings) -> Play:
    """What was asked for, looked up in the market. Raises Trouble, BadFile or NotASession."""
    return replace(demo_run.play_of(asked.as_demo(), settings), installation=installation_of(asked.seed))


def installation_of(seed: int) -> str:
    """The prefix of our order ids: a function of the seed, so that two homes can be compared row by row."""
    return hashlib.sha256(f"replay {seed}".encode()).hexdigest()[:4]


def start_of_replay(data: Path, play: Play) -> Start:
    """As a demo's, but never over night with the ledger of another replay: its digest would be of both."""
    start = start_of(data, play)
    return Start.AFRESH if start is Start.NEXT_DAY else start


def show(
    settings: Settings, play: Play, seconds: float, as_json: bool, *, restarts: int = 0, bar_by_bar: str = ""
) -> int:
    """Print the outcome of a play that is over; returns the exit code. bar_by_bar: see `Outcome`."""
    outcome = replace(outcome_of(settings, play, seconds), restarts=restarts, bar_by_bar=bar_by_bar)
    if as_json:
        print_json(outcome)
    else:
        typer.echo(in_words(outcome))
    return NOT_WELL if outcome.counts["unresolved"] else DONE
