"""The exchange without an engine around it: one process, one port, one book."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from cli import market
from cli.exchange_market import Feed, FileHistory, LiveMarket, NoMarket, PlayedSession, SpeedClock
from cli.options import settings_of_home
from cli.show import NEW_YORK, compact_json
from cli.trouble import DONE, Trouble
from services.exchange.__main__ import WallClock, build_app, first_book, watch
from services.exchange.exchange import Exchange
from services.exchange.faults import BadScript
from services.exchange.market import Market
from services.exchange.service import PROGRESS, BusSteps, Progress, read_progress, ticks_after
from services.exchange.store import BookFile, BookUnusable
from services.exchange.venue import Clock, Venue
from services.exchange.web import Server
from shared.contracts.ids import is_symbol
from shared.contracts.market import Bar
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.bus import Entry
from shared.runtime.loop import Stop
from shared.runtime.settings import ExchangeSettings, Settings

BOOK: Final = "paper.sqlite"
TURN_S: Final = 0.02


class Wanted(Struct, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    host: str
    port: int
    bars: Path | None
    session: str | None
    live_feed: bool
    symbols: str | None
    speed: float
    faults: Path | None
    admin: bool
    json_log: Path | None
    requests_per_minute: int | None
    fresh: bool


class Started(Struct, frozen=True, kw_only=True):
    """What is said once it answers."""

    url: str
    trade_stream: str
    data_stream: str
    book: str
    orders: int
    market: str


class Parts(Struct, frozen=True, kw_only=True):
    """What the loop needs."""

    feed: Feed
    venue: Venue
    progress: Progress


def run(wanted: Wanted, as_json: bool) -> int:
    """Until SIGINT or SIGTERM. Refuses before anything is started."""
    settings = settings_of_home()
    own = _with_options(settings.exchange, wanted)
    session = _session(wanted)
    path = settings.data_folder / BOOK
    if wanted.fresh:
        _put_aside(path)
    with ExitStack() as opened:
        try:
            parts = _parts(wanted, settings, own, session, path, opened)
            app = build_app(parts.venue, own)
            server = Server(app, wanted.host, wanted.port)
        except (BookUnusable, BadScript) as fault:
            raise Trouble(str(fault)) from None
        except OSError as fault:
            raise Trouble(f"port {wanted.port} on {wanted.host} is taken ({fault.strerror}); choose another") from None
        stop = Stop().on_signals()
        for part in (server, parts.feed):
            part.start()
            opened.callback(part.stop)
        _say(as_json, server, parts, path)
        _trade(parts, BusSteps(parts.venue, app, parts.progress, ()), server, stop)
    return DONE


def _trade(parts: Parts, steps: BusSteps, server: Server, stop: Stop) -> None:
    """What the market brings is matched as it comes, and time passes, until `stop` is asked for."""
    waiting = threading.Event()
    while not stop.asked:
        watch(server, parts.venue)
        for message in parts.feed.messages():
            steps.step([Entry("", "", heard) for heard in (message, *ticks_after(message))])
        parts.venue.do(lambda exchange, now: exchange.expire(now))
        waiting.wait(TURN_S)


def _session(wanted: Wanted) -> Session | None:
    """The session to play. Raises Trouble and NotASession."""
    if wanted.bars is None:
        if wanted.session is not None:
            raise Trouble("--session needs --bars FILE: name the file that has that session")
        return None
    if wanted.live_feed:
        raise Trouble("--bars and --live-feed are two markets: choose one")
    if wanted.session is None:
        raise Trouble("--bars needs --session DATE: name the session to play, such as 2015-02-11")
    return calendar.session(market.a_date("--session", wanted.session))


def _parts(
    wanted: Wanted,
    settings: Settings,
    own: ExchangeSettings,
    session: Session | None,
    path: Path,
    opened: ExitStack,
) -> Parts:
    """The book as it was kept, or a new one; in a played session the clock goes on from where it stood."""
    if session is None or wanted.bars is None:
        feed = LiveMarket(settings, _symbols(wanted, settings)) if wanted.live_feed else NoMarket()
        file = opened.enter_context(closing(BookFile(path)))
        progress = read_progress(file.note(PROGRESS), "")
        return Parts(feed=feed, venue=_venue(file, own, WallClock(), Market()), progress=progress)
    clock = SpeedClock(session.opens_at, wanted.speed)
    feed_of_file = PlayedSession(wanted.bars, session, clock)
    history = FileHistory(wanted.bars, session)
    file = opened.enter_context(closing(BookFile(path)))
    progress = read_progress(file.note(PROGRESS), "")
    feed_of_file.go_on_after(progress.matched.get(0, session.opens_at))
    clock.go_on_from(progress.at)
    venue = _venue(file, own, clock, Market(history))
    clock.go_on_from(max((order.updated_at for order in venue.exchange.book.orders()), default=progress.at))
    _know_yesterday(venue, history, session)
    return Parts(feed=feed_of_file, venue=venue, progress=progress)


def _venue(file: BookFile, own: ExchangeSettings, clock: Clock, seen: Market) -> Venue:
    book = file.load() or first_book(own, "", clock, file)
    return Venue(Exchange(book, own), seen, clock, file)


def _know_yesterday(venue: Venue, history: FileHistory, session: Session) -> None:
    """Before its first bar a symbol has the price of the last close, and its snapshot the day before."""
    days = history.last_days()

    def tell(exchange: Exchange, now: dt.datetime) -> None:
        for symbol, day in days.items():
            exchange.know_close(symbol, day.close)

    venue.do(tell)
    for symbol, day in days.items():
        date = day.start.astimezone(NEW_YORK).date()
        bar = Bar(symbol, day.open, day.high, day.low, day.close, day.volume)
        venue.market.take(date, day.start, session.opens_at - dt.timedelta(days=1), [bar])


def _symbols(wanted: Wanted, settings: Settings) -> tuple[str, ...]:
    """Whom the live feed follows. Raises Trouble."""
    chosen = wanted.symbols.split(",") if wanted.symbols else settings.candidates.watchlist
    symbols = tuple(symbol.strip().upper() for symbol in chosen)
    if not symbols:
        raise Trouble("--live-feed needs --symbols A,B, or a watchlist in execution.toml")
    for symbol in symbols:
        if not is_symbol(symbol):
            raise Trouble(f"--symbols: {symbol[:40]!r} is no symbol")
    return symbols


def _with_options(own: ExchangeSettings, wanted: Wanted) -> ExchangeSettings:
    given = {
        "host": wanted.host,
        "port": wanted.port,
        "faults": wanted.faults,
        "admin": wanted.admin or None,
        "json_log": wanted.json_log,
        "requests_per_minute": wanted.requests_per_minute,
    }
    return own.model_copy(update={name: value for name, value in given.items() if value is not None})


def _put_aside(path: Path) -> None:
    """The old book stays, under another name, with what belongs to it."""
    stamp = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%f}"
    for part in ("", "-wal", "-shm"):
        old = path.with_name(path.name + part)
        if old.exists():
            old.rename(path.with_name(f"{path.stem}-{stamp}{path.suffix}{part}"))


def _say(as_json: bool, server: Server, parts: Parts, path: Path) -> None:
    address = f"{server.host}:{server.port}"
    started = Started(
        url=f"http://{address}",
        trade_stream=f"ws://{address}/stream",
        data_stream=f"ws://{address}/v2/iex",
        book=str(path),
        orders=parts.venue.exchange.book.count(),
        market=parts.feed.about,
    )
    if as_json:
        typer.echo(compact_json(started))
        return
    typer.echo(f"paper exchange on {started.url} (/stream, /v2/iex), {started.market}")
    if started.orders:
        typer.echo(f"going on with {started.orders} orders of {started.book}; --fresh begins anew")
