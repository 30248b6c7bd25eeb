"""The Compose deployment on a real engine: it comes up whole, is scaled, killed piece by piece, and ends the day alike.

Skipped where no engine answers. It builds the image, and takes some minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).parents[2]
DEADLINE_S: Final = 240.0
PAGE: Final = 18080
DAY: Final = {"INSTALLATION": "ship", "SEED": "72", "SPEED": "120", "PAGE_PORT": str(PAGE)}
KILLED: Final = ("state", "market_data", "signals", "executor", "executor-protect", "listener", "exchange", "conductor")

pytestmark = pytest.mark.timeout(1500)


class Compose:
    """One project of its own, with its volumes."""

    def __init__(self) -> None:
        self._command = ["docker", "compose", "-p", "execution-test"]
        self._environment = {**os.environ, **DAY}

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments], cwd=ROOT, env=self._environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def execution(self, *arguments: str) -> Any:
        command = [*self._command, "exec", "-T", "state", "execution", *arguments, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True)
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else None

    def crash(self, service: str) -> None:
        """SIGKILL from outside: what the engine restarts, which `docker kill` is not."""
        for name in self("ps", "-q", service).split():
            pid = subprocess.run(
                ["docker", "inspect", "-f", "{{.State.Pid}}", name], capture_output=True, text=True, check=True
            ).stdout.strip()
            subprocess.run(["kill", "-9", pid], check=True)

    def minute(self) -> int:
        state = self.execution("status")
        progress = (state or {}).get("progress") or {}
        return 10_000 if progress.get("finished") else int(progress.get("minute", -1))


def until(what: Callable[[], bool], about: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, about
        time.sleep(0.5)


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker on PATH")
    try:
        answers = subprocess.run([docker, "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        answers = False
    if not answers:
        pytest.skip("no container engine answers")
    made = Compose()
    made("down", "--volumes", "--timeout", "1")
    try:
        made("up", "-d", "--build", "--wait")
        yield made
    finally:
        made("down", "--volumes", "--timeout", "1")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the same day on plain processes, as fast as it goes."""
    home = tmp_path_factory.mktemp("plain")
    of_compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-environment"]
    given = {
        name: of_compose[name] for name in of_compose if name.startswith(("EV2_CANDIDATES", "EV2_DATA", "EV2_FEED"))
    }
    filled = {name: re.sub(r"\$\{([A-Z_]+):-([^}]*)\}", _chosen, value) for name, value in given.items()}
    run = {"PACE": "conducted", "SPEED": "0", "SALT": DAY["SEED"], "INSTALLATION": DAY["INSTALLATION"]}
    environment = {**os.environ, **filled, **{f"EV2_RUN__{name}": value for name, value in run.items()}}

    def execution(*words: str) -> str:
        command = [sys.executable, "-m", "cli.main", *words, "--json", "--home", str(home)]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=170)
        return done.stdout.decode()

    execution("run", "--once")
    return str(json.loads(execution("digest"))["digest"])


def _chosen(variable: re.Match[str]) -> str:
    return DAY.get(variable[1], variable[2])


def test_everything_is_up_and_well_and_the_page_asks_for_its_token(compose: Compose) -> None:
    names = set(compose("ps", "--services", "--status", "running").split())
    assert names == {*KILLED, "redis", "alerts", "dashboard"}
    with urllib.request.urlopen(f"http://127.0.0.1:{PAGE}/", timeout=10) as said:
        assert said.url.endswith("/login")
    token = compose("exec", "-T", "dashboard", "cat", "data/page_token").strip()
    assert len(token) >= 32
    assert not compose(
        "exec", "-T", "dashboard", "sh", "-c", "touch /opt/x /x 2>/dev/null; ls /opt/x /x 2>/dev/null || true"
    )


def test_the_replicas_of_signals_share_the_partitions(compose: Compose) -> None:
    compose("up", "-d", "--wait", "--no-recreate", "--scale", "signals=3", "--scale", "executor=4")

    def shares() -> list[int]:
        state = compose.execution("status") or {"services": []}
        mine = [one for one in state["services"] if one["name"].startswith("signals:") and one["well"]]
        return sorted(len(one["partitions"]) for one in mine)

    until(lambda: shares() == [1, 1, 2], f"partitions are not spread: {shares()}")


def test_what_is_killed_comes_back_and_the_day_ends_as_it_would_have(compose: Compose, undisturbed: str) -> None:
    for service in KILLED:
        before = compose.minute()
        compose.crash(service)
        until(lambda before=before: compose.minute() > before, f"{service} was killed, and time stands still")  # type: ignore[misc]
    compose("restart", "redis")
    before = compose.minute()
    until(lambda: compose.minute() > before, "redis was restarted, and time stands still")
    compose("down", "--timeout", "1")
    compose("up", "-d", "--wait")
    until(lambda: compose.minute() == 10_000, "the day does not end")
    assert compose.execution("digest")["digest"] == undisturbed
