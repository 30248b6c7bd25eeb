"""Files as a torn write, a bad disk or somebody's editor leaves them; by seed."""

from __future__ import annotations

import random


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """`whole` cut off, with a hole, with noise in the middle or at its head, or with single bytes changed."""
    held = bytearray(whole)
    place = rng.randrange(len(held))
    match rng.randrange(5):
        case 0:
            return bytes(held[:place])
        case 1:
            for _ in range(rng.randint(1, 20)):
                held[rng.randrange(len(held))] = rng.randrange(256)
        case 2:
            size = min(len(held) - place, rng.choice((64, 4096, 20_000)))
            held[place : place + size] = bytes(size)
        case 3:
            size = min(len(held) - place, rng.choice((100, 4096)))
            held[place : place + size] = rng.randbytes(size)
        case _:
            size = rng.randint(1, 200)
            held[:size] = rng.randbytes(size)
    return bytes(held)
