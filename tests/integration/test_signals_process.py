"""Signals as real processes on a real server: replicas share the partitions, and one that dies is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from shared.contracts.decisions import Decided
from shared.contracts.ids import partition_of
from shared.contracts.vocabulary import Reason
from shared.runtime.bus import Bus
from tests.unit.signals.kit import bar, bars, candidate, daily, history, opened, rising, tick

Replica = subprocess.Popen[bytes]
Start = Callable[[str], Replica]
ROOT = Path(__file__).resolve().parents[2]
PARTITIONS = 4
DEADLINE_S = 30.0
SYMBOLS = ("ABC", "DEF", "GHI", "JKL")
CLOSES = (9.95, 10.02, 10.03)


@pytest.fixture
def start(server_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a replica in the conducted pace; all that were started are gone afterwards."""
    replicas: list[Replica] = []
    log = (tmp_path / "signals.log").open("ab")

    def start_one(name: str) -> Replica:
        environment = os.environ | {
            "EV2_HOME": str(tmp_path),
            "EV2_REDIS_URL": server_url,
            "EV2_RUN__PACE": "conducted",
            "EV2_INSTANCE": name,
        }
        replica = subprocess.Popen([sys.executable, "-m", "services.signals"], cwd=ROOT, env=environment, stderr=log)
        replicas.append(replica)
        return replica

    yield start_one
    for replica in replicas:
        replica.kill()
        replica.wait(timeout=5)
    log.close()


class Conductor:
    """Feeds minutes and waits until every partition has decided each."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._position = {"intents": "0"}
        self.decided: dict[tuple[int, int], Decided] = {}
        names = (*SYMBOLS, "SPY")
        bus.publish(
            [
                opened(),
                *(history(rising() if name == "SPY" else daily(), name) for name in names),
                *map(candidate, SYMBOLS),
            ]
        )

    def minute(self, end: int, before_waiting: Callable[[], None] = lambda: None) -> None:
        close = CLOSES[(end - 1) // 10]
        rows = {
            number: [bar(close, name) for name in SYMBOLS if partition_of(name, PARTITIONS) == number]
            for number in range(PARTITIONS)
        }
        self._bus.publish([bars(end, rows[number], number) for number in range(PARTITIONS)])
        covered = ("daily", "candidates", "positions", *(f"bars:{number}" for number in range(PARTITIONS)))
        message = replace(tick(end), upto=self._bus.last_ids(covered))
        self._bus.publish([message])
        before_waiting()
        deadline = time.monotonic() + DEADLINE_S
        while not all((number, end) in self.decided for number in range(PARTITIONS)):
            assert time.monotonic() < deadline, f"minute {end}: only {sorted(self.decided)[-8:]}"
            for entry in self._bus.read(self._position, 50):
                self._position[entry.stream] = entry.entry_id
                found = entry.message
                assert isinstance(found, Decided)
                self.decided.setdefault(
                    (found.partition, int((found.minute - opened().at).total_seconds() // 60)), found
                )


def _confirmed(conductor: Conductor) -> list[str]:
    return sorted(
        verdict.symbol
        for decided in conductor.decided.values()
        for verdict in decided.verdicts
        if verdict.reason is Reason.CONFIRMED
    )


def test_two_replicas_decide_for_all_partitions_and_one_takes_over_when_the_other_is_killed(
    bus: Bus, start: Start
) -> None:
    first, second = start("a"), start("b")
    conductor = Conductor(bus)
    for end in range(1, 16):
        conductor.minute(end)
    conductor.minute(16, before_waiting=lambda: first.send_signal(signal.SIGKILL))
    for end in range(17, 31):
        conductor.minute(end)
    assert _confirmed(conductor) == list(SYMBOLS)
    assert second.poll() is None
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=5) == 0
