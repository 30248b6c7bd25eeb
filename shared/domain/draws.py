"""Chance without a generator: a number that is a function of named things, the same in every run that names them."""

from __future__ import annotations

import hashlib
from typing import Final

MANTISSA_BITS: Final = 53


def draw(*names: object) -> float:
    """A number in [0, 1), uniform over names; the same names give the same number on every machine.

    names: the salt first, then what the number is for (`draw(salt, "delay", session, symbol)`), each by its text.
    Their lengths are hashed with them: ("ab", "c") and ("a", "bc") are different draws.
    """
    digest = hashlib.sha256()
    for name in names:
        text = str(name).encode()
        digest.update(b"%d:" % len(text) + text)
    return (int.from_bytes(digest.digest()[:8]) >> (64 - MANTISSA_BITS)) / (1 << MANTISSA_BITS)
