"""A socket's two ends without the socket: what was heard goes in, frames to send come out by a callback.

web.py carries it over WebSocket; the tests call it directly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import msgspec
from msgspec import Struct

Body = TypeVar("Body", bound=Struct)

NORMAL: Final = 1000
POLICY_VIOLATION: Final = 1008


class Close(Struct, frozen=True):
    """The connection ends with this code, after what was sent before."""

    code: int = NORMAL


Frame = bytes | Close
Send = Callable[[Frame], None]


class Conversation(Protocol):
    """One connection. `is_admitted` turns true with the right key; before that it has only so long."""

    is_admitted: bool

    def open(self) -> None:
        """The connection stands."""

    def hear(self, data: bytes) -> None:
        """One message from the client, text or binary."""

    def too_slow(self) -> None:
        """The client does not read, or did not show a key in time."""

    def end(self) -> None:
        """The connection is gone."""


def decode(data: bytes | msgspec.Raw, kind: type[Body]) -> Body | None:
    """JSON as `kind`, None where it is something else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:
        return None
