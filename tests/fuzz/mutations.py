"""Messages of every type, damaged in every way that somebody who may write to a stream could damage them; by seed."""

from __future__ import annotations

import datetime as dt
import json
import random
import types
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from shared.contracts import streams, wire
from shared.contracts.message import Message
from shared.contracts.orders import BrokerOrder

Fields = dict[bytes, bytes]
BASE: Final = dt.datetime(2026, 1, 9, 14, 30, tzinfo=dt.UTC)
TEXTS: Final = ("AAPL", "e7f3-260109-AAPL-entry-1", "", "BRK.B", "ünïcode", "<b>", "../../etc/passwd", "=1+1")


def sample(kind: type[Any], rng: random.Random, depth: int = 3) -> Any:
    """A struct of `kind` with every field set, from its own annotations, so that a new field is covered."""
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], rng, depth) for name in kind.__struct_fields__})


def _value(hint: Any, rng: random.Random, depth: int) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (types.UnionType, Union):
        return _value(rng.choice(parts), rng, depth)
    if origin is tuple:
        size = 0 if parts[0] is BrokerOrder and depth <= 0 else rng.randint(0, 2)
        return tuple(_value(parts[0], rng, depth - 1) for _ in range(size))
    if origin is dict:
        return {_value(parts[0], rng, depth): _value(parts[1], rng, depth) for _ in range(rng.randint(0, 2))}
    if issubclass(hint, Enum):
        return rng.choice(list(hint))
    if issubclass(hint, Struct):
        return sample(hint, rng, depth - 1)
    return PLAIN[hint](rng)


PLAIN: Final[Mapping[Any, Callable[[random.Random], Any]]] = {
    str: lambda rng: rng.choice(TEXTS),
    bool: lambda rng: rng.random() < 0.5,
    int: lambda rng: rng.randint(0, 4),
    float: lambda rng: rng.choice((0.0, 1.5, 101.25, -3.0)),
    Decimal: lambda rng: rng.choice((Decimal("101.50"), Decimal(0), Decimal("-0.0001"))),
    dt.datetime: lambda rng: BASE + dt.timedelta(minutes=rng.randint(0, 390)),
    dt.date: lambda rng: BASE.date() + dt.timedelta(days=rng.randint(0, 5)),
    types.NoneType: lambda rng: None,
}

