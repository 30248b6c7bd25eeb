"""Rows into messages: one complete batch of each partition a minute, also where nothing traded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

import msgspec

from services.market_data.checks import Fault
from services.market_data.source import Halt, History, Row
from shared.contracts import ids
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bar, BarRevised, Bars, DailyHistory, SessionClosed, SessionOpened, SymbolHalted
from shared.contracts.market import VolumeProfile as Profile
from shared.contracts.message import Message
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

MAX_ROWS: Final = 7_000
"""A row is at most 145 bytes of JSON (a symbol of 15 letters, five floats of 24 digits), so a part is about 1 MB."""
RAW_CHARACTERS: Final = 4_000
SYMBOL_CHARACTERS: Final = 20


def minute_batches(start: dt.datetime, rows: Iterable[Bar], partitions: int, cause: str = "") -> list[Bars]:
    """The `Bars` of every partition for the minute that started at `start`, rows by symbol."""
    by_partition: list[list[Bar]] = [[] for _ in range(partitions)]
    for bar in rows:
        by_partition[ids.partition_of(bar.symbol, partitions)].append(bar)
    return [
        batch
        for partition, held in enumerate(by_partition)
        for batch in _parts(partition, start, sorted(held, key=lambda bar: bar.symbol), cause)
    ]


def _parts(partition: int, start: dt.datetime, rows: list[Bar], cause: str) -> list[Bars]:
    pieces = [rows[first : first + MAX_ROWS] for first in range(0, len(rows), MAX_ROWS)] or [[]]
    end = start + MINUTE
    name = ids.minute_id("bars", partition, end)
    return [
        Bars(
            id=name if number == 0 else f"{name}-{number}",
            at=end,
            cause=cause,
            partition=partition,
            minute=start,
            rows=tuple(piece),
            part=number,
            parts=len(pieces),
        )
        for number, piece in enumerate(pieces)
    ]


def revised(at: dt.datetime, start: dt.datetime, bar: Bar, partitions: int, number: int, cause: str = "") -> BarRevised:
    """A correction of a closed minute, or a bar that came late. number: how many of that bar there were, from 1."""
    return BarRevised(
        id=f"revised-{bar.symbol}-{start + MINUTE:%y%m%dT%H%M}-{number}",
        at=at,
        cause=cause,
        partition=ids.partition_of(bar.symbol, partitions),
        minute=start,
        bar=bar,
    )


def halted(halt: Halt, partitions: int, cause: str = "") -> SymbolHalted:
    return SymbolHalted(
        id=f"{'halt' if halt.halted else 'resume'}-{halt.symbol}-{halt.at:%y%m%dT%H%M%S}",
        at=halt.at,
        cause=cause,
        partition=ids.partition_of(halt.symbol, partitions),
        symbol=halt.symbol,
        halted=halt.halted,
        code=halt.code,
    )


def quarantined(
    at: dt.datetime, row: Row, fault: Fault, partitions: int, *, cause: str = "", number: int = 1, bars: int = 1
) -> DeadLetter:
    """The record of bars that are not traded on.

    number: of this fault, symbol and minute, from 1. bars: how many it stands for, of which `row` is the first.
    """
    symbol = row.bar.symbol[:SYMBOL_CHARACTERS]
    many = f" ({bars} bars, this is the first)" if bars > 1 else ""
    return DeadLetter(
        id=f"quarantine-{symbol}-{row.start:%y%m%dT%H%M}-{fault.name.lower()}-{number}",
        at=at,
        cause=cause,
        stream=f"bars:{ids.partition_of(row.bar.symbol, partitions)}",
        entry=f"{symbol} {row.start:%Y-%m-%d %H:%M} UTC",
        reason=f"bar quarantined: {fault.value}{many}",
        service="market_data",
        raw=repr((row.start.isoformat(), *msgspec.structs.astuple(row.bar)))[:RAW_CHARACTERS],
        symbol=symbol,
    )


def opened(session: Session, cause: str = "") -> SessionOpened:
    after = calendar.following(session.session)
    return SessionOpened(
        id=f"opened-{session.session:%y%m%d}",
        at=session.opens_at,
        cause=cause,
        session=session.session,
        opens_at=session.opens_at,
        closes_at=session.closes_at,
        early=session.early,
        previous=calendar.previous(session.session).session,
        following=after.session,
        following_opens_at=after.opens_at,
    )


def closed(session: Session, cause: str = "") -> SessionClosed:
    return SessionClosed(
        id=f"closed-{session.session:%y%m%d}", at=session.closes_at, cause=cause, session=session.session
    )


def history(session: Session, symbol: str, known: History, cause: str = "") -> list[Message]:
    """What signals needs of `symbol` before it can judge it."""
    return [
        DailyHistory(
            id=f"history-{session.session:%y%m%d}-{symbol}",
            at=session.opens_at,
            cause=cause,
            session=session.session,
            symbol=symbol,
            bars=known.daily,
        ),
        Profile(
            id=f"volume-{session.session:%y%m%d}-{symbol}",
            at=session.opens_at,
            cause=cause,
            session=session.session,
            symbol=symbol,
            sessions=known.volume_sessions,
            cumulative=known.cumulative,
        ),
    ]
