"""The broker, for commands that speak to it without an executor."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pydantic import SecretStr

from cli.installation import kept_place
from services.executor.alpaca_broker import AlpacaBroker
from services.executor.work import Clock
from shared.runtime.settings import DEMO_KEY, Settings

CLOCK = Clock(monotonic=time.monotonic, wait=time.sleep, now=lambda: datetime.now(UTC))


def broker_of(settings: Settings) -> AlpacaBroker:
    """The broker that the processes of this home speak to."""
    place = kept_place(settings)
    own = settings.broker
    dry_run = place.kind == "exchange" and own.kind != "exchange"
    demo = SecretStr(DEMO_KEY)
    key, secret = (demo, demo) if dry_run else (own.key, own.secret)
    return AlpacaBroker(key, secret, place.url, paper=place.kind != "live")
