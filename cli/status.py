"""`execution status`: what runs, how far it is, and what is not well."""

from __future__ import annotations

import datetime as dt

import typer
from msgspec import Struct

from cli.installation import bus_of, no_server
from cli.ledger import reading, rows
from cli.ledger_rows import sessions_of
from cli.options import settings_of_home
from cli.show import clock, print_json, print_table
from cli.trouble import DONE, NOT_WELL
from services.state import store
from shared.contracts.vocabulary import HaltLevel
from shared.runtime import health
from shared.runtime.bus import BusDown
from shared.runtime.health import Progress, Service
from shared.runtime.settings import Settings

SLOW_MS = 5_000


class State(Struct, frozen=True, kw_only=True):
    """session: the ledger's latest. unresolved: orders whose fate at the broker is unknown, by our id.

    not_well: one line each; empty where all is well.
    """

    home: str
    session: dt.date | None
    progress: Progress | None
    halt: str
    armed: bool
    stopped: str
    open_positions: int
    unresolved: tuple[str, ...]
    services: tuple[Service, ...]
    not_well: tuple[str, ...]


def show_status(as_json: bool) -> int:
    """Returns the exit code. Raises Trouble where there is no ledger."""
    state = state_of(settings_of_home())
    if as_json:
        print_json(state)
    else:
        _print(state)
    return NOT_WELL if state.not_well else DONE


def state_of(settings: Settings) -> State:
    with reading(settings.ledger) as database:
        sessions = sessions_of(database)
        accounts = rows(database, store.ACCOUNT)
        unresolved = rows(database, store.ORDERS, "WHERE status = 'unresolved' ORDER BY client_order_id")
        [[held]] = database.execute("SELECT count(*) FROM positions WHERE qty > 0")
    services, progress, no_bus = _bus(settings)
    account = accounts[0] if accounts else None
    ids = tuple(order.client_order_id for order in unresolved)
    return State(
        home=str(settings.home.resolve()),
        session=sessions[-1] if sessions else None,
        progress=progress,
        halt=account.halt if account is not None else HaltLevel.NONE,
        armed=account.armed if account is not None else False,
        stopped=account.stopped if account is not None else "",
        open_positions=held,
        unresolved=ids,
        services=services,
        not_well=(*no_bus, *(line for service in services for line in _faults(service)), *map(_unresolved, ids)),
    )


def _bus(settings: Settings) -> tuple[tuple[Service, ...], Progress | None, tuple[str, ...]]:
    try:
        with bus_of(settings) as bus:
            services = health.services(bus, dt.datetime.now(dt.UTC))
            return services, health.progress(bus), () if services else ("no service has said that it lives",)
    except BusDown:
        return (), None, (no_server(settings),)


def _faults(service: Service) -> list[str]:
    if not service.well:
        return [f"{service.name} has not said for {service.beat_age_s:.0f} s that it lives: see its log in data/logs"]
    if service.lag_ms > SLOW_MS:
        return [f"{service.name} is {service.lag_ms / 1000:.0f} s behind"]
    return []


def _unresolved(order: str) -> str:
    return f"order {order} is unresolved: nobody knows yet whether the broker has it"


def _print(state: State) -> None:
    typer.echo(f"home {state.home}, session {state.session or '-'}, halt level {state.halt}")
    if state.progress is not None:
        how_far = "over" if state.progress.finished else f"minute {state.progress.minute} of {state.progress.minutes}"
        typer.echo(f"conductor: {state.progress.session} {clock(state.progress.at)} New York, {how_far}")
    typer.echo(f"open positions {state.open_positions}, unresolved orders {len(state.unresolved)}")
    columns = {
        "name": "service",
        "well": "well",
        "beat_age_s": "beat, s ago",
        "lag_ms": "lag, ms",
        "memory_mb": "MB",
        "handled": "handled",
        "partitions": "partitions",
    }
    print_table("", state.services, columns, nothing="no services")
    for line in state.not_well:
        typer.echo(f"NOT WELL: {line}")
