"""A home in the middle of a session: played once in this process; each desk gets a copy and a bus of its own."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench.server import admin
from cli.inprocess.engine import Engine
from services.market_data.sources import build_source
from services.state.__main__ import setup_of
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.contracts import streams
from shared.contracts.message import Message
from shared.domain import calendar
from shared.runtime.bus import Bus
from shared.runtime.embedded import start_server
from shared.runtime.halt import HaltFile
from shared.runtime.settings import AlpacaFeed, Settings, load_settings

SESSION: Final = dt.date(2026, 1, 13)
SEED: Final = 12
UNTIL: Final = dt.datetime(2026, 1, 13, 19, 0, tzinfo=dt.UTC)
"""14:00 in New York: CYNT and HAVN are held with R1 behind them, JUNO was bought and sold."""
SYMBOLS: Final = ("ARVO", "BELQ", "CYNT", "DORM", "ELVA", "FJRD", "GLYN", "HAVN", "IXIO", "JUNO", "KELP", "LUMO")
TOLD: Final = ("positions", "bars", "journal", "alerts", "dead")
TOKEN: Final = "open-sesame-open-sesame"
ROWS: Final = 10_000
HOSTILE: Final = '<img src=x onerror="document.title=1">'
DEADLINE_S: Final = 30.0


class Enough(Exception):
    """The minute is reached."""


class Played(Struct):
    """A home and what was said on its bus."""

    home: Path
    messages: list[Message]


def play(home: Path) -> Played:
    """The session up to `UNTIL`, with a journal of ten thousand rows more; closed as state closes it."""
    settings = load_settings(variables(home))
    assert not isinstance(settings.feed, AlpacaFeed)
    setup = setup_of(settings)
    store = Store.open(settings.ledger)
    try:
        with store.transaction():
            store.set_note("installation", settings.run.installation)
        source = build_source(settings.feed, settings.data, settings.regime.symbol)
        lists = CandidateFiles(settings.home, setup)
        engine = Engine(settings, setup, source, store, HaltFile(settings.halt_file), lists)

        def look(at: dt.datetime) -> None:
            if at >= UNTIL:
                raise Enough

        with contextlib.suppress(Enough):
            engine.play(calendar.session(SESSION), look)
        names = streams.names(TOLD, range(settings.bus.partitions))
        messages = [entry.message for name in names for entry in engine.bus.after(name, "0") if entry.message]
        with store.transaction():
            store.forget_stream_positions()
    finally:
        store.close()
    _lengthen(settings.ledger)
    return Played(home, messages)


def _lengthen(ledger: Path) -> None:
    """What ten thousand decisions more would have left, one of them told by somebody hostile."""
    with contextlib.closing(sqlite3.connect(ledger)) as database, database:
        said = [(f"check {number} of a long day", "") for number in range(ROWS)] + [(HOSTILE, "CYNT")]
        database.executemany(
            "INSERT INTO journal (at, kind, symbol, order_id, cause, text, figures)"
            " VALUES ('2026-01-13T18:59:00+00:00', 'check', ?, '', '', ?, '{}')",
            [(symbol, text) for text, symbol in said],
        )


def variables(home: Path) -> dict[str, str]:
    """The environment of every process of such a home."""
    return {
        "EV2_HOME": str(home),
        "EV2_FEED": json.dumps({"kind": "synthetic", "seed": SEED, "symbols": len(SYMBOLS)}),
        "EV2_CANDIDATES__WATCHLIST": json.dumps(SYMBOLS),
        "EV2_RUN__PACE": "conducted",
        "EV2_RUN__SALT": str(SEED),
        "EV2_RUN__INSTALLATION": "demo",
        "EV2_PAGE_TOKEN": TOKEN,
        "EV2_INSTANCE": "1",
    }


class Desk:
    """A home with its processes. bus: None where none runs."""

    def __init__(self, home: Path, bus: Bus | None, port: int, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        self.home = home
        self.bus = bus
        self.url = f"http://127.0.0.1:{port}"
        self.processes = processes

    def kill(self, name: str) -> None:
        """SIGKILL, as a machine would."""
        self.processes[name].kill()
        self.processes[name].wait()

    def halt_file(self) -> str:
        path = self.home / "data" / "halt"
        return path.read_text().strip() if path.exists() else ""

    def journal_end(self) -> int:
        with contextlib.closing(sqlite3.connect(self.home / "data" / "execution_v2.sqlite")) as database:
            return int(database.execute("SELECT max(seq) FROM journal").fetchone()[0])


@contextlib.contextmanager
def desk_of(played: Played, home: Path, *services: str) -> Iterator[Desk]:
    """A copy of the played home, `server` and `state` running where they are asked for, and the page."""
    shutil.copytree(played.home, home)
    settings = load_settings(variables(home))
    port = free_port()
    environment = {**os.environ, **variables(home), "EV2_PAGE__PORT": str(port)}
    environment.pop("PYTEST_CURRENT_TEST", None)  # NiceGUI looks for it, and would be another program
    processes: dict[str, subprocess.Popen[bytes]] = {}
    bus = None
    try:
        if "server" in services:
            processes["server"] = start_server(settings.data_folder)
            bus = Bus(admin(settings.data_folder), settings.bus, "state")
            _publish(settings, bus, played.messages)
        for name in ("state", "dashboard"):
            if name in services or name == "dashboard":
                with open(home / f"{name}.log", "wb") as log:
                    processes[name] = subprocess.Popen(
                        [sys.executable, "-m", f"services.{name}"], env=environment, stdout=log, stderr=log
                    )
        until(lambda: _answers(f"http://127.0.0.1:{port}/login", processes["dashboard"]), "the page")
        yield Desk(home, bus, port, processes)
    finally:
        for process in reversed(processes.values()):
            process.terminate()
        for process in reversed(processes.values()):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if bus is not None:
            bus.client.close()


def _publish(settings: Settings, bus: Bus, messages: Sequence[Message]) -> None:
    """Everything that was said, as in the ledger's life of the bus; state has read all of it."""
    store = Store.open(settings.ledger)
    bus.epoch = int(store.note("bus_epoch"))
    bus.publish(messages)
    with store.transaction():
        store.set_note("bus_run_id", bus.life().run_id)
        store.set_stream_positions(bus.last_ids(streams.names(("bars",), range(bus.partitions))))
    store.close()
    bus.set_epoch(bus.epoch)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for it, not longer than the deadline."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, f"{what}: not in {DEADLINE_S:.0f} s"
        time.sleep(0.05)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the page's process ended; see dashboard.log in its home"
    try:
        with urllib.request.urlopen(url, timeout=1) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
