"""Alpaca's REST history of bars, through alpaca-py with what it leaves open closed.

The library knows no time-outs, reads proxies from the environment, and fails on a reply without bars; so its session
has time-outs and no environment here, its replies stay raw, and every fault is one: FeedDown, of which FeedRefused is
for good.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from zoneinfo import ZoneInfo

import requests
from alpaca.common.exceptions import APIError, RetryException
from alpaca.data.enums import Adjustment, DataFeed
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import StockBarsRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit
from pydantic import SecretStr
from requests.adapters import HTTPAdapter

from services.market_data import daily_bars
from services.market_data.arrivals import FeedDown, FeedRefused
from services.market_data.source import History, Row
from shared.contracts.market import Bar, DailyBar
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

NEW_YORK: Final = ZoneInfo("America/New_York")
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 15.0
SYMBOLS_AT_ONCE: Final = 100
"""In one request's address, which has a limit of length."""
PROFILE_MINUTES: Final = 10
"""Volume profiles are asked for in bars of this length: a tenth of the pages that minutes would take."""
REFUSALS: Final = frozenset({400, 401, 403, 404, 422})
"""Replies that say no for good; any other may pass."""
INSTANT: Final = dt.timedelta(seconds=1)

RawBar = Mapping[str, Any]


class AlpacaHistory:
    """feed: iex or sip, said in every request: the default depends on the subscription. url: none for Alpaca's own."""

    def __init__(
        self,
        key: SecretStr,
        secret: SecretStr,
        feed: str,
        url: str | None = None,
        *,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._feed = DataFeed(feed)
        self._client = StockHistoricalDataClient(
            key.get_secret_value(), secret.get_secret_value(), raw_data=True, url_override=url
        )
        session = self._client._session
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, _WithTimeouts((CONNECT_TIMEOUT_S, read_timeout_s)))
        self._client._retry, self._client._retry_wait = 2, 1

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        """Daily bars, split-adjusted, and volume profiles. Raises FeedDown."""
        midnight = dt.datetime.combine(session.session, dt.time(), NEW_YORK)
        first = calendar.previous(session.session, daily_bars.HISTORY_SESSIONS)
        opening = dt.datetime.combine(first.session, dt.time(), NEW_YORK)
        days = self._bars(symbols, TimeFrame(1, TimeFrameUnit.Day), opening, midnight - INSTANT, Adjustment.SPLIT)
        spans = self._volume_spans(session, symbols)
        return {
            symbol: History(
                tuple(sorted((_daily_bar(raw) for raw in days.get(symbol, ())), key=lambda bar: bar.session)),
                *_profile(spans.get(symbol, ()), session),
            )
            for symbol in symbols
        }

    def so_far(self, session: Session, symbols: Collection[str], until: dt.datetime) -> list[Row]:
        """One-minute bars from the opening to `until`, by time. Raises FeedDown."""
        return self.minutes(symbols, session.opens_at, until)

    def minutes(self, symbols: Collection[str], first: dt.datetime, until: dt.datetime) -> list[Row]:
        """One-minute bars that start in [first, until), by time: the minute in progress is not asked for."""
        found = self._bars(symbols, TimeFrame(1, TimeFrameUnit.Minute), first, until - INSTANT, Adjustment.RAW)
        rows = [_row(symbol, raw) for symbol in sorted(found) for raw in found[symbol]]
        return sorted(rows, key=lambda row: row.start)

    def days(self, symbols: Collection[str], first: dt.date, last: dt.date) -> list[Row]:
        """Daily bars from `first` to `last`, split-adjusted, by time; they start at New York's midnight."""
        opening, end = (dt.datetime.combine(day, dt.time(), NEW_YORK) for day in (first, last + dt.timedelta(days=1)))
        found = self._bars(symbols, TimeFrame(1, TimeFrameUnit.Day), opening, end - INSTANT, Adjustment.SPLIT)
        rows = [_row(symbol, raw) for symbol in sorted(found) for raw in found[symbol]]
        return sorted(
            (Row(row.start.astimezone(NEW_YORK), row.bar) for row in rows), key=lambda row: (row.start, row.bar.symbol)
        )

    def _volume_spans(self, session: Session, symbols: Collection[str]) -> dict[str, list[RawBar]]:
        first = calendar.previous(session.session, daily_bars.PROFILE_SESSIONS)
        last = calendar.previous(session.session)
        length = TimeFrame(PROFILE_MINUTES, TimeFrameUnit.Minute)
        return self._bars(symbols, length, first.opens_at, last.closes_at - INSTANT, Adjustment.SPLIT)

    def _bars(
        self, symbols: Collection[str], length: TimeFrame, first: dt.datetime, last: dt.datetime, adjust: Adjustment
    ) -> dict[str, list[RawBar]]:
        wanted, found = sorted(symbols), {}
        for place in range(0, len(wanted), SYMBOLS_AT_ONCE):
            request = StockBarsRequest(
                symbol_or_symbols=wanted[place : place + SYMBOLS_AT_ONCE],
                timeframe=length,
                start=first,
                end=last,
                adjustment=adjust,
                feed=self._feed,
            )
            found.update(self._ask(request))
        return found

    def _ask(self, request: StockBarsRequest) -> dict[str, list[RawBar]]:
        try:
            reply: Any = self._client.get_stock_bars(request)
            return {str(symbol): list(bars or ()) for symbol, bars in dict(reply).items()}
        except (APIError, RetryException) as fault:
            if isinstance(fault, APIError) and fault.status_code in REFUSALS:
                raise FeedRefused(f"Alpaca refuses the request for bars: {_short(fault)}") from None
            raise FeedDown(f"Alpaca refused the request for bars: {_short(fault)}") from None
        except (requests.RequestException, OSError) as fault:
            raise FeedDown(f"Alpaca does not answer: {_short(fault)}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            # {"bars": null} and the like: the library trips over it.
            raise FeedDown(f"Alpaca's reply is not readable: {_short(fault)}") from None


class _WithTimeouts(HTTPAdapter):
    """requests waits for ever by itself."""

    def __init__(self, timeouts: tuple[float, float]) -> None:
        self._timeouts = timeouts
        super().__init__()

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = self._timeouts
        return super().send(*args, **kwargs)


def _row(symbol: str, raw: RawBar) -> Row:
    try:
        return Row(_time(raw), Bar(symbol, *(float(raw[name]) for name in ("o", "h", "l", "c", "v"))))
    except (KeyError, TypeError, ValueError) as fault:
        raise FeedDown(f"Alpaca's bar of {symbol} is not readable: {_short(fault)}") from None


def _daily_bar(raw: RawBar) -> DailyBar:
    """Stamped with New York's midnight of its session."""
    row = _row("", raw)
    bar = row.bar
    return DailyBar(row.start.astimezone(NEW_YORK).date(), bar.open, bar.high, bar.low, bar.close, bar.volume)


def _profile(spans: Sequence[RawBar], session: Session) -> tuple[tuple[float, ...], int]:
    """Mean cumulative volume by minute; a span's volume is spread evenly over its minutes."""
    volumes, seen = [0.0] * session.minutes, set()
    for raw in spans:
        row = _row("", raw)
        day = calendar.session_at(row.start)
        if day is None:
            continue
        seen.add(day.session)
        first = (row.start - day.opens_at) // MINUTE
        for minute in range(first, min(first + PROFILE_MINUTES, session.minutes)):
            volumes[minute] += row.bar.volume / PROFILE_MINUTES
    if not seen:
        return (), 0
    total, cumulative = 0.0, []
    for volume in volumes:
        total += volume
        cumulative.append(total / len(seen))
    return tuple(cumulative), len(seen)


def _time(raw: RawBar) -> dt.datetime:
    moment = dt.datetime.fromisoformat(raw["t"])
    if moment.tzinfo is None:
        raise ValueError(f"time {raw['t']!r} has no zone")
    return moment.astimezone(dt.UTC)


def _short(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__
