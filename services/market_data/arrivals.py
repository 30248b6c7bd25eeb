"""What a live feed brings in, as messages of this process's own: they travel on no stream. And what it must offer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Protocol

from services.market_data.source import HistorySource, Row
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.domain.calendar import Session


class BarArrived(Message, frozen=True, kw_only=True):
    """A bar that started at `start` (UTC) came in at `at`. revised: the feed itself calls it a correction."""

    start: dt.datetime
    bar: Bar
    revised: bool = False


class HaltArrived(Message, frozen=True, kw_only=True):
    """Trading in `symbol` stopped or resumed at `at`; `code` as the exchange sent it."""

    symbol: str
    halted: bool
    code: str


class FeedSaid(Message, frozen=True, kw_only=True):
    """The feed has trouble, or is well again. level: info, warning or critical. key: the same for the same trouble."""

    level: str
    key: str
    text: str


class Beat(Message, frozen=True, kw_only=True):
    """The wall clock, never falling. connected: the socket stands and is subscribed."""

    connected: bool


class FeedDown(Exception):
    """The feed's history cannot be asked now; the text says why. Asked again later."""


class FeedRefused(FeedDown):
    """It was asked, and says no: keys, symbols, dates or the subscription. Asking again will not help."""


class LiveSource(HistorySource, Protocol):
    """A feed in real time. Its methods raise FeedDown and nothing else."""

    def follow(self, symbols: Collection[str]) -> None:
        """From now on, bars of exactly these symbols. Returns at once."""

    def followed(self) -> frozenset[str]:
        """What `follow` last said; it outlives a new life of the bus."""

    def so_far(self, session: Session, symbols: Collection[str], until: dt.datetime) -> Sequence[Row]:
        """The session's bars of `symbols` that ended at or before `until`, in order of time."""

    def arrivals(self) -> Sequence[Message]:
        """What came in since the last call, and a Beat as the last one."""
