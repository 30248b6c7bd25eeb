"""The exchange's sessions: XNYS holidays, half days and daylight saving, everything in UTC.

exchange_calendars knows them, but it brings pandas with it: 0.5 s and 46 MB in each of half a dozen processes, measured
at the first question. So what it says stands in a table (xnys.py), and a test holds the table against the library.
After an update of the library: `python -m shared.domain.calendar > shared/domain/xnys.py`.
"""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from shared.contracts.vocabulary import Phase
from shared.domain import xnys

FIRST_DAY: Final = dt.date(1993, 1, 1)
LAST_DAY: Final = dt.date(2040, 12, 31)
NEW_YORK: Final = ZoneInfo("America/New_York")
OPEN: Final = dt.time(9, 30)
CLOSE: Final = dt.time(16, 0)
EARLY_CLOSE: Final = dt.time(13, 0)
SATURDAY: Final = 5
FULL_DAY: Final = dt.timedelta(hours=6, minutes=30)

OPEN_NOISE: Final = dt.timedelta(minutes=15)
EARLY_TREND: Final = dt.timedelta(minutes=60)
CLOSE_PROTECT: Final = dt.timedelta(minutes=30)
MINUTE: Final = dt.timedelta(minutes=1)


class Session(Struct, frozen=True):
    """One trading day. opens_at, closes_at: UTC. early: it closes before its usual time."""

    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    early: bool

    @property
    def minutes(self) -> int:
        """Length in minutes, 390 on a full day, 210 on a half day."""
        return (self.closes_at - self.opens_at) // MINUTE

    def is_open(self, instant: dt.datetime) -> bool:
        """Whether `instant` lies in [opens_at, closes_at)."""
        return self.opens_at <= instant < self.closes_at


class NotASession(ValueError):
    """`date` is no trading day; `nearest` is the one next to it, the earlier of two equally near."""

    def __init__(self, date: dt.date, nearest: dt.date) -> None:
        super().__init__(f"{date} ({date:%A}) is no session of the exchange; the nearest is {nearest} ({nearest:%A})")
        self.date = date
        self.nearest = nearest


def session(date: dt.date) -> Session:
    """The session of `date` (New York's day). Raises NotASession."""
    days = _dates()
    place = bisect_left(days, date)
    if place < len(days) and days[place] == date:
        return _session(date)
    neighbours = days[max(place - 1, 0) : place + 1]
    raise NotASession(date, min(neighbours, key=lambda day: (abs(day - date), day)))


def is_session(date: dt.date) -> bool:
    days = _dates()
    place = bisect_left(days, date)
    return place < len(days) and days[place] == date


def sessions(first: dt.date, last: dt.date) -> list[Session]:
    """The sessions from `first` to `last`, both included, oldest first."""
    days = _dates()
    return [_session(day) for day in days[bisect_left(days, first) : bisect_right(days, last)]]


def previous(date: dt.date, count: int = 1) -> Session:
    """The session `count` before `date`, which need not be a session. Raises NotASession at the calendar's end."""
    place = bisect_left(_dates(), date) - count
    if place < 0:
        raise NotASession(date, _dates()[0])
    return _session(_dates()[place])


def following(date: dt.date) -> Session:
    """The session after `date`, which need not be a session. Raises NotASession at the calendar's end."""
    place = bisect_right(_dates(), date)
    if place >= len(_dates()):
        raise NotASession(date, _dates()[-1])
    return _session(_dates()[place])


def session_at(instant: dt.datetime) -> Session | None:
    """The session that is open at `instant`, None outside. Raises ValueError for a time without a zone."""
    _require_zone(instant)
    date = instant.astimezone(dt.UTC).date()  # which a session lies within
    return _session(date) if is_session(date) and _session(date).is_open(instant) else None


def next_open(instant: dt.datetime) -> Session:
    """The first session that opens after `instant`. Raises ValueError for a time without a zone."""
    _require_zone(instant)
    date = instant.astimezone(dt.UTC).date()
    if is_session(date) and _session(date).opens_at > instant:
        return _session(date)
    return following(date)


