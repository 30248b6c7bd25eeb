"""A backtest: the engine of cli/inprocess over a scratch ledger, which becomes the home's when it is over."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import typer

from cli import market
from cli.columns.market import Unfit
from cli.columns.play import columns_of
from cli.columns.play import play as play_on_columns
from cli.inprocess.engine import Engine
from cli.inprocess.remembered import Remembering
from cli.options import settings_of_home
from cli.play import FRESH, Play, Start, begin, start_of
from cli.playing import settings_with
from cli.replay_run import Asked, play_of, show
from cli.show import compact_json, tracked
from cli.trouble import STOPPED, Trouble
from services.conductor.__main__ import Done
from services.market_data.sources import build_source
from services.state.__main__ import setup_of
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.contracts.vocabulary import HaltLevel
from shared.domain.calendar import Session
from shared.runtime.halt import HaltFile
from shared.runtime.loop import Stop
from shared.runtime.settings import RecordedFeed, Settings
from shared.runtime.supervisor import HomeLock


class Stopped(Exception):
    """Ctrl-C: a backtest does not go on later, it takes seconds."""


def run(asked: Asked, bar_by_bar: bool, as_json: bool) -> int:
    """Play what was asked for and print its outcome; returns the exit code. The home changes at the end alone."""
    settings = settings_of_home()
    play = play_of(asked, settings)
    settings = settings_with(variables_of(play))
    stop = Stop().on_signals()
    lock = HomeLock(settings.data_folder)
    try:
        start = start_of(settings.data_folder, play)
        began = time.monotonic()
        store = scratch_ledger()
        why = play_all(settings, store, market.sessions_from(play.first, play.last), stop, bar_by_bar=bar_by_bar)
        keep(settings, play, store, start)
        seconds = time.monotonic() - began
    except Stopped:
        typer.echo("stopped; nothing was kept", err=True)
        return STOPPED
    finally:
        lock.release()
    return show(settings, play, seconds, as_json, bar_by_bar=why)


def scratch_ledger() -> Store:
    """The ledger of a backtest while it runs."""
    return Store.in_memory(Remembering)


def variables_of(play: Play) -> dict[str, str]:
    """The environment in which `play` is played here; what only processes need is left out."""
    feed = {"kind": "recorded", "bars": play.market.bars, "daily": play.market.daily or None}
    return {
        "EV2_FEED": compact_json({**feed, "first": play.first, "last": play.last}),
        "EV2_CANDIDATES__WATCHLIST": compact_json(play.market.watchlist),
        "EV2_DATA__GRACE": "0",
        "EV2_BROKER__KIND": "exchange",
        "EV2_RUN__PACE": "conducted",
        "EV2_RUN__SALT": str(play.market.seed),
        "EV2_RUN__INSTALLATION": play.installation,
    }


def play_all(settings: Settings, store: Store, sessions: list[Session], stop: Stop, *, bar_by_bar: bool = False) -> str:
    """Every session in turn, into `store`; returns why it was played bar by bar, empty: on columns. Raises Stopped.

    bar_by_bar: asked for, even where columns would do.
    """

    def heed() -> None:
        if stop.asked:
            raise Stopped

    with store.transaction():
        store.set_note("installation", settings.run.installation)
    assert isinstance(settings.feed, RecordedFeed)
    setup = setup_of(settings)
    source = build_source(settings.feed, settings.data, settings.regime.symbol)
    engine = Engine(settings, setup, source, store, NeverHalted(), CandidateFiles(settings.home, setup))
    try:
        if bar_by_bar:
            raise Unfit("asked for")
        columns = columns_of(settings, sessions)
    except Unfit as why:
        for session in tracked(sessions, "playing"):
            engine.play(session, lambda at: heed())
        return str(why)
    play_on_columns(settings, store, engine, columns, sessions, heed)
    return ""


class NeverHalted(HaltFile):
    """The halt level of a backtest: what was said to this home concerns the account that it trades."""

    def __init__(self) -> None:
        super().__init__(Path())

    def read(self) -> HaltLevel | None:
        return None

    def write(self, level: HaltLevel) -> None:
        raise AssertionError(f"nobody halts a backtest, and this one was told {level}")


def keep(settings: Settings, play: Play, store: Store, start: Start) -> None:
    """Make the scratch ledger the home's, and say of what it is, as a replay over processes would have.

    Raises Trouble where it cannot be written; the home is then as it was.
    """
    data: Path = settings.data_folder
    fresh = data / FRESH
    try:
        # Written before anything is moved: a full disk must not cost the ledger that was here.
        store.backup(fresh)
    except (OSError, sqlite3.Error) as fault:
        for unfinished in data.glob(f"{FRESH}*"):
            unfinished.unlink(missing_ok=True)
        raise Trouble(
            f"{fresh} cannot be written ({fault}): make room or choose another --home; nothing of this home was changed"
        ) from None
    begin(data, play, Start.FIRST if start is Start.FIRST else Start.AFRESH)
    fresh.replace(settings.ledger)
    store.close()
    Done(data / "conductor.txt").set(play.last)
