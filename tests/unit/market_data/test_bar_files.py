"""Bar files: every kind of wrong file gives one clear line, every right one the same rows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from services.market_data.bar_files import BadFile, collect, scan_daily, scan_minutes
from services.market_data.recorded_source import RecordedSource
from tests.unit.market_files import MARKET

START = dt.datetime(2015, 2, 11, 14, 30, tzinfo=dt.UTC)
HEADER = "symbol,timestamp,open,high,low,close,volume\n"
MINUTES = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"


def minutes(count: int = 3, **columns: pl.Series) -> pl.DataFrame:
    frame = pl.DataFrame(
        {
            "symbol": ["AAPL"] * count,
            "timestamp": [START + dt.timedelta(minutes=minute) for minute in range(count)],
            "open": [100.0 + minute for minute in range(count)],
            "high": [101.0] * count,
            "low": [99.0] * count,
            "close": [100.5] * count,
            "volume": [10] * count,
        }
    )
    return frame.with_columns(**columns)


def written(folder: Path, text: str, name: str = "bars.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def rows(path: Path) -> list[tuple[object, ...]]:
    return collect(scan_minutes(path), path).rows()


EXPECTED = [
    ("AAPL", START, 100.0, 101.0, 99.0, 100.5, 10.0),
    ("AAPL", START + dt.timedelta(minutes=1), 101.0, 101.0, 99.0, 100.5, 10.0),
]


@pytest.mark.parametrize(
    "kind",
    [
        pl.Datetime("ms", "UTC"),
        pl.Datetime("us", "UTC"),
        pl.Datetime("ns", "UTC"),
        pl.Datetime("us"),
        pl.Datetime("ms", "America/New_York"),
    ],
)
def test_a_parquet_file_is_read_whatever_its_unit_and_zone(tmp_path: Path, kind: pl.Datetime) -> None:
    path = tmp_path / "bars.parquet"
    frame = minutes(2)
    if kind.time_zone is None:
        stamps = frame["timestamp"].dt.replace_time_zone(None).cast(kind)
    else:
        stamps = frame["timestamp"].dt.convert_time_zone(kind.time_zone).cast(kind)
    frame.with_columns(timestamp=stamps).write_parquet(path)
    assert rows(path) == EXPECTED
    assert collect(scan_minutes(path, START + dt.timedelta(minutes=1)), path).rows() == EXPECTED[1:]
    assert collect(scan_minutes(path, before=START + dt.timedelta(minutes=1)), path).rows() == EXPECTED[:1]


@pytest.mark.parametrize(
    "stamp",
    [
        "2015-02-11T14:30:00Z",
        "2015-02-11 14:30:00+00:00",
        "2015-02-11 14:30",
        "2015-02-11T14:30:00.000+0000",
        "2015-02-11T09:30:00-05:00",
    ],
)
def test_a_csv_file_may_write_its_times_in_any_usual_way(tmp_path: Path, stamp: str) -> None:
    assert rows(written(tmp_path, f"{HEADER}AAPL,{stamp},100,101,99,100.5,10\n")) == EXPECTED[:1]


def test_columns_may_stand_in_any_order_among_others(tmp_path: Path) -> None:
    path = written(
        tmp_path, "vwap,volume,close,low,high,open,timestamp,symbol\n1,10,100.5,99,101,100,2015-02-11 14:30,AAPL\n"
    )
    assert rows(path) == EXPECTED[:1]


def test_an_empty_cell_is_a_missing_number_for_the_checks_to_find(tmp_path: Path) -> None:
    path = written(tmp_path, f"{HEADER}AAPL,2015-02-11 14:30,100,,99,100.5,10\n")
    assert str(rows(path)[0][3]) == "nan"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (HEADER, "has no bars"),
        ("symbol,time,open,high,low,close\nA,1,1,1,1,1\n", "lacks the columns timestamp, volume: it must have symbol"),
        ("symbol,timestamp,open,high,low,close\nA,2015-02-11 14:30,1,1,1,1\n", "lacks the column volume"),
        (f"{HEADER}A,2015-02-11 14:30,1,1,1,1,1\nA,2015-02-11 14:31,1,x,1,1,1\n", "line 3 .* high 'x' is not a number"),
        (f"{HEADER}A,yesterday,1,1,1,1,1\n", "line 2 of .*: timestamp 'yesterday' is not a UTC time"),
        (f"{HEADER}A,,1,1,1,1,1\n", "line 2 of .*: timestamp None is not a UTC time"),
    ],
)  # fmt: skip
def test_each_wrong_csv_file_is_refused_with_one_line(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadFile, match=reason) as caught:
        scan_minutes(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "bars.csv" in str(caught.value)


def test_a_file_that_is_not_there_a_folder_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 is how it begins, and then nothing")
    for path, reason in (
        (tmp_path / "absent.parquet", "does not exist"),
        (tmp_path, "is a folder"),
        (broken, "no readable Parquet"),
        (written(tmp_path, "not a table", "text.parquet"), "no readable Parquet"),
    ):
        for scan in (scan_minutes, scan_daily):
            with pytest.raises(BadFile, match=reason) as caught:
                scan(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_columns_of_a_wrong_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    minutes(open=pl.Series(["a", "b", "c"])).write_parquet(path)
    with pytest.raises(BadFile, match=r"column open of .* is String, not a number"):
        scan_minutes(path)
    minutes(timestamp=pl.Series([1, 2, 3])).write_parquet(path)
    with pytest.raises(BadFile, match=r"column timestamp of .* is Int64, not a time"):
        scan_minutes(path)


def test_damage_inside_a_parquet_file_is_said_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    minutes(20_000).write_parquet(path)
    content = bytearray(path.read_bytes())
    content[200 : len(content) // 2] = bytes(len(content) // 2 - 200)
    path.write_bytes(content)
    with pytest.raises(BadFile, match="cannot be read"):
        collect(scan_minutes(path), path)


def test_daily_files_may_write_dates_as_text_or_as_dates(tmp_path: Path) -> None:
    expected = [("AAPL", dt.date(2015, 2, 11), 1.0, 2.0, 0.5, 1.5, 10.0)]
    text = written(tmp_path, "symbol,date,open,high,low,close,volume\nAAPL,2015-02-11,1,2,0.5,1.5,10\n")
    assert collect(scan_daily(text), text).rows() == expected
    frame = pl.read_csv(text)
    path = tmp_path / "daily.parquet"
    for dates in (frame["date"], frame["date"].str.to_date()):
        frame.with_columns(date=dates).write_parquet(path)
        assert collect(scan_daily(path), path).rows() == expected


def test_a_wrong_date_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "symbol,date,open,high,low,close,volume\nAAPL,11.02.2015,1,2,0.5,1.5,10\n")
    with pytest.raises(BadFile, match=r"line 2 of .*: date '11.02.2015' is not a date YYYY-MM-DD"):
        scan_daily(path)


def test_five_minute_bars_are_not_played_as_minutes(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    stamps = pl.Series([START + dt.timedelta(minutes=5 * number) for number in range(5)])
    minutes(5, timestamp=stamps).write_parquet(path)
    with pytest.raises(BadFile, match="holds bars of 5 minutes"):
        RecordedSource(path)


def test_times_of_new_york_are_not_played_as_utc(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    opening = START.replace(hour=9, tzinfo=None)
    stamps = pl.Series([opening + dt.timedelta(minutes=minute) for minute in range(390)])
    minutes(390, timestamp=stamps).write_parquet(path)
    with pytest.raises(BadFile, match=r"bars of 09:30 to 15:59: those are times of New York, and must be UTC"):
        RecordedSource(path)
    minutes(390, timestamp=stamps.dt.replace_time_zone("America/New_York")).write_parquet(path)
    RecordedSource(path)


@pytest.mark.parametrize("lost", [1, 3])
def test_rows_without_a_time_are_not_left_out_in_silence(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    stamps = [None if minute < lost else START + dt.timedelta(minutes=minute) for minute in range(3)]
    minutes(3, timestamp=pl.Series(stamps, dtype=pl.Datetime("us", "UTC"))).write_parquet(path)
    with pytest.raises(BadFile, match=f"^{lost} rows? ha(s|ve) no timestamp in .*: export it again"):
        RecordedSource(path)


def test_bounds_reach_the_file_so_that_row_groups_outside_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bars.parquet"
    minutes(10_000).write_parquet(path, row_group_size=100)
    plan = scan_minutes(path, START, START + dt.timedelta(minutes=5)).explain()
    assert "SELECTION" in plan
    assert "FILTER" not in plan


@pytest.mark.skipif(not MINUTES.exists(), reason="../shared/market is absent")
def test_the_same_session_from_csv_and_parquet_is_the_same(tmp_path: Path) -> None:
    bounds = (START, START + dt.timedelta(minutes=390))
    path = tmp_path / "bars.csv"
    raw = pl.scan_parquet(MINUTES).filter(pl.col("timestamp").is_between(*bounds, closed="left")).collect()
    raw.write_csv(path)
    assert rows(path) == collect(scan_minutes(MINUTES, *bounds), MINUTES).rows()
    assert len(raw) == 2340