MONEY: Final = (
    *('"NaN"', '"sNaN"', '"Infinity"', '"-Infinity"', '"1E+999999999"', '"1E-999999999"', '"0E+999999"', '"1_000"'),
    *("1e400", f'"{"9" * 5000}"', '"0x10"', '"1,5"', '"nan"', '"１２"', "1e999999999"),
)
NUMBERS: Final = (
    *("NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e308", "1e-400", "-0.0", "0x10", "01", "1.", ".5", "+1"),
    *("123456789012345678901234567890", "-9223372036854775809", "18446744073709551616", "9" * 5000, "1E5", "1e15"),
)
TIMES: Final = (
    *('"2026-01-09T14:30:00"', '"2026-01-09T14:30:00+05:00"', '"2026-01-09"', '"14:30"', '"2026-02-30T00:00:00Z"'),
    *('"0001-01-01T00:00:00Z"', '"9999-12-31T23:59:59.999999Z"', '"0001-01-01"', '"9999-12-31"', '"2026-13-01"'),
)
NASTY: Final[tuple[str, ...]] = (
    *MONEY,
    *NUMBERS,
    *TIMES,
    *("null", "true", "false", "[]", "{}", "[[]]", '""', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"\\x"', "'a'"),
    *(f'"{"9" * 5000}"', f'"{"x" * 100_000}"', f'"{"=" * 30}"', '"../../x"', '"A\\nB"', '"\u202eLPAA"'),
    *("[" * 1_500 + "]" * 1_500, '{"legs":' * 400 + "1" + "}" * 400, "[" * 100_000, '{"a":' * 50_000),
    *('{"type":"Halt"}', '{"type":"Halt","id":"x","at":"2026-01-09T14:30:00Z","by":"me"}', "[1,2,3,4,5,6,7,8]"),
)


def mutated(rng: random.Random) -> Iterator[tuple[str, Fields]]:
    """(stream, fields of its entry) for ever; most of them damaged in one to three ways."""
    kinds = [streams.MESSAGE_TYPES[name] for name in sorted(streams.MESSAGE_TYPES)]
    while True:
        for kind in kinds:
            message: Message = sample(kind, rng)
            fields = {
                name.encode(): value if isinstance(value, bytes) else value.encode()
                for name, value in wire.encode(message).items()
            }
            stream = streams.stream_for(message)
            for _ in range(rng.randint(0, 3)):
                stream = rng.choice(WAYS)(stream, fields, rng)
            yield stream, fields


def _bytes(stream: str, fields: Fields, rng: random.Random) -> str:
    """A few bytes of one field are others, more or fewer."""
    if fields:
        name = rng.choice(sorted(fields))
        held = bytearray(fields[name])
        for _ in range(rng.randint(1, 6)):
            place = rng.randint(0, len(held))
            held[place : place + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
        fields[name] = bytes(held)
    return stream


def _cut(stream: str, fields: Fields, rng: random.Random) -> str:
    """The data ends early."""
    data = fields.get(b"data", b"")
    fields[b"data"] = data[: rng.randint(0, len(data))]
    return stream


def _value_replaced(stream: str, fields: Fields, rng: random.Random) -> str:
    """One value somewhere in the data is a nasty one."""
    try:
        tree = json.loads(fields.get(b"data", b""))
    except (ValueError, RecursionError):
        return stream
    places = list(_places(tree))
    if places:
        holder, key = rng.choice(places)
        nasty = rng.choice(NASTY if rng.random() < 0.4 else _worst_for(holder[key]))
        holder[key] = MARK
        text = json.dumps(tree).replace(f'"{MARK}"', nasty)
        fields[b"data"] = text.encode("utf-8", "surrogatepass")
    return stream


MARK: Final = "here-it-goes"


def _worst_for(value: object) -> tuple[str, ...]:
    """What is nearest to being taken in its place."""
    match value:
        case bool() | None | dict() | list():
            return NASTY
        case int() | float():
            return NUMBERS
        case str() if value[:4].isdigit() and "-" in value:
            return TIMES
        case str() if value.lstrip("-").replace(".", "", 1).isdigit():
            return MONEY
        case _:
            return NASTY


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) in a tree of JSON."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield tree, key
            yield from _places(value)


def _key_twice(stream: str, fields: Fields, rng: random.Random) -> str:
    """A key stands twice, with another value."""
    data = fields.get(b"data", b"")
    key = rng.choice((b"id", b"at", b"type", b"symbol", b"partition", b"qty", b"stop"))
    fields[b"data"] = b'{"%s":%s,' % (key, rng.choice(NASTY[:60]).encode("utf-8", "surrogatepass")) + data[1:]
    return stream


def _field_gone(stream: str, fields: Fields, rng: random.Random) -> str:
    if fields:
        del fields[rng.choice(sorted(fields))]
    return stream


def _field_replaced(stream: str, fields: Fields, rng: random.Random) -> str:
    """type, version, time or cause of the entry are something else."""
    kinds = [name.encode() for name in streams.MESSAGE_TYPES]
    name, values = rng.choice(
        (
            (b"type", [*kinds, b"", b"Nothing", b"\xff\xfe", b"x" * 100_000]),
            (b"v", [b"0", b"-1", b"2", b"999", b"1.0", b"one", b"9" * 5000, b"\xd9\xa1", b" 1 ", b"1_0", b""]),
            (b"at", [b"", b"never", b"\xff"]),
            (b"id", [b"", b"x" * 100_000, b"\x00"]),
        )
    )
    fields[name] = rng.choice(values)
    return stream


def _noise(stream: str, fields: Fields, rng: random.Random) -> str:
    """The data is no JSON at all, or much of nothing."""
    fields[b"data"] = rng.choice((b"", b"\x00" * 50, rng.randbytes(200), b" " * 100_000, b'"' * 300, b"{}", b"null"))
    return stream


def _elsewhere(stream: str, fields: Fields, rng: random.Random) -> str:
    """It stands on another stream."""
    return rng.choice(streams.names([one.name for one in streams.STREAMS], range(4)))


WAYS: Final[tuple[Callable[[str, Fields, random.Random], str], ...]] = (
    _value_replaced,
    _value_replaced,
    _value_replaced,
    _bytes,
    _cut,
    _key_twice,
    _field_gone,
    _field_replaced,
    _noise,
    _elsewhere,
)
