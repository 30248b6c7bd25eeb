"""One point: the backtest that `execution backtest` would play with these settings, and its figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from cli.backtest import play_all, scratch_ledger, variables_of
from cli.ledger import reading
from cli.market import sessions_from
from cli.play import Market as Played
from cli.play import Play
from cli.replay_run import installation_of
from cli.reporting.reading import rows_of
from cli.reporting.report import report_of
from cli.reporting.rows import Market
from cli.sweeping.folder import Asked, Result
from cli.sweeping.grid import Point
from shared.runtime.loop import Stop
from shared.runtime.settings import Settings, load_settings

WITHOUT_MINUTES = Market(source="", recorded={}, missing={})
"""Equity at closes will do here; `execution report` draws it minute by minute."""


def settings_of(asked: Asked, point: Point, home: Path) -> Settings:
    """Raises BadSettings for a value outside its bounds."""
    play = Play(
        market=Played(bars=asked.bars, daily=asked.daily, seed=asked.seed, watchlist=asked.watchlist),
        first=asked.first,
        last=asked.last,
        installation=installation_of(asked.seed),
    )
    return load_settings({**_told(os.environ), **variables_of(play), **point.variables, "EV2_HOME": str(home)})


def result_of(asked: Asked, point: Point, home: Path, stop: Stop) -> Result:
    """Play it. Raises cli.backtest.Stopped."""
    settings = settings_of(asked, point, home)
    store = scratch_ledger()
    play_all(settings, store, sessions_from(asked.first, asked.last), stop)
    with tempfile.TemporaryDirectory() as scratch:
        ledger = Path(scratch) / "ledger.sqlite"
        store.backup(ledger)
        with reading(ledger) as database:
            rows = rows_of(database, asked.first, asked.last)
    assert rows is not None, point
    totals = report_of(rows, WITHOUT_MINUTES, settings.stop).totals
    result = Result(
        number=point.number,
        settings=point.settings,
        trades=totals.closed,
        held=totals.held,
        win_rate=totals.win_rate,
        average_r=totals.average_r,
        realized=totals.realized,
        change=totals.change,
        drawdown=totals.drawdown.dollars if totals.drawdown is not None else Decimal(0),
        digest=store.digest(),
    )
    store.close()
    return result


def _told(environment: Mapping[str, str]) -> dict[str, str]:
    """What a person set for all points, such as EV2_LIMITS__MAX_POSITIONS; where the queue stands is not of it."""
    place = ("EV2_HOME", "EV2_REDIS_URL", "EV2_CONFIG")
    return {name: value for name, value in environment.items() if name not in place}
