"""A demo from what was asked for to its summary."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from collections import Counter
from pathlib import Path
from typing import Final

import typer
from msgspec import Struct

from cli import market
from cli.demo_summary import DemoSummary, commands, in_words
from cli.installation import Installation, bus_of, free_port, home_held
from cli.lists import tell_complaints
from cli.options import settings_of_home
from cli.picture import picture
from cli.play import Market, Play, Start, begin, start_of
from cli.playing import play_to_the_end, settings_with
from cli.screen import screen_for
from cli.show import compact_json, print_json
from cli.summary import summary
from cli.trouble import DONE, NOT_WELL, STOPPED, Trouble
from shared.contracts.journal import DeadLetter
from shared.runtime.bus import Bus
from shared.runtime.loop import Stop
from shared.runtime.process import url_of
from shared.runtime.settings import DEMO_KEY, ExchangeSettings, RecordedFeed, Settings, SyntheticFeed

SYMBOLS: Final = 12
SESSION: Final = dt.date(2026, 1, 9)


class Asked(Struct, frozen=True, kw_only=True):
    """The options of the command, as they were written."""

    bars: Path | None
    daily: Path | None
    session: str | None
    to: str | None
    watchlist: str | None
    seed: int
    speed: str
    signals: int
    executors: int


def run(asked: Asked, as_json: bool) -> int:
    """Play what was asked for and print the summary; returns the exit code. Refuses before anything is started."""
    settings = settings_of_home()
    speed = speed_of(asked.speed)
    play = play_of(asked, settings)
    settings = settings_with({**variables_of(play, asked, settings), "EV2_RUN__SPEED": str(speed)})
    data = settings.data_folder
    stop = Stop().on_signals()
    with home_held(settings):
        start = start_of(data, play)
        prepare_bus(settings, start)
        begin(data, play, start)
        tell_complaints(settings)
        screen = screen_for(f"{title_of(play)}, {start}", as_json)
        began = time.monotonic()
        try:
            with Installation(settings) as installation:
                over = play_to_the_end(settings, installation, play.last, screen, stop)
                restarts = installation.restarts()
                with bus_of(settings) as bus:
                    dead = put_aside(bus)
        finally:
            screen.close()
    if not over:
        typer.echo("stopped; the same command goes on from here", err=True)
        return STOPPED
    summed = summed_up(settings, play, time.monotonic() - began, restarts, dead)
    if as_json:
        print_json(summed)
    else:
        typer.echo(in_words(summed))
    return NOT_WELL if any(day.unresolved for day in summed.sessions) else DONE


def play_of(asked: Asked, settings: Settings) -> Play:
    """What was asked for, looked up in the market. Raises Trouble, BadFile or NotASession."""
    if asked.bars is not None and asked.session is None:
        raise Trouble("--bars needs --session DATE: which session of the file is to be played")
    if asked.bars is None and asked.daily is not None:
        raise Trouble("--daily needs --bars FILE: daily bars alone cannot be played")
    first = market.a_date("--session", asked.session) if asked.session is not None else SESSION
    last = market.a_date("--to", asked.to) if asked.to is not None else first
    sessions = market.sessions_from(first, last)
    feed = (
        SyntheticFeed(seed=asked.seed, symbols=SYMBOLS)
        if asked.bars is None
        else RecordedFeed(bars=asked.bars, daily=asked.daily)
    )
    symbols = market.symbols_of(feed, settings, sessions)
    where = str(asked.bars or "the synthetic market")
    played = Market(
        bars=str(asked.bars.resolve()) if asked.bars is not None else "",
        daily=str(asked.daily.resolve()) if asked.daily is not None else "",
        seed=asked.seed,
        watchlist=market.chosen(asked.watchlist, symbols, where),
    )
    where = url_of(settings).rpartition("@")[2]  # a new password is no other bus
    bus = hashlib.sha256(f"{where} {settings.bus.prefix}".encode()).hexdigest()[:12]
    return Play(market=played, first=first, last=last, bus=bus if settings.bus.url else "")


def variables_of(play: Play, asked: Asked, settings: Settings) -> dict[str, str]:
    """The environment in which every process plays `play`, whatever execution.toml says about feed and broker."""
    played = play.market
    feed: dict[str, object] = {"first": play.first, "last": play.last}
    if played.bars:
        feed |= {"kind": "recorded", "bars": played.bars, "daily": played.daily or None}
    else:
        feed |= {"kind": "synthetic", "seed": played.seed, "symbols": SYMBOLS}
    port = settings.exchange.port
    if port == ExchangeSettings().port:  # nobody chose one, and several demos may run at once
        port = free_port(settings.exchange.host)
    address = f"{settings.exchange.host}:{port}"
    return {
        "EV2_FEED": compact_json(feed),
        "EV2_CANDIDATES__WATCHLIST": compact_json(played.watchlist),
        "EV2_DATA__GRACE": "0",
        "EV2_BROKER__KIND": "exchange",
        "EV2_BROKER__URL": f"http://{address}",
        "EV2_BROKER__STREAM_URL": f"ws://{address}/stream",
        "EV2_BROKER__KEY": DEMO_KEY,
        "EV2_BROKER__SECRET": DEMO_KEY,
        "EV2_BROKER__REQUESTS_PER_MINUTE": "1000000",  # a session is played in seconds
        "EV2_EXCHANGE__PORT": str(port),
        "EV2_EXCHANGE__KEY": DEMO_KEY,
        "EV2_EXCHANGE__SECRET": DEMO_KEY,
        "EV2_PAGE__SERVE": "false",  # it is over before anybody has looked, and several may run at once
        "EV2_RUN__SALT": str(played.seed),
        "EV2_RUN__INSTALLATION": settings.run.installation or "demo",  # it goes into draws: the same play again
        "EV2_RUN__SIGNALS": str(asked.signals),
        "EV2_RUN__EXECUTORS": str(asked.executors),
    }


def speed_of(text: str) -> float:
    """Market seconds a second; 0 is full speed. Raises Trouble."""
    if text == "max":
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise Trouble(f"--speed {text!r}: write market seconds a second, such as 600, or max")
    return speed


def prepare_bus(settings: Settings, start: Start) -> None:
    """A server that was given may hold another installation: never touch that; an own earlier play is cleared.

    Raises Trouble, and BusDown where it does not answer.
    """
    if settings.bus.url is None:
        return
    with bus_of(settings) as bus:
        if start is Start.FIRST and bus.was_opened():
            raise Trouble(f"another installation uses {bus.prefix}* on this server: set EV2_BUS__PREFIX to another one")
        if start is Start.AFRESH:
            bus.forget("*")


def title_of(play: Play) -> str:
    days = f"{play.first}" if play.last == play.first else f"{play.first} to {play.last}"
    where = Path(play.market.bars).name if play.market.bars else f"synthetic market, seed {play.market.seed}"
    return f"{days}, {len(play.market.watchlist)} candidates, {where}"


def put_aside(bus: Bus) -> dict[str, int]:
    """Reason to the number of bars and messages in `dead`, each counted once; most frequent first."""
    letters = {
        entry.message.id: entry.message.reason
        for entry in bus.read_up_to("dead", "0", "+")
        if isinstance(entry.message, DeadLetter)
    }
    return dict(Counter(letters.values()).most_common())


def summed_up(settings: Settings, play: Play, seconds: float, restarts: int, dead: dict[str, int]) -> DemoSummary:
    days = [picture(settings.ledger, day.session) for day in market.sessions_from(play.first, play.last)]
    sessions = tuple(summary(day) for day in days if day is not None)
    return DemoSummary(
        sessions=sessions,
        dead=dead,
        seconds=round(seconds, 1),
        restarts=restarts,
        home=str(settings.home.resolve()),
        ledger=str(settings.ledger.resolve()),
        commands=commands(settings, sessions, url_of(settings)),
    )
