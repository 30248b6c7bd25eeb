"""The feed's parts by its settings: the only place that asks which kind of feed it is."""

from __future__ import annotations

from typing import assert_never

from services.market_data.recorded_source import RecordedSource
from services.market_data.source import SessionSource
from services.market_data.synthetic_events import Breakouts
from services.market_data.synthetic_source import SyntheticSource, invented
from shared.runtime.settings import AlpacaFeed, BadSettings, DataSettings, Feed, RecordedFeed, SyntheticFeed


def build_source(feed: Feed, data: DataSettings, index: str) -> SessionSource:
    """A source that knows whole sessions. Raises BadFile, and BadSettings where the feed is a live one."""
    match feed:
        case RecordedFeed():
            return RecordedSource(feed.bars, feed.daily, max_jump=data.max_jump)
        case SyntheticFeed():
            breakouts = Breakouts(rate=feed.breakout_rate)
            return SyntheticSource(feed.seed, invented(feed.symbols), breakouts=breakouts, index=index)
        case AlpacaFeed():
            raise BadSettings("feed.kind alpaca has its own time: set run.pace to free")
        case _:
            assert_never(feed)
