"""What a case is, and where cases collect. docs/conformance.md is made from the list in all_cases.py."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct

from tests.conformance.broker import Broker

Check = Callable[[Broker], None]


class Case(Struct, frozen=True):
    """source: where the behaviour is documented or was measured. wire_only: it is about transport, not about orders."""

    number: int
    section: str
    text: str
    source: str
    check: Check
    wire_only: bool = False


COLLECTED: list[Case] = []


def numbered() -> list[Case]:
    """The cases of each section together, sections in the order of their first case, numbered through from 1."""
    sections = list(dict.fromkeys(case.section for case in COLLECTED))
    ordered = sorted(COLLECTED, key=lambda case: sections.index(case.section))
    return [msgspec.structs.replace(case, number=number) for number, case in enumerate(ordered, 1)]


def case(section: str, text: str, source: str, *, wire_only: bool = False) -> Callable[[Check], Check]:
    """Adds the decorated function to the list."""

    def add(check: Check) -> Check:
        COLLECTED.append(Case(0, section, text, source, check, wire_only))
        return check

    return add
