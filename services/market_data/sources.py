"""Market data's parts by its settings: the only place that asks which kind of feed it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import assert_never

from msgspec import Struct

from services.market_data.live import LiveMarketData
from services.market_data.recorded_source import RecordedSource
from services.market_data.service import MarketData
from services.market_data.source import SessionSource
from shared.runtime import settings as configuration
from shared.runtime.loop import ConductedPace, FreePace, Pace, Service
from shared.runtime.settings import AlpacaFeed, BadSettings, DataSettings, RecordedFeed, Settings, SyntheticFeed


class Parts(Struct, frozen=True):
    """build: a service with empty memory. start, stop: what runs beside the loop while this process feeds."""

    build: Callable[[], Service]
    pace: Pace
    start: Callable[[], None]
    stop: Callable[[], None]


def build_source(feed: RecordedFeed | SyntheticFeed, data: DataSettings, index: str) -> SessionSource:
    """A source that knows whole sessions. Raises BadFile."""
    match feed:
        case RecordedFeed():
            return RecordedSource(feed.bars, feed.daily, max_jump=data.max_jump)
        case SyntheticFeed():
            # NumPy comes with them: 30 ms and 20 MB that no other feed needs.
            from services.market_data.synthetic_events import Breakouts
            from services.market_data.synthetic_source import SyntheticSource, invented

            breakouts = Breakouts(rate=feed.breakout_rate)
            return SyntheticSource(feed.seed, invented(feed.symbols), breakouts=breakouts, index=index)
        case _:
            assert_never(feed)


def build_parts(settings: Settings) -> Parts:
    """Raises BadFile, and BadSettings where feed and pace do not fit together, or keys are missing."""
    feed, data, index, partitions = settings.feed, settings.data, settings.regime.symbol, settings.bus.partitions
    conducted = settings.run.pace is configuration.Pace.CONDUCTED
    if isinstance(feed, AlpacaFeed):
        if conducted:
            raise BadSettings("feed.kind alpaca has its own time: set run.pace to free, or choose another feed")
        from services.market_data.alpaca_source import AlpacaSource  # 60 MB that no other feed needs

        live, grace = AlpacaSource.from_settings(feed), dt.timedelta(seconds=data.grace)
        return Parts(
            lambda: LiveMarketData(live, partitions, grace=grace, max_jump=data.max_jump, index=index),
            FreePace(inlets=[live.arrivals]),
            live.start,
            live.stop,
        )
    if not conducted:
        raise BadSettings(f"feed.kind {feed.kind} is played by a conductor: set run.pace to conducted")
    source = build_source(feed, data, index)
    return Parts(
        lambda: MarketData(source, partitions, max_jump=data.max_jump, whole_market=data.whole_market, index=index),
        ConductedPace(),
        _nothing,
        _nothing,
    )


def _nothing() -> None:
    """A feed that waits to be asked has nothing to start."""
