"""Synthetic markets with a use, found by looking through seeds; the code knows none of them."""

from __future__ import annotations

import datetime as dt

from services.market_data.synthetic_events import Breakouts, Events
from services.market_data.synthetic_source import SyntheticSource
from shared.domain import calendar

CALM = Events(halts=False, news=False, outages=False, missing=False, bad_ticks=False, revisions=False)

LIVELY_SEED = 12
LIVELY_SESSION = calendar.session(dt.date(2026, 1, 13))

TOGETHER = (
    "BELQ", "CYNT", "HAVN", "JUNO", "NOVQ", "WREN", "X0029", "X0031", "X0032", "X0040", "X0042", "X0046",
)  # fmt: skip
"""Of the first 60 symbols of seed 12, twelve of the fifteen that pass every rule when all break out at once."""
TOGETHER_AT = LIVELY_SESSION.opens_at + dt.timedelta(minutes=80)


def twelve_at_once() -> SyntheticSource:
    """Twelve stocks that open one sigma below their level, cross it within ten minutes, and confirm at TOGETHER_AT."""
    together = Breakouts(
        rate=1.0,
        start=(58, 58),
        minutes=(10, 10),
        reach=9.0,
        beyond=0.3,
        fails=1.0,
        only=LIVELY_SESSION.session,
        opening=1.0,
    )
    return SyntheticSource(LIVELY_SEED, TOGETHER, breakouts=together, events=CALM)
