"""Alpaca's live bars over its socket, through alpaca-py, in a thread with an event loop of its own.

What the library hides is made visible: it tells nobody when it is subscribed, refused (401 to 410) or stopped (409),
and a handler that raises loses the rest of its frame. So handlers only enqueue, control messages are looked at, and the
task is watched. Subscribing waits for its own loop, so it is done from another thread.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import queue
import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from alpaca.data.enums import DataFeed
from alpaca.data.live import StockDataStream
from pydantic import SecretStr
from websockets.exceptions import WebSocketException

from services.market_data.arrivals import BarArrived, FeedSaid, HaltArrived
from shared.contracts.market import Bar
from shared.contracts.message import Message

SOCKET: Final = {"ping_interval": 5, "ping_timeout": 10, "close_timeout": 1, "max_queue": 1024}
"""By default a cut network shows after three minutes."""
MUTE_S: Final = 150.0
"""Without any data for this long the socket is opened anew: it may be connected and dead."""
RESTART_S: Final = 60.0
LOOK_S: Final = 0.1
STOP_S: Final = 2.0
HELD: Final = 500_000
"""Messages that may wait to be fetched; an hour of 8,000 symbols."""
HALTED: Final = frozenset({"2", "H", "P"})
RESUMED: Final = frozenset({"3", "T"})
"""Status codes of the tapes: trading halt, volatility pause; resumption. The others do not stop trading."""
CAUSES: Final = {
    401: "not authenticated",
    402: "the keys are refused: check them, and that they belong to this feed",
    404: "authentication took too long",
    405: "too many symbols for this subscription: follow fewer, or take another plan",
    406: "another connection holds the only slot: end it, or wait 90 s",
    407: "this process reads too slowly",
    409: "the subscription does not include this feed: set feed.feed to iex",
    410: "this feed does not know the action",
}

BROKEN: Final = (WebSocketException, OSError, RuntimeError, KeyError, AttributeError, TimeoutError)
"""What a socket raises that breaks while it is spoken to, with the library in between."""

Now = Callable[[], dt.datetime]


class AlpacaStream:
    """url: full address of the socket; none: Alpaca's own. now: the wall clock, UTC.

    subscriptions: how often the server said what it sends; one more after each reconnect.
    """

    def __init__(self, key: SecretStr, secret: SecretStr, feed: str, url: str | None, now: Now) -> None:
        self._key = key
        self._secret = secret
        self._feed = DataFeed(feed)
        self._url = url
        self._now = now
        self._arrived: queue.Queue[Message] = queue.Queue(HELD)
        self._wanted: frozenset[str] = frozenset()
        self._covered: frozenset[str] = frozenset()
        self._number = 0
        self._lost = 0
        self.subscriptions = 0
        self._last_data: dt.datetime | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._stream: _Visible | None = None

    def start(self) -> None:
        """Connect as soon as a symbol is wanted."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="alpaca-stream", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the socket and end the thread, within a few seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_S * 3)
            self._thread = None

    def want(self, symbols: Collection[str]) -> None:
        """Bars of exactly these symbols, from now on and after every reconnect."""
        self._wanted = frozenset(symbols)

    def covers(self) -> frozenset[str]:
        """Symbols that the server said it sends, on a socket that stands; empty while there is none."""
        stream = self._stream
        return self._covered if stream is not None and stream._running else frozenset()

    def last_data(self) -> dt.datetime | None:
        """When the last bar came in, UTC."""
        return self._last_data

    def take(self) -> list[Message]:
        """Everything that came in since the last call."""
        taken: list[Message] = []
        while True:
            try:
                taken.append(self._arrived.get_nowait())
            except queue.Empty:
                return taken

    def put(self, message: Message) -> None:
        """Add a message of another origin, in order of arrival. Never blocks and never raises."""
        try:
            self._arrived.put_nowait(message)
        except queue.Full:
            self._lost += 1

    def next_id(self, kind: str) -> str:
        """Unlike any other of this process."""
        self._number += 1
        return f"{kind}-{id(self)}-{self._number}"

    def say(self, level: str, key: str, text: str) -> None:
        """Tell people about the feed."""
        self.put(FeedSaid(id=self.next_id("said"), at=self._now(), level=level, key=key, text=text))

    def _run(self) -> None:
        asyncio.run(self._keep_streaming())

    async def _keep_streaming(self) -> None:
        while not self._stop.is_set():
            if not self._wanted:
                await asyncio.sleep(LOOK_S)
                continue
            await self._one_stream()
            if not self._stop.is_set():
                self.say("critical", "stream", f"the socket ended for good; tried again in {RESTART_S:.0f} s")
                await self._pause(RESTART_S)

    async def _one_stream(self) -> None:
        """One stream object, which reconnects by itself, until it gives up or the end is asked for."""
        stream = _Visible(self._key, self._secret, self._feed, self._url, self._on_control)
        subscribed = self._wanted
        self._subscribe(stream, subscribed)
        self._stream = stream
        task = asyncio.create_task(stream._run_forever())
        try:
            while not self._stop.is_set() and not task.done():
                if self._wanted != subscribed:
                    subscribed = await self._change(stream, subscribed, self._wanted)
                await asyncio.sleep(LOOK_S)
        finally:
            self._stream, self._covered = None, frozenset()
            await _end(stream, task)

    async def _change(self, stream: _Visible, before: frozenset[str], after: frozenset[str]) -> frozenset[str]:
        """Follow more or fewer symbols; what a broken socket loses is asked for again by the library's reconnect."""
        try:
            if after - before:
                await asyncio.to_thread(self._subscribe, stream, after - before)
            if before - after:
                await asyncio.to_thread(_unsubscribe, stream, before - after)
        except BROKEN as fault:  # the next connection asks for all that is wanted
            self.say("warning", "stream", f"the subscription was not changed at once: {type(fault).__name__}")
        return after

    def _subscribe(self, stream: _Visible, symbols: Collection[str]) -> None:
        named = sorted(symbols)
        stream.subscribe_bars(self._on_bar, *named)
        stream.subscribe_updated_bars(self._on_updated_bar, *named)
        stream.subscribe_trading_statuses(self._on_status, *named)

    async def _on_bar(self, message: Any) -> None:
        self._bar(message, revised=False)

    async def _on_updated_bar(self, message: Any) -> None:
        self._bar(message, revised=True)

    def _bar(self, message: Any, *, revised: bool) -> None:
        try:
            bar = Bar(str(message["S"]), *(float(message[name]) for name in ("o", "h", "l", "c", "v")))
            start = message["t"].to_datetime().astimezone(dt.UTC)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            self.say("warning", "bar", f"unreadable bar {str(message)[:200]}: {fault}")
            return
        self._last_data = self._now()
        self.put(BarArrived(id=self.next_id("bar"), at=self._last_data, start=start, bar=bar, revised=revised))

    async def _on_status(self, message: Any) -> None:
        try:
            code, symbol, reason = str(message["sc"]), str(message["S"]), str(message.get("rc") or "")
            at = message["t"].to_datetime().astimezone(dt.UTC)
        except (KeyError, TypeError, ValueError, AttributeError) as fault:
            self.say("warning", "status", f"unreadable status {str(message)[:200]}: {fault}")
            return
        if code in HALTED or code in RESUMED:
            halted = code in HALTED
            self.put(HaltArrived(id=self.next_id("halt"), at=at, symbol=symbol, halted=halted, code=reason or code))

    def _on_control(self, message: Any) -> None:
        """A subscription as the server has it now, or an error, which the library only logs."""
        if message.get("T") == "subscription":
            covered = frozenset(message.get("bars") or ())
            if not self._covered and covered:
                self.say("info", "stream", f"the feed sends bars of {len(covered)} symbols")
            self._covered = covered
            self.subscriptions += 1
            return
        code = message.get("code")
        cause = CAUSES.get(code, str(message.get("msg"))) if isinstance(code, int) else str(message.get("msg"))
        self.say("critical", f"stream-{code}", f"the feed says {code}: {cause}")

    async def _pause(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while not self._stop.is_set() and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(LOOK_S)


class _Visible(StockDataStream):
    """The library's stream, which shows its control messages and refusals at the door."""

    def __init__(
        self, key: SecretStr, secret: SecretStr, feed: DataFeed, url: str | None, control: Callable[[Any], None]
    ) -> None:
        super().__init__(
            key.get_secret_value(),
            secret.get_secret_value(),
            raw_data=True,
            feed=feed,
            websocket_params=dict(SOCKET),
            url_override=url,
            data_timeout=MUTE_S,
        )
        self._control = control

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        if msg.get("T") in ("subscription", "error"):
            self._control(msg)
        await super()._dispatch(msg)

    async def _auth(self) -> None:
        try:
            await super()._auth()
        except ValueError as fault:
            # The library tries again for ever, with one line in a log; 409 ends it.
            self._control({"T": "error", "code": "at the door", "msg": str(fault)})
            raise


def _unsubscribe(stream: _Visible, symbols: Collection[str]) -> None:
    named = sorted(symbols)
    stream.unsubscribe_bars(*named)
    stream.unsubscribe_updated_bars(*named)
    stream.unsubscribe_trading_statuses(*named)


async def _end(stream: _Visible, task: asyncio.Task[None]) -> None:
    """Stop within seconds, also on a dead link; the order is the one that was tried out."""
    await stream.stop_ws()
    try:
        await asyncio.wait_for(stream.close(), STOP_S)
    except BROKEN:
        stream._ws = None  # a dead link; the task is ended below all the same
    try:
        await asyncio.wait_for(asyncio.shield(task), STOP_S)
    except (TimeoutError, asyncio.CancelledError):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
