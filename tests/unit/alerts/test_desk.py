"""What is sent where, and when."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from services.alerts.desk import LINES, TRIES, WAITING_MAX, Delivery, Desk, Memory, Rules, Target
from services.alerts.notes import Level
from tests.unit.alerts.messages import HOUR, MINUTE, NOON, SECOND, alert, dead, desk, row, sent


def test_an_alert_is_due_at_once_and_once() -> None:
    made = desk()
    made.take(alert("critical", text="stop missing", symbol="AAPL"), NOON)
    assert sent(made, NOON) == Delivery(
        title="execution, dry run: critical",
        body="12:00 CRITICAL: AAPL: stop missing",
        level=Level.CRITICAL,
        numbers=(1,),
    )
    assert sent(made, NOON + HOUR) is None


@pytest.mark.parametrize(
    ("least", "told"),
    [
        (Level.INFO, ["info", "warning", "critical"]),
        (Level.WARNING, ["warning", "critical"]),
        (Level.CRITICAL, ["critical"]),
    ],
)
def test_an_address_gets_what_is_at_least_at_its_level(least: Level, told: list[str]) -> None:
    made = desk(least)
    for level in ("info", "warning", "critical"):
        made.take(alert(level, key=level, text=f"a {level} one"), NOON)
    delivery = sent(made, NOON)
    assert delivery is not None
    assert [level for level in ("info", "warning", "critical") if f"a {level} one" in delivery.body] == told


def test_a_level_that_a_newer_program_invented_counts_as_critical() -> None:
    made = desk(Level.CRITICAL)
    made.take(alert("catastrophic"), NOON)
    assert sent(made, NOON) is not None


def test_the_same_trouble_is_told_again_only_after_a_while_and_says_how_often_it_came() -> None:
    made = desk()
    for minute in (0, 1, 5, 14):
        made.take(alert(), NOON + minute * MINUTE)
    first = sent(made, NOON + 14 * MINUTE)
    assert first is not None
    assert first.body == "12:00 WARNING: something is wrong"
    made.take(alert(), NOON + 15 * MINUTE)
    again = sent(made, NOON + 15 * MINUTE)
    assert again is not None
    assert again.body == "12:15 WARNING: something is wrong (and 3 more since 12:00 New York)"


def test_a_burst_is_one_message_after_a_pause_the_gravest_first() -> None:
    made = desk()
    made.take(alert(key="first"), NOON)
    assert sent(made, NOON) is not None
    made.take(alert("warning", key="second", text="slow"), NOON)
    made.take(alert("critical", key="third", text="down"), NOON)
    assert sent(made, NOON + 4 * SECOND) is None
    burst = sent(made, NOON + 5 * SECOND)
    assert burst is not None
    assert (burst.title, burst.body) == (
        "execution, dry run: 1 critical, 1 warning",
        "12:00 CRITICAL: down\n12:00 WARNING: slow",
    )


def test_a_message_names_twenty_and_counts_the_rest() -> None:
    made = desk()
    for number in range(LINES + 7):
        made.take(alert(key=f"{number}", text=f"number {number}"), NOON)
    delivery = sent(made, NOON)
    assert delivery is not None
    assert delivery.body.splitlines()[LINES:] == ["and 7 more: see the journal"]
    assert sent(made, NOON + HOUR) is None


@pytest.mark.parametrize(
    ("start", "end", "clock", "quiet"),
    [
        ((22, 0), (7, 0), (23, 0), True),
        ((22, 0), (7, 0), (6, 59), True),
        ((22, 0), (7, 0), (7, 0), False),
        ((22, 0), (7, 0), (12, 0), False),
        ((1, 0), (5, 0), (1, 0), True),
        ((1, 0), (5, 0), (5, 0), False),
    ],
)
def test_quiet_hours_hold_everything_back_but_what_is_critical(
    start: tuple[int, int], end: tuple[int, int], clock: tuple[int, int], quiet: bool
) -> None:
    made = desk(quiet=(dt.time(*start), dt.time(*end)))
    now = dt.datetime(2026, 7, 9, *clock, tzinfo=dt.timezone(-4 * HOUR))  # New York in summer
    made.take(alert("warning", key="w"), now)
    assert (sent(made, now) is None) is quiet
    made.take(alert("critical", key="c"), now)
    assert sent(made, now + MINUTE) is not None


def test_what_quiet_hours_held_back_is_sent_when_they_end() -> None:
    made = desk(quiet=(dt.time(11), dt.time(13)))
    for number in range(3):
        made.take(alert(key=f"{number}"), NOON)
    assert sent(made, NOON + 59 * MINUTE) is None
    held_back = sent(made, NOON + HOUR)
    assert held_back is not None
    assert held_back.title == "execution, dry run: 3 warning"


def test_an_address_that_fails_is_tried_later_and_later_then_its_notes_are_counted_as_lost() -> None:
    made = desk()
    made.take(alert(), NOON)
    now, tries = NOON, 0
    while (delivery := made.due("a", now)) is not None:
        tries += 1
        if not made.failed("a", delivery, now):
            break
        assert made.due("a", now + 9 * SECOND) is None
        now += HOUR
    assert tries == TRIES
    made.take(alert(key="later", text="here I am"), now)
    after = sent(made, now + HOUR)
    assert after is not None
    assert after.body.splitlines()[1:] == ["1 earlier ones could not be delivered here: see the journal"]


def test_what_came_while_a_message_was_on_its_way_is_not_lost_with_it() -> None:
    made = desk()
    made.take(alert(key="1"), NOON)
    on_its_way = made.due("a", NOON)
    assert on_its_way is not None
    made.take(alert(key="2", text="meanwhile"), NOON)
    made.sent("a", on_its_way, NOON)
    after = sent(made, NOON + MINUTE)
    assert after is not None
    assert after.body == "12:00 WARNING: meanwhile"


def test_a_full_line_drops_the_least_grave_first() -> None:
    made = desk()
    made.take(alert("critical", key="grave", text="grave"), NOON)
    for number in range(WAITING_MAX + 5):
        made.take(alert("info", key=f"{number}"), NOON)
    delivery = sent(made, NOON)
    assert delivery is not None
    assert len(delivery.numbers) == WAITING_MAX
    assert delivery.body.startswith("12:00 CRITICAL: grave\n")
    assert delivery.body.endswith("6 earlier ones could not be delivered here: see the journal")


def test_a_dead_letter_is_a_warning_and_the_same_reason_one_trouble() -> None:
    made = desk()
    made.take(dead(), NOON)
    made.take(dead(), NOON)
    delivery = sent(made, NOON)
    assert delivery is not None
    assert delivery.body == "12:00 WARNING: signals could not take an entry of bars:1: ValueError: no"


def test_the_session_ends_with_a_summary() -> None:
    made = desk()
    made.take(row("fill", "of yesterday", seq=1), NOON)
    made.take(row("session_opened", "session 2026-01-09", seq=2), NOON)
    made.take(row("entry_wanted", seq=3), NOON)
    for seq in (4, 5):
        made.take(row("fill", f"fill {seq}", seq=seq), NOON)
    made.take(alert("warning"), NOON)
    sent(made, NOON)
    made.take(row("session_closed", "session 2026-01-09 is over: equity 100,006.09", seq=9, held=2.0), NOON)
    summary = sent(made, NOON + MINUTE)
    assert summary is not None
    assert summary.body == (
        "12:00 session 2026-01-09 is over: equity 100,006.09; 2 positions held overnight. "
        "1 breakout confirmed, 2 fills. Alerts: 1 warning."
    )


def test_memory_outlives_a_restart() -> None:
    before = desk(quiet=(dt.time(11), dt.time(13)))
    before.take(alert(key="told"), NOON)
    kept = msgspec.json.decode(msgspec.json.encode(before.memory), type=Memory)
    after = desk(quiet=(dt.time(11), dt.time(13)), memory=kept)
    after.take(alert(key="told"), NOON + MINUTE)
    delivery = sent(after, NOON + HOUR)
    assert delivery is not None
    assert delivery.body == "12:00 WARNING: something is wrong"


@settings(max_examples=100, deadline=None)
@given(
    some.lists(
        some.tuples(
            some.sampled_from(["info", "warning", "critical"]),
            some.integers(0, 5),
            some.integers(0, 900),
            some.booleans(),
        ),
        max_size=40,
    )
)
def test_every_first_note_of_a_key_reaches_every_address_of_its_level(
    events: list[tuple[str, int, int, bool]],
) -> None:
    rules = Rules(repeat_after=10 * HOUR, pause=5 * SECOND, quiet=(dt.time(11, 30), dt.time(12, 30)), summary=False)
    made = Desk([Target(name="all", level=Level.INFO), Target(name="grave", level=Level.CRITICAL)], rules, "x")
    now, got, wanted = NOON, {"all": "", "grave": ""}, {"all": set[str](), "grave": set[str]()}
    seen: set[int] = set()
    for level, key, later_s, works in events:
        now += later_s * SECOND
        made.take(alert(level, key=f"{key}", text=f"<{key}>"), now)
        if key not in seen:
            wanted["all"].add(f"<{key}>")
            if level == "critical":
                wanted["grave"].add(f"<{key}>")
        seen.add(key)
        for name in got:
            delivery = made.due(name, now)
            if delivery is not None and works:
                got[name] += delivery.body
                made.sent(name, delivery, now)
    for name in got:
        delivery = made.due(name, now + 10 * HOUR)
        got[name] += delivery.body if delivery is not None else ""
        assert {text for text in wanted[name] if got[name].count(text) == 1} == wanted[name]
