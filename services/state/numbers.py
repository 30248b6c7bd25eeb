"""The broker's own numbers of its trade updates, where it numbers them: which were folded, and which are still due.

The paper exchange counts its updates and tells the last number with every reply. In a conducted run state goes on only
when it has folded all up to the highest number it was told of. A broker that does not count gives no numbers, and then
nothing waits.
"""

from __future__ import annotations

import json
from typing import Final

from services.state.unit import Unit

_FOLDED: Final = "events_folded"
_AHEAD: Final = "events_ahead"
_WANTED: Final = "events_wanted"


def take(unit: Unit, number: int | None) -> None:
    """The update with this number is folded."""
    if number is None:
        return
    through = folded(unit)
    if number <= through:
        return
    _set(unit, through, {*_ahead(unit), number})


def cover(unit: Unit, number: int | None, *, exactly: bool = False) -> None:
    """A snapshot holds what all updates up to this number say. exactly: and the broker has counted no further."""
    if number is None:
        return
    if number > folded(unit) or exactly:
        _set(unit, number, _ahead(unit))
    if exactly:
        unit.store.set_note(_WANTED, str(number))


def wait_for(unit: Unit, number: int | None) -> None:
    """The broker has sent updates up to this number: they are folded before anything new is planned."""
    if number is not None and number > wanted(unit):
        unit.store.set_note(_WANTED, str(number))


def folded(unit: Unit) -> int:
    """All updates up to this number are folded."""
    return int(unit.store.note(_FOLDED) or 0)


def wanted(unit: Unit) -> int:
    return int(unit.store.note(_WANTED) or 0)


def outstanding(unit: Unit) -> bool:
    """Whether updates are known to be sent that are not folded yet."""
    return wanted(unit) > folded(unit)


def _ahead(unit: Unit) -> set[int]:
    return set(json.loads(unit.store.note(_AHEAD) or "[]"))


def _set(unit: Unit, through: int, ahead: set[int]) -> None:
    while through + 1 in ahead:
        through += 1
        ahead.discard(through)
    unit.store.set_note(_FOLDED, str(through))
    unit.store.set_note(_AHEAD, json.dumps(sorted(number for number in ahead if number > through)))
