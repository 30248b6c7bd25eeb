"""The first and third of the five steps of every `__main__`: settings, or one line and exit code 2; the bus."""

from __future__ import annotations

import sys
from typing import NoReturn

from shared.runtime.bus import Bus, connect_redis
from shared.runtime.embedded import embedded_url
from shared.runtime.metrics import serve_metrics
from shared.runtime.settings import BadSettings, Settings, load_settings
from shared.runtime.supervisor import BAD_START


def refuse(service: str, reason: str) -> NoReturn:
    """End with one line and the exit code that tells a supervisor not to try again."""
    print(f"{service}: {reason}", file=sys.stderr)  # noqa: T201 - the one line before there is a log
    sys.exit(BAD_START)


def start(service: str) -> Settings:
    """The settings of this process, its metrics served where asked for; wrong ones end it with one line."""
    try:
        settings = load_settings()
    except BadSettings as fault:
        refuse(service, str(fault))
    try:
        serve_metrics(settings.metrics)
    except OSError as fault:
        refuse(service, f"metrics.port {settings.metrics.port} is taken ({fault.strerror}); choose another")
    return settings


def connect(settings: Settings, service: str) -> Bus:
    """The bus: the configured server, else the embedded one of this home. It need not answer yet."""
    url = settings.bus.url or embedded_url(settings.data_folder)
    return Bus(connect_redis(url), settings.bus, service)
