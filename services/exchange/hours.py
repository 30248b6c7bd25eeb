"""When an order goes to the market and when it ends, by the exchange's sessions."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from services.exchange.words import Tif
from shared.contracts.exchange_rules import ExchangeRules
from shared.domain import calendar

NEW_YORK: Final = ZoneInfo("America/New_York")
GTC_ENDS_AT: Final = dt.time(16, 15)


class Placement(Struct, frozen=True):
    """released_at: it becomes `new`. live_from: it meets bars that start then or later. expires_at: it ends. UTC."""

    released_at: dt.datetime
    live_from: dt.datetime
    expires_at: dt.datetime


def place(now: dt.datetime, time_in_force: Tif, rules: ExchangeRules) -> Placement:
    """Where an order that arrives at `now` belongs: this session, or the night's queue for the next one."""
    day = calendar.session_at(now)
    if day is not None:
        return Placement(now, now, end_of(now, time_in_force, day, rules))
    day = calendar.next_open(now)
    release = dt.datetime.combine(day.session, rules.queue_release, NEW_YORK).astimezone(dt.UTC)
    return Placement(max(now, release), day.opens_at, end_of(now, time_in_force, day, rules))


def end_of(created: dt.datetime, time_in_force: Tif, day: calendar.Session, rules: ExchangeRules) -> dt.datetime:
    """`expires_at`: the close of `day`, or 16:15 New York `gtc_days` after the day of creation."""
    if time_in_force is not Tif.GTC:
        return day.closes_at
    last = created.astimezone(NEW_YORK).date() + dt.timedelta(days=rules.gtc_days)
    return dt.datetime.combine(last, GTC_ENDS_AT, NEW_YORK).astimezone(dt.UTC)


def trading_day(now: dt.datetime) -> dt.date:
    """The session that is open at `now`, else the next one: the day whose close has not come yet."""
    day = calendar.session_at(now)
    return (day or calendar.next_open(now)).session


def trades_in(minute: dt.datetime) -> bool:
    """Whether a bar that starts at `minute` belongs to a regular session."""
    return calendar.session_at(minute) is not None
