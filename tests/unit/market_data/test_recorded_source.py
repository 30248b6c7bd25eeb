"""Sessions out of the real files: half days, daylight saving, holes, thin symbols, bad prints."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from services.market_data import daily_bars
from services.market_data.bar_files import collect, scan_minutes
from services.market_data.checks import Checks, Fault
from services.market_data.recorded_source import RecordedSource, sessions_in
from services.market_data.service import MarketData
from shared.contracts.clock import TickPhase
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bar, Bars
from shared.contracts.message import Message
from shared.domain import calendar
from shared.domain.calendar import Session
from tests.unit.market_data.making import at, tick
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
TWENTY_FOUR = MARKET / "bars_1m_us24_2019-02.parquet"
DAILY_67 = MARKET / "bars_1d_us67_2013_2018.parquet"
FIVE_MINUTES = MARKET / "bars_5m_us29_2026-01_2026-06.parquet"
pytestmark = pytest.mark.skipif(not MARKET.exists(), reason="../shared/market is absent")


def day(text: str) -> Session:
    return calendar.session(dt.date.fromisoformat(text))


def played(source: RecordedSource, session: Session) -> list[Message]:
    """Everything market data says over one session."""
    service = MarketData(source, 4, max_jump=0.25)
    ticks = [tick(TickPhase.OPEN, day=session), tick(TickPhase.HISTORY, day=session)]
    ticks += [tick(TickPhase.FEED, minute, session) for minute in range(1, session.minutes + 1)]
    ticks += [tick(TickPhase.CLOSE, session.minutes, session)]
    return [message for one in ticks for message in service.handle(one) if isinstance(message, Message)]


def test_every_bar_of_a_full_session_is_played_once_in_its_minute() -> None:
    session = day("2015-02-11")
    told = [message for message in played(RecordedSource(SIX), session) if isinstance(message, Bars)]
    assert len(told) == 390 * 4
    assert sum(len(batch.rows) for batch in told) == 2340
    assert all(batch.at - batch.minute == dt.timedelta(minutes=1) for batch in told)
    [first] = [row for batch in told if batch.minute == session.opens_at for row in batch.rows if row.symbol == "AAPL"]
    assert first == Bar("AAPL", 122.86, 122.9, 122.5, 122.52, 1_145_659)


@pytest.mark.parametrize(("text", "outside"), [("2014-11-28", 412), ("2014-12-24", 305)])
def test_the_bars_after_the_close_of_a_half_day_are_quarantined(text: str, outside: int) -> None:
    session = day(text)
    service = MarketData(RecordedSource(SIX), 4, max_jump=0.25)
    told = service.handle(tick(TickPhase.OPEN, day=session))
    assert session.minutes == 210
    assert service.quarantined == {Fault.OUTSIDE_SESSION: outside}
    reasons = [message.reason for message in told if isinstance(message, DeadLetter)]
    assert all(reason.startswith("bar quarantined: outside the session") for reason in reasons)
    last = service.handle(tick(TickPhase.FEED, 210, session))
    assert max(batch.minute for batch in last if isinstance(batch, Bars)) == at(209, session)


def test_half_days_leave_nothing_of_the_afternoon_in_the_daily_bars() -> None:
    history = RecordedSource(SIX).histories(day("2014-12-01"), ["AAPL"])["AAPL"]
    assert history.daily[-1].session == dt.date(2014, 11, 28)
    session = day("2014-11-28")
    regular = collect(scan_minutes(SIX, session.opens_at, session.closes_at), SIX).filter(pl.col("symbol") == "AAPL")
    assert history.daily[-1].volume == regular["volume"].sum()
    assert history.daily[-1].close == regular["close"][-1]
    assert history.daily[-1].high == regular["high"].max()


def test_daylight_saving_moves_the_session_in_utc_and_not_in_new_york() -> None:
    source = RecordedSource(SIX)
    for text, hour in (("2015-03-06", 14), ("2015-03-09", 13)):
        rows = source.day(day(text), {"SPY"}).rows
        assert rows[0].start == dt.datetime.combine(day(text).session, dt.time(hour, 30), dt.UTC)
        assert len([row for row in rows if day(text).is_open(row.start)]) == 390


def test_sessions_missing_for_all_are_played_as_empty_minutes() -> None:
    told = played(RecordedSource(SIX), day("2014-12-15"))
    batches = [message for message in told if isinstance(message, Bars)]
    assert len(batches) == 390 * 4
    assert all(batch.rows == () for batch in batches)


def test_the_file_says_which_sessions_it_has() -> None:
    found = [session.session for session in sessions_in(SIX)]
    assert len(found) == 153
    assert dt.date(2014, 12, 15) not in found
    assert (found[0], found[-1]) == (dt.date(2014, 11, 19), dt.date(2015, 7, 2))


def test_days_are_taken_from_the_daily_file_and_from_minutes_for_symbols_it_lacks() -> None:
    histories = RecordedSource(SIX, DAILY_67).histories(day("2015-02-11"), ["AAPL", "SPY"])
    assert len(histories["AAPL"].daily) == 250
    assert len(histories["SPY"].daily) == 54  # the file of minutes begins in November
    assert {bar.daily[-1].session for bar in histories.values()} == {dt.date(2015, 2, 10)}


def test_the_volume_profile_is_the_mean_of_the_last_twenty_sessions_that_the_file_has() -> None:
    profile = RecordedSource(SIX).histories(day("2015-02-11"), ["AAPL"])["AAPL"]
    first = calendar.previous(dt.date(2015, 2, 11), 20)
    frame = collect(scan_minutes(SIX, first.opens_at, day("2015-02-10").closes_at), SIX)
    regular = frame.filter(pl.col("symbol") == "AAPL")
    assert profile.volume_sessions == 20
    assert len(profile.cumulative) == 390
    assert profile.cumulative[-1] == pytest.approx(regular["volume"].sum() / 20)
    opening = regular.filter(pl.col("start").dt.time() == dt.time(14, 30))
    assert profile.cumulative[0] == pytest.approx(opening["volume"].sum() / 20)
    assert list(profile.cumulative) == sorted(profile.cumulative)


def test_a_new_listing_has_a_profile_of_the_sessions_it_had() -> None:
    histories = RecordedSource(SIX).histories(day("2014-12-03"), ["QQQ"])
    assert histories["QQQ"].volume_sessions == 2
    assert len(histories["QQQ"].daily) == 2


def test_a_thin_symbol_has_rows_only_where_it_traded() -> None:
    session = day("2019-02-12")
    told = [message for message in played(RecordedSource(TWENTY_FOUR), session) if isinstance(message, Bars)]
    minutes = [batch.minute for batch in told if any(row.symbol == "UGA" for row in batch.rows)]
    raw = collect(scan_minutes(TWENTY_FOUR, session.opens_at, session.closes_at), TWENTY_FOUR)
    assert len(minutes) == len(raw.filter(pl.col("symbol") == "UGA"))
    assert 0 < len(minutes) < 120


def test_an_index_without_volume_is_played() -> None:
    told = [message for message in played(RecordedSource(TWENTY_FOUR), day("2019-02-12")) if isinstance(message, Bars)]
    rows = [row for batch in told for row in batch.rows if row.symbol == "VIX"]
    assert len(rows) > 300
    assert {row.volume for row in rows} == {0.0}


def test_no_real_minute_of_the_six_symbols_is_taken_for_a_bad_one() -> None:
    days = sessions_in(SIX)
    rows = collect(daily_bars.in_session(scan_minutes(SIX), days), SIX)
    assert len(rows) == 350_009 - 717
    assert daily_bars.without_faults(rows, days, 0.25).equals(rows)


def test_of_half_a_year_of_real_five_minute_bars_only_the_bad_print_is_quarantined() -> None:
    days = sessions_in(FIVE_MINUTES)
    rows = collect(daily_bars.in_session(scan_minutes(FIVE_MINUTES), days), FIVE_MINUTES)
    kept = daily_bars.without_faults(rows, days, 0.25)
    bad = rows.join(kept, on=["symbol", "start"], how="anti")
    assert bad.select("symbol", "start", "low").rows() == [
        ("DE", dt.datetime(2026, 3, 23, 13, 50, tzinfo=dt.UTC), 18.385)
    ]


def test_the_bad_print_does_not_become_a_daily_low() -> None:
    days = [day("2026-03-20"), day("2026-03-23")]
    frame = scan_minutes(FIVE_MINUTES, days[0].opens_at, days[1].closes_at).filter(pl.col("symbol") == "DE")
    rows = collect(daily_bars.in_session(frame, days), FIVE_MINUTES)
    daily = daily_bars.daily_from_minutes(daily_bars.without_faults(rows, days, 0.25))
    assert all(low > 500 for low in daily["low"])


def test_columns_and_single_bars_agree_on_what_is_wrong(tmp_path: Path) -> None:
    session = day("2015-02-11")
    frame = collect(scan_minutes(SIX, session.opens_at, session.closes_at), SIX).filter(pl.col("symbol") == "AAPL")
    broken = frame.with_row_index("n").with_columns(
        low=pl.when(pl.col("n") == 50).then(1.0).otherwise("low"),
        high=pl.when(pl.col("n") == 60).then(float("nan")).otherwise("high"),
        close=pl.when(pl.col("n") == 70).then(-5.0).otherwise("close"),
        volume=pl.when(pl.col("n") == 80).then(-5.0).otherwise("volume"),
        start=pl.when(pl.col("n") == 90).then(pl.col("start").shift(1)).otherwise("start"),
    ).drop("n")  # fmt: skip
    rows = collect(daily_bars.in_session(broken.lazy(), [session]), tmp_path)
    kept = daily_bars.without_faults(rows, [session], 0.25)
    checks = Checks(session, 0.25)
    faults = [checks.take(start, Bar(symbol, *figures)) for symbol, start, *figures in broken.iter_rows()]
    assert [fault for fault in faults if fault] == [
        Fault.JUMP, Fault.NOT_FINITE, Fault.NOT_POSITIVE, Fault.NEGATIVE_VOLUME, Fault.DUPLICATE,
    ]  # fmt: skip
    assert len(kept) == len(broken) - 5
