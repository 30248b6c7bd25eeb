"""A container is well while its process beats."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.server import admin_url
from shared.runtime.bus import Bus, connect_redis
from shared.runtime.embedded import start_server
from shared.runtime.healthcheck import trouble
from shared.runtime.loop import Health
from shared.runtime.settings import BusSettings

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 1, 9, 15, 0, tzinfo=UTC)


def beat(seconds_ago: float) -> dict[str, str]:
    return {"beat": (NOW - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")}


@pytest.mark.parametrize(
    ("views", "reason"),
    [
        ({"health:signals:host-7": beat(0.5)}, ""),
        ({"health:signals:host-7": beat(10)}, ""),
        ({"health:signals:host-7": beat(11)}, "signals: last beat 11 s ago; at most 10"),
        ({"health:signals:host-7": beat(90), "health:signals:host-8": beat(1)}, ""),
        ({}, "signals: no beat of this host's process"),
        ({"health:signals:host-7": {}}, "signals: no beat of this host's process"),
    ],
)
def test_the_newest_beat_decides(views: dict[str, dict[str, str]], reason: str) -> None:
    assert trouble("signals", views, NOW, 10.0) == reason


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = start_server(tmp_path)
    yield admin_url(tmp_path)
    server.terminate()
    server.wait(timeout=5)


def check(url: str, service: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shared.runtime.healthcheck", service],
        cwd=ROOT,
        env={**os.environ, "EV2_REDIS_URL": url},
        capture_output=True,
        text=True,
    )


def test_what_a_loop_writes_is_what_the_check_reads(url: str) -> None:
    client = connect_redis(url)
    Health(Bus(client, BusSettings(), "signals")).after([], [], {}, 0.0)
    assert check(url, "signals").returncode == 0
    other = check(url, "state")
    assert (other.returncode, other.stderr) == (1, "state: no beat of this host's process\n")
    client.close()


def test_without_a_bus_nothing_is_well(tmp_path: Path) -> None:
    done = check(f"unix://{tmp_path}/none.sock", "signals")
    assert done.returncode == 1
    assert done.stderr.startswith("signals: ")
    assert "Traceback" not in done.stderr
