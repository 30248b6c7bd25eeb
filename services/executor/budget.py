"""Requests a minute: a token bucket under the broker's limit, with room kept for exits and cancels.

The limit is the account's, and several processes share it. So the bucket also follows what the broker says is left,
and a process that is not urgent keeps its hands off the last `reserve` requests.
"""

from __future__ import annotations

MAX_BURST = 200


class Budget:
    """The requests this process may still make. `now` is monotonic time, seconds.

    per_minute: the broker's limit. reserve: fraction of it that is left to urgent processes; 0 for those.
    """

    def __init__(self, per_minute: int, reserve: float, now: float) -> None:
        assert per_minute > 0, per_minute
        assert 0 <= reserve < 1, reserve
        self._per_s = per_minute / 60
        self._size = float(min(per_minute, MAX_BURST)) * (1 - reserve)
        self._kept = per_minute * reserve
        self._left = self._size
        self._as_of = now
        self._closed_until = now

    @property
    def seconds_each(self) -> float:
        """Between two requests, once none is left over."""
        return 1 / self._per_s

    def wait_s(self, now: float) -> float:
        """Seconds until a request may be made; 0: it may be made now, and counts as made."""
        if now < self._closed_until:
            return self._closed_until - now
        self._left = min(self._size, self._left + (now - self._as_of) * self._per_s)
        self._as_of = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_s

    def told(self, now: float, remaining: int, reset_s: float) -> None:
        """The broker says that `remaining` requests are left on the account, and all again in `reset_s` seconds.

        Urgent processes still try once a second when nothing is left: the broker may be counting in another way.
        """
        mine = remaining - self._kept
        self._left = min(self._left, max(mine, 0.0))
        if mine < 1:
            self._closed_until = now + min(reset_s, 60.0 if self._kept else 1.0)
