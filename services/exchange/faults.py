"""Faults on purpose: a script that says which request, event or bar goes wrong, the how-manieth time, and how.

    [[fault]]
    on = "POST /v2/orders"     # a request by method and path, "event fill", "bar AAPL", "connect trade"; * fits any
    nth = 2                    # from the second one that fits (1 if not given)
    times = 3                  # three in a row (1 if not given; 0: from then on all)
    do = "status"              # one of ACTIONS for this kind
    status = 504
    after = true               # the request is executed, and its answer lost

Pure: it counts what passes by and says which fault hits it. What a fault does on the wire is done where the wire is.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

import msgspec
from msgspec import Struct


class Kind(StrEnum):
    """What a fault may hit, by the first word of its `on`."""

    REQUEST = "request"  # any HTTP method
    EVENT = "event"  # a trade update on its way to the listener, by its event
    BAR = "bar"  # a bar on its way to data subscribers, by its symbol
    CONNECT = "connect"  # a socket that opens: trade or data
    KEY = "key"  # the key that is shown on it: trade or data
    ORDER = "order"  # an accepted order, by its symbol


class Do(StrEnum):
    # requests
    STATUS = "status"  # answer `status` with its usual body, before or `after` executing
    DROP = "drop"  # requests: cut the connection, before or `after` executing; events, bars: not sent
    STALL = "stall"  # wait `seconds`, before executing or `after`: then events overtake the reply
    TRUNCATE = "truncate"  # half of the JSON
    EMPTY = "empty"  # 200 without a body
    ENUM = "enum"  # the first element gets the unknown `value` in `field`
    STALE = "stale"  # what this address answered the time before
    # orders
    REJECT = "reject"  # accepted, then rejected by an event
    # events and bars
    DUPLICATE = "duplicate"  # sent `copies` times, with the same execution id
    SWAP = "swap"  # sent after the next one
    NULL = "null"  # `data` is null
    RENAME = "rename"  # an event name that nobody knows: `value`
    MUTE = "mute"  # nothing is sent from here on, the connection stays
    CLOSE = "close"  # the socket is closed with `status`
    # bars
    LATE = "late"  # sent as an update of its minute, a minute later, instead of in time
    REVISE = "revise"  # sent, and sent again on updatedBars with the close moved by `value` (a factor)
    SHUFFLE = "shuffle"  # the minute's symbols in reverse order
    ERROR = "error"  # an error message with the code `status`
    OVERSIZE = "oversize"  # one frame of more than 1 MiB
    HALT = "halt"  # a trading status message says halted
    # connections and keys
    REFUSE = "refuse"  # data: error `status`; trade: unauthorized
    SILENT = "silent"  # accepted, and never answered


ACTIONS: Final[dict[Kind, frozenset[Do]]] = {
    Kind.REQUEST: frozenset({Do.STATUS, Do.DROP, Do.STALL, Do.TRUNCATE, Do.EMPTY, Do.ENUM, Do.STALE}),
    Kind.EVENT: frozenset({Do.DROP, Do.DUPLICATE, Do.SWAP, Do.NULL, Do.RENAME, Do.MUTE, Do.CLOSE}),
    Kind.BAR: frozenset(
        {
            Do.DROP,
            Do.DUPLICATE,
            Do.LATE,
            Do.REVISE,
            Do.SHUFFLE,
            Do.MUTE,
            Do.CLOSE,
            Do.ERROR,
            Do.OVERSIZE,
            Do.HALT,
        }
    ),
    Kind.CONNECT: frozenset({Do.STATUS, Do.SILENT}),
    Kind.KEY: frozenset({Do.REFUSE}),
    Kind.ORDER: frozenset({Do.REJECT}),
}
METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE", "*"})


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the script.

    lasts: seconds from its first hit in which everything that fits is hit, instead of `times`. after: the request is
    executed first. code, message: of a status's body, where its usual one will not do. seconds: of a stall. copies: of
    a duplicate. field, value: what is made unknown.
    """

    on: str
    do: Do
    nth: int = 1
    times: int = 1
    after: bool = False
    status: int = 500
    code: int | None = None
    message: str = ""
    seconds: float = 0.0
    lasts: float = 0.0
    copies: int = 3
    field: str = "status"
    value: str = "unheard_of"

    @property
    def kind(self) -> Kind:
        word = self.on.partition(" ")[0]
        return Kind.REQUEST if word in METHODS else Kind(word)


class BadScript(ValueError):
    """The script cannot be used; one line: which fault, what is wrong."""


class _Script(Struct, frozen=True, forbid_unknown_fields=True):
    fault: tuple[Fault, ...] = ()


class _Count(Struct):
    """passed: how many that fit went by. since: when the first one was hit, seconds of any clock."""

    fault: Fault
    passed: int = 0
    since: float | None = None


class Faults:
    """The script with its counts. Nothing is wrong without one."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._counts = [_Count(fault) for fault in faults]

    @classmethod
    def read(cls, text: str) -> Faults:
        """Raises BadScript."""
        try:
            script = msgspec.convert(tomllib.loads(text), _Script)
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as wrong:
            raise BadScript(f"fault script: {wrong}") from None
        for number, fault in enumerate(script.fault, 1):
            try:
                allowed = ACTIONS[fault.kind]
            except ValueError:
                raise BadScript(
                    f"fault {number}: on = {fault.on!r} names no request, event, bar or connection"
                ) from None
            if fault.do not in allowed:
                raise BadScript(f"fault {number}: {fault.do} is not for {fault.kind}s: {', '.join(sorted(allowed))}")
        return cls(script.fault)

    @property
    def entries(self) -> tuple[Fault, ...]:
        return tuple(count.fault for count in self._counts)

    def add(self, *faults: Fault) -> None:
        self._counts += [_Count(fault) for fault in faults]

    def clear(self) -> None:
        self._counts.clear()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def hit(self, kind: Kind, name: str, seconds: float = 0.0) -> Fault | None:
        """The first fault that hits what passes by; each that fits counts it.

        name: as in `on`, without the kind. seconds: by any clock, for faults that last.
        """
        found = None
        for count in self._counts:
            if count.fault.kind is kind and _fits(count.fault, name):
                count.passed += 1
                if _is_hit(count, seconds):
                    count.since = seconds if count.since is None else count.since
                    found = found or count.fault
        return found


def _is_hit(count: _Count, seconds: float) -> bool:
    fault, passed = count.fault, count.passed
    if fault.lasts and count.since is not None:
        return seconds <= count.since + fault.lasts
    return passed >= fault.nth and (fault.times == 0 or passed < fault.nth + max(fault.times, 1))


def _fits(fault: Fault, name: str) -> bool:
    if fault.kind is not Kind.REQUEST:
        return fnmatchcase(name, fault.on.partition(" ")[2] or "*")
    method, _, path = fault.on.partition(" ")
    wanted, _, actual = name.partition(" ")
    return method in ("*", wanted) and fnmatchcase(actual, path or "*")
