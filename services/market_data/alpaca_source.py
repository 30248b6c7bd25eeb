"""Alpaca as a live feed: bars from the socket, history and what the socket misses over REST.

While the socket is down, mute, or refuses some symbols, a second thread asks REST for the minute that just ended. The
same bar by both ways is known as one by market data, so asking too often costs nothing but the request.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from pydantic import SecretStr

from services.market_data.alpaca_history import AlpacaHistory
from services.market_data.alpaca_stream import AlpacaStream, Now
from services.market_data.arrivals import BarArrived, Beat, FeedDown
from services.market_data.source import History, Row
from shared.contracts.message import Message
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session
from shared.runtime.settings import AlpacaFeed, BadSettings

POLL_AFTER: Final = dt.timedelta(seconds=1)
"""After a minute's end; its bar is there by then, and there is time until the minute is closed."""
POLL_BACK: Final = 10 * MINUTE
"""How far a poll reaches back, at most, after polls that failed."""
RECONNECT_BACK: Final = 3 * MINUTE
MUTE: Final = dt.timedelta(seconds=75)
LOOK_S: Final = 0.2


class AlpacaSource:
    """A `LiveSource`. now: the wall clock, for tests."""

    def __init__(self, history: AlpacaHistory, stream: AlpacaStream, now: Now) -> None:
        self._history = history
        self._stream = stream
        self._now = now
        self._last = now()
        self._followed: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._poller: threading.Thread | None = None

    @classmethod
    def from_settings(cls, feed: AlpacaFeed, now: Now | None = None) -> AlpacaSource:
        """Raises BadSettings where keys are missing."""
        if not feed.key.get_secret_value() or not feed.secret.get_secret_value():
            raise BadSettings("feed.kind alpaca needs keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY")
        clock = now or _wall_clock
        history = AlpacaHistory(feed.key, feed.secret, feed.feed, feed.rest_url)
        stream = AlpacaStream(feed.key, feed.secret, feed.feed, feed.stream_url, clock)
        return cls(history, stream, clock)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> AlpacaSource:
        """By Alpaca's own variable names: APCA_API_KEY_ID, APCA_API_SECRET_KEY, and APCA_API_DATA_URL if set.

        Raises BadSettings where keys are missing.
        """
        given = os.environ if environment is None else environment
        return cls.from_settings(
            AlpacaFeed(
                key=SecretStr(given.get("APCA_API_KEY_ID", "")),
                secret=SecretStr(given.get("APCA_API_SECRET_KEY", "")),
                rest_url=given.get("APCA_API_DATA_URL"),
            )
        )

    def start(self) -> None:
        """Begin to stream and to poll, each in a thread."""
        self._stop.clear()
        self._stream.start()
        self._poller = threading.Thread(target=self._poll_until_stopped, name="alpaca-poll", daemon=True)
        self._poller.start()

    def stop(self) -> None:
        """End both threads, within seconds; `start` begins again."""
        self._stop.set()
        self._stream.stop()
        if self._poller is not None:
            self._poller.join(5)
            self._poller = None

    def follow(self, symbols: Collection[str]) -> None:
        self._followed = frozenset(symbols)
        self._stream.want(self._followed)

    def followed(self) -> frozenset[str]:
        return self._followed

    def histories(self, session: Session, symbols: Collection[str]) -> Mapping[str, History]:
        return self._history.histories(session, symbols)

    def so_far(self, session: Session, symbols: Collection[str], until: dt.datetime) -> Sequence[Row]:
        return self._history.so_far(session, symbols, until)

    def last_data(self) -> dt.datetime | None:
        """When the socket last brought a bar, UTC."""
        return self._stream.last_data()

    def arrivals(self) -> Sequence[Message]:
        """An inlet of the loop: what came in, then the time."""
        taken = self._stream.take()
        self._last = max(self._last, self._now())
        connected = bool(self._stream.covers())
        return [*taken, Beat(id=self._stream.next_id("beat"), at=self._last, connected=connected)]

    def _poll_until_stopped(self) -> None:
        polled, seen, well = self._now().replace(second=0, microsecond=0), 0, True
        while not self._stop.wait(LOOK_S):
            minute = (self._now() - POLL_AFTER).replace(second=0, microsecond=0)
            again, seen = self._stream.subscriptions != seen, self._stream.subscriptions
            symbols = self._followed if again else self._missed()
            first = minute - RECONNECT_BACK if again else max(polled, minute - POLL_BACK)
            if (minute <= polled and not again) or calendar.session_at(minute - MINUTE) is None:
                continue
            if not symbols:
                polled = minute
                continue
            try:
                self._poll(symbols, first, minute)
            except FeedDown as fault:
                if well:
                    self._stream.say("warning", "poll", f"{len(symbols)} symbols have no bars: {fault}; asked again")
                well = False
                self._stop.wait(1.0)
            else:
                polled, well = minute, True

    def _missed(self) -> frozenset[str]:
        """Symbols of which the socket sends nothing: it is down, mute, or they are not in its subscription."""
        last = self._stream.last_data()
        if last is not None and self._now() - last > MUTE:
            return self._followed
        return self._followed - self._stream.covers()

    def _poll(self, symbols: Collection[str], first: dt.datetime, until: dt.datetime) -> None:
        for row in self._history.minutes(symbols, first, until):
            identity = self._stream.next_id("polled")
            self._stream.put(BarArrived(id=identity, at=self._now(), start=row.start, bar=row.bar))


def _wall_clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
