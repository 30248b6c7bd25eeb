"""The processes of one home: a server, the services, and what holds them together from start to stop."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Final

from msgspec import structs

from cli.options import typed
from cli.place import require_account
from cli.trouble import Trouble
from services.state.store import read_only
from shared.runtime.bus import Bus, BusDown, BusRefuses
from shared.runtime.embedded import NoServer, start_server
from shared.runtime.process import client_of, url_of
from shared.runtime.settings import AlpacaFeed, Settings
from shared.runtime.supervisor import GIVE_UP_AFTER, ChildSpec, HomeLock, Supervisor

OLD_SERVER_S: Final = 5.0
SERVER_END_S: Final = 0.3
ROLES: Final = ("protect", "entry")


def is_conducted(settings: Settings) -> bool:
    """Whether the conductor gives time: a live feed brings its own, every other one has none."""
    return not isinstance(settings.feed, AlpacaFeed)


def children_of(settings: Settings) -> tuple[ChildSpec, ...]:
    """Every process that `settings` ask for, in the order in which they start."""
    replicas = range(1, settings.run.signals + 1)
    workers = range(1, settings.run.executors + 1)
    exchange = (ChildSpec(name="exchange-1", module="services.exchange"),)
    conductor = (ChildSpec(name="conductor-1", module="services.conductor"),)
    specs = (
        ChildSpec(name="state-1", module="services.state"),
        ChildSpec(name="market_data-1", module="services.market_data"),
        *(ChildSpec(name=f"signals-{number}", module="services.signals") for number in replicas),
        *(exchange if settings.broker.kind == "exchange" else ()),
        *(
            ChildSpec(name=f"executor-{role}{number}", module="services.executor", arguments=("--role", role))
            for role in ROLES
            for number in workers
        ),
        ChildSpec(name="executor-listener", module="services.executor", arguments=("--role", "listener")),
        *(conductor if is_conducted(settings) else ()),
        *((ChildSpec(name="alerts-1", module="services.alerts", vital=False),) if settings.alerts.wanted else ()),
        *((ChildSpec(name="dashboard-1", module="services.dashboard", vital=False),) if settings.page.serve else ()),
    )
    return tuple(structs.replace(spec, environment=_own(settings, number)) for number, spec in enumerate(specs))


def _own(settings: Settings, number: int) -> tuple[tuple[str, str], ...]:
    """What one process has for itself: its metrics on a port of its own, counted up from the configured one."""
    first = settings.metrics.port
    return () if first is None else (("EV2_METRICS__PORT", str(first + number)),)


class Installation:
    """Runs the processes of `settings` until it is left; with it they all end, also when it is killed.

    Children take this process's environment, so `settings` must be what that leads to. To be used from the main
    thread alone, with the home held (`home_held`). Entering raises NoServer; `tend` raises ChildGaveUp.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server: subprocess.Popen[bytes] | None = None
        self._server_ends = 0
        self._supervisor: Supervisor | None = None

    @property
    def url(self) -> str:
        """Address of the server, given or our own."""
        return url_of(self._settings)

    def __enter__(self) -> Installation:
        data = self._settings.data_folder
        try:
            if self._settings.bus.url is None:
                self._server = start_server(data, self._settings.bus.prefix)
                with bus_of(self._settings) as bus:
                    bus.forget("health:*")  # a process of an earlier run would look like one that hangs
            self._supervisor = Supervisor(children_of(self._settings), _variables(self._settings), data)
            self._supervisor.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def tend(self) -> None:
        """Start again what has ended; call it several times a second."""
        assert self._supervisor is not None
        if self._server is not None and self._server.poll() is not None:
            self._server_ends += 1
            if self._server_ends >= GIVE_UP_AFTER:
                raise NoServer(f"the embedded server ended {self._server_ends} times; see {self._server_log}")
            self._server = start_server(self._settings.data_folder, self._settings.bus.prefix)
        self._supervisor.tend()

    def pids(self) -> dict[str, int]:
        """Name → process id of everything that runs, the server included."""
        found = self._supervisor.pids() if self._supervisor is not None else {}
        if self._server is not None and self._server.poll() is None:
            found["server"] = self._server.pid
        return found

    def restarts(self) -> int:
        """How many processes were started again."""
        return self._server_ends + (self._supervisor.restarts() if self._supervisor is not None else 0)

    def __exit__(self, *_: object) -> None:
        if self._supervisor is not None:
            self._supervisor.stop()
        if self._server is not None:
            end(self._server)

    @property
    def _server_log(self) -> str:
        return str(self._settings.data_folder / "logs" / "redis.log")


