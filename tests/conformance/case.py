"""The numbered list: what a case is, and where it is kept. docs/conformance.md is made from it."""

from __future__ import annotations

from collections.abc import Callable

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


CASES: list[Case] = []


def case(section: str, text: str, source: str, *, wire_only: bool = False) -> Callable[[Check], Check]:
    """Adds the decorated function to the list."""

    def add(check: Check) -> Check:
        CASES.append(Case(len(CASES) + 1, section, text, source, check, wire_only))
        return check

    return add
