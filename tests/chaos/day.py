"""The day that is disturbed: half a session of a synthetic market, with entries, trims, stops and exits in it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from cli.show import compact_json
from services.market_data.source import SessionSource
from services.market_data.sources import build_source
from shared.runtime.settings import SyntheticFeed, load_settings
from tests.integration.whole_day import INSTALLATION, play_in_process

SESSION: Final = dt.date(2024, 7, 3)
SEED: Final = 76
SYMBOLS: Final = 16
MINUTES: Final = 210

EAGER_RULES: Final[Mapping[str, str]] = {
    "EV2_BREAKOUT__MIN_RVOL": "0",
    "EV2_EXIT__END_OF_DAY": "true",
    "EV2_LEVELS__PIVOT": "prior_day_high",
    "EV2_LEVELS__R1_MULTIPLE": "0.1",
    "EV2_LEVELS__R2_MULTIPLE": "0.2",
    "EV2_REGIME__OFF_ADVERSE": "9",
    "EV2_REGIME__OFF_SLOPE": "-1000",
    "EV2_RISK__MAX_PCT": "9",
    "EV2_SIZE__BASE_FRACTION": "0.06",
    "EV2_SIZE__FLOOR_SCALE": "1",
    "EV2_SYMBOL_REGIME__MAX_DIST_ADD": "60",
    "EV2_SYMBOL_REGIME__MAX_DIST_ENTER": "50",
    "EV2_SYMBOL_REGIME__MIN_SLOPE": "-9",
}
"""Rules under which half a day holds what else takes weeks; the code that follows them is the same."""


class Day(Struct, frozen=True, kw_only=True):
    """variables: the environment in which every process plays it."""

    session: dt.date
    watchlist: tuple[str, ...]
    variables: Mapping[str, str]


FEED: Final = SyntheticFeed(seed=SEED, symbols=SYMBOLS, breakout_rate=1.0, first=SESSION, last=SESSION)


def the_source() -> SessionSource:
    settings = load_settings({})
    return build_source(FEED, settings.data, settings.regime.symbol)


@lru_cache(maxsize=1)
def the_day() -> Day:
    watchlist = tuple(sorted(the_source().universe()))
    return Day(
        session=SESSION,
        watchlist=watchlist,
        variables={
            **EAGER_RULES,
            "EV2_FEED": FEED.model_dump_json(),
            "EV2_CANDIDATES__WATCHLIST": compact_json(watchlist),
            "EV2_DATA__GRACE": "0",
            "EV2_RUN__PACE": "conducted",
            "EV2_RUN__SALT": str(SEED),
            "EV2_RUN__INSTALLATION": INSTALLATION,
        },
    )


@lru_cache(maxsize=1)
def undisturbed_digest() -> str:
    """The ledger's digest of the day in one process, where nothing fails."""
    day = the_day()
    with TemporaryDirectory() as folder:
        home = Path(folder) / "one"
        return play_in_process(home, day.variables, str(day.session), str(day.session), day.watchlist)
