"""What may import what: the one table. tests/unit/test_architecture.py holds it, docs/imports.md is made from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MAY_IMPORT: Final[Mapping[str, tuple[str, ...]]] = {
    "shared/contracts": (),
    "shared/domain": ("shared.contracts",),
    "shared/runtime": ("shared.contracts",),
    "services/*": ("shared",),
    "cli": ("shared", "services"),
}
"""Folder → packages of ours that it may import. A folder may always import itself; `services/*` is each service."""

SHELL: Final = ("shared/runtime/*", "services/executor/__main__.py", "services/executor/listener.py")
"""Where the bus's own libraries may be spoken to."""

LIBRARY_LIVES_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "redis": SHELL,
    "rq": SHELL,
    "alpaca": ("services/*/alpaca_*.py",),
    "requests": ("services/*/alpaca_*.py",),
    "urllib3": ("services/*/alpaca_*.py",),
    "websockets": ("services/*/alpaca_*.py", "services/*/web.py", "services/executor/listener.py"),
    "sqlite3": ("services/*/store.py", "services/state/digest.py", "cli/*"),
    "polars": ("services/market_data/*", "cli/*"),
    "exchange_calendars": ("shared/domain/calendar.py",),
    "apprise": ("services/alerts/sources.py",),
    "nicegui": ("services/dashboard/*",),
    "fastapi": ("services/*/web.py", "services/*/__main__.py"),
    "starlette": ("services/*/web.py",),
    "uvicorn": ("services/*/web.py", "services/*/__main__.py"),
    "structlog": ("shared/runtime/logs.py",),
    "prometheus_client": ("shared/runtime/metrics.py",),
    "pydantic_settings": ("shared/runtime/settings.py",),
    "typer": ("cli/*",),
    "rich": ("cli/*",),
}
"""Library → the only files that may import it, so that another one could take its place there."""

EDGES: Final = ("__main__.py", "sources.py", "alpaca_*.py", "store.py", "web.py")
"""Files of a service that may have effects. All its other files are pure: time is `message.at`, chance a hash."""

PURE: Final = ("shared/contracts/*", "shared/domain/*", "services/*/*")
"""Where the rule of pure files holds, edges and exceptions apart."""

IMPURE_MODULES: Final = (
    "asyncio",
    "concurrent",
    "fcntl",
    "http",
    "os",
    "queue",
    "random",
    "requests",
    "secrets",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
)
IMPURE_NAMES: Final = ("datetime.now", "datetime.today", "datetime.utcnow", "date.today", "open", "uuid1", "uuid4")
"""Calls by the last words of their name; `open` is the built-in."""

EXCEPTIONS: Final[Mapping[str, str]] = {
    "services/executor/listener.py": "hears a socket on one thread and asks by REST on another; no clock, no chance",
    "services/state/digest.py": "reads a finished ledger, read-only, to hash it; nothing else",
    "services/exchange/venue.py": "a lock between the web server's thread and the bus's; no clock, no chance",
}
"""Impure file that is no edge → why it may be. This list only shrinks."""
