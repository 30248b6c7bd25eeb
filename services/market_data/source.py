"""What a market feed must be able to say, whatever stands behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, Protocol

from msgspec import Struct

from shared.contracts.market import Bar, DailyBar
from shared.domain.calendar import Session

USUAL_SESSIONS: Final = 20


class Row(NamedTuple):
    """One bar as the feed has it, unchecked. start: UTC."""

    start: dt.datetime
    bar: Bar


class Revision(Struct, frozen=True):
    """At `at` (UTC) the bar that started at `start` was corrected."""

    at: dt.datetime
    start: dt.datetime
    bar: Bar


class Halt(Struct, frozen=True):
    """At `at` (UTC) trading in `symbol` stopped (`halted`) or resumed. code: the exchange's reason code."""

    at: dt.datetime
    symbol: str
    halted: bool
    code: str = ""


class Day(Struct, frozen=True):
    """Everything a feed has of one session, rows in the order in which they came; bars outside the session included."""

    rows: tuple[Row, ...] = ()
    revisions: tuple[Revision, ...] = ()
    halts: tuple[Halt, ...] = ()


class History(Struct, frozen=True):
    """What came before a session. daily: completed sessions, oldest first.

    cumulative: mean shares traded from the opening to the end of each minute over `volume_sessions` sessions.
    """

    daily: tuple[DailyBar, ...] = ()
    cumulative: tuple[float, ...] = ()
    volume_sessions: int = 0


class HistorySource(Protocol):
    """Knows the sessions that are over."""

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        """The history of each symbol before `session`; an empty one where there is none."""


class SessionSource(HistorySource, Protocol):
    """Knows a whole session beforehand: a file, or the generator. For conducted runs."""

    def universe(self) -> frozenset[str]:
        """Every symbol it has."""

    def day(self, session: Session, symbols: Collection[str] | None) -> Day:
        """The session's rows of `symbols`, of all where None."""


def last_close(known: History) -> float | None:
    """Close of the last completed session, dollars."""
    return known.daily[-1].close if known.daily else None


def minute_volume(known: History, session: Session) -> float | None:
    """Mean shares of a minute of `session` over the last sessions, half days taken as whole ones."""
    last = known.daily[-USUAL_SESSIONS:]
    return sum(bar.volume for bar in last) / len(last) / session.minutes if last else None
