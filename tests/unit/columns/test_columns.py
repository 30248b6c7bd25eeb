"""Columns against bars: the same verdicts from the real signals, the same ledger from the whole engine."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.backtest import play_all
from cli.columns import verdicts
from cli.columns.market import Columns, Unfit
from cli.columns.verdicts import Eventful
from cli.ledger_diff import first_difference, in_words
from cli.outcome import counted
from services.market_data import batches
from services.market_data.recorded_source import RecordedSource
from services.signals.service import Signals
from services.state.records import VerdictRow
from services.state.store import VERDICTS, Store
from shared.contracts import wire
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.decisions import Decided
from shared.contracts.message import Message
from shared.contracts.rules import BreakoutRules, Rules
from shared.contracts.views import CandidateChanged
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session
from shared.runtime.loop import Stop
from shared.runtime.settings import RecordedFeed, Settings, load_settings
from tests.unit.columns.random_market import Files, write_market
from tests.unit.market_files import MARKET

PARTITIONS = 4
SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
needs_market = pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there")


def columns_of(files: Files, rules: Rules) -> Columns:
    return Columns(files.bars, files.daily, files.sessions, span=rules.breakout.minutes, max_jump=0.25)


def by_signals(files: Files, day: Session, symbol: str, rules: Rules) -> list[VerdictRow]:
    """What the real signals says about one candidate, minute by minute."""
    source = RecordedSource(files.bars, files.daily)
    signals = Signals(PARTITIONS, rules, lambda partition: 1)
    for message in (batches.opened(day), *_histories(source, day, {symbol, rules.regime.symbol})):
        signals.handle(message)
    signals.handle(
        CandidateChanged(
            id="",
            at=day.opens_at,
            symbol=symbol,
            strategy=rules.strategy.id,
            source="watchlist",
            session=day.session,
            active=True,
            since=day.opens_at,
        )
    )
    rows = source.day(day, {symbol}).rows
    found: list[VerdictRow] = []
    for minute in range(day.minutes):
        start = day.opens_at + minute * MINUTE
        for bars in batches.minute_batches(start, [row.bar for row in rows if row.start == start], PARTITIONS):
            signals.handle(bars)
        tick = Tick(id="", at=start + MINUTE, session=day.session, phase=TickPhase.DECIDE)
        found += [row for decided in signals.handle(tick) for row in _rows(decided)]
    return found


def _histories(source: RecordedSource, day: Session, symbols: set[str]) -> Iterator[Message]:
    for symbol, known in source.histories(day, symbols).items():
        yield from batches.history(day, symbol, known)


def _rows(decided: object) -> Iterator[VerdictRow]:
    assert isinstance(decided, Decided)
    sent = wire.decode({name.encode(): _bytes(value) for name, value in wire.encode(decided).items()})
    assert isinstance(sent, Decided)
    for verdict in sent.verdicts:
        yield VerdictRow(
            session=sent.session,
            symbol=verdict.symbol,
            at=sent.minute,
            strategy=verdict.strategy,
            stage="signals",
            outcome=verdict.outcome,
            reason=verdict.reason,
            figures=verdict.figures,
            cause=sent.id,
        )


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


@given(
    seed=st.integers(0, 10**9),
    min_rvol=st.sampled_from([0.0, 0.8]),
    fresh=st.booleans(),
    span=st.sampled_from([5, 10, 25]),
)
@settings(max_examples=15, deadline=None)
def test_columns_give_the_verdicts_of_signals_to_the_byte(seed: int, min_rvol: float, fresh: bool, span: int) -> None:
    rules = Rules(breakout=BreakoutRules(min_rvol=min_rvol, fresh=fresh, minutes=span))
    with TemporaryDirectory() as folder:
        files = write_market(seed, Path(folder), sessions=1, stocks=3)
        [day] = files.sessions
        columns = columns_of(files, rules)
        known = verdicts.before(columns, day, calendar.previous(day.session).session, rules)
        for symbol in [*files.symbols, "NONE"]:
            expected = by_signals(files, day, symbol, rules)
            found = verdicts.verdicts_of(columns, known, symbol, rules, PARTITIONS)
            if isinstance(found, Eventful):
                assert any(row.outcome == "confirmed" for row in expected)
            else:
                assert found == [tuple(VERDICTS.values(row)) for row in expected]


def assert_same_ledger(files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, int]:
    """Play on columns and bar by bar; the counts of what both did."""
    played = settings_for(files, monkeypatch, tmp_path)
    fast, slow = Store.in_memory(), Store.in_memory()
    play_all(played, fast, files.sessions, Stop())
    play_all(played, slow, files.sessions, Stop(), bar_by_bar=True)
    one, other = opened(fast, tmp_path / "fast"), opened(slow, tmp_path / "slow")
    found = first_difference(one, other, ("columns", "bars"))
    assert found is None, in_words(found, ("columns", "bars"))
    return counted(other)


def settings_for(files: Files, monkeypatch: pytest.MonkeyPatch, home: Path) -> Settings:
    monkeypatch.setenv("EV2_RUN__PACE", "conducted")
    monkeypatch.setenv("EV2_RUN__INSTALLATION", "test")
    monkeypatch.setenv("EV2_BREAKOUT__MIN_RVOL", "0")
    base = load_settings()
    feed = RecordedFeed(bars=files.bars, daily=files.daily, first=files.sessions[0].session)
    wanted = base.candidates.model_copy(update={"watchlist": tuple(files.symbols)})
    return base.model_copy(update={"home": home, "feed": feed, "candidates": wanted})


def opened(store: Store, path: Path) -> sqlite3.Connection:
    store.backup(path)
    store.close()
    return sqlite3.connect(path)


@pytest.mark.parametrize(
    ("seed", "sessions", "entries", "nights"),
    [(10, 2, 2, 3), (14, 2, 4, 2), (44, 2, 3, 1), (1002, 3, 2, 1), (1018, 3, 3, 2)],
)
def test_columns_and_bars_end_with_the_same_ledger_on_random_markets(
    seed: int, sessions: int, entries: int, nights: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of 1002 and 1018 a decision falls on a minute without a bar."""
    counts = assert_same_ledger(write_market(seed, tmp_path, sessions=sessions, stocks=4), monkeypatch, tmp_path)
    assert (counts["entries"], counts["nights"]) == (entries, nights)
    assert counts["trims"] + counts["exits"] >= 2


@needs_market
@pytest.mark.parametrize(
    ("first", "last", "entries", "nights"),
    [("2015-02-11", "2015-02-12", 4, 2), ("2015-06-16", "2015-06-17", 1, 1)],
)
def test_columns_and_bars_end_with_the_same_ledger_on_recorded_sessions(
    first: str, last: str, entries: int, nights: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    days = calendar.sessions(dt.date.fromisoformat(first), dt.date.fromisoformat(last))
    files = Files(SIX, None, days, ["AAPL", "DIA", "FB", "IWM", "QQQ", "SPY"])
    counts = assert_same_ledger(files, monkeypatch, tmp_path)
    assert (counts["entries"], counts["nights"]) == (entries, nights)


def test_a_market_with_a_bar_that_may_fail_a_check_is_played_bar_by_bar(tmp_path: Path) -> None:
    files = write_market(3, tmp_path, sessions=1, stocks=1)
    broken = pl.read_parquet(files.bars).with_row_index("row")
    low = pl.when(pl.col("row") == 7).then(pl.lit(0.01)).otherwise(pl.col("low"))
    broken.with_columns(low=low).drop("row").write_parquet(files.bars)
    with pytest.raises(Unfit, match="may fail a check, the first of "):
        columns_of(files, Rules())
