"""The edge of alerts: addresses that may hang, the heartbeat, and the look at state's own beat.

Whatever may block does so on a thread of its own, one for an address, given up after a time: an address that hangs
delays nothing, neither this service nor another address.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import queue
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

import apprise
from msgspec import Struct
from pydantic import SecretStr

from services.alerts.desk import Delivery, Target
from services.alerts.notes import Level
from shared.contracts.journal import Alert
from shared.contracts.message import Message
from shared.runtime.bus import Bus
from shared.runtime.logs import logger
from shared.runtime.settings import AlertSettings, BadSettings

HANGING_MAX: Final = 3
STATE_SILENT_S: Final = 30.0
LOOK_EVERY_S: Final = 5.0
_TYPES: Final = {
    Level.INFO: apprise.NotifyType.INFO,
    Level.WARNING: apprise.NotifyType.WARNING,
    Level.CRITICAL: apprise.NotifyType.FAILURE,
}


class Address(Struct, frozen=True):
    """An address and the target that it is."""

    target: Target
    url: SecretStr


def addresses(settings: AlertSettings) -> list[Address]:
    """Every configured address, each at the least level at which it stands. Raises BadSettings, naming no secret."""
    found: dict[str, Address] = {}
    for level, urls in (
        (Level.INFO, settings.info),
        (Level.WARNING, settings.warning),
        (Level.CRITICAL, settings.critical),
    ):
        for number, url in enumerate(urls, 1):
            name = name_of(url)
            if not apprise.Apprise().add(url.get_secret_value()):
                raise BadSettings(f"alerts.{level.name.lower()}: address {number} is none that apprise knows")
            found.setdefault(name, Address(Target(name=name, level=level), url))
    return list(found.values())


def name_of(url: SecretStr) -> str:
    """`slack-3fa2b1`: the same for the same address, and nothing of its secret in it."""
    text = url.get_secret_value()
    return f"{urlsplit(text).scheme[:20] or 'address'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


class Apart:
    """Calls that may hang, one at a time, on a thread of their own. Never blocks its owner.

    A call that needs longer than `timeout_s` counts as failed, and its thread is left to itself; no more than
    HANGING_MAX are.
    """

    def __init__(self, name: str, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._clock = clock
        self._answer: queue.SimpleQueue[bool] | None = None
        self._threads: list[threading.Thread] = []
        self._since = 0.0

    @property
    def busy(self) -> bool:
        return self._answer is not None

    def start(self, call: Callable[[], bool]) -> bool:
        """Begin; False where one is under way, or too many hang."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if self.busy or len(self._threads) >= HANGING_MAX:
            return False
        answer: queue.SimpleQueue[bool] = queue.SimpleQueue()
        thread = threading.Thread(target=lambda: answer.put(_tried(self._name, call)), name=self._name, daemon=True)
        self._answer, self._since = answer, self._clock()
        self._threads.append(thread)
        thread.start()
        return True

    def outcome(self) -> bool | None:
        """How the call under way ended; None while it is not known. Told once."""
        if self._answer is None:
            return None
        try:
            ended: bool | None = self._answer.get_nowait()
        except queue.Empty:
            ended = None
            if self._clock() - self._since > self._timeout_s:
                logger().warning("address hangs; left to itself", target=self._name, timeout_s=self._timeout_s)
                ended = False
        if ended is not None:
            self._answer = None
        return ended


def _tried(name: str, call: Callable[[], bool]) -> bool:
    try:
        return call()
    except Exception as fault:  # noqa: BLE001 - a plug-in may raise anything, and its text may hold the address
        logger().warning("address failed", target=name, reason=type(fault).__name__)
        return False


class ApprisePost:
    """One address of apprise."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._url = address.url
        self._apart = Apart(address.target.name, timeout_s)

    def offer(self, delivery: Delivery) -> bool:
        """Start sending it; False where another one is still on its way."""
        return self._apart.start(lambda: self._notify(delivery))

    def outcome(self) -> bool | None:
        """Whether the one on its way arrived; None while that is not known."""
        return self._apart.outcome()

    def _notify(self, delivery: Delivery) -> bool:
        # No time limit of apprise's own: it would wait on threads that all addresses share.
        address = apprise.Apprise(asset=apprise.AppriseAsset(service_timeout=0))
        address.add(self._url.get_secret_value())
        return bool(
            address.notify(
                title=delivery.title,
                body=delivery.body,
                notify_type=_TYPES[delivery.level],
                body_format=apprise.NotifyFormat.TEXT,  # so that HTML and Markdown in it are shown, not obeyed
            )
        )


class Heartbeat:
    """The dead man's switch: an outside address is asked for as long as state beats, and is silent when it is not."""

    def __init__(self, settings: AlertSettings) -> None:
        self._url = settings.heartbeat
        self._every_s = settings.heartbeat_every
        self._timeout_s = settings.timeout
        self._apart = Apart("heartbeat", settings.timeout)
        self._last: float | None = None
        if self._url is not None and urlsplit(self._url.get_secret_value()).scheme not in ("http", "https"):
            raise BadSettings("alerts.heartbeat: an http or https address is needed")

    def beat(self) -> None:
        """Ask for the address, if it is time. Never blocks."""
        self._apart.outcome()
        now = time.monotonic()
        if self._url is None or (self._last is not None and now - self._last < self._every_s):
            return
        if self._apart.start(self._ask):
            self._last = now

    def _ask(self) -> bool:
        assert self._url is not None
        request = urllib.request.Request(self._url.get_secret_value(), headers={"User-Agent": "execution-v2"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=self._timeout_s) as reply:  # noqa: S310 - scheme checked above
            return bool(reply.status < 400)


class Watch:
    """An inlet of the loop: looks at state's beat, says once when it falls silent and when it is back."""

    def __init__(self, bus: Bus, heartbeat: Heartbeat) -> None:
        self._bus = bus
        self._heartbeat = heartbeat
        self._looked = 0.0
        self._seen_s = time.monotonic()
        self._silent = False

    def __call__(self) -> Sequence[Message]:
        """Raises BusDown."""
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return []
        self._looked = time.monotonic()
        now = dt.datetime.now(dt.UTC)
        beats = [fields.get("beat", "") for fields in self._bus.views("health:state:*").values()]
        ages_s = [(now - dt.datetime.fromisoformat(beat)).total_seconds() for beat in beats if beat]
        if ages_s and min(ages_s) < STATE_SILENT_S:
            self._seen_s = time.monotonic()
            self._heartbeat.beat()
        silent_s = time.monotonic() - self._seen_s
        if (silent_s >= STATE_SILENT_S) is self._silent:
            return []
        self._silent = not self._silent
        text = (
            f"state has not been heard for {silent_s:.0f} s: nothing new is sent; stops at the broker rest"
            if self._silent
            else "state is heard again"
        )
        level = "critical" if self._silent else "info"
        return [Alert(id=f"alert-state-{now.isoformat()}", at=now, level=level, key=f"state-{level}", text=text)]
