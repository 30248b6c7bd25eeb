"""Makes a failing list of faults as short as it gets: delta debugging over the drawn faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cli.simulation.faults import Fault


def fewest(faults: Sequence[Fault], fails: Callable[[Sequence[Fault]], bool], most_tries: int = 60) -> list[Fault]:
    """The fewest of `faults` with which `fails` still holds, as far as `most_tries` runs show it.

    Parts are left out, halves first, then smaller ones, as long as the rest fails (Zeller's ddmin).
    """
    left, parts = list(faults), 2
    while left and most_tries > 0:
        size = max(len(left) // parts, 1)
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            most_tries -= 1
            if fails(fewer):
                left, parts = fewer, max(parts - 1, 2)
                break
            if most_tries <= 0:
                return left
        else:
            if size == 1:
                return left
            parts = min(parts * 2, len(left))
    return left
