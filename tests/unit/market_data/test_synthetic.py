"""The synthetic market: the same seed is the same market, and it behaves like the real one it was fitted on."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from services.market_data import synthetic_events as happens
from services.market_data import synthetic_figures as fig
from services.market_data.bar_files import collect, scan_daily, scan_minutes
from services.market_data.checks import Checks
from services.market_data.recorded_source import RecordedSource
from services.market_data.source import Day
from services.market_data.synthetic_days import DayPlan, Days, Floats, News, Script
from services.market_data.synthetic_events import Breakouts, Events
from services.market_data.synthetic_market import MadeDay, Market
from services.market_data.synthetic_source import SyntheticSource, invented, write_files
from shared.domain import calendar
from tests.unit.market_data.markets import CALM, LIVELY_SESSION, TOGETHER, twelve_at_once

SESSION = LIVELY_SESSION
HALF_DAY = calendar.session(dt.date(2025, 11, 28))


def fingerprint(day: Day) -> str:
    return hashlib.sha256(msgspec.json.encode(day)).hexdigest()


def only(day: Day, symbol: str) -> Day:
    return Day(tuple(row for row in day.rows if row.bar.symbol == symbol))


def test_the_same_seed_gives_the_same_session_and_history() -> None:
    one, two = SyntheticSource(12, ["ARVO", "BELQ"]), SyntheticSource(12, ["ARVO", "BELQ"])
    assert fingerprint(one.day(SESSION, None)) == fingerprint(two.day(SESSION, None))
    assert one.histories(SESSION, ["BELQ", "SPY"]) == two.histories(SESSION, ["BELQ", "SPY"])
    assert fingerprint(SyntheticSource(13, ["ARVO", "BELQ"]).day(SESSION, None)) != fingerprint(one.day(SESSION, None))


def test_a_session_keeps_its_fingerprint() -> None:
    """If this fails, every figure that was published about a seeded run is void: numpy or the generator changed."""
    assert fingerprint(SyntheticSource(12, ["ARVO"]).day(SESSION, None))[:16] == "e7c67c11832174f8"


def test_another_symbol_or_day_changes_no_other_one() -> None:
    few, many = SyntheticSource(12, ["ARVO"]), SyntheticSource(12, invented(6))
    many.histories(calendar.session(dt.date(2026, 1, 20)), ["ARVO"])
    many.day(calendar.session(dt.date(2025, 12, 1)), None)
    for symbol in ("ARVO", "SPY"):
        assert fingerprint(only(few.day(SESSION, None), symbol)) == fingerprint(only(many.day(SESSION, None), symbol))
    assert few.histories(SESSION, ["ARVO"]) == many.histories(SESSION, ["ARVO"])


def test_a_day_in_the_history_is_the_day_that_was_played() -> None:
    source = SyntheticSource(12, ["ARVO"], events=CALM)
    later = calendar.following(SESSION.session)
    remembered = source.histories(later, ["ARVO"])["ARVO"].daily[-1]
    bars = [row.bar for row in SyntheticSource(12, ["ARVO"], events=CALM).day(SESSION, ["ARVO"]).rows]
    assert remembered.session == SESSION.session
    assert (remembered.open, remembered.close) == (bars[0].open, bars[-1].close)
    assert (remembered.high, remembered.low) == (max(bar.high for bar in bars), min(bar.low for bar in bars))
    assert remembered.volume == sum(bar.volume for bar in bars)


def test_there_are_250_days_of_history_and_20_in_the_volume_profile() -> None:
    history = SyntheticSource(12, ["ARVO"]).histories(SESSION, ["ARVO", "MSFT"])
    assert set(history) == {"ARVO"}
    assert len(history["ARVO"].daily) == 250
    assert history["ARVO"].volume_sessions == 20
    assert len(history["ARVO"].cumulative) == 390


def test_a_half_day_is_a_whole_day_in_210_minutes() -> None:
    day = SyntheticSource(12, ["ARVO"]).day(HALF_DAY, ["SPY"])
    assert len(day.rows) == 210
    assert all(HALF_DAY.is_open(row.start) for row in day.rows)
    volumes = [row.bar.volume for row in day.rows]
    assert min(volumes[0], volumes[-1]) > 2 * sum(volumes) / len(volumes)


def test_every_bar_of_a_calm_market_passes_the_checks() -> None:
    source = SyntheticSource(3, invented(6), events=CALM)
    checks = Checks(SESSION, 0.25, source.universe())
    for symbol, known in source.histories(SESSION, source.universe()).items():
        checks.expect(symbol, known.daily[-1].close, known.daily[-1].volume / 390)
    rows = source.day(SESSION, None).rows
    assert len(rows) == 7 * 390
    assert [row for row in rows if checks.take(row.start, row.bar)] == []


def test_a_new_year_is_no_jump() -> None:
    history = SyntheticSource(12, invented(4)).histories(SESSION, invented(4))
    for known in history.values():
        around = [bar for bar in known.daily if dt.date(2025, 12, 29) <= bar.session <= dt.date(2026, 1, 6)]
        assert all(abs(math.log(two.open / one.close)) < 0.12 for one, two in pairwise(around))


def test_any_session_of_the_calendar_can_be_had() -> None:
    for text in ("1999-03-01", "2013-07-03", "2038-05-03"):
        session = calendar.session(dt.date.fromisoformat(text))
        assert len(SyntheticSource(1, [], events=CALM).day(session, None).rows) == session.minutes


# What it is like: the ranges are those of the fit on real bars, and of the generator that was checked against them.


@lru_cache(maxsize=1)
def year() -> dict[str, list[MadeDay]]:
    """Ten stocks and the index over most of a year, without scripted breakouts."""
    market = Market(7, "SPY", Breakouts(rate=0.0), Events(outages=False))
    days = [day for day in calendar.sessions(dt.date(2024, 3, 1), dt.date(2024, 11, 27)) if not day.early]
    return {symbol: market.made(symbol, days) for symbol in (*invented(10), "SPY")}


def closes(days: Sequence[MadeDay]) -> Floats:
    logs: Floats = np.log(np.array([day.close for day in days]))
    return logs


def residuals(days: Sequence[MadeDay]) -> Floats:
    """Minute returns without the day's level and the shape of the day."""
    returns = np.diff(closes(days), axis=1)
    shape = np.sqrt((returns**2).mean(axis=0))
    level = np.sqrt((returns**2).mean(axis=1, keepdims=True))
    scaled: Floats = returns / (shape / np.sqrt((shape**2).mean())) / level
    return scaled


