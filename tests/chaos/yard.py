"""The processes of one installation in the hands of somebody who kills, freezes, starves and confuses them.

What `execution up` does for them is done here by hand, since it gives up a process that dies five times a minute: here
that is the point. A process that ends is started again at once, with the environment that is said for its name.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import redis

from bench.server import admin
from cli.installation import children_of, free_port
from services.conductor.__main__ import Done
from shared.runtime.children import die_with_parent
from shared.runtime.embedded import start_server
from shared.runtime.settings import Settings, load_settings
from shared.runtime.supervisor import BAD_START, ChildSpec
from tests.chaos.day import Day
from tests.chaos.proxy import Proxy

LOOK_S: Final = 0.5
"""Longest wait for a server that may be frozen."""
LAST_LINES: Final = 12


class Stuck(AssertionError):
    """The day did not end in time, or a process cannot be started; the text has the last lines of the logs."""


class Yard:
    """Everything in `home`. To be used from the main thread alone: children end with the thread that started them.

    aimed: for the first start of a process by name, what else its environment holds.
    """

    def __init__(
        self, home: Path, day: Day, *, signals: int = 1, aimed: Mapping[str, Mapping[str, str]] | None = None
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        port = free_port("127.0.0.1")
        self.home = home
        self.data = home / "data"
        self.proxy = Proxy("127.0.0.1", port)
        address = f"127.0.0.1:{self.proxy.port}"
        self._variables = {
            **day.variables,
            "EV2_HOME": str(home.resolve()),
            "EV2_RUN__SIGNALS": str(signals),
            "EV2_EXCHANGE__PORT": str(port),
            "EV2_BROKER__URL": f"http://{address}",
            "EV2_BROKER__STREAM_URL": f"ws://{address}/stream",
            "EV2_BROKER__REQUESTS_PER_MINUTE": "1000000",
            "EV2_PAGE__SERVE": "false",  # nothing of the day depends on it
            "EV2_SWITCHES": str(self.switches),
        }
        self.switches.mkdir()
        self.settings: Settings = load_settings(self._variables)
        self._day = day
        self._specs = {spec.name: spec for spec in children_of(self.settings)}
        self._aimed = dict(aimed or {})
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._may_run = True
        self._minute = 0
        self.kills = 0
        self.starts: Counter[str] = Counter()
        self.client = admin(self.data, LOOK_S)

    @property
    def switches(self) -> Path:
        """A file here by the name of a switch turns it on (shared/runtime/crash.py)."""
        return self.home / "switches"

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(self._specs)

    def __enter__(self) -> Self:
        self._start_server()
        self.proxy.start()
        for name in self._specs:
            self._start(name)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        everything = [*self._children.values(), *([self._server] if self._server is not None else [])]
        for process in everything:
            process.kill()
        for process in everything:
            process.wait()
        self.proxy.close()
        self.client.close()

    def tend(self) -> None:
        """Start again whatever has ended."""
        if self._may_run and (self._server is None or self._server.poll() is not None):
            self._start_server()
        for name, process in list(self._children.items()):
            code = process.poll()
            if code == BAD_START:
                raise Stuck(f"{name} cannot start:\n{self.last_lines()}")
            if code is not None:
                self._start(name)

    def minute(self) -> int:
        """The furthest minute of the session that was seen under way."""
        with contextlib.suppress(redis.RedisError):  # it is down, or frozen: the last one known will do
            self._minute = max(self._minute, int(self.client.hget("ev2:conductor", "minute") or 0))
        return self._minute

    def is_over(self) -> bool:
        return Done(self.data / "conductor.txt").last() == self._day.session

    # What is done to them

    def kill(self, name: str) -> None:
        """SIGKILL, whether it runs or is frozen; another one is started at once."""
        self.kills += 1
        self._children[name].kill()
        self._children[name].wait()
        self._start(name)

    def freeze(self, name: str) -> None:
        self._children[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._children[name].send_signal(signal.SIGCONT)

    def stop_server(self) -> None:
        """SIGKILL; it stays down until `start_server`."""
        assert self._server is not None
        self.kills += 1
        self._may_run = False
        self._server.kill()
        self._server.wait()

    def start_server(self) -> None:
        self._may_run = True
        self.tend()

    def freeze_server(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)

    def thaw_server(self) -> None:
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    def _start_server(self) -> None:
        self.starts["server"] += 1
        self._server = start_server(self.data)

    def _start(self, name: str) -> None:
        spec: ChildSpec = self._specs[name]
        self.starts[name] += 1
        aimed = self._aimed.get(name, {}) if self.starts[name] == 1 else {}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EV2_")}
        pace = {"EV2_INSTANCE": name.rpartition("-")[2], "PYTHONUNBUFFERED": "1"}
        with open(self.data / "logs" / f"{name}.log", "ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", spec.module, *spec.arguments],
                env={**kept, **self._variables, **pace, **aimed},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one system call, and the proxy's threads hold no lock of its
                start_new_session=True,
            )

    def last_lines(self) -> str:
        """The end of every log, for whoever looks into a failure."""
        found = []
        for log in sorted((self.data / "logs").glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            found.append("\n".join([f"--- {log.name}", *(line[:300] for line in lines)]))
        return "\n".join(found)


def wait_until_over(yard: Yard, deadline: float) -> None:
    """Tend until the day is over. Raises Stuck."""
    while not yard.is_over():
        yard.tend()
        if time.monotonic() > deadline:
            raise Stuck(f"the day is not over at minute {yard.minute()}:\n{yard.last_lines()}")
        time.sleep(0.02)
