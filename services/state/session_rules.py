"""What may be sent at which time of the day (docs/strategy.md sections 7, 8 "The close" and 10)."""

from __future__ import annotations

import datetime as dt
from typing import Final

from services.state.model import Market
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import OrderKind, OrderType

BEFORE_THE_OPEN: Final = dt.timedelta(hours=5, minutes=30)
"""From 04:00 New York to the opening at 09:30: from then on the broker takes replacements of what rests over night."""

TRIMS_END_BEFORE_CLOSE: Final = dt.timedelta(seconds=120)
"""Working trims are cancelled then, so that the full stop is confirmed before the close."""


def quiet(market: Market, rules: Rules) -> bool:
    """The last minute of the session: nothing is sent but what protects."""
    return market.open and market.closes_at - market.now <= dt.timedelta(seconds=rules.entry.cancel_before_close)


def entries_may_go(market: Market, rules: Rules) -> bool:
    """In the session, but not in its last 10 minutes."""
    last = dt.timedelta(seconds=rules.entry.last_before_close)
    return market.open and market.closes_at - market.now > last


def entries_may_rest(market: Market, rules: Rules) -> bool:
    """In the session, until 60 s before its close."""
    return market.open and not quiet(market, rules)


def trims_may_go(market: Market) -> bool:
    """In the session, until 2 minutes before its close."""
    return market.open and market.closes_at - market.now > TRIMS_END_BEFORE_CLOSE


def stops_may_be_replaced(market: Market, rules: Rules) -> bool:
    """In the session until its last minute, and from 04:00 New York to the opening."""
    return (market.open and not quiet(market, rules)) or before_the_open(market)


def before_the_open(market: Market) -> bool:
    """04:00 to 09:30 New York of a trading day, whether or not state has rolled to that day's session."""
    return any(
        opening - BEFORE_THE_OPEN <= market.now < opening for opening in (market.opens_at, market.following_opens_at)
    )


def may_still_be_sent(kind: OrderKind, type_: OrderType, market: Market, rules: Rules) -> bool:
    """Asked at the claim of a sale or stop that was planned a moment ago: has its time passed since?

    A stop may always go, a market order in the session, a trim until 2 minutes and another limit until 60 s before the
    close. Entries have `admission.still_wanted`.
    """
    match kind, type_:
        case OrderKind.STOP, _:
            return True
        case OrderKind.TRIM, _:
            return trims_may_go(market)
        case _, OrderType.MARKET:
            return market.open
        case _:
            return market.open and not quiet(market, rules)
