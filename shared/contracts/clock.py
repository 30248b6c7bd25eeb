"""Time in a conducted run (demo, replay): the conductor gives it in phases and goes on only on these answers."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum

from shared.contracts.message import Message


class TickPhase(StrEnum):
    """The parts of one tick, in this order; OPEN to HISTORY once at a session's opening, CLOSE once at its close."""

    OPEN = "open"  # market_data announces the session                              -> Fed
    INGEST = "ingest"  # state rolls the session, reads the account, ingests candidates -> Settled
    HISTORY = "history"  # market_data publishes daily history and volume profiles       -> Fed
    FEED = "feed"  # market_data publishes the minute that ends at `at`              -> Fed
    MATCH = "match"  # the exchange matches resting orders against it                -> Matched
    FOLD = "fold"  # state folds what was filled and protects it                     -> Folded
    DECIDE = "decide"  # each partition of signals decides on the minute             -> Decided
    ACT = "act"  # state takes the intents and works until nothing is left to do     -> Settled
    CLOSE = "close"  # market_data closes the session                                -> Fed
    EXPIRE = "expire"  # the exchange ends day orders                                -> Matched
    SETTLE = "settle"  # state folds the close, and what expired                     -> Settled


class Tick(Message, frozen=True, kw_only=True):
    """It is `at` (UTC), the end of a minute or a session's boundary.

    upto: last entry id of each stream that this tick covers; a reader has handled those before it handles the tick.
    events: the broker's trade updates up to this number belong to it (FOLD, SETTLE).
    """

    session: dt.date
    phase: TickPhase
    upto: dict[str, str] = {}
    events: int | None = None


class Answer(Message, frozen=True, kw_only=True):
    """A service has done its part of the tick whose id is `cause`."""

    service: str


class Fed(Answer, frozen=True, kw_only=True):
    """Market data published what belongs to the tick."""


class Matched(Answer, frozen=True, kw_only=True):
    """The exchange matched; its trade updates up to number `events` are sent."""

    events: int


class Folded(Answer, frozen=True, kw_only=True):
    """State folded the broker's events and protected what is held."""


class Settled(Answer, frozen=True, kw_only=True):
    """State has nothing left to do at this tick."""
