"""Bar files, Parquet or CSV, read lazily: a session out of a large file costs that session.

Columns as everybody exports them: `symbol, timestamp` (UTC, start of the bar) for minutes or `symbol, date` for days,
then `open, high, low, close, volume`. Other columns are ignored. A price that is missing becomes NaN, which the bar
checks quarantine with their own reason; text where a number belongs refuses the file, with its line.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import polars as pl

PRICES: Final = ("open", "high", "low", "close")
FIGURES: Final = (*PRICES, "volume")
MINUTE_COLUMNS: Final = ("symbol", "timestamp", *FIGURES)
DAILY_COLUMNS: Final = ("symbol", "date", *FIGURES)
UTC_MICROSECONDS: Final = pl.Datetime("us", "UTC")
HEADER_LINES: Final = 1


class BadFile(ValueError):
    """A bar file that cannot be used. Its text is one line: what is wrong, in which file, what to do."""


def scan_minutes(path: Path, start: dt.datetime | None = None, before: dt.datetime | None = None) -> pl.LazyFrame:
    """Rows `symbol, start` (microseconds, UTC), `open, high, low, close, volume` (float), in the file's order.

    start, before: UTC; only bars that start in [start, before). Given here rather than as a filter on the result
    they reach the Parquet statistics, so that row groups outside are not read at all.
    Raises BadFile. Damage inside a Parquet page shows only when it is read: `collect` translates that too.
    """
    frame = _open(path, MINUTE_COLUMNS)
    kind = frame.collect_schema()["timestamp"]
    if isinstance(kind, pl.Datetime):
        frame = _between(frame, start, before, kind.time_zone)
        moment = pl.col("timestamp")  # one without a zone is UTC by definition of the format
        utc = moment.dt.convert_time_zone("UTC") if kind.time_zone else moment.dt.replace_time_zone("UTC")
        return frame.select(pl.col("symbol").cast(pl.String), utc.cast(UTC_MICROSECONDS).alias("start"), *_figures())
    raise BadFile(f"column timestamp of {path} is {kind}, not a time: write it as UTC time of the bar's start")


def scan_daily(path: Path) -> pl.LazyFrame:
    """Rows `symbol, session` (Date), `open, high, low, close, volume` (float), in the file's order. Raises BadFile."""
    frame = _open(path, DAILY_COLUMNS)
    kind = frame.collect_schema()["date"]
    if kind != pl.Date:
        raise BadFile(f"column date of {path} is {kind}, not a date: write it as YYYY-MM-DD")
    return frame.select(pl.col("symbol").cast(pl.String), pl.col("date").alias("session"), *_figures())


def collect(frame: pl.LazyFrame, path: Path) -> pl.DataFrame:
    """The rows of a frame scanned from `path`. Raises BadFile where the file turns out to be damaged inside."""
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as fault:
        raise BadFile(f"{path} cannot be read: {_first_line(fault)}; export it again") from fault


def _open(path: Path, columns: tuple[str, ...]) -> pl.LazyFrame:
    """The file with exactly `columns`, dates and times parsed, types checked."""
    if path.is_dir():
        raise BadFile(f"{path} is a folder: name one Parquet or CSV file in it")
    if not path.exists():
        raise BadFile(f"{path} does not exist: check the path")
    try:
        if path.stat().st_size == 0:
            raise BadFile(f"{path} is empty: export it again")
        is_parquet = _is_parquet(path)
        frame = pl.scan_parquet(path) if is_parquet else pl.scan_csv(path, infer_schema=False)
        present = frame.collect_schema()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as fault:
        raise BadFile(f"{path} is no readable Parquet or CSV file: {_first_line(fault)}") from fault
    missing = [name for name in columns if name not in present]
    if missing:
        raise BadFile(
            f"{path} lacks the column{'s'[: len(missing) > 1]} {', '.join(missing)}: it must have {', '.join(columns)}"
        )
    frame = frame.select(columns)
    frame = _parse_dates(frame, path) if is_parquet else _parse_csv(frame, path)
    for name in FIGURES:
        kind = present[name]
        if is_parquet and not kind.is_numeric():
            raise BadFile(f"column {name} of {path} is {kind}, not a number")
    if collect(frame.select("symbol").head(1), path).is_empty():
        raise BadFile(f"{path} has no bars: export it again")
    return frame


