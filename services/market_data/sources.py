"""The feed's parts by its settings: the only place that asks which kind of feed it is."""

from __future__ import annotations

from typing import assert_never

from services.market_data.recorded_source import RecordedSource
from services.market_data.source import SessionSource
from shared.runtime.settings import AlpacaFeed, BadSettings, DataSettings, Feed, RecordedFeed, SyntheticFeed


def build_source(feed: Feed, data: DataSettings) -> SessionSource:
    """A source that knows whole sessions. Raises BadFile, and BadSettings where the feed is a live one."""
    match feed:
        case RecordedFeed():
            return RecordedSource(feed.bars, feed.daily, max_jump=data.max_jump)
        case SyntheticFeed():
            raise BadSettings("feed.kind synthetic is not built yet")
        case AlpacaFeed():
            raise BadSettings("feed.kind alpaca has its own time: set run.pace to free")
        case _:
            assert_never(feed)
