"""The free pace: a partition's complete minute is followed by the tick that decides it, and it alone."""

from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace

from services.signals.__main__ import decide
from services.signals.service import Signals
from shared.contracts.clock import TickPhase
from shared.contracts.commands import Pause
from shared.contracts.decisions import Decided
from shared.contracts.market import BarRevised
from shared.contracts.rules import Rules
from tests.unit.signals.kit import SESSION, Market, after, bar, bars, candidate, opened, position, taken, tick


def test_a_minute_in_parts_is_decided_after_its_last_part() -> None:
    first = replace(bars(1, [bar(9.9)]), id="a", part=0, parts=2)
    last = replace(bars(1, [bar(9.9, "XYZ")]), id="b", part=1, parts=2)
    assert decide(first) == []
    [follower] = decide(last)
    assert (follower.id, follower.at, follower.cause) == ("decide-0-240103T1431", after(1), "b")
    signals = Signals(1, Rules(), lambda _: 1)
    for message in (opened(), first, last):
        signals.handle(message)
    [decided] = signals.handle(follower)
    assert decided == Decided(
        id="decided-0-240103T1431", at=after(1), cause="b", partition=0, minute=after(1), session=SESSION, fence=1
    )


def test_it_decides_its_own_partition_while_another_still_waits_for_its_bars() -> None:
    signals = Signals(2, Rules(), lambda partition: 10 + partition)
    signals.handle(opened())
    told = []
    for partition in (1, 0):
        minute = bars(1, [], partition)
        signals.handle(minute)
        for follower in decide(minute):
            told += list(signals.handle(follower))
    assert [(message.partition, message.fence) for message in told if isinstance(message, Decided)] == [
        (1, 11),
        (0, 10),
    ]


def test_other_messages_are_followed_by_nothing() -> None:
    assert decide(opened()) == []
    assert decide(taken(1)) == []


def test_a_partition_without_bars_answers_a_conducted_tick_all_the_same() -> None:
    signals = Signals(4, Rules(), lambda _: 1, owned=(1, 3))
    signals.handle(opened())
    conducted = replace(tick(1), upto={"bars:0": "1-1", "bars:1": "1-1", "bars:2": "1-1", "bars:3": "1-1"})
    answers = signals.handle(conducted)
    assert [message.partition for message in answers if isinstance(message, Decided)] == [1, 3]
    assert conducted.phase is TickPhase.DECIDE


def test_a_revised_bar_is_counted_and_decides_nothing() -> None:
    day = Market()
    day.tell(BarRevised(id="r", at=after(1), partition=0, minute=after(0), bar=bar(99.0)))
    assert day.signals.revised == 1


def test_a_message_that_signals_does_not_read_is_refused_by_name() -> None:
    pause = Pause(id="p", at=after(1), by="a test")
    with pytest.raises(TypeError, match="signals does not read Pause"):
        Market().tell(pause)


def test_bars_of_a_minute_that_was_decided_decide_nothing() -> None:
    day = Market(position())
    day.minute(bar(10.03))
    day.minute(bar(10.03))
    day.tell(replace(bars(2, [bar(10.10)]), id="late"))
    [mark] = day.minute(bar(10.04)).marks
    assert mark.high_water == 10.04


def test_bars_outside_the_session_are_left_out() -> None:
    day = Market()
    day.tell(bars(0, [bar(10.03)]), bars(391, [bar(10.03)]))
    assert list(day.signals.handle(tick(391))) == []


def test_a_new_session_starts_with_empty_bars_and_keeps_positions() -> None:
    day = Market(position(), candidate(spent=True))
    day.ten(9.95, 10.02)
    tomorrow = dt.timedelta(days=1)
    later = replace(
        opened(),
        id="s2",
        session=SESSION + tomorrow,
        opens_at=after(0) + tomorrow,
        closes_at=after(390) + tomorrow,
        previous=SESSION,
    )
    day.tell(later)
    at = after(1) + tomorrow
    day.tell(replace(bars(1, [bar(10.04)]), id="b", at=at, minute=after(0) + tomorrow))
    [decided] = day.signals.handle(replace(tick(1), at=at, session=later.session))
    assert isinstance(decided, Decided)
    assert [mark.last_close for mark in decided.marks] == [10.04]
    assert list(day.signals.handle(tick(21))) == []  # a tick of the session before
