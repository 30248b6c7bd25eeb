"""The broker's trade updates through alpaca-py's `TradingStream`, on a thread of its own.

The library tells nobody that it connected, lost its connection, or was refused, and it drops what a handler raises.
So its messages are taken before any handler: each is put into a queue, whole and unread, and nothing else is done
here. Liveness is our own: a ping every two seconds finds a dead link, a socket that is mute is found by the orders it
should have told of (overdue.py), and one that never gets through its handshake by the listener's clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any, Final

from alpaca.trading.stream import TradingStream
from pydantic import SecretStr

from services.executor.heard import Ended, Heard, KeysRefused, Listening, Lost, Update

WEBSOCKET: Final = {
    "ping_interval": 2,
    "ping_timeout": 4,
    "close_timeout": 1,
    "open_timeout": 5,
    "max_queue": 1024,
}
"""Replaces the library's parameters whole. A dead link is found after at most 2 + 4 + 1 seconds."""
SHORTEST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
"""Between attempts to connect. The broker may hold a dead connection's slot for 90 s, and answers 429 till then."""
STOP_WITHIN_S: Final = 0.5


class TradeUpdates:
    """One subscription, from `start` to `stop`.

    url: the stream's whole address. tell: called with everything heard, on another thread; must not wait.
    """

    def __init__(
        self, key: SecretStr, secret: SecretStr, url: str, *, paper: bool, tell: Callable[[Heard], None]
    ) -> None:
        # It logs a traceback for each attempt to connect; the listener says once that the connection is gone.
        logging.getLogger("alpaca.trading.stream").setLevel(logging.CRITICAL)
        self._tell = tell
        self._make: Callable[[], _Stream] = lambda: _Stream(key, secret, url, paper, tell)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stream: _Stream | None = None
        self._asked_to_stop: asyncio.Event | None = None
        self._started = threading.Event()

    def start(self) -> None:
        """Connect, and again for ever whenever the connection is lost, with the library's growing pauses."""
        self._started.clear()
        self._thread = threading.Thread(target=self._run, name="trade-updates", daemon=True)
        self._thread.start()
        self._started.wait(4 * STOP_WITHIN_S)

    def reconnect(self) -> None:
        """Drop the connection, if there is one, and make a new one."""
        if self._loop is not None and self._stream is not None:
            asyncio.run_coroutine_threadsafe(_dropped(self._stream), self._loop)

    def stop(self) -> None:
        """End within about a second, whatever the other side does."""
        if self._loop is not None and self._asked_to_stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
                self._loop.call_soon_threadsafe(self._asked_to_stop.set)
        if self._thread is not None:
            self._thread.join(3 * STOP_WITHIN_S)
        self._thread = self._loop = self._stream = None

    def _run(self) -> None:
        asyncio.run(self._listen())

    async def _listen(self) -> None:
        self._loop, self._asked_to_stop, self._stream = asyncio.get_running_loop(), asyncio.Event(), self._make()
        self._started.set()
        task = asyncio.create_task(self._stream._run_forever())  # type: ignore[no-untyped-call]
        stopped = asyncio.create_task(self._asked_to_stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            stopped.cancel()
            fault = None if task.cancelled() else task.exception()
            self._tell(Ended(f"{type(fault).__name__}: {fault}" if fault else "ended by itself"))
            return
        await _stopped(self._stream, task)


class _Stream(TradingStream):
    def __init__(self, key: SecretStr, secret: SecretStr, url: str, paper: bool, tell: Callable[[Heard], None]) -> None:
        super().__init__(
            key.get_secret_value(),
            secret.get_secret_value(),
            paper=paper,
            raw_data=True,
            url_override=url,
            websocket_params=dict(WEBSOCKET),
        )
        self._reconnect_min_backoff, self._reconnect_max_backoff = SHORTEST_PAUSE_S, LONGEST_PAUSE_S
        self._tell = tell
        self.subscribe_trade_updates(_nothing)  # without a handler the library does not even connect

    async def _dispatch(self, msg: dict[str, Any]) -> None:
        match msg.get("stream"):
            case "listening":
                self._tell(Listening())
            case "trade_updates":
                self._tell(Update(msg.get("data")))

    async def _auth(self) -> None:
        try:
            await super()._auth()  # type: ignore[no-untyped-call]
        except ValueError:
            self._tell(KeysRefused())
            raise

    async def close(self) -> None:
        """The library comes here whenever a connection has ended."""
        self._tell(Lost())
        await super().close()


async def _nothing(_: object) -> None: ...


async def _dropped(stream: _Stream) -> None:
    with contextlib.suppress(Exception):
        await asyncio.wait_for(stream.close(), STOP_WITHIN_S)


async def _stopped(stream: _Stream, task: asyncio.Task[None]) -> None:
    """The library's own stop takes up to five seconds, and never ends on a server that does not answer."""
    await stream.stop_ws()
    await _dropped(stream)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(task), STOP_WITHIN_S)
    if not task.done():
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
