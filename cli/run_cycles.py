"""The cycles of `execution run`."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator, Set
from typing import Final

import typer
from msgspec import Struct

from cli.context import histories, market_context
from cli.installation import Installation, bus_of, home_held, is_conducted
from cli.lists import tell_complaints
from cli.options import settings_of_home
from cli.picture import Picture
from cli.playing import LOOK_S, look, session_is_over, settings_with
from cli.screen import Moment, why
from cli.show import cell, clock, compact_json
from cli.trouble import DONE, NOT_WELL, STOPPED, Trouble
from cli.up_run import SAFE_WORDS, configured
from services.state.model import EntryRow, ExitRow, IntentStatus, Order
from shared.contracts.context import MarketContext
from shared.domain import calendar
from shared.domain.words import reason_in_words
from shared.runtime.bus import BusDown
from shared.runtime.loop import Stop
from shared.runtime.settings import DEMO_KEY, AlpacaFeed, Settings

LIVE_CYCLE: Final = dt.timedelta(seconds=90)
"""A live cycle is over by then at the latest: a minute, the feed's grace, and the start of the processes."""

WAITING: Final = frozenset({IntentStatus.PENDING, IntentStatus.WORKING})


class Cycle(Struct, frozen=True, kw_only=True):
    """What one cycle saw, found and did. due: intents not worked off yet. did: orders since the cycle before."""

    context: MarketContext
    due: tuple[EntryRow | ExitRow, ...]
    did: tuple[Order, ...]


def run_cycles(*, dry_run: bool, once: bool, poll_s: float, as_json: bool) -> int:
    """Returns the exit code. Refuses before anything is started."""
    if once:
        settings_with({"EV2_PAGE__SERVE": "false"})  # it is over before anybody has looked
    settings = configured(traded(settings_of_home(), dry_run))
    stop = Stop().on_signals()
    told: set[str] = set()
    with home_held(settings), Installation(settings) as installation:
        tell_complaints(settings)
        typer.echo(f"{SAFE_WORDS[settings.broker.kind]}; feed {settings.feed.kind}", err=True)
        for seen in _cycles(settings, installation, stop, None if once else poll_s):
            cycle = _cycle(settings, seen, told)
            told |= {order.client_order_id for order in cycle.did}
            typer.echo(compact_json(cycle) if as_json else "\n".join(in_words(cycle, seen)))
    return STOPPED if stop.asked and once else DONE


def traded(settings: Settings, dry_run: bool) -> Settings:
    """The settings with the broker that is meant. Raises Trouble where orders should go to one that is not named."""
    if not dry_run:
        if settings.broker.kind == "exchange":
            raise Trouble("run --no-dry-run needs broker.kind paper or live in execution.toml; it is exchange")
        if is_conducted(settings):
            raise Trouble(f"run --no-dry-run needs a live feed: feed.kind is {settings.feed.kind}, set it to alpaca")
        return settings
    if settings.broker.kind == "exchange":
        return settings
    keys = {"EV2_BROKER__KEY": DEMO_KEY, "EV2_BROKER__SECRET": DEMO_KEY}
    address = f"{settings.exchange.host}:{settings.exchange.port}"
    places = {"EV2_BROKER__URL": f"http://{address}", "EV2_BROKER__STREAM_URL": f"ws://{address}/stream"}
    return settings_with({"EV2_BROKER__KIND": "exchange", **keys, **places})


def _cycles(settings: Settings, installation: Installation, stop: Stop, poll_s: float | None) -> Iterator[Picture]:
    """Pictures to print: every `poll_s` seconds and at the end; None: only the end of one cycle."""
    started, printed = dt.datetime.now(dt.UTC), time.monotonic()
    with bus_of(settings) as bus:
        while not stop.asked:
            installation.tend()
            moment = look(settings, bus)
            over = _is_over(settings, moment, started, once=poll_s is None)
            due = poll_s is not None and time.monotonic() - printed >= poll_s
            if moment.picture is not None and (over or due):
                printed = time.monotonic()
                yield moment.picture
            if over and moment.picture is None:
                opens = calendar.next_open(dt.datetime.now(dt.UTC)).opens_at
                raise Trouble(f"no session to evaluate: the exchange opens at {opens:%Y-%m-%d %H:%M} UTC", NOT_WELL)
            if over:
                return
            time.sleep(LOOK_S)


def _is_over(settings: Settings, moment: Moment, started: dt.datetime, *, once: bool) -> bool:
    """Whether nothing more can come, or what was asked for is there."""
    feed = settings.feed
    if not isinstance(feed, AlpacaFeed):
        assert feed.first is not None
        return session_is_over(moment.progress, feed.last or feed.first)
    through = moment.picture.decided_through if moment.picture is not None else None
    decided = through is not None and through >= started
    return once and (decided or dt.datetime.now(dt.UTC) - started >= LIVE_CYCLE)


def _cycle(settings: Settings, seen: Picture, told: Set[str]) -> Cycle:
    try:
        with bus_of(settings) as bus:
            known = histories(bus, seen.session)
    except BusDown:
        known = {}
    at = seen.now or dt.datetime.now(dt.UTC)
    intents: tuple[EntryRow | ExitRow, ...] = (*seen.entries, *seen.exits)
    return Cycle(
        context=market_context(at, seen, known, settings.rules),
        due=tuple(intent for intent in intents if intent.status in WAITING),
        did=tuple(order for order in seen.orders if order.client_order_id not in told),
    )


def in_words(cycle: Cycle, seen: Picture) -> Iterator[str]:
    """A cycle for people, a line each."""
    context, regime = cycle.context, cycle.context.regime
    figures = f"slope {cell(regime.slope)}, adverse days {cell(regime.adverse_count)}, {regime.bars} daily bars"
    yield f"{context.session} {clock(context.at)} New York, {context.phase}; market {regime.state} ({figures})"
    yield f"  equity {context.equity:,.2f}, cash {context.cash:,.2f}"
    for candidate in context.candidates:
        verdict = reason_in_words(candidate.verdict) if candidate.verdict else "no verdict yet"
        yield (
            f"  candidate {candidate.symbol}: {candidate.regime or 'no history'}, pivot {cell(candidate.pivot)}, "
            f"last {cell(candidate.price)}; {verdict}"
        )
    for position in context.positions:
        yield (
            f"  position {position.symbol}: {position.qty} at {cell(position.avg_price)}, "
            f"stop {cell(position.stop)}, {position.stop_mode}"
        )
    for intent in cycle.due:
        yield f"  due {intent.id}: {intent.status}"
    for order in cycle.did:
        yield (
            f"  order {order.client_order_id}: {order.side} {order.qty}, {order.status}, "
            f"{order.filled_qty} filled; {why(order, seen)}"
        )