@contextlib.contextmanager
def home_held(settings: Settings) -> Iterator[None]:
    """Be the only one who runs processes in this home, after those of a run that was killed have ended.

    Raises AlreadyRunning, NoServer, LedgerRefused, and Trouble for a port that is taken or a server that is not there.
    """
    lock = HomeLock(settings.data_folder)
    try:
        if settings.ledger.exists():
            read_only(settings.ledger).close()
        if settings.broker.kind == "exchange":
            require_free(settings.exchange.host, settings.exchange.port)
        if settings.bus.url is None:
            await_end_of_server(settings)
        else:
            require_answer(settings)
        require_account(settings)
        yield
    finally:
        lock.release()


def _variables(settings: Settings) -> dict[str, str]:
    """What a process cannot know from the configuration of its home alone."""
    found = {
        "EV2_HOME": str(settings.home.resolve()),
        "EV2_RUN__PACE": "conducted" if is_conducted(settings) else "free",
    }
    if settings.broker.kind == "exchange" and settings.broker.url is None:
        address = f"{settings.exchange.host}:{settings.exchange.port}"
        found |= {"EV2_BROKER__URL": f"http://{address}", "EV2_BROKER__STREAM_URL": f"ws://{address}/stream"}
    return found


def end(server: subprocess.Popen[bytes]) -> None:
    """Ask a server to write what it has and end; it gets a moment for that."""
    server.terminate()
    try:
        server.wait(SERVER_END_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def require_free(host: str, port: int) -> None:
    """Raises Trouble where `port` is taken: better now than in the log of a child."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise Trouble(
                f"exchange.port {port} on {host} cannot be used ({os.strerror(fault.errno or 0)}); "
                "set EV2_EXCHANGE__PORT to a free one"
            ) from None


def require_answer(settings: Settings) -> None:
    """Raises Trouble where the server that was given does not answer."""
    try:
        with bus_of(settings) as bus:
            bus.life()
    except BusRefuses as fault:
        raise Trouble(f"bus.url: {fault}; look at bus.password and bus.passwords") from None
    except BusDown:
        raise Trouble(no_server(settings)) from None


def free_port(host: str) -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def bus_of(settings: Settings) -> Iterator[Bus]:
    """A connection to the server that `settings` mean, whether it answers or not."""
    client = client_of(settings, "cli")
    with contextlib.closing(client):
        yield Bus(client, settings.bus, "cli")


def await_end_of_server(settings: Settings) -> None:
    """Wait for the server of a run that was killed: it ends by itself, and two must not write the same files.

    Raises NoServer where it does not end.
    """
    give_up = time.monotonic() + OLD_SERVER_S
    with bus_of(settings) as bus:
        while time.monotonic() < give_up:
            try:
                bus.life()
            except BusRefuses:
                pass  # somebody answers
            except BusDown:
                return
            time.sleep(0.05)
    raise NoServer(f"{settings.data_folder}: a server of another run still works here; end it first")


def no_server(settings: Settings) -> str:
    """What to say where nothing answers."""
    if settings.bus.url is None:
        return f"no server at {url_of(settings)}: run {typed('execution up')} or {typed('execution server')} first"
    return "the configured server does not answer: look at bus.url or EV2_REDIS_URL"
