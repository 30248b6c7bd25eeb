"""The life of an order, as one table: (status, event) -> status.

    planned -> claimed -> submitted -> accepted -> partially_filled -> filled
                  |                        `-> canceled, expired, replaced, rejected (from any of them)
                  |-> denied: we took it back and nothing was sent
                  `-> unresolved: a reply was lost; it may be working -> found, or absent

Statuses only go forward, in the order of RANK. Facts arrive out of order (a trade update overtakes the reply to its own
submission, a reconnect repeats old news), so every live status takes every later event. A pair that the table lacks
changes nothing; the caller journals it unless it is old news (`is_old_news`).

Fills are no events here: a fill is booked by its execution id whatever the status says (a cancel crossed it).
PARTIAL_FILL and FILL are the broker's word about the order, not the shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from shared.contracts.vocabulary import Status

PLANNED, CLAIMED, UNRESOLVED, SUBMITTED, ACCEPTED, PARTIALLY_FILLED = (
    Status.PLANNED,
    Status.CLAIMED,
    Status.UNRESOLVED,
    Status.SUBMITTED,
    Status.ACCEPTED,
    Status.PARTIALLY_FILLED,
)


class Event(StrEnum):
    """What can happen to an order. The first five are ours, the others the broker's."""

    CLAIM = "claim"  # an executor may send it
    DENY = "deny"  # no longer wanted, and nothing of it was sent
    LOSE_REPLY = "lose_reply"  # its fate is unknown: time-out, 5xx, lease over without a report
    FIND = "find"  # a look-up shows that it exists, in a state of its own
    GIVE_UP = "give_up"  # proven absent: missed often enough, over the grace time, and in no list
    SUBMIT = "submit"  # the broker has it, not yet at work
    ACCEPT = "accept"  # at work
    PARTIAL_FILL = "partial_fill"
    FILL = "fill"
    REJECT = "reject"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REPLACE = "replace"  # another order stands in its place


LIVE: Final = (PLANNED, CLAIMED, UNRESOLVED, SUBMITTED, ACCEPTED, PARTIALLY_FILLED)
"""Statuses from which an order may still trade, in the order of its life."""

ENDED: Final = frozenset(Status) - frozenset(LIVE)
"""Statuses that stay. `absent` has one way out: an order given up for absent that turns up after all."""

RANK: Final[Mapping[Status, int]] = {status: LIVE.index(status) if status in LIVE else len(LIVE) for status in Status}

BROKER_EVENTS: Final[Mapping[Event, Status]] = {
    Event.SUBMIT: SUBMITTED,
    Event.ACCEPT: ACCEPTED,
    Event.PARTIAL_FILL: PARTIALLY_FILLED,
    Event.FILL: Status.FILLED,
    Event.REJECT: Status.REJECTED,
    Event.CANCEL: Status.CANCELED,
    Event.EXPIRE: Status.EXPIRED,
    Event.REPLACE: Status.REPLACED,
}
"""The broker's events and the status that each one names."""

_OURS: Final[Mapping[tuple[Status, Event], Status]] = {
    (PLANNED, Event.CLAIM): CLAIMED,
    (PLANNED, Event.DENY): Status.DENIED,
    (CLAIMED, Event.DENY): Status.DENIED,  # only where each attempt reported that nothing left this machine
    (CLAIMED, Event.LOSE_REPLY): UNRESOLVED,  # it may be working: never "rejected"
    (CLAIMED, Event.FIND): ACCEPTED,
    (UNRESOLVED, Event.FIND): ACCEPTED,
    (UNRESOLVED, Event.GIVE_UP): Status.ABSENT,
    (Status.ABSENT, Event.FIND): ACCEPTED,  # the only way back: it is cancelled at once (`turned_up`)
}
# The broker's word stands whatever we knew: a leg is made by the broker without a claim of ours, a restored backup
# knows a working order only as planned, and an absent one may turn up.
_THEIRS: Final[Mapping[tuple[Status, Event], Status]] = {
    (status, event): result
    for status in (*LIVE, Status.ABSENT)
    for event, result in BROKER_EVENTS.items()
    if status is Status.ABSENT or RANK[result] > RANK[status]
}

ORDER_LIFE: Final[Mapping[tuple[Status, Event], Status]] = {**_OURS, **_THEIRS}


CHECKED: Final = "checked"
"""Ours, as the name of a trade update: the stream was silent, and the order was read by its id."""


class Word(Struct, frozen=True):
    """What a word of the broker means.

    event: the step it stands for; None: none. resting: whether an order in that state protects, or may still fill on
    its own; None: the word is about something else, the order's status says it.
    """

    event: Event | None
    resting: bool | None


BROKER_WORDS: Final[Mapping[str, Word]] = {
    # statuses of an order, most of them also names of trade updates
    "new": Word(Event.ACCEPT, True),
    "accepted": Word(Event.ACCEPT, True),  # a stop sent after the close stays so until the next morning
    "accepted_for_bidding": Word(Event.ACCEPT, True),
    "pending_new": Word(Event.SUBMIT, False),
    "pending_review": Word(Event.SUBMIT, False),
    "held": Word(Event.SUBMIT, False),  # a leg whose entry is not filled: protects nothing
    "partially_filled": Word(Event.PARTIAL_FILL, True),
    "filled": Word(Event.FILL, False),
    "canceled": Word(Event.CANCEL, False),
    "expired": Word(Event.EXPIRE, False),
    "replaced": Word(Event.REPLACE, False),
    "rejected": Word(Event.REJECT, False),
    "pending_cancel": Word(None, False),  # may last minutes; it may fill, but is not counted on
    "pending_replace": Word(None, True),  # the old terms hold until the new order stands
    "stopped": Word(None, True),  # a trade is guaranteed, not yet made
    "suspended": Word(None, False),
    "done_for_day": Word(None, False),
    "calculated": Word(None, False),
    # names of trade updates only
    "fill": Word(Event.FILL, False),
    "partial_fill": Word(Event.PARTIAL_FILL, True),
    CHECKED: Word(None, None),
    "restated": Word(None, None),
    "order_replace_rejected": Word(None, None),
    "order_cancel_rejected": Word(None, None),
}
"""Every word of Alpaca's orders and trade updates. A word that is not here is an alert, never a guess."""

IN_TRANSIT: Final = frozenset({"pending_new", "pending_cancel", "pending_replace"})
"""Words under which the broker takes neither a replacement nor a cancel: whoever wants one waits."""


def step(status: Status, event: Event) -> Status | None:
    """The status after `event`; None: nothing changes."""
    return ORDER_LIFE.get((status, event))


def is_old_news(status: Status, event: Event) -> bool:
    """Whether `event` only repeats where the order is, or a stage that it has left behind: nothing to journal."""
    named = BROKER_EVENTS.get(event)
    if named is None:
        return event is Event.FIND and RANK[status] >= RANK[SUBMITTED] and status not in _NEVER_WORKED
    return named is status or (RANK[named] < RANK[status] and status not in _NEVER_WORKED)


def turned_up(status: Status, event: Event) -> bool:
    """Whether `event` shows an order at work that was given up for absent: it is to be cancelled at once."""
    result = step(status, event)
    return status is Status.ABSENT and result is not None and result not in ENDED


_NEVER_WORKED: Final = frozenset({Status.DENIED, Status.ABSENT, Status.REJECTED})
