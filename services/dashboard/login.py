"""Who may see the page: tries at the token are counted, a session is a secret that its browser alone has.

Pure: time, seconds of a clock that never falls, and secrets are handed in.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import deque
from typing import Final

from msgspec import Struct

TRIES: Final = 5
TRIES_OF_ALL: Final = 30
WITHIN_S: Final = 60.0
SESSION_S: Final = 12 * 3600.0
SESSIONS_MAX: Final = 64
CALLERS_MAX: Final = 1_000


class Visitor(Struct):
    """One browser that is logged in. until: when it has to log in again. dark: as it chose, None: as its system."""

    until: float
    dark: bool | None = None


class Tries:
    """Failed log-ins: five a minute for one caller, thirty for all, so that a token cannot be guessed."""

    def __init__(self) -> None:
        self._of: dict[str, deque[float]] = {}
        self._all: deque[float] = deque()

    def wait_s(self, caller: str, now: float) -> float:
        """Seconds until `caller` may try; 0: now."""
        return max(
            _wait_s(self._of.get(caller, deque()), TRIES, now),
            _wait_s(self._all, TRIES_OF_ALL, now),
        )

    def failed(self, caller: str, now: float) -> None:
        """Count one."""
        if len(self._of) >= CALLERS_MAX:
            self._of = {name: tries for name, tries in self._of.items() if tries[-1] > now - WITHIN_S}
        for tries, most in ((self._of.setdefault(caller, deque()), TRIES), (self._all, TRIES_OF_ALL)):
            tries.append(now)
            if len(tries) > most:
                tries.popleft()


class Visitors:
    """Sessions by the hash of their secret: what stands in memory lets nobody in."""

    def __init__(self) -> None:
        self._known: dict[str, Visitor] = {}

    def enter(self, secret: str, now: float) -> None:
        """A browser that showed the token has `secret` from now on."""
        self._known = {key: visitor for key, visitor in self._known.items() if visitor.until > now}
        if len(self._known) >= SESSIONS_MAX:
            del self._known[min(self._known, key=lambda key: self._known[key].until)]
        self._known[_hash(secret)] = Visitor(now + SESSION_S)

    def known(self, secret: str, now: float) -> Visitor | None:
        """The visitor who has `secret`, while its session lasts."""
        visitor = self._known.get(_hash(secret)) if secret else None
        return visitor if visitor is not None and visitor.until > now else None

    def leave(self, secret: str) -> None:
        """Log out."""
        self._known.pop(_hash(secret), None)


def is_token(given: str, token: str) -> bool:
    """Whether `given` is the token, in a time that does not tell how much of it is right."""
    return hmac.compare_digest(hashlib.sha256(given.encode()).digest(), hashlib.sha256(token.encode()).digest())


def _wait_s(tries: deque[float], most: int, now: float) -> float:
    return max(0.0, tries[0] + WITHIN_S - now) if len(tries) >= most else 0.0


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