def phase_of(instant: dt.datetime, day: Session) -> Phase:
    """The part of `day` in which `instant` lies (docs/strategy.md section 8); CLOSED outside.

    Each part includes its first instant. Counted from the opening and the close of that day, which is New York's clock
    on every full day. Raises ValueError for a time without a zone.
    """
    _require_zone(instant)
    if not day.is_open(instant):
        return Phase.CLOSED
    if instant >= day.closes_at - CLOSE_PROTECT:
        return Phase.CLOSE_PROTECT
    if instant < day.opens_at + OPEN_NOISE:
        return Phase.OPEN_NOISE
    if instant < day.opens_at + EARLY_TREND:
        return Phase.EARLY_TREND
    return Phase.NORMAL


def market_minutes_between(earlier: dt.datetime, later: dt.datetime) -> float:
    """Minutes in which the exchange was open between two instants, across nights, weekends and half days.

    0 where `later` is not after `earlier`. Raises ValueError for a time without a zone.
    """
    _require_zone(earlier)
    _require_zone(later)
    total = dt.timedelta()
    for day in sessions(earlier.astimezone(dt.UTC).date(), later.astimezone(dt.UTC).date()):
        total += max(min(later, day.closes_at) - max(earlier, day.opens_at), dt.timedelta())
    return total / MINUTE


def library_sessions() -> tuple[Session, ...]:
    """What exchange_calendars says, for the table and the test that holds it. Slow: see the head of this file."""
    with warnings.catch_warnings():
        # exchange_calendars still calls what pandas 3 deprecates; a program that turns warnings into errors would
        # otherwise have no calendar.
        warnings.simplefilter("ignore")
        import exchange_calendars

        schedule = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY, end=LAST_DAY).schedule
        days = [midnight.date() for midnight in schedule.index]
        opens = [moment.to_pydatetime().astimezone(dt.UTC) for moment in schedule["open"]]
        closes = [moment.to_pydatetime().astimezone(dt.UTC) for moment in schedule["close"]]
    return tuple(
        Session(day, opening, close, close - opening < FULL_DAY)
        for day, opening, close in zip(days, opens, closes, strict=True)
    )


@cache
def _session(date: dt.date) -> Session:
    """That of a date of `_dates`. Times of all of them would take 60 ms of every process."""
    _, early_days = _years()[date.year]
    early = date in early_days
    clocks = (OPEN, EARLY_CLOSE if early else CLOSE)
    opens_at, closes_at = (dt.datetime.combine(date, clock, NEW_YORK).astimezone(dt.UTC) for clock in clocks)
    return Session(date, opens_at, closes_at, early)


@cache
def _years() -> dict[int, tuple[frozenset[dt.date], frozenset[dt.date]]]:
    """The table: closed weekdays and early closes of each year."""
    found = {}
    for line in xnys.DAYS.split("\n"):
        if line:
            year, rest = int(line[:4]), line[5:].split("|")
            closed, early = (
                frozenset(dt.date(year, int(day[:2]), int(day[2:])) for day in part.split()) for part in rest
            )
            found[year] = (closed, early)
    return found


def table_of(days: Sequence[Session]) -> str:
    """The table that says `days`: a line a year, closed weekdays as month and day, `|`, early closes."""
    lines = []
    for year in range(days[0].session.year, days[-1].session.year + 1):
        of_year = [day for day in days if day.session.year == year]
        open_days = {day.session for day in of_year}
        weekdays = (dt.date(year, 1, 1) + dt.timedelta(days=number) for number in range(366))
        closed = [day for day in weekdays if day.year == year and day.weekday() < SATURDAY and day not in open_days]
        early = [day.session for day in of_year if day.early]
        lines.append(f"{year} {' '.join(f'{day:%m%d}' for day in closed)} | {' '.join(f'{day:%m%d}' for day in early)}")
    return "\n".join(lines)


@cache
def _dates() -> tuple[dt.date, ...]:
    """Every weekday that the table does not close."""
    found: list[dt.date] = []
    for year, (closed, _) in _years().items():
        days = (dt.date.fromordinal(number) for number in range(_first(year), _first(year + 1)))
        found += [day for day in days if day.weekday() < SATURDAY and day not in closed]
    return tuple(found)


def _first(year: int) -> int:
    return dt.date(year, 1, 1).toordinal()


def _require_zone(instant: dt.datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")


if __name__ == "__main__":
    sys.stdout.write(f'''"""Made by `python -m shared.domain.calendar` out of exchange_calendars: not to be edited.

A line a year: the weekdays on which the exchange is closed, as month and day, and those on which it closes at 13:00.
"""

from __future__ import annotations

from typing import Final

DAYS: Final = """
{table_of(library_sessions())}
"""
''')
