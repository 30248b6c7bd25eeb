"""A real server for every integration test: the given one, else the embedded one in a folder of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.server import admin_url
from shared.runtime.bus import Bus, connect_redis
from shared.runtime.embedded import start_server
from shared.runtime.settings import BusSettings


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that lives as long as the test run."""
    given = os.environ.get("EV2_TEST_REDIS_URL")
    if given:
        yield given
        return
    folder: Path = tmp_path_factory.mktemp("server")
    child = start_server(folder)
    yield admin_url(folder)
    child.terminate()
    child.wait(timeout=5)


@pytest.fixture
def bus(server_url: str) -> Iterator[Bus]:
    """An empty bus in its first life."""
    client = connect_redis(server_url)
    client.flushall()
    made = Bus(client, BusSettings(), "test")
    made.set_epoch(1)
    yield made
    client.close()
