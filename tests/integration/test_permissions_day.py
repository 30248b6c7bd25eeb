"""A session in which every process is a user of its own: the server refuses none of what they do."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

from bench.server import admin
from shared.runtime.permissions import user_of

PLAYS = {"state", "market_data", "signals", "executor", "exchange", "conductor"}


def test_a_session_is_played_under_permissions_and_nothing_is_refused(tmp_path: Path) -> None:
    demo = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "demo", "--home", str(tmp_path), "--signals", "2", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    looks: list[tuple[int, int]] = []
    seen: set[str] = set()
    client = admin(tmp_path / "data")
    try:
        end = time.monotonic() + 120
        while demo.poll() is None:
            assert time.monotonic() < end
            with contextlib.suppress(redis.RedisError):
                looks.append((int(client.hget("ev2:conductor", "minute") or 0), refusals(client)))
                clients: Any = client.client_list()
                seen |= {one["user"] for one in clients}
            time.sleep(0.02)
        _, said = demo.communicate()
    finally:
        demo.kill()
        demo.wait()
        client.close()
    assert demo.returncode == 0, said
    assert looks[-1] == (390, 0)
    assert seen >= {user_of("ev2:", service) for service in PLAYS}


def refusals(client: redis.Redis) -> int:
    """How often the server has refused somebody since it was started."""
    stats: Any = client.info("stats")
    return sum(int(stats[f"acl_access_denied_{what}"]) for what in ("auth", "cmd", "key", "channel"))
