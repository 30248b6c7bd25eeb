"""The paper exchange as a process of the engine: a port for the broker's API, and the bus for the market."""

from __future__ import annotations

import datetime as dt
import secrets
from pathlib import Path
from typing import Final

import msgspec

from services.exchange.book import Book
from services.exchange.exchange import Exchange, new_book
from services.exchange.faults import BadScript, Faults
from services.exchange.market import Market
from services.exchange.service import PROGRESS, SERVICE, BusSteps, read_progress, ticks_after
from services.exchange.store import BookFile, BookUnusable
from services.exchange.venue import Broken, Clock, TickClock, Venue
from services.exchange.web import Access, App, JsonLog, Server
from shared.contracts import streams
from shared.contracts.message import Message
from shared.runtime.bus import Bus
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import ConductedPace, FreePace, Reads, Stop, run
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import ExchangeSettings, Pace, Settings

FILE: Final = "exchange.sqlite"
TURN_MS: Final = 50


class WallClock:
    """Now, by this machine; never falling."""

    def __init__(self) -> None:
        self._last = dt.datetime.now(dt.UTC)

    def now(self) -> dt.datetime:
        self._last = max(self._last, dt.datetime.now(dt.UTC))
        return self._last


def build_venue(settings: Settings, path: Path) -> tuple[Venue, BookFile]:
    """The exchange with its book as it was kept, or a new one. Raises BookUnusable; the file is as it was then."""
    file = BookFile(path)
    try:
        progress = read_progress(file.note(PROGRESS), "")
        kept = file.load()
    except BookUnusable:
        file.close()
        raise
    except msgspec.DecodeError as fault:
        file.close()
        raise file.damaged(fault) from fault
    clock: Clock = TickClock(progress.at) if settings.run.pace is Pace.CONDUCTED else WallClock()
    book = kept or first_book(settings.exchange, settings.run.salt, clock, file)
    exchange = Exchange(book, settings.exchange, at_once=settings.run.pace is Pace.FREE)
    return Venue(exchange, Market(), clock, file), file


def first_book(rules: ExchangeSettings, salt: str, clock: Clock, file: BookFile) -> Book:
    """A new account. Its ids are functions of the salt: given in a replay, drawn once where none is."""
    book = new_book(rules, salt or secrets.token_hex(8), clock.now())
    file.keep(book.take_changes(), Exchange(book, rules), {})
    return book


def build_app(venue: Venue, own: ExchangeSettings) -> App:
    """Raises BadScript, also for a file that cannot be read or written."""
    try:
        faults = Faults.read(own.faults.read_text(encoding="utf-8")) if own.faults else Faults()
    except (OSError, UnicodeDecodeError) as fault:
        raise BadScript(f"{own.faults} cannot be read: {fault}") from None
    try:
        log = JsonLog(own.json_log) if own.json_log else None
    except OSError as fault:
        raise BadScript(f"{own.json_log} cannot be written: {fault}") from None
    access = Access(own.key, own.secret, own.requests_per_minute)
    return App(venue, access, faults, has_admin=own.admin, log=log)


def build_steps(venue: Venue, file: BookFile, app: App, bus: Bus) -> BusSteps:
    life = bus.life()
    progress = read_progress(file.note(PROGRESS), f"{life.run_id}/{life.epoch}")
    bars = streams.names(["bars"], range(bus.partitions))
    move_to = venue.clock.move_to if isinstance(venue.clock, TickClock) else lambda now: None
    return BusSteps(venue, app, progress, bars, move_to)


def watch(server: Server, venue: Venue) -> list[Message]:
    """An exchange that nobody can reach, or whose book is not what it kept, must not seem alive: it starts again."""
    if not server.alive:
        raise RuntimeError("the web server's thread has ended")
    if venue.is_broken:
        raise Broken("a request failed half-way; the book in the file is whole")
    return []


def keep_time(venue: Venue) -> list[Message]:
    """Wall clock: what is due takes place, and days end."""
    venue.do(lambda exchange, now: exchange.expire(now))
    return []


def build_pace(settings: Settings, venue: Venue, server: Server) -> ConductedPace | FreePace:
    if settings.run.pace is Pace.CONDUCTED:
        return ConductedPace(inlets=[lambda: watch(server, venue)])
    return FreePace([lambda: watch(server, venue), lambda: keep_time(venue)], ticks_after, TURN_MS)


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    bus = connect(settings, SERVICE)
    own = settings.exchange
    try:
        venue, file = build_venue(settings, settings.data_folder / FILE)
        app = build_app(venue, own)
        server = Server(app, own.host, own.port)
    except (BookUnusable, BadScript) as fault:
        refuse(SERVICE, str(fault))
    except OSError as fault:
        refuse(SERVICE, f"exchange.port {own.port} on {own.host} is taken ({fault.strerror}); choose another")
    server.start()
    logger().info("listening", host=server.host, port=server.port)
    reads = Reads(covered=streams.names(["daily", "bars"], range(bus.partitions)))
    run(
        lambda: build_steps(venue, file, app, bus),
        bus,
        build_pace(settings, venue, server),
        lambda: reads,
        stop=Stop().on_signals(),
    )
    server.stop()
    file.close()


if __name__ == "__main__":
    main()
