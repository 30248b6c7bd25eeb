"""Reading streams for people."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
import typer

from cli.installation import bus_of, no_server
from cli.options import settings_of_home
from cli.trouble import NOT_WELL, Trouble
from shared.contracts import streams
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.message import Message
from shared.contracts.wire import encode_json
from shared.runtime.bus import Bus, BusDown, Entry
from shared.runtime.loop import Stop, place

BLOCK_MS: Final = 500
SHOWN: Final = 160
LEVELS: Final = {"critical": "red", "warning": "yellow"}
HEAD: Final = ("type", "id", "at", "cause")


def run(stream: str, count: int, follow: bool, symbol: str | None, as_json: bool) -> None:
    """Print the `count` newest entries, then new ones until a stop is asked for. Raises Trouble."""
    settings = settings_of_home()
    names = names_of(stream, settings.bus.partitions)
    stop = Stop().on_signals()
    with bus_of(settings) as bus:
        try:
            for entry in _entries(bus, names, count, follow, symbol, stop):
                typer.echo(_json_line(entry) if as_json else coloured(entry))
        except BusDown:
            raise Trouble(no_server(settings), NOT_WELL) from None
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def names_of(stream: str, partitions: int) -> tuple[str, ...]:
    """The concrete streams that `stream` means. Raises Trouble, with the nearest known name."""
    base, _, part = stream.partition(":")
    if base not in streams.ORDER:
        near = difflib.get_close_matches(base, streams.ORDER, n=1, cutoff=0.0)[0]
        raise Trouble(f"no stream {stream!r}: did you mean {near}? There are {', '.join(streams.ORDER)}")
    names = streams.names([base], range(partitions))
    if part and stream not in names:
        raise Trouble(f"no stream {stream!r}: there are {', '.join(names)}")
    return (stream,) if part else names


def line(entry: Entry) -> str:
    """`14:30:00 Bars bars-2-… ← cause: content`, cut to a readable length."""
    message = entry.message
    if message is None:
        return f"{entry.stream} {entry.entry_id} unreadable: {entry.fault}"
    content = msgspec.json.decode(encode_json(message))
    rest = ", ".join(f"{name}={_short(value)}" for name, value in content.items() if name not in HEAD)
    cause = f" <- {message.cause}" if message.cause else ""
    text = f"{message.at:%Y-%m-%d %H:%M:%S} {type(message).__name__} {message.id}{cause}: {rest}"
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def coloured(entry: Entry) -> str:
    """The line with its kind in colour, which is left out where no terminal reads it."""
    text, message = line(entry), entry.message
    if message is None or isinstance(message, DeadLetter):
        return typer.style(text, fg="red")
    kind = type(message).__name__
    before, _, after = text.partition(f" {kind} ")
    colour = LEVELS.get(message.level, "cyan") if isinstance(message, Alert) else "cyan"
    return f"{typer.style(before, dim=True)} {typer.style(kind, fg=colour, bold=True)} {after}"


def about(message: Message | None, symbol: str) -> bool:
    """Whether a message says something of `symbol`: by its field of that name, or by a row or decision within."""
    if message is None:
        return False
    own = getattr(message, "symbol", None)
    return own == symbol if own is not None else _names(msgspec.to_builtins(message), symbol)


def _names(value: Any, symbol: str) -> bool:
    if isinstance(value, dict):
        return any(_names(inner, symbol) for inner in value.values())
    if isinstance(value, list | tuple):
        return any(_names(inner, symbol) for inner in value)
    return bool(value == symbol)


def _entries(
    bus: Bus, names: tuple[str, ...], count: int, follow: bool, symbol: str | None, stop: Stop
) -> Iterator[Entry]:
    """Old ones first. They are picked by symbol before they are counted."""
    read = [entry for name in names for entry in bus.read_up_to(name, "0", "+")]
    newest = _of(read, symbol)[-count:]
    yield from newest
    positions = dict.fromkeys(names, "0") | {entry.stream: entry.entry_id for entry in read}
    while follow and not stop.asked:
        fresh = bus.read(positions, BLOCK_MS)
        positions |= {entry.stream: entry.entry_id for entry in fresh}
        yield from _of(fresh, symbol)


def _of(entries: Iterable[Entry], symbol: str | None) -> list[Entry]:
    found = [entry for entry in entries if symbol is None or about(entry.message, symbol)]
    return sorted(found, key=lambda entry: place(entry.entry_id))


def _json_line(entry: Entry) -> str:
    content: dict[str, Any] = {"stream": entry.stream, "entry": entry.entry_id}
    if entry.message is None:
        content |= {"fault": entry.fault}
    else:
        content |= {"type": type(entry.message).__name__, **msgspec.json.decode(encode_json(entry.message))}
    return msgspec.json.encode(content).decode()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
