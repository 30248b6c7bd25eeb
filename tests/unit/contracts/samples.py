"""Hypothesis strategies for any message: built from its struct's own annotations, so that a new field is covered."""

from __future__ import annotations

import datetime as dt
import types
from decimal import Decimal
from enum import Enum
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Struct

from shared.contracts.message import Message
from shared.contracts.orders import BrokerOrder

FIRST = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone
LAST = dt.datetime(2200, 12, 31)  # noqa: DTZ001
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
FLAT: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bool: st.booleans(),
    int: st.integers(min_value=-(2**62), max_value=2**62),
    float: st.floats(min_value=-1e12, max_value=1e12),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9),
    dt.datetime: st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC)),
    dt.date: st.dates(FIRST.date(), LAST.date()),
    types.NoneType: st.none(),
}


def messages(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of one type: all fields, at any value that the annotations allow."""
    return _structs(kind, depth=2)


def _structs(kind: type[Any], depth: int) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _values(hints[name], depth) for name in kind.__struct_fields__})


def _values(hint: Any, depth: int) -> st.SearchStrategy[Any]:
    if hint in FLAT:
        return FLAT[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return st.one_of(*(_values(part, depth) for part in arguments))
    if origin is tuple:
        if arguments[0] is BrokerOrder and depth == 0:
            return st.just(())
        return st.lists(_values(arguments[0], depth), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(_values(arguments[0], depth), _values(arguments[1], depth), max_size=3)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return _structs(hint, depth - 1)
    raise TypeError(f"no strategy for {hint!r}: add it to FLAT")
