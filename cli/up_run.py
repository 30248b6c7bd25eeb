"""Running what a home is configured for."""

from __future__ import annotations

import datetime as dt
import time

import typer
from msgspec import Struct

from cli import market
from cli.installation import Installation, end, home_held, is_conducted
from cli.lists import tell_complaints
from cli.options import settings_of_home
from cli.playing import TEND_S, moments, settings_with
from cli.screen import screen_for
from cli.show import compact_json
from cli.trouble import DONE, Trouble
from shared.runtime.embedded import start_server
from shared.runtime.loop import Stop
from shared.runtime.process import url_of
from shared.runtime.settings import AlpacaFeed, Settings

SAFE_WORDS = {
    "exchange": "DRY RUN against the paper exchange",
    "paper": "PAPER trading at Alpaca",
    "live": "LIVE TRADING WITH REAL MONEY at Alpaca",
}


class Running(Struct, frozen=True, kw_only=True):
    """What `up --json` says when everything was started. pids: by name of the process."""

    home: str
    bus: str
    broker: str
    feed: str
    pids: dict[str, int]


def run(as_json: bool) -> int:
    """Until SIGINT or SIGTERM. Refuses before anything is started."""
    settings = configured(settings_of_home())
    stop = Stop().on_signals()
    with home_held(settings):
        tell_complaints(settings)
        screen = screen_for(title_of(settings), as_json)
        try:
            with Installation(settings) as installation:
                if as_json:
                    typer.echo(compact_json(running(settings, installation)))
                for _ in moments(settings, installation, screen, stop):
                    pass
        finally:
            screen.close()
    return DONE


def serve(as_json: bool, seconds: float | None) -> int:
    """The server alone, until SIGINT, SIGTERM or the time is over."""
    settings = settings_of_home()
    if settings.bus.url is not None:
        raise Trouble("bus.url (or EV2_REDIS_URL) names a server: it is not ours to start; look there")
    if not (settings.data_folder / "redis").exists():
        raise Trouble(f"no streams at {settings.data_folder}: run `execution demo` or `execution up` first")
    stop = Stop().on_signals()
    give_up = time.monotonic() + seconds if seconds is not None else None
    with home_held(settings):
        child = start_server(settings.data_folder, settings.bus.prefix)
        try:
            socket = url_of(settings).removeprefix("unix://")
            look = f"redis-cli -s {socket} XRANGE {settings.bus.prefix}intents - + COUNT 5"
            typer.echo(compact_json({"socket": socket}) if as_json else f"Ctrl-C ends it. Look with: {look}")
            while not stop.asked and child.poll() is None and (give_up is None or time.monotonic() < give_up):
                time.sleep(TEND_S)
        finally:
            end(child)
    return DONE


def configured(settings: Settings) -> Settings:
    """The settings, with what a played market leaves open filled in. Raises Trouble, BadFile or NotASession.

    Without a first session it is the file's first, or the last one completed; without candidates, every symbol.
    """
    feed = settings.feed
    if isinstance(feed, AlpacaFeed):
        return settings
    if settings.contradiction:
        raise Trouble(settings.contradiction)
    first = feed.first or market.first_session(feed, dt.datetime.now(dt.UTC))
    symbols = market.symbols_of(feed, settings, market.sessions_from(first, feed.last or first))
    variables = {"EV2_FEED": compact_json({**feed.model_dump(mode="json"), "first": first})}
    named = settings.candidates
    if not (named.watchlist or named.watchlist_file or named.scan_file):
        variables["EV2_CANDIDATES__WATCHLIST"] = compact_json(symbols)
    return settings_with(variables)


def title_of(settings: Settings) -> str:
    feed = settings.feed.kind
    pace = "by the clock" if not is_conducted(settings) else "played by the conductor"
    return f"{SAFE_WORDS[settings.broker.kind]}; feed {feed}, {pace}; home {settings.home.resolve()}"


def running(settings: Settings, installation: Installation) -> Running:
    return Running(
        home=str(settings.home.resolve()),
        bus=url_of(settings) if settings.bus.url is None else settings.bus.prefix,
        broker=settings.broker.kind,
        feed=settings.feed.kind,
        pids=installation.pids(),
    )
