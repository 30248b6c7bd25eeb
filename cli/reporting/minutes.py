"""Where recorded minutes come from: the tape of a session, or the file or synthetic market that the home plays."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cli.demo_run import SYMBOLS
from cli.play import RECORD, read_record
from cli.reporting.rows import Market, Minute, Recorded
from cli.trouble import Trouble
from services.market_data.bar_files import BadFile
from services.market_data.source import SessionSource
from services.market_data.sources import build_source
from services.signals.levels import daily_levels
from services.state.tape import SUFFIX, Step, decode, that_count
from shared.contracts.market import Bar, Bars, DailyBar, DailyHistory
from shared.contracts.rules import LevelRules
from shared.domain import calendar
from shared.runtime.settings import AlpacaFeed, RecordedFeed, Settings, SyntheticFeed
from shared.runtime.tape import NoTape, read_tape

TAPES: Final = "tape"

Wanted = Mapping[dt.date, Collection[str]]
"""Session to the symbols whose minutes are asked for."""

Watched = Callable[[Sequence[dt.date]], Iterable[dt.date]]


def market_of(settings: Settings, wanted: Wanted, watched: Watched = iter) -> Market:
    """What was recorded of `wanted`; a session of which nothing is there is named with the reason, never an error.

    watched: goes through the sessions, and may show how far it came.
    """
    recorded: dict[tuple[dt.date, str], Recorded] = {}
    missing: dict[dt.date, str] = {}
    names: set[str] = set()
    rules, played = settings.levels, Played(settings)
    for session in watched(sorted(wanted)):
        symbols = sorted(wanted[session])
        tape = settings.data_folder / TAPES / f"{session}{SUFFIX}"
        try:
            if tape.exists():
                found, name = _of_tape(tape, symbols, rules), "the sessions' tapes"
            else:
                found, name = played.minutes(session, symbols), played.name
        except (BadFile, NoTape, ValueError, OSError, Trouble) as fault:
            missing[session] = " ".join(str(fault).split())
            continue
        if found:
            names.add(name)
        else:
            missing[session] = f"{name} has no minute of it"
        recorded |= {(session, symbol): one for symbol, one in found.items()}
    return Market(source=" and ".join(sorted(names)), recorded=recorded, missing=missing)


class Played:
    """The market that a home plays: of its last demo, replay or backtest, else of its settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._source: SessionSource | None = None
        self.name = ""

    def minutes(self, session: dt.date, symbols: Collection[str]) -> dict[str, Recorded]:
        """Raises BadFile, and ValueError where this home plays nothing."""
        day = calendar.session(session)
        source = self._source = self._source or self._build()
        minutes: dict[str, list[Minute]] = {}
        for row in source.day(day, symbols).rows:
            if row.bar.symbol in symbols and day.is_open(row.start):
                minutes.setdefault(row.bar.symbol, []).append(_minute(row.start, row.bar))
        histories = source.histories(day, symbols)
        return {
            symbol: _recorded(found, histories[symbol].daily if symbol in histories else (), self._settings.levels)
            for symbol, found in minutes.items()
        }

    def _build(self) -> SessionSource:
        feed = self._feed()
        self.name = str(feed.bars) if isinstance(feed, RecordedFeed) else f"the synthetic market, seed {feed.seed}"
        return build_source(feed, self._settings.data, self._settings.regime.symbol)

    def _feed(self) -> RecordedFeed | SyntheticFeed:
        record = self._settings.data_folder / RECORD
        if record.exists():
            return feed_played(record)
        feed = self._settings.feed
        if isinstance(feed, AlpacaFeed):
            raise ValueError("its tape is not there any more (run.tape says how many are kept)")
        return feed


def feed_played(record: Path) -> RecordedFeed | SyntheticFeed:
    """The feed of the play that `record` tells of. Raises Trouble."""
    played = read_record(record).market
    if not played.bars:
        return SyntheticFeed(seed=played.seed, symbols=SYMBOLS)
    return RecordedFeed(bars=Path(played.bars), daily=Path(played.daily) if played.daily else None)


def _of_tape(tape: Path, symbols: Collection[str], rules: LevelRules) -> dict[str, Recorded]:
    """Raises NoTape, OSError, and ValueError for a record that cannot be read."""
    minutes: dict[str, dict[dt.datetime, Minute]] = {}
    daily: dict[str, tuple[DailyBar, ...]] = {}
    for record in that_count(decode(one) for one in read_tape(tape)):
        if not isinstance(record, Step):
            continue
        for taken in record.taken:
            if taken.kind == Bars.__name__:
                message = taken.message()
                assert isinstance(message, Bars)
                for bar in message.rows:
                    if bar.symbol in symbols:  # a batch is read again after a restart
                        minutes.setdefault(bar.symbol, {})[message.minute] = _minute(message.minute, bar)
            elif taken.kind == DailyHistory.__name__:
                history = taken.message()
                assert isinstance(history, DailyHistory)
                daily[history.symbol] = history.bars
    return {
        symbol: _recorded([found[start] for start in sorted(found)], daily.get(symbol, ()), rules)
        for symbol, found in minutes.items()
    }


def _recorded(minutes: Collection[Minute], daily: tuple[DailyBar, ...], rules: LevelRules) -> Recorded:
    return Recorded(minutes=tuple(minutes), swing_low=daily_levels(daily, rules).swing_low)


def _minute(start: dt.datetime, bar: Bar) -> Minute:
    return Minute(start, bar.open, bar.high, bar.low, bar.close)