def mean_over_symbols(figure: dict[str, float]) -> float:
    return sum(figure.values()) / len(figure)


def test_volume_is_high_at_both_ends_of_the_day() -> None:
    for days in year().values():
        volume = np.array([day.volume for day in days])
        shares = [100 * volume[:, half * 30 : half * 30 + 30].sum() / volume.sum() for half in range(13)]
        assert 15 < shares[0] < 20
        assert 4 < min(shares) < 5.5
        assert 12.5 < shares[-1] < 17


def test_volatility_is_high_at_the_opening_and_a_little_at_the_close() -> None:
    ratios = {}
    for symbol, days in year().items():
        shape = np.sqrt((np.diff(closes(days), axis=1) ** 2).mean(axis=0))
        midday = shape[150:240].mean()
        ratios[symbol] = (shape[:5].mean() / midday, shape[-5:].mean() / midday)
    assert 2.3 < mean_over_symbols({symbol: ratio[0] for symbol, ratio in ratios.items()}) < 3.3
    assert 1.2 < mean_over_symbols({symbol: ratio[1] for symbol, ratio in ratios.items()}) < 1.6


def test_minute_returns_have_fat_tails_clusters_and_a_little_reversal() -> None:
    figures: dict[str, list[float]] = {"kurtosis": [], "reversal": [], "cluster": [], "memory": []}
    for days in year().values():
        z = residuals(days)
        size = np.abs(z) - np.abs(z).mean()
        figures["kurtosis"].append((z**4).mean() / (z**2).mean() ** 2 - 3)
        figures["reversal"].append((z[:, 1:] * z[:, :-1]).mean() / (z**2).mean())
        figures["cluster"].append((size[:, 1:] * size[:, :-1]).mean() / (size**2).mean())
        figures["memory"].append((size[:, 30:] * size[:, :-30]).mean() / (size**2).mean())
    assert 1.5 < np.mean(figures["kurtosis"]) < 3
    assert -0.07 < np.mean(figures["reversal"]) < -0.02
    assert 0.06 < np.mean(figures["cluster"]) < 0.13
    assert 0.0 < np.mean(figures["memory"]) < 0.03


def test_a_bar_is_as_wide_as_a_real_one() -> None:
    ratios = {}
    for symbol, days in year().items():
        wide = np.log(np.array([day.high for day in days]) / np.array([day.low for day in days]))
        sigma = np.sqrt((np.diff(closes(days), axis=1) ** 2).mean())
        ratios[symbol] = wide.mean() / sigma
    assert 0.95 < mean_over_symbols(ratios) < 1.29


def test_nights_move_about_as_real_nights_do() -> None:
    gaps, ratios = [], []
    for symbol, days in year().items():
        if symbol != "SPY":
            opens = np.log(np.array([day.open[0] for day in days]))
            ends = closes(days)[:, -1]
            gap, move = opens[1:] - ends[:-1], ends - opens
            gaps.append(gap)
            ratios.append(gap.std() / move.std())
    every = np.abs(np.concatenate(gaps))
    assert 0.5 < np.median(ratios) < 1.0
    assert 0.08 < (every > 0.01).mean() < 0.17
    assert 0.005 < (every > 0.03).mean() < 0.03


