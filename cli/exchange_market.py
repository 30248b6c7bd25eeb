"""Where the exchange's market comes from when it runs alone: a session of a file, Alpaca's live bars, or nowhere.

What a market brings is told in the messages of the bus, so that the exchange takes it as it does in the engine.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from cli.show import NEW_YORK
from cli.trouble import Trouble
from services.exchange.market import TimedBar
from services.market_data import batches
from services.market_data.bar_files import collect, scan_minutes
from services.market_data.live import LiveMarketData
from services.market_data.recorded_source import RecordedSource
from shared.contracts.market import Bar, BarRevised, Bars, SymbolHalted
from shared.contracts.message import Message
from shared.domain.calendar import MINUTE, Session
from shared.runtime.settings import AlpacaFeed, Settings

ONE_PARTITION: Final = 1
DAYS_BACK: Final = dt.timedelta(days=10)


class Feed(Protocol):
    """about: in words, for the first line."""

    about: str

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def messages(self) -> Sequence[Message]:
        """What came since the last call: minutes, revisions, halts."""


class NoMarket:
    """Orders are taken and none is ever filled."""

    about = "no market: nothing is filled"

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def messages(self) -> Sequence[Message]:
        return ()


class SpeedClock:
    """Market time: `start` until it is started, then `speed` seconds a second."""

    def __init__(self, start: dt.datetime, speed: float) -> None:
        self._start = start
        self._speed = speed
        self._began: float | None = None

    def go_on_from(self, at: dt.datetime) -> None:
        """A session that was played before goes on where it stood."""
        self._start = max(self._start, at)

    def start(self) -> None:
        self._began = time.monotonic()

    def now(self) -> dt.datetime:
        elapsed = 0.0 if self._began is None else time.monotonic() - self._began
        return self._start + dt.timedelta(seconds=elapsed * self._speed)


class PlayedSession:
    """A session of a file, minute by minute as `clock` comes to their ends.

    Raises BadFile, and Trouble where the file has no bars of it.
    """

    def __init__(self, bars: Path, session: Session, clock: SpeedClock) -> None:
        self.about = f"{session.session} of {bars}"
        self._session = session
        self._clock = clock
        self._minutes: dict[dt.datetime, list[Bar]] = {}
        for row in RecordedSource(bars).day(session, None).rows:
            if session.is_open(row.start):
                self._minutes.setdefault(row.start, []).append(row.bar)
        if not self._minutes:
            raise Trouble(f"{bars} has no bars of {session.session}: choose another --session")
        self._next = session.opens_at

    def go_on_after(self, matched: dt.datetime) -> None:
        """The minutes up to that end were played before."""
        self._next = max(self._next, matched)

    def start(self) -> None:
        self._clock.start()

    def stop(self) -> None: ...

    def messages(self) -> Sequence[Message]:
        told: list[Message] = []
        while self._next + MINUTE <= min(self._clock.now(), self._session.closes_at):
            told += batches.minute_batches(self._next, self._minutes.get(self._next, ()), ONE_PARTITION)
            self._next += MINUTE
        return told


class LiveMarket:
    """Alpaca's live bars of `symbols`. Raises BadSettings without keys."""

    def __init__(self, settings: Settings, symbols: Sequence[str]) -> None:
        from services.market_data.alpaca_source import AlpacaSource  # 60 MB that no other market needs

        feed = settings.feed if isinstance(settings.feed, AlpacaFeed) else AlpacaFeed()
        self._source = AlpacaSource.from_env() if feed == AlpacaFeed() else AlpacaSource.from_settings(feed)
        self._source.follow(symbols)
        grace = dt.timedelta(seconds=settings.data.grace)
        self._live = LiveMarketData(
            self._source, ONE_PARTITION, grace=grace, max_jump=settings.data.max_jump, index=settings.regime.symbol
        )
        self.about = f"live bars of {', '.join(symbols)}"

    def start(self) -> None:
        self._source.start()

    def stop(self) -> None:
        self._source.stop()

    def messages(self) -> Sequence[Message]:
        told = [out for message in self._source.arrivals() for out in self._live.handle(message)]
        return [out for out in told if isinstance(out, Bars | BarRevised | SymbolHalted)]


class FileHistory:
    """The bars of a file as the data routes give them: minutes of any time, days before `session` alone."""

    def __init__(self, bars: Path, session: Session) -> None:
        self._bars = bars
        self._session = session
        self._days: dict[str, list[TimedBar]] | None = None

    def minutes(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        frame = scan_minutes(self._bars, start, end + dt.timedelta(microseconds=1)).filter(pl.col("symbol") == symbol)
        columns = frame.select("start", "open", "high", "low", "close", "volume").sort("start")
        return [TimedBar(*row) for row in collect(columns, self._bars).iter_rows()]

    def days(self, symbol: str, start: dt.datetime, end: dt.datetime) -> Sequence[TimedBar]:
        if self._days is None:
            self._days = self._read_days()
        return [bar for bar in self._days.get(symbol, ()) if start <= bar.start <= end]

    def last_days(self) -> dict[str, TimedBar]:
        """Each symbol's last day before the session, of the ten calendar days before it."""
        return {symbol: bars[-1] for symbol, bars in self._read_days(self._session.opens_at - DAYS_BACK).items()}

    def _read_days(self, since: dt.datetime | None = None) -> dict[str, list[TimedBar]]:
        midnight = dt.datetime.combine(self._session.session, dt.time(), NEW_YORK)
        local = pl.col("start").dt.convert_time_zone("America/New_York")
        frame = (
            scan_minutes(self._bars, since, midnight.astimezone(dt.UTC))
            .filter((local.dt.time() >= dt.time(9, 30)) & (local.dt.time() < dt.time(16)))
            .sort("symbol", "start")
            .group_by("symbol", local.dt.date().alias("date"), maintain_order=True)
            .agg(
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                pl.col("close").last(),
                pl.col("volume").sum(),
            )
        )
        found: dict[str, list[TimedBar]] = {}
        for symbol, date, *figures in collect(frame, self._bars).iter_rows():
            start = dt.datetime.combine(date, dt.time(), NEW_YORK).astimezone(dt.UTC)
            found.setdefault(symbol, []).append(TimedBar(start, *figures))
        return found
