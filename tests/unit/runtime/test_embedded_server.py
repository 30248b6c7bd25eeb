"""The embedded server: found, started on a private socket, gone with its parent."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.server import admin
from shared.runtime.embedded import NoServer, find_server, socket_path, start_server
from tests.unit.runtime.waiting import is_running, wait_until

ROOT = Path(__file__).parents[3]


def write_program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_server_on_the_path_is_preferred_if_it_is_new_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    old = write_program(tmp_path / "redis-server", "echo 'Redis server v=6.2.1 sha=0'")
    assert find_server() != str(old)
    new = write_program(tmp_path / "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
    assert find_server() == str(new)


def test_without_any_server_the_line_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoServer, match="set EV2_REDIS_URL, or install"):
        find_server()


def test_a_long_home_gets_a_short_socket_since_the_kernel_takes_no_long_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    assert len(str(socket_path(deep))) <= 100
    assert socket_path(deep) != socket_path(tmp_path / ("e" * 120))
    assert socket_path(Path("/tmp/h")) == Path("/tmp/h/redis/redis.sock").resolve()


def test_it_answers_on_a_private_socket_keeps_a_log_of_writes_and_listens_on_no_port(tmp_path: Path) -> None:
    server = start_server(tmp_path)
    try:
        client = admin(tmp_path)
        config: Any = client.config_get("*")
        values = {name.decode() if isinstance(name, bytes) else name: value for name, value in config.items()}
        assert values["appendonly"] in ("yes", b"yes")
        assert values["aof-use-rdb-preamble"] in ("no", b"no")
        assert values["port"] in ("0", b"0")
        mode = stat.S_IMODE(socket_path(tmp_path).stat().st_mode)
        assert mode & 0o077 == 0
        client.close()
    finally:
        server.terminate()
        server.wait(timeout=5)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    starts = (
        "import signal, sys; from pathlib import Path; from shared.runtime.embedded import start_server; "
        "print(start_server(Path(sys.argv[1])).pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starts, str(tmp_path)], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout as told:
        pid = int(told.readline())
        assert is_running(pid)
        parent.kill()
        wait_until(lambda: not is_running(pid), deadline_s=2)
