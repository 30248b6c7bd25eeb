"""Market data as a real process on a real server: killed, it goes on; two of them, and one feeds."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.market_data.synthetic_source import SyntheticSource, write_files
from shared.contracts import streams
from shared.contracts.clock import Fed, Tick, TickPhase
from shared.contracts.market import Bars
from shared.contracts.message import Message
from shared.domain import calendar
from shared.domain.calendar import MINUTE
from shared.runtime.bus import Bus
from tests.integration.market_data_server import wait_for
from tests.unit.market_data.making import candidate

ROOT = Path(__file__).resolve().parents[2]
DAY = calendar.session(dt.date(2015, 2, 11))
DEADLINE_S = 30.0
Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A recorded feed: one session of one stock and the index, with the days before."""
    bars, daily = write_files(SyntheticSource(3, ["AAPL"]), [DAY], tmp_path)
    return {"EV2_FEED": f'{{"kind": "recorded", "bars": "{bars}", "daily": "{daily}", "first": "{DAY.session}"}}'}


@pytest.fixture
def start(server_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a process in the conducted pace; all that were started are gone afterwards."""
    started: list[Process] = []

    def start_one(name: str, **environment: str) -> Process:
        given = {
            "EV2_HOME": str(tmp_path),
            "EV2_REDIS_URL": server_url,
            "EV2_RUN__PACE": "conducted",
            "EV2_INSTANCE": name,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "services.market_data"],
            cwd=ROOT,
            env=os.environ | given | environment,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.communicate(timeout=5)


class Conductor:
    """Gives ticks, and waits for each answer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def give(self, phase: TickPhase, minute: int = 0) -> None:
        at = DAY.opens_at + minute * MINUTE
        tick = Tick(
            id=f"tick-{at:%y%m%dT%H%M}-{phase}",
            at=at,
            session=DAY.session,
            phase=phase,
            upto=self._bus.last_ids(("candidates", "positions")),
        )
        self._bus.publish([tick])
        wait_for(lambda: tick.id in self._answered(), DEADLINE_S)

    def _answered(self) -> set[str]:
        return {message.cause for message in self.said("progress") if isinstance(message, Fed)}

    def said(self, stream: str) -> list[Message]:
        last = self._bus.last_ids([stream])
        entries = self._bus.read_up_to(stream, "0", last[stream]) if last else []
        return [entry.message for entry in entries if entry.message is not None]

    def minutes(self) -> dict[str, Bars]:
        """Every batch by its id; one that was told twice must be the same both times."""
        found: dict[str, Bars] = {}
        for name in streams.names(["bars"], range(self._bus.partitions)):
            for message in self.said(name):
                if isinstance(message, Bars):
                    assert found.setdefault(message.id, message) == message
        return found


def test_a_process_killed_in_the_session_tells_the_rest_and_changes_nothing_of_what_it_told(
    bus: Bus, start: Start, files: dict[str, str]
) -> None:
    conductor = Conductor(bus)
    bus.publish([candidate("AAPL")])
    process = start("1", **files)
    for phase in (TickPhase.OPEN, TickPhase.HISTORY):
        conductor.give(phase)
    for minute in range(1, 6):
        conductor.give(TickPhase.FEED, minute)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=5)
    start("1", **files)
    for minute in range(6, 11):
        conductor.give(TickPhase.FEED, minute)
    conductor.give(TickPhase.CLOSE, DAY.minutes)
    batches = conductor.minutes()
    assert len(batches) == 10 * bus.partitions
    assert sum(len(batch.rows) for batch in batches.values()) == 20
    kinds = [type(message).__name__ for message in conductor.said("daily")]
    assert kinds.count("DailyHistory") == 2 * 2  # of the index and the candidate, told again after the kill
    assert kinds[-1] == "SessionClosed"


def test_of_two_processes_one_feeds_and_the_other_takes_over(bus: Bus, start: Start, files: dict[str, str]) -> None:
    conductor = Conductor(bus)
    first = start("a", **files)
    conductor.give(TickPhase.OPEN)
    start("b", **files)
    conductor.give(TickPhase.FEED, 1)
    assert [type(message).__name__ for message in conductor.said("daily")].count("SessionOpened") == 1
    first.terminate()
    first.wait(timeout=5)
    conductor.give(TickPhase.FEED, 2)
    assert len(conductor.minutes()) == 2 * bus.partitions


@pytest.mark.parametrize(
    ("feed", "reason"),
    [
        ('{"kind": "recorded", "bars": "absent.parquet"}', "absent.parquet does not exist: check the path"),
        ('{"kind": "recorded", "bars": "."}', ". is a folder: name one Parquet or CSV file in it"),
        ('{"kind": "alpaca", "key": "k", "secret": "s"}', "feed.kind alpaca has its own time"),
    ],
)
def test_a_feed_that_cannot_be_used_ends_the_process_with_one_line(start: Start, feed: str, reason: str) -> None:
    process = start("1", EV2_FEED=feed)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert said.decode().startswith(f"market_data: {reason}")
    assert len(said.decode().strip().splitlines()) == 1


def test_a_live_pace_needs_a_live_feed_and_keys(start: Start) -> None:
    for feed, reason in (
        ('{"kind": "synthetic"}', "feed.kind synthetic is played by a conductor"),
        ('{"kind": "alpaca"}', "feed.kind alpaca needs keys"),
    ):
        process = start("1", EV2_FEED=feed, EV2_RUN__PACE="free", APCA_API_KEY_ID="", APCA_API_SECRET_KEY="")
        _, said = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 2
        assert reason in said.decode()
