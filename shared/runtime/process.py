"""The first and third of the five steps of every `__main__`: settings, or one line and exit code 2; the bus."""

from __future__ import annotations

import sys
from typing import NoReturn

import redis
from pydantic import SecretStr

from shared.runtime.bus import SOCKET_TIMEOUT_S, Account, Bus, connect_redis
from shared.runtime.embedded import embedded_url, passwords_of
from shared.runtime.metrics import serve_metrics
from shared.runtime.permissions import password_in, user_of
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
    if settings.contradiction:
        refuse(service, settings.contradiction)
    try:
        serve_metrics(settings.metrics)
    except OSError as fault:
        refuse(service, f"metrics.port {settings.metrics.port} is taken ({fault.strerror}); choose another")
    return settings


def connect(settings: Settings, service: str) -> Bus:
    """The bus: the configured server, else the embedded one of this home. It need not answer yet."""
    return Bus(client_of(settings, service), settings.bus, service)


def client_of(settings: Settings, service: str, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.Redis:
    """A client that signs in as `service`: by what the address says, else `bus.password`, else a file of passwords."""
    bus = settings.bus
    user = user_of(bus.prefix, service)
    folder = bus.passwords or (passwords_of(settings.data_folder) if bus.url is None else None)

    def password() -> SecretStr | None:
        if bus.password is not None:
            return bus.password
        return password_in(folder, user) if folder is not None else None

    return connect_redis(url_of(settings), timeout_s, Account(user, password))


def url_of(settings: Settings) -> str:
    """Address of the server that `settings` mean. It may hold a password: not to be shown where one was given."""
    given = settings.bus.url
    return given.get_secret_value() if given is not None else embedded_url(settings.data_folder)
