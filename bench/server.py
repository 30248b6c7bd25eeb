"""The embedded server as its administrator reaches it: for tests and measurements, which play every part at once."""

from __future__ import annotations

from pathlib import Path

import redis

from shared.runtime.bus import SOCKET_TIMEOUT_S, Account, connect_redis
from shared.runtime.embedded import embedded_url, passwords_of
from shared.runtime.permissions import ADMIN, password_in, user_of

USER = user_of("ev2:", ADMIN)


def admin(data_folder: Path, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client that may do anything, also where the server of `data_folder` is not started yet."""
    return connect_redis(
        embedded_url(data_folder), timeout_s, Account(USER, lambda: password_in(passwords_of(data_folder), USER))
    )


def admin_url(data_folder: Path) -> str:
    """The same as an address, for processes, once the server was started."""
    password = password_in(passwords_of(data_folder), USER)
    assert password is not None, "no server was started here"
    return f"unix://{USER}:{password.get_secret_value()}@{embedded_url(data_folder).removeprefix('unix://')}"
