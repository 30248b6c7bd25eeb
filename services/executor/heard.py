"""What is heard of the broker's trade updates."""

from __future__ import annotations

from msgspec import Struct


class Listening(Struct, frozen=True):
    """The broker took the subscription: from here on every update is heard."""


class Update(Struct, frozen=True):
    """One trade update, as it came."""

    raw: object


class Lost(Struct, frozen=True):
    """The connection is gone, or could not be made."""


class KeysRefused(Struct, frozen=True):
    """The broker does not accept the keys."""


class Ended(Struct, frozen=True):
    """The library gave up; it must be started again."""

    why: str


Heard = Listening | Update | Lost | KeysRefused | Ended
