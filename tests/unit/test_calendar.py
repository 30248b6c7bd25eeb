"""The exchange's sessions (docs/strategy.md section 4 and 11), held against two calendar libraries' common answer."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.vocabulary import Phase
from shared.domain import calendar, xnys

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "market" / "nyse_calendar.json"
NEW_YORK = ZoneInfo("America/New_York")
needs_reference = pytest.mark.skipif(not REFERENCE.exists(), reason="../shared/market/nyse_calendar.json is absent")


def reference() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(REFERENCE.read_text())
    return content


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)


def ny(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).astimezone(dt.UTC)


@needs_reference
@pytest.mark.parametrize("year", range(2014, 2028))
def test_every_holiday_half_day_and_daylight_change_of_a_year_is_known(year: int) -> None:
    expected = reference()["years"][str(year)]
    first, last = dt.date(year, 1, 1), dt.date(year, 12, 31)
    days = calendar.sessions(first, last)
    weekdays = {day for day in (first + dt.timedelta(n) for n in range((last - first).days + 1)) if day.weekday() < 5}
    assert len(days) == expected["sessions"]
    assert sorted(f"{day}" for day in weekdays - {day.session for day in days}) == expected["closed_weekdays"]
    assert [f"{day.session}" for day in days if day.early] == expected["early_close_13:00_ET"]
    assert (f"{days[0].session}", f"{days[-1].session}") == (expected["first_session"], expected["last_session"])
    for day in days:
        assert f"{day.opens_at.astimezone(NEW_YORK):%H:%M}" == "09:30"
        assert f"{day.closes_at.astimezone(NEW_YORK):%H:%M}" == ("13:00" if day.early else "16:00")
        assert day.minutes == (210 if day.early else 390)


@needs_reference
def test_the_exchange_is_open_from_its_opening_until_just_before_its_close() -> None:
    instants = reference()["is_open_at"]
    assert len(instants) == 25
    for text, is_open in instants:
        assert (calendar.session_at(utc(text)) is not None) is is_open, text


@needs_reference
@pytest.mark.parametrize("year", range(2014, 2028))
def test_the_opening_moves_by_an_hour_in_utc_over_each_daylight_change(year: int) -> None:
    spring, autumn = (dt.date.fromisoformat(day) for day in reference()["us_dst_changes_sundays"][str(year)])
    assert calendar.previous(spring).opens_at.hour == 14
    assert calendar.following(spring).opens_at.hour == 13
    assert calendar.previous(autumn).opens_at.hour == 13
    assert calendar.following(autumn).opens_at.hour == 14


@pytest.mark.parametrize(
    ("year", "count"),
    list(
        zip(range(1999, 2014), [252, 252, 248, 252, 252, 252, 252, 251, 251, 253, 252, 252, 252, 250, 252], strict=True)
    ),
)
def test_the_years_before_2014_have_their_known_number_of_sessions(year: int, count: int) -> None:
    assert len(calendar.sessions(dt.date(year, 1, 1), dt.date(year, 12, 31))) == count


def test_days_without_trading_name_the_nearest_session() -> None:
    for closed, nearest in [
        (dt.date(2001, 9, 11), dt.date(2001, 9, 10)),  # the attacks
        (dt.date(2012, 10, 29), dt.date(2012, 10, 31)),  # hurricane Sandy closed two days
        (dt.date(2014, 12, 25), dt.date(2014, 12, 24)),
        (dt.date(2026, 1, 10), dt.date(2026, 1, 9)),  # a Saturday
        (dt.date(2026, 1, 11), dt.date(2026, 1, 12)),  # a Sunday
    ]:
        with pytest.raises(calendar.NotASession) as caught:
            calendar.session(closed)
        assert caught.value.nearest == nearest
        assert str(closed) in str(caught.value)
        assert not calendar.is_session(closed)


def test_a_day_beyond_the_calendar_is_no_session() -> None:
    with pytest.raises(calendar.NotASession):
        calendar.session(dt.date(1900, 1, 1))
    with pytest.raises(calendar.NotASession):
        calendar.session(dt.date(2100, 1, 1))
    with pytest.raises(calendar.NotASession):
        calendar.previous(calendar.FIRST_DAY)
    with pytest.raises(calendar.NotASession):
        calendar.following(calendar.LAST_DAY)


def test_neighbours_skip_weekends_and_holidays() -> None:
    assert calendar.previous(dt.date(2014, 11, 28)).session == dt.date(2014, 11, 26)
    assert calendar.following(dt.date(2014, 11, 26)).session == dt.date(2014, 11, 28)
    assert calendar.following(dt.date(2014, 11, 28)).session == dt.date(2014, 12, 1)
    assert calendar.previous(dt.date(2014, 11, 29)).session == dt.date(2014, 11, 28)
    assert calendar.previous(dt.date(2014, 12, 1), count=3).session == dt.date(2014, 11, 25)


def test_the_next_opening_is_strictly_later() -> None:
    opening = utc("2014-11-28T14:30Z")
    assert calendar.next_open(opening).session == dt.date(2014, 12, 1)
    assert calendar.next_open(opening - dt.timedelta(seconds=1)).session == dt.date(2014, 11, 28)


@pytest.mark.parametrize(
    ("clock", "phase"),
    [
        ("2024-01-02T09:29:59", Phase.CLOSED),
        ("2024-01-02T09:30:00", Phase.OPEN_NOISE),
        ("2024-01-02T09:44:59", Phase.OPEN_NOISE),
        ("2024-01-02T09:45:00", Phase.EARLY_TREND),
        ("2024-01-02T10:29:59", Phase.EARLY_TREND),
        ("2024-01-02T10:30:00", Phase.NORMAL),
        ("2024-01-02T15:29:59", Phase.NORMAL),
        ("2024-01-02T15:30:00", Phase.CLOSE_PROTECT),
        ("2024-01-02T15:59:59", Phase.CLOSE_PROTECT),
        ("2024-01-02T16:00:00", Phase.CLOSED),
        ("2024-07-02T09:45:00", Phase.EARLY_TREND),
        ("2024-07-03T12:29:59", Phase.NORMAL),
        ("2024-07-03T12:30:00", Phase.CLOSE_PROTECT),
        ("2024-07-03T13:00:00", Phase.CLOSED),
    ],
)
def test_a_session_has_its_phases_on_new_yorks_clock(clock: str, phase: Phase) -> None:
    assert calendar.phase_of(ny(clock), calendar.session(dt.date.fromisoformat(clock[:10]))) is phase


def test_market_minutes_count_no_night_no_weekend_and_only_half_a_half_day() -> None:
    between = calendar.market_minutes_between
    assert between(ny("2024-07-02T15:30"), ny("2024-07-02T15:45")) == 15
    assert between(ny("2024-07-02T15:30"), ny("2024-07-03T09:40")) == 40
    assert between(ny("2024-07-02T15:30"), ny("2024-07-05T09:40")) == 30 + 210 + 10  # the 4th is a holiday
    assert between(ny("2024-07-02T20:00"), ny("2024-07-03T08:00")) == 0
    assert between(ny("2024-07-03T08:00"), ny("2024-07-02T20:00")) == 0
    assert between(ny("2024-03-08T15:59"), ny("2024-03-11T09:31")) == 2  # over a daylight change
    assert between(ny("2024-07-02T09:30"), ny("2024-07-02T09:30:30")) == 0.5


SOME_INSTANT = st.integers(0, 15 * 365 * 86_400).map(lambda s: utc("2013-01-01T00:00Z") + dt.timedelta(seconds=s))
SOME_DAYS = st.timedeltas(dt.timedelta(0), dt.timedelta(days=12))


@given(SOME_INSTANT, SOME_DAYS, SOME_DAYS)
@settings(max_examples=100, deadline=None)
def test_market_minutes_add_up(start: dt.datetime, first: dt.timedelta, second: dt.timedelta) -> None:
    middle, end = start + first, start + first + second
    between = calendar.market_minutes_between
    assert between(start, end) == pytest.approx(between(start, middle) + between(middle, end))
    assert between(start, end) <= (end - start).total_seconds() / 60


@given(SOME_INSTANT)
@settings(max_examples=100, deadline=None)
def test_an_instant_is_in_one_session_or_before_the_next_opening(instant: dt.datetime) -> None:
    ahead = calendar.next_open(instant)
    assert ahead.opens_at > instant
    last = calendar.previous(ahead.session)
    assert (calendar.session_at(instant) == last) is (instant < last.closes_at)


def test_a_time_without_a_zone_is_refused() -> None:
    day = calendar.session(dt.date(2024, 1, 2))
    naive = day.opens_at.replace(tzinfo=None)
    for ask in (
        lambda: calendar.phase_of(naive, day),
        lambda: calendar.session_at(naive),
        lambda: calendar.next_open(naive),
        lambda: calendar.market_minutes_between(naive, day.closes_at),
    ):
        with pytest.raises(ValueError, match="no time zone"):
            ask()


def test_the_table_says_what_the_library_says() -> None:
    """If it no longer does: `python -m shared.domain.calendar > shared/domain/xnys.py`."""
    library = calendar.library_sessions()
    assert calendar.sessions(calendar.FIRST_DAY, calendar.LAST_DAY) == list(library)
    assert calendar.table_of(library) == xnys.DAYS.strip()


def test_asking_the_calendar_does_not_import_pandas() -> None:
    program = (
        "import datetime, sys; from shared.domain import calendar; calendar.session(datetime.date(2026, 1, 9));"
        "print('pandas' in sys.modules, 'exchange_calendars' in sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]