def test_stocks_go_with_the_index() -> None:
    index = np.diff(closes(year()["SPY"])[:, 9::10], axis=1).ravel()
    found = [
        np.corrcoef(np.diff(closes(days)[:, 9::10], axis=1).ravel(), index)[0, 1]
        for symbol, days in year().items()
        if symbol != "SPY"
    ]
    assert 0.4 < np.mean(found) < 0.8


def test_thin_minutes_are_missing() -> None:
    volume = np.concatenate([np.array([day.volume for day in days]).ravel() for days in year().values()])
    present = np.concatenate([np.array([day.present for day in days]).ravel() for days in year().values()])
    assert present[volume > 10_000].all()
    assert 0 < 1 - present.mean() < 0.05


# What happens in it.


def plan(**figures: float) -> DayPlan:
    """A calm day that opens and closes at 100 dollars, with a sigma of 1 %."""
    return DayPlan(
        session=SESSION,
        log_open=math.log(100.0),
        log_close=math.log(figures.get("close", 100.0)),
        index_move=0.0,
        own_move=0.0,
        index_sigma=0.0,
        own_sigma=0.01,
        shares=1e6,
        beta=1.0,
        script=Script(figures.get("chance", 0.0), 0.5, 0.5, figures.get("fails", 0.9), 0.5),
        news=None,
    )


def straight(day: DayPlan) -> Floats:
    return np.linspace(day.log_open, day.log_close, 390)


def test_a_scripted_breakout_goes_over_its_level_and_ends_where_the_day_ends() -> None:
    day = plan(close=101.0)
    path = np.exp(happens.break_out(straight(day), day, 100.8, Breakouts(rate=0.1)))
    crossed = int(np.nonzero(path > 100.8)[0][0])
    assert 35 < crossed < 350
    assert path[:crossed].max() < 100.8
    assert path.max() == pytest.approx(100.8 * math.exp(0.0035), rel=1e-3)
    assert path[-1] == pytest.approx(101.0)


def test_a_breakout_that_fails_comes_back_below_its_level() -> None:
    day = plan(close=100.0, fails=0.1)
    path = np.exp(happens.break_out(straight(day), day, 100.8, Breakouts(rate=0.1)))
    peak = int(path.argmax())
    assert path[peak] > 100.8
    assert path[peak : peak + 100].min() < 100.8


@pytest.mark.parametrize(
    ("day", "level"),
    [
        (plan(close=101.0, chance=0.5), 100.8),  # none is scripted
        (plan(close=101.0), 99.0),  # already above
        (plan(close=103.0), 102.0),  # out of reach
        (plan(close=100.0), 100.8),  # the day is too weak for one that lasts
    ],
)
def test_without_its_conditions_no_breakout_is_made(day: DayPlan, level: float) -> None:
    path = straight(day)
    assert happens.break_out(path, day, level, Breakouts(rate=0.1)) is path


def test_a_swing_high_is_above_three_days_on_each_side() -> None:
    assert happens.swing_high([1, 2, 3, 9, 3, 2, 1]) == 9
    assert happens.swing_high([1, 2, 3, 9, 3, 2, 1, 4, 5, 8, 5, 4, 3]) == 8
    assert happens.swing_high([1, 2, 3, 9, 9, 2, 1, 0]) is None
    assert happens.swing_high([1, 2, 3, 9, 3, 2]) is None


def test_news_stops_trading_and_jumps() -> None:
    day = msgspec.structs.replace(plan(), news=News(0.5, 10, math.log(0.7)), log_close=math.log(70.0))
    path, [(first, again)] = happens.stop_for_news(np.full(390, math.log(100.0)), day)
    assert again - first == 10
    assert np.exp(path[again]) == pytest.approx(70.0)
    assert np.exp(path[first]) == pytest.approx(100.0)


def test_news_that_stops_trading_to_the_close_jumps_over_night() -> None:
    day = msgspec.structs.replace(plan(), news=News(0.5, 0, math.log(0.7)))
    path, pairs = happens.stop_for_news(straight(day), day)
    assert path is not None
    assert pairs == [(195, 390)]


def test_a_wild_five_minutes_pauses_for_five() -> None:
    path = np.full(390, math.log(100.0))
    path[200:] += math.log(1.06)
    before = np.concatenate([path[:1], path[:-1]])
    after, pairs = happens.pause_wild_moves(path, before, plan(), np.full(390, 1e-6), np.array([1.0, 1.0, 1.0]))
    assert pairs == [(201, 206)]
    assert after[206] - path[206] == pytest.approx(fig.LULD_GAP, rel=0.01)
    assert after[-1] == pytest.approx(path[-1])


