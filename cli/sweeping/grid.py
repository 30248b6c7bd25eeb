"""The points of a sweep: every combination of the values that settings are varied over."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from cli.trouble import Trouble
from shared.contracts.rules import Rules

MOST: Final = 10_000


class Vary(Struct, frozen=True):
    """A setting, `section.key`, and its values as a person wrote them."""

    name: str
    values: tuple[str, ...]


class Point(Struct, frozen=True):
    """One combination. number: its place in the grid, from 0. settings: name to value."""

    number: int
    settings: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """The same as a process is told it."""
        return {f"EV2_{name.replace('.', '__').upper()}": value for name, value in self.settings.items()}


def read_vary(text: str) -> Vary:
    """`breakout.min_rvol=0,1,1.5`. Raises Trouble, with the nearest known name."""
    name, equals, values = text.partition("=")
    found = tuple(dict.fromkeys(word.strip() for word in values.split(",") if word.strip()))
    if not equals or not found:
        raise Trouble(f"--vary {text[:60]!r}: write a setting and its values, such as breakout.min_rvol=0,1,1.5")
    known = known_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
        raise Trouble(f"--vary {name[:60]!r} is no setting of the rules; did you mean {near}?")
    return Vary(name, found)


def known_names() -> list[str]:
    """Every setting of the rules, `section.key`; candidates are given by --watchlist."""
    return sorted(
        f"{section}.{key}"
        for section, field in Rules.model_fields.items()
        for key in getattr(field.annotation, "model_fields", {})
        if section != "candidates"
    )


def points(varied: Sequence[Vary]) -> list[Point]:
    """Raises Trouble for a grid that nobody means."""
    names = [vary.name for vary in varied]
    if len(set(names)) < len(names):
        raise Trouble("a setting is varied twice: give all its values in one --vary")
    count = 1
    for vary in varied:
        count *= len(vary.values)
    if count > MOST:
        raise Trouble(f"{count:,} combinations, more than {MOST:,}: vary fewer settings, or over fewer values")
    combinations = itertools.product(*(vary.values for vary in varied))
    return [Point(number, dict(zip(names, values, strict=True))) for number, values in enumerate(combinations)]
