"""A home in the middle of a session: played in this process, and its streams put on a real bus."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Final

from cli.inprocess.engine import Engine
from services.market_data.sources import build_source
from services.state.__main__ import setup_of
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.contracts import streams
from shared.domain import calendar
from shared.runtime.bus import Bus
from shared.runtime.halt import HaltFile
from shared.runtime.settings import Settings, load_settings

SESSION: Final = dt.date(2026, 1, 13)
SYMBOLS: Final = ("ARVO", "BELQ", "CYNT", "DORM", "ELVA", "FJRD", "GLYN", "HAVN", "IXIO", "JUNO", "KELP", "LUMO")
TOLD: Final = ("positions", "bars", "journal", "alerts", "dead")


class Enough(Exception):
    """The minute is reached."""


def variables(home: Path, seed: int, breakout_rate: float) -> dict[str, str]:
    """The environment of every process of such a home."""
    feed = {"kind": "synthetic", "seed": seed, "symbols": len(SYMBOLS), "breakout_rate": breakout_rate}
    return {
        "EV2_HOME": str(home),
        "EV2_FEED": json.dumps(feed),
        "EV2_CANDIDATES__WATCHLIST": json.dumps(SYMBOLS),
        "EV2_RUN__PACE": "conducted",
        "EV2_RUN__SALT": str(seed),
        "EV2_RUN__INSTALLATION": "demo",
    }


def play(settings: Settings, until: dt.datetime, bus: Bus) -> None:
    """The session up to the minute that ends at `until`; the ledger is closed as state closes it."""
    setup = setup_of(settings)
    store = Store.open(settings.ledger)
    try:
        with store.transaction():
            store.set_note("installation", settings.run.installation)
        source = build_source(settings.feed, settings.data, settings.regime.symbol)
        lists = CandidateFiles(settings.home, setup)
        engine = Engine(settings, setup, source, store, HaltFile(settings.halt_file), lists)

        def look(at: dt.datetime) -> None:
            if at >= until:
                raise Enough

        try:
            engine.play(calendar.session(SESSION), look)
        except Enough:
            pass
        with store.transaction():  # as state would on this bus
            store.set_note("bus_run_id", bus.life().run_id)
        for name in streams.names(TOLD, range(bus.partitions)):
            bus.publish(entry.message for entry in engine.bus.after(name, "0") if entry.message is not None)
        bus.set_epoch(int(store.note("bus_epoch")))
    finally:
        store.close()


def settings_of(home: Path, seed: int = 12, breakout_rate: float = 0.10) -> Settings:
    return load_settings(variables(home, seed, breakout_rate))