def test_the_opening_may_move_twice_as_far() -> None:
    path = np.full(390, math.log(100.0))
    path[8:] += math.log(1.06)
    before = np.concatenate([[math.log(100.0)], path[:-1]])
    _, pairs = happens.pause_wild_moves(path, before, plan(), np.full(390, 1e-6), np.array([1.0, 1.0, 1.0]))
    assert pairs == []


def test_the_market_stops_where_the_index_falls_seven_percent() -> None:
    path = np.full(390, math.log(100.0))
    path[100:] += math.log(0.925)
    assert happens.market_halt(path, math.log(100.0), plan()) == [(101, 116)]
    assert happens.market_halt(path, math.log(98.0), plan()) == []


def test_an_outage_takes_half_an_hour_of_every_symbol() -> None:
    days = Days(7)
    lost = [
        (day, days.outage(day))
        for day in calendar.sessions(dt.date(2024, 1, 1), dt.date(2025, 12, 31))
        if days.outage(day)
    ]
    assert 2 <= len(lost) <= 25
    session, minutes = lost[0]
    day = SyntheticSource(7, ["ARVO"]).day(session, None)
    played = {(row.start - session.opens_at) // calendar.MINUTE for row in day.rows}
    assert 30 <= len(minutes) <= 35
    assert not played & set(minutes)


def test_accidents_can_be_switched_off_and_change_nothing_else() -> None:
    wild = SyntheticSource(12, ["ARVO"]).day(SESSION, None)
    calm = SyntheticSource(12, ["ARVO"], events=CALM).day(SESSION, None)
    assert (calm.revisions, calm.halts) == ((), ())
    assert {(row.start, row.bar.symbol) for row in wild.rows} <= {(row.start, row.bar.symbol) for row in calm.rows}


def test_some_bars_are_revised_and_a_few_have_bad_ticks() -> None:
    source = SyntheticSource(5, invented(12))
    days = [source.day(session, None) for session in calendar.sessions(dt.date(2026, 1, 5), dt.date(2026, 1, 16))]
    revised = sum(len(day.revisions) for day in days)
    bars = sum(len(day.rows) for day in days)
    assert 0.00005 < revised / bars < 0.0005
    first = next(day for day in days if day.revisions)
    told = {(row.start, row.bar.symbol): row.bar for row in first.rows}
    for revision in first.revisions:
        assert told[revision.start, revision.bar.symbol].volume < revision.bar.volume


def test_twelve_stocks_can_break_out_at_the_same_instant() -> None:
    """The parameters say so for every stock: no symbol, day or minute is special in the code."""
    source = twelve_at_once()
    closes_of: dict[str, list[float]] = {symbol: [] for symbol in (*TOGETHER, "SPY")}
    for row in source.day(LIVELY_SESSION, None).rows:
        closes_of[row.bar.symbol].append(row.bar.close)
    for symbol, known in source.histories(LIVELY_SESSION, TOGETHER).items():
        level = happens.swing_high([bar.high for bar in known.daily])
        assert level is not None
        closes_10m = closes_of[symbol][9::10]
        assert closes_10m[5] <= level < closes_10m[6]
        assert level <= closes_10m[7]


def test_a_market_with_breakouts_on_one_day_is_otherwise_the_market_without() -> None:
    plain = SyntheticSource(12, TOGETHER[:2], breakouts=Breakouts(rate=0.0), events=CALM)
    assert twelve_at_once().histories(LIVELY_SESSION, TOGETHER[:2]) == plain.histories(LIVELY_SESSION, TOGETHER[:2])
    later = calendar.following(LIVELY_SESSION.session)
    assert twelve_at_once().day(later, ["SPY"]) == plain.day(later, ["SPY"])
    assert only(twelve_at_once().day(later, None), "BELQ") == only(plain.day(later, None), "BELQ")


def test_files_written_of_a_market_play_like_the_market(tmp_path: Path) -> None:
    source = SyntheticSource(12, ["ARVO", "BELQ"], events=CALM)
    bars, daily = write_files(source, [SESSION], tmp_path)
    assert len(collect(scan_minutes(bars), bars)) == 3 * 390
    assert len(collect(scan_daily(daily), daily)) == 3 * 250
    recorded = RecordedSource(bars, daily)
    assert recorded.day(SESSION, None).rows == source.day(SESSION, None).rows
    told = recorded.histories(SESSION, ["ARVO"])["ARVO"].daily
    assert told == source.histories(SESSION, ["ARVO"])["ARVO"].daily


def test_invented_symbols_are_enough_for_any_number() -> None:
    symbols = invented(60)
    assert len(set(symbols)) == 60
    assert symbols[:12] == invented(12)
