"""What the market says: sessions, daily history, minutes."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final

from msgspec import Meta, Struct

from shared.contracts.message import Message

LARGEST: Final = 1e12
Figure = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""Checked while it is decoded: a price or a volume beyond it is a fault of somebody's, and its products overflow."""
Symbol = Annotated[str, Meta(max_length=32)]


class Bar(Struct, frozen=True, array_like=True, gc=False):
    """One symbol's bar within a `Bars` batch. Prices in dollars, volume in shares."""

    symbol: Symbol
    open: Figure
    high: Figure
    low: Figure
    close: Figure
    volume: Figure


class DailyBar(Struct, frozen=True, array_like=True, gc=False):
    """One completed session of one symbol. Prices in dollars, split-adjusted; volume in shares."""

    session: dt.date
    open: Figure
    high: Figure
    low: Figure
    close: Figure
    volume: Figure


class SessionOpened(Message, frozen=True, kw_only=True):
    """A trading session begins; `at` is its opening.

    opens_at, closes_at: UTC. previous, following: the neighbouring sessions of the exchange calendar.
    following_opens_at: UTC.
    """

    session: dt.date
    opens_at: dt.datetime
    closes_at: dt.datetime
    early: bool
    previous: dt.date
    following: dt.date
    following_opens_at: dt.datetime


class SessionClosed(Message, frozen=True, kw_only=True):
    """The session is over; `at` is its close."""

    session: dt.date


class DailyHistory(Message, frozen=True, kw_only=True):
    """Up to 250 completed sessions of one symbol before `session`, oldest first. Empty where there is none."""

    session: dt.date
    symbol: str
    bars: tuple[DailyBar, ...]


class VolumeProfile(Message, frozen=True, kw_only=True):
    """Mean cumulative volume of one symbol by minute since the open, over the last `sessions` (at most 20) sessions.

    cumulative[m] is the mean of the shares traded from the open to the end of minute m. Fewer than 20 sessions: the
    relative-volume rule passes.
    """

    session: dt.date
    symbol: str
    sessions: int
    cumulative: tuple[float, ...]


class Bars(Message, frozen=True, kw_only=True):
    """All bars of one partition that started at `minute` (UTC, start of the bar); `at` is the minute's end.

    Complete: the feed has closed the minute, a later bar of it decides nothing. A symbol that did not trade has no
    row. A batch above about 1 MB is cut into `parts`, of which `part` is the number from 0; the minute is complete
    with its last part.
    """

    partition: int
    minute: dt.datetime
    rows: tuple[Bar, ...]
    part: int = 0
    parts: int = 1


class BarRevised(Message, frozen=True, kw_only=True):
    """A bar of a closed minute was corrected or came late. Recorded; rewrites no past decision."""

    partition: int
    minute: dt.datetime
    bar: Bar


class SymbolHalted(Message, frozen=True, kw_only=True):
    """Trading in one symbol stopped (`halted`) or resumed at `at`. `code`: the exchange's reason code, as sent."""

    partition: int
    symbol: str
    halted: bool
    code: str = ""
