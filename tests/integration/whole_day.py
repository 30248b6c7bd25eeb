"""Whole days for tests: over real processes, and the same in one process to compare with."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench.server import admin
from cli.inprocess.engine import Engine
from cli.picture import Picture, picture
from services.market_data.sources import build_source
from services.state.__main__ import setup_of
from services.state.digest import digest
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.domain import calendar
from shared.runtime.bus import Bus, BusDown
from shared.runtime.halt import HaltFile
from shared.runtime.settings import AlpacaFeed, BusSettings, load_settings

INSTALLATION: Final = "test"
SEED: Final = 26
SERVICES: Final = (
    "services.state",
    "services.market_data",
    "services.signals",
    "services.exchange",
    "services.executor --role protect",
    "services.executor --role entry",
    "services.executor --role listener",
    "services.conductor",
)


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    return {**kept, "EV2_RUN__INSTALLATION": INSTALLATION, **variables}


def play(
    home: Path,
    *options: str,
    variables: Mapping[str, str] | None = None,
    kills: Sequence[tuple[int, str]] = (),
) -> dict[str, Any]:
    """`execution demo OPTIONS --json` to its end; its summary.

    kills: (minute of the session, service), ascending; that process gets SIGKILL when the minute is reached.
    """
    with open(home.with_suffix(".out"), "w+") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "demo", "--home", str(home), "--seed", str(SEED), "--json", *options],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=_environment(variables or {}),
        )
        try:
            _kill_at(home, demo, list(kills))
            code = demo.wait(timeout=160)
        finally:
            demo.kill()
            demo.wait()
        out.seek(0)
        said = out.read()
    assert code == 0, said
    protected(home)
    summary: dict[str, Any] = json.loads(said[said.index("\n{") if not said.startswith("{") else 0 :])
    return summary


def _kill_at(home: Path, demo: subprocess.Popen[bytes], kills: list[tuple[int, str]]) -> None:
    client = admin(home / "data")
    bus = Bus(client, BusSettings(), "test")
    while kills and demo.poll() is None:
        minute, service = kills[0]
        if _minute(bus) >= minute:
            kills.pop(0)
            os.kill(_pid_of(service, home), signal.SIGKILL)
        time.sleep(0.01)
    client.close()
    assert not kills, f"the day ended before {kills}"


def _minute(bus: Bus) -> int:
    try:
        bus.life()
        return int(bus.client.hget(bus.key("conductor"), "minute") or 0)
    except BusDown:
        return 0


def _pid_of(service: str, home: Path) -> int:
    """Waits for it: it may just have been started again."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for folder in Path("/proc").iterdir():
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                owner = (folder / "environ").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if f"-m {service} " in command and f"EV2_HOME={home.resolve()}\0" in owner:
                return int(folder.name)
        time.sleep(0.05)
    raise AssertionError(f"{service} does not run")


def play_in_process(home: Path, variables: Mapping[str, str], first: str, last: str, watchlist: Sequence[str]) -> str:
    """The same sessions in this process; the ledger's digest."""
    home.mkdir(parents=True)
    settings = load_settings(
        {
            "EV2_HOME": str(home),
            "EV2_RUN__PACE": "conducted",
            "EV2_RUN__SALT": str(SEED),
            "EV2_CANDIDATES__WATCHLIST": json.dumps(list(watchlist)),
            **variables,
        }
    )
    store = Store.open(settings.ledger, lambda waited: None)
    with store.transaction():
        store.set_note("installation", INSTALLATION)
    setup = setup_of(settings)
    assert not isinstance(settings.feed, AlpacaFeed)
    source = build_source(settings.feed, settings.data, settings.regime.symbol)
    engine = Engine(settings, setup, source, store, HaltFile(home / "halt"), CandidateFiles(home, setup))
    for session in calendar.sessions(dt.date.fromisoformat(first), dt.date.fromisoformat(last)):
        engine.play(session)
    store.close()
    protected(home)
    return digest_of(home)


def protected(home: Path) -> None:
    """No share was a second without cover in the last session, and none was ever sold that was not held."""
    with closing(sqlite3.connect(home / "data" / "execution_v2.sqlite")) as ledger:
        notes = dict(ledger.execute("SELECT key, value FROM meta"))
    assert float(notes.get("unprotected_share_seconds") or 0) == 0
    assert int(notes.get("oversold_shares") or 0) == 0


def digest_of(home: Path) -> str:
    """Digest of the ledger in `home`."""
    with closing(sqlite3.connect(home / "data" / "execution_v2.sqlite")) as ledger:
        return digest(ledger)


def seen_in(home: Path, session: str | None = None) -> Picture:
    """What the ledger in `home` says of one session, or of the last."""
    ledger = home / "data" / "execution_v2.sqlite"
    seen = picture(ledger, dt.date.fromisoformat(session)) if session else picture(ledger)
    assert seen is not None
    return seen
