"""Logs: one line an event, with the service, and the symbol and cause where there are any. Never a secret."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

from shared.contracts.message import Message
from shared.runtime.settings import LogSettings

if TYPE_CHECKING:
    import structlog

_SECRET_WORDS: Final = ("secret", "password", "token", "api_key", "apca")


def configure_logs(settings: LogSettings, service: str) -> None:
    """Structured lines on stderr, JSON or text, for our events and for the libraries' warnings."""
    import structlog  # 50 ms, of every command that has nothing to log

    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(name)s %(levelname)s %(message)s", force=True
    )
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service)


def logger() -> structlog.stdlib.BoundLogger:
    """The log of this process."""
    import structlog  # see configure_logs

    log: structlog.stdlib.BoundLogger = structlog.get_logger()
    return log


def about(message: Message) -> dict[str, str]:
    """What identifies `message` in a log line: its id, its cause and its symbol, where it has one."""
    fields = {"id": message.id, "cause": message.cause, "symbol": getattr(message, "symbol", "")}
    return {name: value for name, value in fields.items() if value}


def _mask(_: Any, __: str, event: Any) -> Any:
    for name in event:
        if any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "***"
    return event
