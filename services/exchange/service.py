"""The exchange on the engine's bus: minutes of the market in, the number of trade updates out.

What a tick does is one transaction in the book file, together with the stream positions it has read and the answer it
owes. So a kill at any instant repeats nothing and forgets nothing: a tick that is read again is answered again, and a
minute that was matched is never matched twice.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from services.exchange.exchange import Exchange
from services.exchange.hours import NEW_YORK
from services.exchange.venue import Venue
from shared.contracts.clock import Matched, Tick, TickPhase
from shared.contracts.market import Bar, BarRevised, Bars, DailyHistory, SessionClosed, SymbolHalted
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.runtime.bus import Entry
from shared.runtime.loop import dead_letter

SERVICE: Final = "exchange"
PROGRESS: Final = "progress"
FIRST_INSTANT: Final = dt.datetime(1993, 1, 29, tzinfo=dt.UTC)


class Progress(Struct, kw_only=True):
    """How far this book has come on the bus; kept with it.

    life: the bus's life that `positions` belong to. matched: partition to the end of its last matched minute; a minute
    up to there is done. at: the last tick's time, where the clock stands. owed: the answer to that tick, which is sent
    again after a restart: it may not have gone out.
    """

    life: str = ""
    positions: dict[str, str] = {}
    matched: dict[int, dt.datetime] = {}
    at: dt.datetime = FIRST_INSTANT
    owed: Matched | None = None


_DECODER: Final = msgspec.json.Decoder(Progress)


def read_progress(text: str | None, life: str) -> Progress:
    """The progress kept as `text`, for the bus's present `life`: on a new bus everything is read from the start."""
    kept = _DECODER.decode(text) if text else Progress()
    if kept.life != life:
        return Progress(life=life, matched=kept.matched, at=kept.at)
    return kept


class Audience(Protocol):
    """Subscribers of the market data stream; telling them does not wait."""

    def bars(self, minute: dt.datetime, rows: Sequence[Bar]) -> None: ...

    def revised(self, minute: dt.datetime, bar: Bar) -> None: ...

    def halted(self, symbol: str, at: dt.datetime, *, halted: bool, code: str = "") -> None: ...


