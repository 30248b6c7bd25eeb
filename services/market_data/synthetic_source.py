"""A market out of a seed: the same seed gives the same bars, and adding a symbol or a day changes no other one.

Symbols are invented, and no symbol or day is special: what happens on a day is what its seed drew.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from services.market_data import daily_bars
from services.market_data import synthetic_figures as fig
from services.market_data.source import Day, Halt, History, Revision, Row
from services.market_data.synthetic_events import Breakouts, Events
from services.market_data.synthetic_market import MadeDay, Market, PastDay
from shared.contracts.market import Bar
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

INDEX: Final = "SPY"
NAMES: Final = (
    "ARVO", "BELQ", "CYNT", "DORM", "ELVA", "FJRD", "GLYN", "HAVN", "IXIO", "JUNO", "KELP", "LUMO",
    "MYRA", "NOVQ", "ORLA", "PYXI", "QUIL", "RHEA", "SOLQ", "TYVE", "UMBR", "VELO", "WREN", "YARN",
)  # fmt: skip
"""Invented; beyond them symbols are numbered."""
FIGURES: Final = ("open", "high", "low", "close", "volume")


class SyntheticSource:
    """seed: of everything. symbols: besides the index. breakouts, events: what happens to them."""

    def __init__(
        self,
        seed: int,
        symbols: Sequence[str],
        *,
        breakouts: Breakouts = Breakouts(),
        events: Events = Events(),
        index: str = INDEX,
    ) -> None:
        self._universe = frozenset((index, *symbols))
        self._market = Market(seed, index, breakouts, events)
        self._events = events

    def universe(self) -> frozenset[str]:
        """The index and its stocks."""
        return self._universe

    def day(self, session: Session, symbols: Collection[str] | None) -> Day:
        """The session's bars by minute, then by symbol; its corrections and halts."""
        wanted = sorted(self._universe if symbols is None else self._universe & set(symbols))
        rows: list[Row] = []
        revisions: list[Revision] = []
        halts: list[Halt] = []
        for symbol in wanted:
            [made] = self._market.made(symbol, [session])
            for minute in np.nonzero(made.present)[0].tolist():
                row, revision = self._row(symbol, made, minute)
                rows.append(row)
                if revision is not None:
                    revisions.append(revision)
            halts.extend(_halts(symbol, made))
        return Day(
            tuple(sorted(rows, key=lambda row: row.start)),  # stable: symbols stay in order
            tuple(sorted(revisions, key=lambda revision: revision.at)),
            tuple(sorted(halts, key=lambda halt: halt.at)),
        )

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        """The 250 sessions before, made minute by minute like any other."""
        first = calendar.previous(session.session, daily_bars.HISTORY_SESSIONS).session
        days = calendar.sessions(first, session.session - dt.timedelta(days=1))
        found: dict[str, History] = {}
        for symbol in sorted(self._universe & set(symbols)):
            past = self._market.past(symbol, days)
            profile = past[-daily_bars.PROFILE_SESSIONS :]
            found[symbol] = History(
                tuple(day.daily for day in past if day.daily is not None),
                _mean_cumulative(profile, session.minutes),
                len(profile),
            )
        return found

    def _row(self, symbol: str, made: MadeDay, minute: int) -> tuple[Row, Revision | None]:
        """The bar as the feed first gives it, and its correction where there is one."""
        start = made.session.opens_at + minute * MINUTE
        true = Bar(
            symbol,
            float(made.open[minute]),
            float(made.high[minute]),
            float(made.low[minute]),
            float(made.close[minute]),
            float(made.volume[minute]),
        )
        bar, revision = true, None
        some, other = float(made.chances[0, minute]), float(made.chances[1, minute])
        if self._events.revisions and other < fig.REVISED:
            bar = Bar(symbol, true.open, true.high, true.low, true.close, float(round(true.volume * (1 + some) / 2)))
            at = min(start + (1 + fig.REVISED_AFTER_MINUTES) * MINUTE, made.session.closes_at)
            revision = Revision(at, start, true)
        if self._events.bad_ticks and some < fig.BAD_TICK[0]:
            bar = _with_bad_tick(bar, low=other < 0.5)
        return Row(start, bar), revision


def invented(count: int) -> tuple[str, ...]:
    """The first `count` symbols of the synthetic market."""
    return (*NAMES[:count], *(f"X{number:04d}" for number in range(len(NAMES) + 1, count + 1)))


def write_files(source: SyntheticSource, sessions: Sequence[Session], folder: Path) -> tuple[Path, Path]:
    """Bar files of `sessions` and of the days before and between them: `minutes.parquet`, `daily.parquet`."""
    minutes = [
        (row.bar.symbol, row.start, row.bar.open, row.bar.high, row.bar.low, row.bar.close, row.bar.volume)
        for day in sessions
        for row in source.day(day, None).rows
    ]
    days = {
        (symbol, bar.session): (symbol, bar.session, bar.open, bar.high, bar.low, bar.close, bar.volume)
        for day in sessions
        for symbol, known in source.histories(day, source.universe()).items()
        for bar in known.daily
    }
    prices = [(name, pl.Float64()) for name in FIGURES]
    written = folder / "minutes.parquet", folder / "daily.parquet"
    pl.DataFrame(
        minutes, schema=[("symbol", pl.String()), ("timestamp", pl.Datetime("us", "UTC")), *prices], orient="row"
    ).write_parquet(written[0])
    pl.DataFrame(
        [days[key] for key in sorted(days)],
        schema=[("symbol", pl.String()), ("date", pl.Date()), *prices],
        orient="row",
    ).write_parquet(written[1])
    return written


def _mean_cumulative(days: Sequence[PastDay], length: int) -> tuple[float, ...]:
    total = np.zeros(fig.MINUTES)
    for day in days:
        total = total + day.volume
    return tuple((np.cumsum(total)[:length] / max(len(days), 1)).tolist())


def _halts(symbol: str, made: MadeDay) -> list[Halt]:
    out: list[Halt] = []
    for code, first, again in made.halts:
        out.append(Halt(made.session.opens_at + first * MINUTE, symbol, halted=True, code=code))
        if again < made.session.minutes:
            out.append(Halt(made.session.opens_at + again * MINUTE, symbol, halted=False, code=code))
    return out


def _with_bad_tick(bar: Bar, *, low: bool) -> Bar:
    factor = fig.BAD_TICK[1]
    if low:
        return Bar(bar.symbol, bar.open, bar.high, round(bar.low / factor, 2), bar.close, bar.volume)
    return Bar(bar.symbol, bar.open, round(bar.high * factor, 2), bar.low, bar.close, bar.volume)
