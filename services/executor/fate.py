"""What became of a request, by what came back: one table, row by row.

The line that matters runs between *refused* and *unknown*. A broker that said no created nothing. A broker that said
nothing, or something unreadable, may be working the order, and no time-out of ours may end it.

A duplicate id is unknown until the order that has it was read and compared: the broker's code for it stands for other
refusals too, and its messages may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, assert_never

from services.executor.broker import Answer, Fault, Replied, Silent
from shared.contracts.vocabulary import Outcome

DUPLICATE_CODE: Final = 40010001


class Verb(StrEnum):
    SUBMIT = "submit"
    REPLACE = "replace"
    CANCEL = "cancel"
    LOOK_UP = "look_up"


class Happened(StrEnum):
    """Everything that can come of a request."""

    TAKEN = "taken"  # 2xx with what was asked for; for a cancel, nothing
    GARBLED = "garbled"  # 2xx, but empty, cut off, not JSON, or not an order
    DUPLICATE = "duplicate"  # 422 with code 40010001, or 409: perhaps an order with this id exists
    NO_SUCH = "no_such"  # 404 with a code
    REFUSED = "refused"  # 400, 403, 422 with a code
    UNAUTHORIZED = "unauthorized"  # 401, or 403 in JSON without a code: the keys, not the order
    LIMITED = "limited"  # 429: as a rule nothing was created; looked up all the same
    BROKEN = "broken"  # 5xx
    ODD = "odd"  # any other status, and refusals without a code: it may be a proxy that speaks
    LATE = "late"
    UNSENDABLE = "unsendable"
    NOT_CONNECTED = "not_connected"
    CONNECT_TIMEOUT = "connect_timeout"
    UNVERIFIED = "unverified"
    READ_TIMEOUT = "read_timeout"
    CUT = "cut"


_DONE, _FOUND, _MISSING = Outcome.DONE, Outcome.FOUND, Outcome.MISSING
_REFUSED, _UNKNOWN, _NOT_SENT = Outcome.REFUSED, Outcome.UNKNOWN, Outcome.NOT_SENT

# fmt: off
_ROWS: Final[Mapping[Happened, tuple[Outcome, Outcome, Outcome, Outcome]]] = {
    #                            SUBMIT     REPLACE    CANCEL     LOOK_UP
    Happened.TAKEN:             (_DONE,     _DONE,     _DONE,     _FOUND),
    Happened.GARBLED:           (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
    Happened.DUPLICATE:         (_UNKNOWN,  _UNKNOWN,  _REFUSED,  _UNKNOWN),
    Happened.NO_SUCH:           (_REFUSED,  _REFUSED,  _MISSING,  _MISSING),
    Happened.REFUSED:           (_REFUSED,  _REFUSED,  _REFUSED,  _UNKNOWN),
    Happened.UNAUTHORIZED:      (_REFUSED,  _REFUSED,  _REFUSED,  _UNKNOWN),
    Happened.LIMITED:           (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
    Happened.BROKEN:            (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
    Happened.ODD:               (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
    Happened.LATE:              (_NOT_SENT, _NOT_SENT, _NOT_SENT, _UNKNOWN),
    Happened.UNSENDABLE:        (_REFUSED,  _REFUSED,  _REFUSED,  _UNKNOWN),
    Happened.NOT_CONNECTED:     (_NOT_SENT, _NOT_SENT, _NOT_SENT, _UNKNOWN),
    Happened.CONNECT_TIMEOUT:   (_NOT_SENT, _NOT_SENT, _NOT_SENT, _UNKNOWN),
    Happened.UNVERIFIED:        (_NOT_SENT, _NOT_SENT, _NOT_SENT, _UNKNOWN),
    Happened.READ_TIMEOUT:      (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
    Happened.CUT:               (_UNKNOWN,  _UNKNOWN,  _UNKNOWN,  _UNKNOWN),
}
# fmt: on

FATE: Final[Mapping[tuple[Verb, Happened], Outcome]] = {
    (verb, happened): row[place] for happened, row in _ROWS.items() for place, verb in enumerate(Verb)
}


def what_happened(verb: Verb, answer: Answer, *, readable: bool) -> Happened:
    """Which row of the table `answer` is. readable: its body is the order that was asked for."""
    match answer:
        case Silent():
            return _SILENCE[answer.fault]
        case Replied():
            return _of_reply(verb, answer, readable)
        case _:
            assert_never(answer)


def outcome(verb: Verb, answer: Answer, *, readable: bool) -> Outcome:
    """What is known after `answer`. readable: its body is the order that was asked for."""
    return FATE[verb, what_happened(verb, answer, readable=readable)]


_SILENCE: Final[Mapping[Fault, Happened]] = {fault: Happened(fault.value) for fault in Fault}


def _of_reply(verb: Verb, reply: Replied, readable: bool) -> Happened:
    coded = reply.code is not None
    match reply.status:
        case status if 200 <= status < 300:
            whole = (reply.empty or reply.body is not None) if verb is Verb.CANCEL else readable
            return Happened.TAKEN if whole else Happened.GARBLED
        case 401:
            return Happened.UNAUTHORIZED
        case 403 if not coded and reply.body is not None:
            return Happened.UNAUTHORIZED
        case 404 if coded:
            return Happened.NO_SUCH
        case 409 if coded:
            return Happened.DUPLICATE
        case 422 if reply.code == DUPLICATE_CODE:
            return Happened.DUPLICATE
        case 400 | 403 | 422 if coded:
            return Happened.REFUSED
        case 429:
            return Happened.LIMITED
        case status if 500 <= status < 600:
            return Happened.BROKEN
        case _:
            return Happened.ODD
