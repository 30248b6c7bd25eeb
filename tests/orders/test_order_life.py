"""The table of the order life, walked status by event (docs/strategy.md has no part in it; DESIGN: the ledger)."""

from __future__ import annotations

import itertools

import pytest

from shared.contracts.vocabulary import Status
from shared.domain.order_life import (
    BROKER_WORDS,
    ENDED,
    LIVE,
    ORDER_LIFE,
    RANK,
    Event,
    is_old_news,
    step,
    turned_up,
)

PAIRS = list(itertools.product(Status, Event))


def test_every_status_is_reached_from_planned() -> None:
    reached = {Status.PLANNED}
    while True:
        further = {result for (status, _), result in ORDER_LIFE.items() if status in reached} - reached
        if not further:
            break
        reached |= further
    assert reached == set(Status)


@pytest.mark.parametrize(("status", "event"), PAIRS)
def test_no_event_moves_an_order_backwards_or_out_of_an_end(status: Status, event: Event) -> None:
    result = step(status, event)
    if result is None:
        return
    if status is Status.ABSENT:
        assert event in (Event.FIND, *_broker_events())
    else:
        assert status in LIVE
        assert RANK[result] > RANK[status]


@pytest.mark.parametrize("status", [status for status in ENDED if status is not Status.ABSENT])
@pytest.mark.parametrize("event", Event)
def test_an_ended_order_stays_as_it_ended(status: Status, event: Event) -> None:
    assert step(status, event) is None


@pytest.mark.parametrize(
    ("status", "event", "result"),
    [
        (Status.PLANNED, Event.CLAIM, Status.CLAIMED),
        (Status.PLANNED, Event.DENY, Status.DENIED),
        (Status.CLAIMED, Event.SUBMIT, Status.SUBMITTED),
        (Status.CLAIMED, Event.ACCEPT, Status.ACCEPTED),
        (Status.CLAIMED, Event.FILL, Status.FILLED),
        (Status.CLAIMED, Event.REJECT, Status.REJECTED),
        (Status.CLAIMED, Event.LOSE_REPLY, Status.UNRESOLVED),
        (Status.UNRESOLVED, Event.FIND, Status.ACCEPTED),
        (Status.UNRESOLVED, Event.GIVE_UP, Status.ABSENT),
        (Status.UNRESOLVED, Event.FILL, Status.FILLED),
        (Status.SUBMITTED, Event.ACCEPT, Status.ACCEPTED),
        (Status.ACCEPTED, Event.PARTIAL_FILL, Status.PARTIALLY_FILLED),
        (Status.PARTIALLY_FILLED, Event.FILL, Status.FILLED),
        (Status.PARTIALLY_FILLED, Event.CANCEL, Status.CANCELED),
        (Status.ACCEPTED, Event.EXPIRE, Status.EXPIRED),
        (Status.ACCEPTED, Event.REPLACE, Status.REPLACED),
        (Status.ABSENT, Event.ACCEPT, Status.ACCEPTED),
        # a leg: made by the broker, never claimed by us
        (Status.PLANNED, Event.SUBMIT, Status.SUBMITTED),
        (Status.PLANNED, Event.ACCEPT, Status.ACCEPTED),
    ],
)
def test_a_step_of_the_table(status: Status, event: Event, result: Status) -> None:
    assert step(status, event) is result


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (Status.UNRESOLVED, Event.DENY),  # its fate is unknown: it cannot be taken back
        (Status.SUBMITTED, Event.DENY),
        (Status.SUBMITTED, Event.LOSE_REPLY),  # it is known to exist
        (Status.PLANNED, Event.LOSE_REPLY),  # nobody may have sent it
        (Status.PLANNED, Event.GIVE_UP),
        (Status.CLAIMED, Event.GIVE_UP),  # not before it was looked for
        (Status.ACCEPTED, Event.SUBMIT),
        (Status.PARTIALLY_FILLED, Event.ACCEPT),
        (Status.CANCELED, Event.FILL),  # the fill is booked; the order's status stays
        (Status.DENIED, Event.CLAIM),
    ],
)
def test_a_pair_the_table_lacks_changes_nothing(status: Status, event: Event) -> None:
    assert step(status, event) is None


@pytest.mark.parametrize(
    ("status", "event", "old"),
    [
        (Status.ACCEPTED, Event.ACCEPT, True),  # said again after a reconnect
        (Status.ACCEPTED, Event.SUBMIT, True),  # overtaken by `new`
        (Status.FILLED, Event.PARTIAL_FILL, True),
        (Status.CANCELED, Event.ACCEPT, True),
        (Status.FILLED, Event.FIND, True),
        (Status.CANCELED, Event.FILL, False),  # two ends: a person should see it
        (Status.DENIED, Event.ACCEPT, False),  # an order at the broker that we never sent
        (Status.REJECTED, Event.ACCEPT, False),
        (Status.PLANNED, Event.GIVE_UP, False),
    ],
)
def test_repeated_and_overtaken_words_are_old_news_and_contradictions_are_not(
    status: Status, event: Event, old: bool
) -> None:
    assert is_old_news(status, event) is old


@pytest.mark.parametrize(("status", "event"), PAIRS)
def test_old_news_never_is_a_step(status: Status, event: Event) -> None:
    assert not (is_old_news(status, event) and step(status, event) is not None)


def test_an_absent_order_that_turns_up_is_known_as_such() -> None:
    assert turned_up(Status.ABSENT, Event.ACCEPT)
    assert turned_up(Status.ABSENT, Event.FIND)
    assert not turned_up(Status.ABSENT, Event.CANCEL)  # it ended by itself: nothing to cancel
    assert not turned_up(Status.UNRESOLVED, Event.FIND)


@pytest.mark.parametrize(
    "word",
    [
        "new",
        "accepted",
        "pending_new",
        "held",
        "partially_filled",
        "filled",
        "done_for_day",
        "canceled",
        "expired",
        "replaced",
        "pending_cancel",
        "pending_replace",
        "rejected",
        "suspended",
        "stopped",
        "calculated",
        "accepted_for_bidding",
        "pending_review",
        "restated",
        "fill",
        "partial_fill",
        "order_replace_rejected",
        "order_cancel_rejected",
    ],
)
def test_every_word_of_the_broker_is_known(word: str) -> None:
    assert word in BROKER_WORDS


def test_accepted_rests_and_held_does_not() -> None:
    assert BROKER_WORDS["accepted"].resting is True
    assert BROKER_WORDS["held"].resting is False
    assert BROKER_WORDS["pending_cancel"].resting is False


def _broker_events() -> tuple[Event, ...]:
    return tuple(event for event in Event if event not in list(Event)[:5])