class BusSteps:
    """What the loop runs.

    move_to: sets the exchange's clock, where ticks give the time.
    """

    def __init__(
        self,
        venue: Venue,
        audience: Audience,
        progress: Progress,
        bars: Sequence[str],
        move_to: Callable[[dt.datetime], None] = lambda now: None,
    ) -> None:
        self._venue = venue
        self._audience = audience
        self._progress = progress
        self._move_to = move_to
        self._waiting: dict[str, Bars] = {}
        self.remembers = ("daily", *bars)

    def positions(self) -> Mapping[str, str]:
        return self._progress.positions

    def remember(self, message: Message) -> None:
        """What is known of the market only, such as the day's bars so far."""
        if isinstance(message, Bars):
            self._show(message)

    def step(self, entries: Sequence[Entry]) -> Sequence[Outgoing]:
        """A batch: the market's messages wait for the tick that matches them."""
        owed, self._progress.owed = self._progress.owed, None
        out: list[Outgoing] = [owed] if owed is not None else []
        for entry in entries:
            if entry.stream:
                self._progress.positions[entry.stream] = entry.entry_id
            if entry.message is None:
                out.append(dead_letter(entry, SERVICE, entry.fault))
            elif isinstance(entry.message, Tick):
                out += self._tick(entry.message)
            else:
                out += self._hear(entry, entry.message)
        return out

    def sent(self) -> None:
        """Nothing to do: an answer that did go out may go out once more after a crash, and nobody minds."""

    def _hear(self, entry: Entry, message: Message) -> list[Outgoing]:
        match message:
            case Bars():
                return self._take(entry, message)
            case SymbolHalted():
                self._venue.do(lambda exchange, now: exchange.halt(message.symbol, halted=message.halted))
                self._audience.halted(message.symbol, message.at, halted=message.halted, code=message.code)
            case BarRevised():
                self._audience.revised(message.minute, message.bar)
            case DailyHistory() if message.bars:
                self._venue.do(lambda exchange, now: exchange.know_close(message.symbol, message.bars[-1].close))
            case SessionClosed():
                pass  # the tick that ends day orders follows; live, the clock does it
            case _:
                pass
        return []

    def _take(self, entry: Entry, batch: Bars) -> list[Outgoing]:
        done = self._progress.matched.get(batch.partition)
        if done is not None and batch.at <= done:
            return []
        good = tuple(bar for bar in batch.rows if _is_sound(bar))
        self._waiting[batch.id] = batch if len(good) == len(batch.rows) else msgspec.structs.replace(batch, rows=good)
        if len(good) == len(batch.rows):
            return []
        bad = ", ".join(bar.symbol for bar in batch.rows if not _is_sound(bar))
        return [dead_letter(entry, SERVICE, f"bars without a usable price or volume: {bad}")]

    def _tick(self, tick: Tick) -> list[Outgoing]:
        if tick.at < self._progress.at:  # the bus is a new one, and an earlier day stands on it: it is over here
            return (
                [self._keep(tick, lambda exchange: None)] if tick.phase in (TickPhase.MATCH, TickPhase.EXPIRE) else []
            )
        self._move_to(tick.at)
        self._progress.at = max(self._progress.at, tick.at)
        match tick.phase:
            case TickPhase.MATCH:
                return [self._match(tick)]
            case TickPhase.EXPIRE:
                return [self._keep(tick, lambda exchange: exchange.expire(tick.at))]
            case TickPhase.OPEN:
                self._keep(tick, lambda exchange: exchange.expire(tick.at))
        return []  # where it stands on the clock is kept with the next change

    def _match(self, tick: Tick) -> Matched:
        due = [batch for batch in self._waiting.values() if batch.at <= tick.at]
        for batch in due:
            del self._waiting[batch.id]
            self._progress.matched[batch.partition] = batch.at
            self._show(batch)
        answer = self._keep(tick, lambda exchange: _match_minutes(exchange, due))
        for batch in due:
            self._audience.bars(batch.minute, batch.rows)
        return answer

    def _keep(self, tick: Tick, call: Callable[[Exchange], None]) -> Matched:
        """`call`, how far the bus was read, and the answer that is owed for it, in one transaction."""

        def answer() -> Matched:
            events = self._venue.exchange.book.account.updates
            return Matched(id=f"{tick.id}-{SERVICE}", at=tick.at, cause=tick.id, service=SERVICE, events=events)

        def notes() -> Mapping[str, str]:
            kept = msgspec.structs.replace(self._progress, owed=answer())
            return {PROGRESS: msgspec.json.encode(kept).decode()}

        self._venue.do(lambda exchange, now: call(exchange), notes)
        return answer()

    def _show(self, batch: Bars) -> None:
        day = batch.minute.astimezone(NEW_YORK)
        midnight = dt.datetime.combine(day.date(), dt.time(), NEW_YORK).astimezone(dt.UTC)
        self._venue.market.take(day.date(), midnight, batch.minute, batch.rows)


def _match_minutes(exchange: Exchange, due: Sequence[Bars]) -> None:
    """The minutes in order; all partitions of one minute together, so that their number changes nothing."""
    minutes: dict[dt.datetime, list[Bars]] = {}
    for batch in due:
        minutes.setdefault(batch.minute, []).append(batch)
    for minute, batches in sorted(minutes.items()):
        exchange.match(minute, [bar for batch in batches for bar in batch.rows], batches[0].at)


def _is_sound(bar: Bar) -> bool:
    prices = (bar.open, bar.high, bar.low, bar.close)
    return all(math.isfinite(price) and price > 0 for price in prices) and math.isfinite(bar.volume) and bar.volume >= 0


def ticks_after(message: Message) -> list[Message]:
    """Free pace: a partition's minute that is complete is matched at once."""
    if not isinstance(message, Bars) or message.part != message.parts - 1:
        return []
    at = message.at
    tick = Tick(id=f"match-{message.id}", at=at, session=at.date(), phase=TickPhase.MATCH)
    return [tick]
