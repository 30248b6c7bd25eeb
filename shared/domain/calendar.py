"""The exchange's sessions: XNYS holidays, half days and daylight saving, everything in UTC.

exchange_calendars knows them; it brings pandas with it (0.6 s, 50 MB), so it is imported at the first question and
asked once. Afterwards every answer is a look-up in plain tuples.
"""

from __future__ import annotations

import datetime as dt
import warnings
from bisect import bisect_left, bisect_right
from functools import lru_cache
from typing import Final

from msgspec import Struct

from shared.contracts.vocabulary import Phase

FIRST_DAY: Final = dt.date(1993, 1, 1)
LAST_DAY: Final = dt.date(2040, 12, 31)
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
    days, all_sessions = _dates(), _sessions()
    place = bisect_left(days, date)
    if place < len(days) and days[place] == date:
        return all_sessions[place]
    neighbours = days[max(place - 1, 0) : place + 1]
    raise NotASession(date, min(neighbours, key=lambda day: (abs(day - date), day)))


def is_session(date: dt.date) -> bool:
    days = _dates()
    place = bisect_left(days, date)
    return place < len(days) and days[place] == date


def sessions(first: dt.date, last: dt.date) -> list[Session]:
    """The sessions from `first` to `last`, both included, oldest first."""
    days = _dates()
    return list(_sessions()[bisect_left(days, first) : bisect_right(days, last)])


def previous(date: dt.date, count: int = 1) -> Session:
    """The session `count` before `date`, which need not be a session. Raises NotASession at the calendar's end."""
    place = bisect_left(_dates(), date) - count
    if place < 0:
        raise NotASession(date, _dates()[0])
    return _sessions()[place]


def following(date: dt.date) -> Session:
    """The session after `date`, which need not be a session. Raises NotASession at the calendar's end."""
    place = bisect_right(_dates(), date)
    if place >= len(_dates()):
        raise NotASession(date, _dates()[-1])
    return _sessions()[place]


def session_at(instant: dt.datetime) -> Session | None:
    """The session that is open at `instant`, None outside. Raises ValueError for a time without a zone."""
    _require_zone(instant)
    place = bisect_right(_openings(), instant) - 1
    if place < 0:
        return None
    last_opened = _sessions()[place]
    return last_opened if last_opened.is_open(instant) else None


def next_open(instant: dt.datetime) -> Session:
    """The first session that opens after `instant`. Raises ValueError for a time without a zone."""
    _require_zone(instant)
    return _sessions()[bisect_right(_openings(), instant)]


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
    place = max(bisect_right(_openings(), earlier) - 1, 0)
    total = dt.timedelta()
    for day in _sessions()[place : bisect_left(_openings(), later)]:
        total += max(min(later, day.closes_at) - max(earlier, day.opens_at), dt.timedelta())
    return total / MINUTE


@lru_cache(maxsize=1)
def _sessions() -> tuple[Session, ...]:
    with warnings.catch_warnings():
        # exchange_calendars still calls what pandas 3 deprecates; a program that turns warnings into errors would
        # otherwise have no calendar.
        warnings.simplefilter("ignore")
        import exchange_calendars  # slow: see the head of this file

        schedule = exchange_calendars.get_calendar("XNYS", start=FIRST_DAY, end=LAST_DAY).schedule
        days = [midnight.date() for midnight in schedule.index]
        opens = [moment.to_pydatetime().astimezone(dt.UTC) for moment in schedule["open"]]
        closes = [moment.to_pydatetime().astimezone(dt.UTC) for moment in schedule["close"]]
    return tuple(
        Session(day, opening, close, close - opening < FULL_DAY)
        for day, opening, close in zip(days, opens, closes, strict=True)
    )


@lru_cache(maxsize=1)
def _dates() -> tuple[dt.date, ...]:
    return tuple(day.session for day in _sessions())


@lru_cache(maxsize=1)
def _openings() -> tuple[dt.datetime, ...]:
    return tuple(day.opens_at for day in _sessions())


def _require_zone(instant: dt.datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
