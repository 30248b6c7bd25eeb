"""What no message may hold, though its type allows it: no-numbers, times without a zone, figures no ledger can keep.

JSON and the structs' types let through `"NaN"` as money, `1E+999999999` as a price, a minute without a zone, or a
number above what SQLite keeps. Each would fail far from where it came from, or silently compare as false.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import cache
from typing import Any, Final, get_args, get_type_hints

from msgspec import Struct

MAX_TEXT: Final = 20_000
MAX_DEPTH: Final = 8
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2200
MAX_DIGITS: Final = 18
"""Of money, before the point."""
MAX_DECIMALS: Final = 40
"""Above those of an average price, which is a quotient of 28 digits."""
_WHOLE: Final = 2**63
_NO_OFFSET: Final = dt.timedelta(0)


class OutOfBounds(ValueError):
    """A value that is of its type, and that no message of ours has; the text says where and what."""


def check(message: Struct) -> None:
    """Raises OutOfBounds for the first value that no message may hold."""
    _fields(message, "", 0)


def _fields(struct: Struct, path: str, depth: int) -> None:
    for name in _to_check(type(struct)):
        _value(getattr(struct, name), f"{path}.{name}" if path else name, depth + 1)


def _value(value: Any, path: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise OutOfBounds(f"{path[:60]}: nested more than {MAX_DEPTH} deep")
    match value:
        case None | bool() | float():
            return
        case str():
            _text(value, path)
        case Decimal():
            _money(value, path)
        case int():
            if not -_WHOLE <= value < _WHOLE:
                raise OutOfBounds(f"{path}: a number of more than 64 bits")
        case dt.datetime():
            _time(value, path)
            if depth == 1:
                _year(value, path)
        case dt.date():
            if depth == 1:
                _year(value, path)
        case Struct():
            _fields(value, path, depth)
        case tuple():
            for part in value:
                if type(part) is float:  # profiles and rows of prices: JSON has no other float than a finite one
                    continue
                _value(part, path, depth + 1)
        case dict():
            for key, part in value.items():
                _value(key, path, depth + 1)
                _value(part, path, depth + 1)


def _text(value: str, path: str) -> None:
    if len(value) > MAX_TEXT:
        raise OutOfBounds(f"{path}: {len(value)} characters; at most {MAX_TEXT}")
    if "\0" in value:
        raise OutOfBounds(f"{path}: holds a NUL")


def _money(value: Decimal, path: str) -> None:
    if not value.is_finite():
        raise OutOfBounds(f"{path}: {value} is no amount")
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    if not -MAX_DECIMALS <= exponent <= MAX_DIGITS or value.adjusted() >= MAX_DIGITS:
        raise OutOfBounds(f"{path}: an amount of too many digits")


def _time(value: dt.datetime, path: str) -> None:
    if value.tzinfo is None:
        raise OutOfBounds(f"{path}: a time that has no zone")
    if value.utcoffset() != _NO_OFFSET:
        raise OutOfBounds(f"{path}: a time that is not UTC")


def _year(value: dt.date, path: str) -> None:
    """Of a message's own times; a broker may say the year 1 for "never" within an order."""
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise OutOfBounds(f"{path}: the year {value.year}")


@cache
def _to_check(kind: type[Struct]) -> tuple[str, ...]:
    """Fields that may hold something else than a float, a truth or nothing. Constraints of the type are checked before.

    A row of prices has none: it is checked by its annotations while it is decoded, which costs nothing.
    """
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in kind.__struct_fields__ if not _is_plain(hints[name]))


def _is_plain(hint: Any) -> bool:
    parts = get_args(hint)
    if hasattr(hint, "__metadata__"):
        return True
    return hint in (float, bool, type(None)) or (bool(parts) and all(_is_plain(part) for part in parts))
