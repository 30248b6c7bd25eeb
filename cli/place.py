"""Where the broker of a home is, and whether its account is the one that is meant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from pydantic import SecretStr

from cli.ledger import reading, rows
from cli.trouble import Trouble
from services.state import store
from shared.domain.accounts import wrong_account, wrong_address
from shared.runtime.settings import DEMO_KEY, Settings

if TYPE_CHECKING:
    from services.executor.alpaca_broker import AlpacaBroker


class Place(Struct, frozen=True):
    """Which broker the processes of a home speak to; options and chosen ports make it another than the file says."""

    kind: str
    url: str


def place_of(settings: Settings) -> Place:
    """Where the broker is by these settings alone."""
    if settings.broker.kind == "exchange" and settings.broker.url is None:
        return Place("exchange", f"http://{settings.exchange.host}:{settings.exchange.port}")
    return Place(settings.broker.kind, settings.broker.rest_address)


def keep_place(settings: Settings) -> None:
    """Note where the broker is, for whoever has to speak to it when nothing runs any more."""
    _place_file(settings).write_text(f"{place_of(settings).kind} {place_of(settings).url}\n", encoding="ascii")


def kept_place(settings: Settings) -> Place:
    """Where the broker of the processes that ran last is; by the settings where none ever ran."""
    try:
        kind, url = _place_file(settings).read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return place_of(settings)
    return Place(kind, url)


def _place_file(settings: Settings) -> Path:
    return settings.data_folder / "broker.txt"


def broker_of(settings: Settings, place: Place) -> AlpacaBroker:
    """The broker at `place`, with the keys for it."""
    from services.executor.alpaca_broker import AlpacaBroker

    own = settings.broker
    dry_run = place.kind == "exchange" and own.kind != "exchange"
    demo = SecretStr(DEMO_KEY)
    key, secret = (demo, demo) if dry_run else (own.key, own.secret)
    return AlpacaBroker(key, secret, place.url, paper=place.kind != "live")


def require_account(settings: Settings) -> None:
    """Before anything is started: keys, address and account belong together. Raises Trouble.

    A broker that does not answer refuses nothing: the executors wait for it, and ask again.
    """
    from services.executor.gate import UNAUTHORIZED_TIMES, Gate

    place = place_of(settings)
    keep_place(settings)
    gate = Gate(place.kind, place.url, settings.broker.account or "")
    if place.kind == "exchange":
        why = wrong_address(place.kind, place.url)  # it is started with the others, and asked by them
    else:
        why = gate.pass_through(
            broker_of(settings, place).account, lambda seconds: None, lambda: gate.asked >= UNAUTHORIZED_TIMES
        )
    if not why and gate.seen:
        why = other_account(settings, gate.seen)
    if why:
        raise Trouble(why)


def other_account(settings: Settings, seen: str) -> str:
    """Why the account `seen` is none for this home's ledger; empty: it is the one, or there is no ledger yet."""
    if not settings.ledger.exists():
        return ""
    with reading(settings.ledger) as ledger:
        accounts = rows(ledger, store.ACCOUNT)
    known = accounts[0].account_number if accounts else ""
    return wrong_account(kept_place(settings).kind, settings.broker.account or "", known, seen)
