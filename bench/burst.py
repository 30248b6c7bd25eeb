"""One minute of the whole US market at once: from the first XADD until the entries it confirms are durable.

Real processes: the bundled server, one `state`, `signals` replicas as asked for; this process is the feed. Fifty
candidates confirm their breakout at the close of the burst's minute; the figure ends when state says, after its
commit, that it has taken the decisions of every partition. Each round is a session of its own.

python -m bench.burst [--rounds N] [--signals N]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles
from typing import Final

from bench.server import admin
from shared.contracts import ids
from shared.contracts.market import Bar, Bars, DailyBar, DailyHistory, SessionOpened
from shared.contracts.message import Message
from shared.contracts.views import CandidateChanged, PartitionDecided
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.bus import Bus
from shared.runtime.embedded import start_server
from shared.runtime.settings import BusSettings
from shared.runtime.supervisor import ChildSpec, Supervisor

SYMBOLS: Final = 11_000
CANDIDATES: Final = 50
PIVOT: Final = 100.0
MINUTES: Final = 20
TARGET_MS: Final = (25, 60)
DEADLINE_S: Final = 20.0


class Rig:
    """The processes under measurement, and the feed's side of their bus."""

    def __init__(self, home: Path, signals: int) -> None:
        self.home = home
        self.server = start_server(home / "data")
        self.bus = Bus(admin(home / "data"), BusSettings(), "bench")
        self.market = [f"M{number:05d}" for number in range(SYMBOLS)]
        self.candidates = self.market[:: SYMBOLS // CANDIDATES][:CANDIDATES]
        self.position = {"positions": "0", "candidates": "0"}
        specs = [ChildSpec(name="state-1", module="services.state")]
        specs += [ChildSpec(name=f"signals-{number + 1}", module="services.signals") for number in range(signals)]
        environment = {
            "EV2_HOME": str(home),
            "EV2_BROKER__URL": "http://127.0.0.1:9",  # nobody answers there: entries are confirmed, not sent
            "EV2_CANDIDATES__WATCHLIST": json.dumps(self.candidates),
        }
        self.processes = Supervisor(specs, environment, home / "data")
        self.processes.start()
        self._await(lambda: self.bus.life().epoch > 0)
        self._await(lambda: len(list(self.bus.client.scan_iter(match="ev2:lease:signals:*"))) == self.bus.partitions)

    def stop(self) -> None:
        self.processes.stop()
        self.server.terminate()
        self.server.wait()

    def round(self, session: Session) -> float:
        """One session up to its burst; seconds from the first XADD to everything durable."""
        self.bus.publish(opening(session))
        self._await_candidates(session)
        self.bus.publish(histories(session, ["SPY", *self.candidates]))
        for minute in range(MINUTES - 1):
            self.bus.publish(self._bars(session, minute, self.candidates))
        self._await_decided(session.opens_at + dt.timedelta(minutes=MINUTES - 1))
        burst = self._bars(session, MINUTES - 1, self.market)
        started = time.perf_counter()
        self.bus.publish(burst)
        self._await_decided(session.opens_at + dt.timedelta(minutes=MINUTES))
        return time.perf_counter() - started

    def confirmed(self) -> int:
        """Entry intents in the ledger."""
        with closing(sqlite3.connect(f"file:{self.home / 'data' / 'execution_v2.sqlite'}?mode=ro", uri=True)) as ledger:
            [[count]] = ledger.execute("SELECT count(*) FROM entry_intents")
            return int(count)

    def memory(self) -> dict[str, str]:
        """Peak memory in MB by process, as each says itself."""
        names = sorted(key.decode() for key in self.bus.client.scan_iter(match="ev2:health:*"))
        return {
            name.removeprefix("ev2:health:"): (self.bus.client.hget(name, "memory_mb") or b"?").decode()  # type: ignore[union-attr]
            for name in names
        }

    def _bars(self, session: Session, minute: int, symbols: Sequence[str]) -> list[Bars]:
        rows: dict[int, list[Bar]] = {part: [] for part in range(self.bus.partitions)}
        price = PIVOT + 0.2 + minute * 0.001
        for symbol in symbols:
            rows[ids.partition_of(symbol, self.bus.partitions)].append(
                Bar(symbol, price, price + 0.05, price - 0.05, price, 1000.0)
            )
        start = session.opens_at + dt.timedelta(minutes=minute)
        end = start + dt.timedelta(minutes=1)
        return [
            Bars(id=ids.minute_id("bars", part, end), at=end, partition=part, minute=start, rows=tuple(rows[part]))
            for part in rows
        ]

    def _await_decided(self, minute: dt.datetime) -> None:
        missing = set(range(self.bus.partitions))
        deadline = time.monotonic() + DEADLINE_S
        while missing:
            for message in self._read("positions"):
                if isinstance(message, PartitionDecided) and message.through >= minute:
                    missing.discard(message.partition)
            if time.monotonic() > deadline:
                raise SystemExit(f"burst: partitions {sorted(missing)} did not decide {minute} in {DEADLINE_S:.0f} s")

    def _await_candidates(self, session: Session) -> None:
        missing = set(self.candidates)
        deadline = time.monotonic() + DEADLINE_S
        while missing:
            for message in self._read("candidates"):
                if isinstance(message, CandidateChanged) and message.session == session.session and message.active:
                    missing.discard(message.symbol)
            if time.monotonic() > deadline:
                raise SystemExit(f"burst: {len(missing)} candidates were not taken in in {DEADLINE_S:.0f} s")

    def _read(self, stream: str) -> list[Message]:
        read = self.bus.read({stream: self.position[stream]}, block_ms=500, count=5000)
        if read:
            self.position[stream] = read[-1].entry_id
        return [entry.message for entry in read if entry.message is not None]

    def _await(self, condition: object) -> None:
        deadline = time.monotonic() + DEADLINE_S
        assert callable(condition)
        while not condition():
            if time.monotonic() > deadline:
                raise SystemExit("burst: the processes did not come up; see their logs")
            self.processes.tend()
            time.sleep(0.02)


def opening(session: Session) -> list[Message]:
    following = calendar.following(session.session)
    return [
        SessionOpened(
            id=f"opened-{session.session}",
            at=session.opens_at,
            session=session.session,
            opens_at=session.opens_at,
            closes_at=session.closes_at,
            early=session.early,
            previous=calendar.previous(session.session).session,
            following=following.session,
            following_opens_at=following.opens_at,
        )
    ]


def histories(session: Session, symbols: Sequence[str]) -> list[Message]:
    """Thirty days: a swing high at the pivot, a swing low under it, closes that rise and end below the pivot."""
    days = [calendar.previous(session.session, back).session for back in range(30, 0, -1)]
    bars = []
    for number, day in enumerate(days):
        close = 97.0 + number * 0.08
        high = PIVOT if number == 20 else close + 0.4
        low = close - (1.4 if number == 24 else 0.6)
        bars.append(DailyBar(day, close - 0.1, high, low, close, 1_000_000.0))
    return [
        DailyHistory(
            id=f"history-{session.session}-{symbol}",
            at=session.opens_at,
            session=session.session,
            symbol=symbol,
            bars=tuple(bars),
        )
        for symbol in symbols
    ]


def run(rounds: int = 40, signals: int = 1) -> None:
    """Print median and p99, what was confirmed, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder), signals)
        try:
            first = calendar.following(dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2))
            sessions = [first]
            while len(sessions) < rounds + 2:
                sessions.append(calendar.following(sessions[-1].session))
            took = [rig.round(session) * 1000 for session in sessions][2:]  # the first two warm the processes
            confirmed, memory = rig.confirmed(), rig.memory()
        finally:
            rig.stop()
    share = confirmed / (CANDIDATES * len(sessions))
    p99 = quantiles(took, n=100)[98] if len(took) > 1 else took[0]
    print(
        f"burst: {SYMBOLS} bars to {CANDIDATES} entry intents durable, {rounds} rounds, {signals} signals, "
        f"{os.cpu_count()} cores: median {median(took):.1f} ms, p99 {p99:.1f} ms "
        f"(targets {TARGET_MS[0]} and {TARGET_MS[1]}), confirmed {share:.0%} of the candidates"
    )
    print(f"burst: peak memory in MB: {memory}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--signals", type=int, default=1)
    asked = parser.parse_args()
    run(asked.rounds, asked.signals)


if __name__ == "__main__":
    main()
