"""Fetching history in parts, each whole in a file of its own, so that a fetch that was stopped goes on where it was."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl
import typer
from msgspec import Struct
from pydantic import SecretStr
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from cli.lists import named_symbols
from cli.market import a_date, sessions_from
from cli.options import settings_of_home
from cli.show import print_json, tracked
from cli.trouble import DONE, NOT_WELL, Trouble
from services.market_data.alpaca_history import AlpacaHistory
from services.market_data.arrivals import FeedDown, FeedRefused
from services.market_data.source import Row
from shared.domain.calendar import Session
from shared.runtime.settings import AlpacaFeed

DAYS_AT_ONCE: Final = 250
"""Sessions in one part of daily bars; minutes are one session a part."""
TRIES: Final = 6
LONGEST_WAIT_S: Final = 60
ASKED: Final = "asked.json"
SCHEMAS: Final[dict[str, dict[str, Any]]] = {
    "1m": {"symbol": pl.String, "timestamp": pl.Datetime("us", "UTC")},
    "1d": {"symbol": pl.String, "date": pl.Date},
}
FIGURES: Final[dict[str, Any]] = dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64)


class Asked(Struct, frozen=True, kw_only=True):
    """What is to be in the file. feed: iex or sip; None: as configured."""

    symbols: tuple[str, ...]
    first: dt.date
    last: dt.date
    out: Path
    timeframe: Literal["1m", "1d"]
    feed: Literal["iex", "sip"] | None

    @classmethod
    def read(
        cls,
        symbols: str,
        first: str,
        last: str,
        out: Path,
        timeframe: Literal["1m", "1d"],
        feed: Literal["iex", "sip"] | None,
    ) -> Asked:
        """Raises Trouble."""
        if out.suffix != ".parquet":
            raise Trouble(f"--out {out}: the file is Parquet, so let its name end in .parquet")
        return cls(
            symbols=named_symbols("--symbols", symbols),
            first=a_date("--from", first),
            last=a_date("--to", last),
            out=out,
            timeframe=timeframe,
            feed=feed,
        )

    @property
    def parts(self) -> Path:
        return self.out.with_suffix(".parts")


class Fetched(Struct, frozen=True, kw_only=True):
    """What `fetch --json` says. without: symbols of which there are no bars."""

    file: str
    bars: int
    symbols: int
    sessions: int
    without: tuple[str, ...]


def fetch(asked: Asked, as_json: bool) -> int:
    """Returns the exit code. Raises Trouble; what was fetched until then stays."""
    feed = _feed(asked)
    sessions = sessions_from(asked.first, asked.last)
    if sessions[-1].closes_at > dt.datetime.now(dt.UTC):
        raise Trouble(f"--to {asked.last}: that session is not over; fetch up to the one before")
    _open_parts(asked, feed)
    history = AlpacaHistory(feed.key, feed.secret, feed.feed, feed.rest_url)
    chunks = _chunks(asked, sessions)
    for chunk in tracked(chunks, "fetching"):
        part = asked.parts / f"{chunk[0].session}.parquet"
        if not part.exists():
            _write(part, _frame(asked, history, chunk))
    return _finish(asked, chunks, len(sessions), as_json)


def _feed(asked: Asked) -> AlpacaFeed:
    feed = settings_of_home().feed
    if not isinstance(feed, AlpacaFeed):
        feed = AlpacaFeed(key=_key("KEY_ID"), secret=_key("SECRET_KEY"))
    if not (feed.key.get_secret_value() and feed.secret.get_secret_value()):
        raise Trouble("no keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY (a paper account's will do)")
    return feed if asked.feed is None else feed.model_copy(update={"feed": asked.feed})


def _key(name: str) -> SecretStr:
    return SecretStr(os.environ.get(f"APCA_API_{name}", ""))


def _open_parts(asked: Asked, feed: AlpacaFeed) -> None:
    """The folder of what is fetched so far; of this very question, or Trouble."""
    question = {
        "symbols": list(asked.symbols),
        "from": str(asked.first),
        "to": str(asked.last),
        "timeframe": asked.timeframe,
        "feed": feed.feed,
    }
    note = asked.parts / ASKED
    if note.exists():
        if json.loads(note.read_text()) != question:
            raise Trouble(f"{asked.parts} holds parts of another question: give what {note} says, or delete the folder")
        return
    if asked.out.exists():
        raise Trouble(f"{asked.out} exists and is kept: name another file, or delete it")
    try:
        asked.parts.mkdir(parents=True, exist_ok=True)
        _whole(note, json.dumps(question).encode())
    except OSError as fault:
        raise Trouble(f"{asked.parts} cannot be written ({fault.strerror})") from None


def _chunks(asked: Asked, sessions: Sequence[Session]) -> list[Sequence[Session]]:
    length = 1 if asked.timeframe == "1m" else DAYS_AT_ONCE
    return [sessions[place : place + length] for place in range(0, len(sessions), length)]


def _frame(asked: Asked, history: AlpacaHistory, chunk: Sequence[Session]) -> pl.DataFrame:
    """The bars of one part. A fault that passes is waited for. Raises Trouble."""

    def ask() -> list[Row]:
        if asked.timeframe == "1m":
            return history.minutes(asked.symbols, chunk[0].opens_at, chunk[0].closes_at)
        return history.days(asked.symbols, chunk[0].session, chunk[-1].session)

    patient = Retrying(
        retry=retry_if_exception(lambda fault: isinstance(fault, FeedDown) and not isinstance(fault, FeedRefused)),
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential(multiplier=1, max=LONGEST_WAIT_S),
        reraise=True,
    )
    try:
        rows: list[Row] = patient(ask)
    except FeedRefused as fault:
        raise Trouble(f"{fault}; correct keys, symbols, dates or --feed") from None
    except FeedDown as fault:
        raise Trouble(f"{fault}; what was fetched stays, the same command goes on", NOT_WELL) from None
    stamp = "timestamp" if asked.timeframe == "1m" else "date"
    columns: dict[str, list[object]] = {
        "symbol": [row.bar.symbol for row in rows],
        stamp: [row.start if stamp == "timestamp" else row.start.date() for row in rows],
    }
    columns |= {name: [getattr(row.bar, name) for row in rows] for name in FIGURES}
    frame = pl.DataFrame(columns, schema={**SCHEMAS[asked.timeframe], **FIGURES})
    return frame.unique(["symbol", stamp], keep="last").sort("symbol", stamp)


def _finish(asked: Asked, chunks: Sequence[Sequence[Session]], sessions: int, as_json: bool) -> int:
    stamp = "timestamp" if asked.timeframe == "1m" else "date"
    if not asked.out.exists():
        whole = pl.concat([pl.read_parquet(asked.parts / f"{chunk[0].session}.parquet") for chunk in chunks])
        _write(asked.out, whole.sort("symbol", stamp))
    shutil.rmtree(asked.parts)
    found = pl.scan_parquet(asked.out).group_by("symbol").len().collect()
    have = dict(found.iter_rows())
    fetched = Fetched(
        file=str(asked.out),
        bars=sum(have.values()),
        symbols=len(have),
        sessions=sessions,
        without=tuple(symbol for symbol in asked.symbols if symbol not in have),
    )
    if as_json:
        print_json(fetched)
    else:
        typer.echo(f"{fetched.file}: {fetched.bars:,} bars of {fetched.symbols} symbols in {sessions} sessions")
        if fetched.without:
            typer.echo(f"no bars at all of {', '.join(fetched.without)}")
    return DONE if not fetched.without else NOT_WELL


def _write(path: Path, frame: pl.DataFrame) -> None:
    fresh = path.with_suffix(".new")
    frame.write_parquet(fresh)
    _keep(fresh, path)


def _whole(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(data)
    _keep(fresh, path)


def _keep(fresh: Path, path: Path) -> None:
    """`fresh` is `path` from now on, also after a power cut."""
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
