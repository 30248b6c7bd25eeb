"""What the running processes say of themselves, read from the bus."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from shared.runtime.bus import Bus
from shared.runtime.loop import lag_ms

SILENT_AFTER: Final = dt.timedelta(seconds=5)


class Service(Struct, frozen=True, kw_only=True):
    """One process. beat_age_s: seconds since it last said that it lives. at: market time of its last message, UTC.

    lag_ms: age of the oldest entry that it has not read, by the server's clock; 0: it has read everything.
    partitions: whose bars it reads.
    """

    name: str
    well: bool
    beat_age_s: float
    lag_ms: int
    memory_mb: int
    handled: int
    pid: int
    at: dt.datetime | None
    partitions: tuple[int, ...] = ()


class Progress(Struct, frozen=True, kw_only=True):
    """How far the conductor is. minute: of `session`, out of `minutes`. over: the last session that is over."""

    session: dt.date
    at: dt.datetime
    minute: int
    minutes: int
    over: dt.date | None
    finished: bool


def services(bus: Bus, now: dt.datetime) -> tuple[Service, ...]:
    """Every process that has written `health:*`, by name. Raises BusDown."""
    seen = bus.views("health:*")
    positions = {name: _positions(fields.get("positions", "")) for name, fields in seen.items()}
    streams = sorted({stream for read in positions.values() for stream in read})
    ends = bus.last_ids(streams) if streams else {}
    return tuple(
        _service(name.removeprefix("health:"), fields, positions[name], ends, now) for name, fields in seen.items()
    )


def progress(bus: Bus) -> Progress | None:
    """None where nothing is conducted. Raises BusDown."""
    fields = bus.view("conductor")
    if not fields:
        return None
    over = fields.get("over")
    return Progress(
        session=dt.date.fromisoformat(fields["session"]),
        at=dt.datetime.fromisoformat(fields["at"]),
        minute=int(fields["minute"]),
        minutes=int(fields["minutes"]),
        over=dt.date.fromisoformat(over) if over else None,
        finished=fields.get("finished") == "yes",
    )


def _service(
    name: str, fields: Mapping[str, str], positions: Mapping[str, str], ends: Mapping[str, str], now: dt.datetime
) -> Service:
    beat_age = now - dt.datetime.fromisoformat(fields["beat"])
    return Service(
        name=name,
        well=beat_age < SILENT_AFTER,
        beat_age_s=round(max(0.0, beat_age.total_seconds()), 1),
        lag_ms=lag_ms(positions, ends),
        memory_mb=int(fields.get("memory_mb", "0")),
        handled=int(fields.get("handled", "0")),
        pid=int(fields.get("pid", "0")),
        at=dt.datetime.fromisoformat(fields["at"]) if fields.get("at") else None,
        partitions=tuple(sorted(int(stream[5:]) for stream in positions if stream.startswith("bars:"))),
    )


def _positions(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split() if "=" in part)
