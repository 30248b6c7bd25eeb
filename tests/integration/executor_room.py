"""Executor processes for tests, and state's side of them by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import structs

from shared.contracts.message import Message
from shared.contracts.orders import Action, ClaimReply, ClaimRequest, OrderReport
from shared.contracts.outgoing import Job, Reply
from shared.contracts.vocabulary import Queue
from shared.contracts.wire import encode_json
from shared.runtime.bus import Bus, BusDown, connect_redis
from shared.runtime.settings import BusSettings
from tests.orders.desk import granted

DEADLINE_S = 30.0
PROMPTLY_S = 3.0
"""From SIGTERM to the end of a process: measured 0.3 to 0.8 s on two busy cores, which other tests may share."""


class StateByHand:
    """Answers claims on the bus, on a thread: `actions` are granted, to one request for each attempt."""

    def __init__(self, server_url: str) -> None:
        self.actions: dict[str, Action] = {}
        self.attempts: dict[str, int] = {}
        self.claims: list[ClaimRequest] = []
        self.lease_s = 5.0
        self._granted: dict[tuple[str, int], str] = {}
        self._bus = Bus(connect_redis(server_url), BusSettings(), "state")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> StateByHand:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._bus.client.close()

    def _answer(self) -> None:
        position = "0"
        while not self._end.is_set():
            try:
                entries = self._bus.read({"claims": position}, 20)
            except BusDown:
                continue
            for entry in entries:
                position = entry.entry_id
                if isinstance(entry.message, ClaimRequest):
                    self.claims.append(entry.message)
                    reply = self._reply(entry.message)
                    self._bus.publish([Reply(request=entry.message.id, body=encode_json(reply).decode())])

    def _reply(self, request: ClaimRequest) -> ClaimReply:
        action = self.actions.get(request.action)
        holder = self._granted.setdefault((request.action, request.attempt), request.id)
        if action is None or holder != request.id:
            return ClaimReply(request=request.id, granted=False, reason="not wanted")
        reply = granted(action, request.attempt, look_up_first=request.attempt > 1, lease_s=self.lease_s)
        return structs.replace(reply, request=request.id)


@contextmanager
def executor(
    role: str, home: Path, server_url: str, broker_url: str, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """One executor process; killed at the end if it still runs."""
    environment = {
        "EV2_HOME": str(home),
        "EV2_REDIS_URL": server_url,
        "EV2_BROKER__URL": broker_url,
        "EV2_INSTANCE": f"{role}1",
        **variables,
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "services.executor", "--role", role],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def wake(bus: Bus, action: Action, attempt: int = 1) -> None:
    bus.publish([Job(id=f"{action.id}-{attempt}", queue=Queue.PROTECT, actions=(action.id,), attempts=(attempt,))])


def said(bus: Bus, stream: str = "orders") -> list[Message]:
    return [entry.message for entry in bus.read({stream: "0"}, 0) if entry.message is not None]


def until(what: Callable[[], bool]) -> None:
    """Wait for it, with a deadline."""
    end = time.monotonic() + DEADLINE_S
    while not what():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.01)


def reports(bus: Bus) -> list[OrderReport]:
    return [message for message in said(bus) if isinstance(message, OrderReport)]