def _is_parquet(path: Path) -> bool:
    """By its content, or by its name where the content is neither: a damaged .parquet is no CSV."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1" or path.suffix.lower() in {".parquet", ".pq"}


def _parse_dates(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Dates and times that a Parquet file holds as text, as their own types."""
    schema = frame.collect_schema()
    if schema.get("date") == pl.Datetime:
        return frame.with_columns(pl.col("date").dt.date())
    text = [name for name in ("date", "timestamp") if schema.get(name) == pl.String]
    if not text:
        return frame
    parsed = frame.with_columns(_parsed(name) for name in text)
    _refuse_unparsed(frame, text, path)
    return parsed


def _parse_csv(frame: pl.LazyFrame, path: Path) -> pl.LazyFrame:
    """Text into numbers, dates and times. One look through the file beforehand gives a bad line its number."""
    parsable = [name for name in frame.collect_schema().names() if name != "symbol"]
    _refuse_unparsed(frame, parsable, path)
    return frame.with_columns(_parsed(name) for name in parsable)


def _parsed(name: str) -> pl.Expr:
    text = pl.col(name).str.strip_chars()
    if name == "date":
        return text.str.to_date("%Y-%m-%d", strict=False).alias(name)
    if name == "timestamp":
        # With an offset or Z, else UTC; with T or a blank between date and time.
        plain = text.str.replace(" ", "T", literal=True).str.replace(r"(Z|\+00:00|\+0000)$", "")
        utc = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
        short = plain.str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us", strict=False)
        zoned = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False)
        return pl.coalesce(
            utc.dt.replace_time_zone("UTC"), short.dt.replace_time_zone("UTC"), zoned.dt.convert_time_zone("UTC")
        ).alias(name)
    return text.cast(pl.Float64, strict=False).alias(name)


def _refuse_unparsed(frame: pl.LazyFrame, names: list[str], path: Path) -> None:
    """Raises BadFile for the first line whose text in one of `names` is there and is not what it must be."""
    for name in names:
        required = name in {"date", "timestamp"}
        written = pl.col(name).is_not_null() & (pl.col(name).str.strip_chars() != "")
        bad = _parsed(name).is_null() & (pl.lit(value=True) if required else written)
        first = collect(frame.with_row_index("row").filter(bad).select("row", name).head(1), path)
        if not first.is_empty():
            row, text = first.row(0)
            what = {"date": "a date YYYY-MM-DD", "timestamp": "a UTC time"}.get(name, "a number")
            raise BadFile(f"line {row + 1 + HEADER_LINES} of {path}: {name} {text!r} is not {what}")


def _between(
    frame: pl.LazyFrame, start: dt.datetime | None, before: dt.datetime | None, zone: str | None
) -> pl.LazyFrame:
    def in_zone(moment: dt.datetime) -> dt.datetime:
        # A bound in another zone than the column's would be compared correctly, but not with the file's statistics.
        return moment.astimezone(ZoneInfo(zone)) if zone else moment.astimezone(dt.UTC).replace(tzinfo=None)

    if start is not None:
        frame = frame.filter(pl.col("timestamp") >= in_zone(start))
    if before is not None:
        frame = frame.filter(pl.col("timestamp") < in_zone(before))
    return frame


def _figures() -> list[pl.Expr]:
    return [pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in FIGURES]


def _first_line(fault: BaseException) -> str:
    return str(fault).strip().splitlines()[0][:200] if str(fault).strip() else type(fault).__name__
