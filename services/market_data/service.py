"""Market data in a conducted run: the clock asks, a source that knows the session answers, minute by minute.

The same ticks give the same messages with the same ids, so that whatever is published again after a restart is known
as a repeat. In the live run time comes from the feed itself: see live.py.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from services.market_data import batches
from services.market_data.checks import Checks, Fault
from services.market_data.followed import Followed
from services.market_data.source import Day, Halt, History, Revision, Row, SessionSource, last_close, minute_volume
from shared.contracts.clock import Fed, Tick, TickPhase
from shared.contracts.journal import DeadLetter
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.contracts.views import CandidateChanged, PositionChanged
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

SERVICE: Final = "market_data"


class MarketData:
    """Answers the ticks OPEN, HISTORY, FEED and CLOSE, and follows what state says about candidates and positions.

    index: the symbol of the global regime, always followed. max_jump: fraction of the previous close.
    whole_market: up to this many symbols the source's whole universe is published, above it the followed ones alone.
    quarantined: how many bars failed which check, since the start of the process.
    """

    def __init__(
        self, source: SessionSource, partitions: int, *, max_jump: float, whole_market: int = 500, index: str = "SPY"
    ) -> None:
        self._source = source
        self._partitions = partitions
        self._max_jump = max_jump
        self._whole_market = whole_market
        self._followed = Followed(index)
        self._open: _OpenSession | None = None
        self.quarantined: Counter[Fault] = Counter()

    def handle(self, message: Message) -> Sequence[Outgoing]:
        """Take one message. Raises NotASession for a tick of a day without trading, BadFile for a damaged file."""
        match message:
            case Tick():
                return self._on_tick(message)
            case CandidateChanged():
                self._followed.candidate(message)
                return self._late_histories(message.id)
            case PositionChanged():
                self._followed.position(message)
                return self._late_histories(message.id)
            case _:
                return []  # the streams also carry what concerns the ledger alone

    def _on_tick(self, tick: Tick) -> list[Outgoing]:
        out: list[Outgoing] = []
        match tick.phase:
            case TickPhase.OPEN:
                self._open = None
                self._opened(tick, out)
            case TickPhase.HISTORY:
                opened = self._opened(tick, out)
                opened.told.clear()
                opened.histories_due = True
                out.extend(self._histories(opened, tick.id))
            case TickPhase.FEED:
                opened = self._opened(tick, out)
                self._load(opened, tick, out)
                out.extend(self._minutes(opened, tick))
            case TickPhase.CLOSE:
                opened = self._opened(tick, out)
                out.append(batches.closed(opened.session, tick.id))
            case _:
                return []
        out.append(Fed(id=f"{tick.id}-{SERVICE}", at=tick.at, cause=tick.id, service=SERVICE))
        return out

    def _opened(self, tick: Tick, out: list[Outgoing]) -> _OpenSession:
        """The tick's session; one met in its middle (its first ticks are gone with the old bus) is opened first."""
        if self._open is None or self._open.session.session != tick.session:
            session = calendar.session(tick.session)
            self._open = _OpenSession(session, Checks(session, self._max_jump, self._source.universe()))
            out.append(batches.opened(session, tick.id))
            if tick.phase not in (TickPhase.OPEN, TickPhase.HISTORY):
                self._open.histories_due = True
                out.extend(self._histories(self._open, tick.id))
            self._load(self._open, tick, out)
        return self._open

    def _late_histories(self, cause: str) -> list[Outgoing]:
        """Of a symbol that is followed only now; before the session's HISTORY tick nothing is due."""
        if self._open is None or not self._open.histories_due:
            return []
        return self._histories(self._open, cause)

    def _histories(self, opened: _OpenSession, cause: str) -> list[Outgoing]:
        new = [symbol for symbol in self._followed.symbols() if symbol not in opened.told]
        opened.told.update(new)
        known = self._source.histories(opened.session, new) if new else {}
        return [
            message
            for symbol in new
            for message in batches.history(opened.session, symbol, known.get(symbol, History()), cause)
        ]

    def _load(self, opened: _OpenSession, tick: Tick, out: list[Outgoing]) -> None:
        """Check the session's bars of every symbol to be published that was not loaded yet."""
        universe = self._source.universe()
        wanted = universe if len(universe) <= self._whole_market else universe.intersection(self._followed.symbols())
        new = sorted(wanted - opened.loaded)
        if not new:
            return
        opened.loaded.update(new)
        for symbol, known in self._source.histories(opened.session, new).items():
            opened.checks.expect(symbol, last_close(known), minute_volume(known, opened.session))
        everything = len(new) == len(universe)
        day = self._source.day(opened.session, None if everything else new)
        out.extend(self._admit(opened, day, tick))

    def _admit(self, opened: _OpenSession, day: Day, tick: Tick) -> list[Outgoing]:
        """File the day's good bars under their minutes; what failed a check is returned for the dead stream."""
        out: list[Outgoing] = []
        outside: dict[tuple[str, bool], list[Row]] = {}
        fed = opened.fed_through
        for row in day.rows:
            start, bar = row
            fault = opened.checks.take(start, bar)
            if fault is Fault.OUTSIDE_SESSION:
                outside.setdefault((bar.symbol, start >= opened.session.closes_at), []).append(row)
            elif fault is not None:
                dead = self._quarantine(opened, row, fault, tick)
                if fed is None and opened.session.is_open(start):
                    opened.faults.setdefault(start.replace(second=0, microsecond=0), []).append(dead)
                else:
                    out.append(dead)
            elif fed is not None and start < fed:
                # Its minute is closed: recorded for this symbol, decides nothing (docs/strategy.md section 4).
                out.append(batches.revised(tick.at, start, bar, self._partitions, 1, tick.id))
            else:
                opened.minutes.setdefault(start, []).append(bar)
        # A file with extended hours has hundreds of them a symbol: one letter with their number, not a flood.
        out.extend(
            self._quarantine(opened, rows[0], Fault.OUTSIDE_SESSION, tick, len(rows)) for rows in outside.values()
        )
        opened.revisions.extend(day.revisions)
        opened.halts.extend(day.halts)
        return out

    def _quarantine(self, opened: _OpenSession, row: Row, fault: Fault, tick: Tick, bars: int = 1) -> DeadLetter:
        self.quarantined[fault] += bars
        number = opened.count((row.bar.symbol, row.start, fault))
        return batches.quarantined(tick.at, row, fault, self._partitions, cause=tick.id, number=number, bars=bars)

    def _minutes(self, opened: _OpenSession, tick: Tick) -> list[Outgoing]:
        """The tick's minute, after all earlier ones that this process has not published in this session."""
        first = min(opened.fed_through or opened.session.opens_at, tick.at - MINUTE)
        out: list[Outgoing] = []
        start = first
        while start < tick.at:
            out.extend(self._minute(opened, start, tick.id))
            start += MINUTE
        opened.fed_through = max(opened.fed_through or tick.at, tick.at)
        return out

    def _minute(self, opened: _OpenSession, start: dt.datetime, cause: str) -> list[Outgoing]:
        end = start + MINUTE
        out: list[Outgoing] = [
            batches.halted(halt, self._partitions, cause) for halt in opened.halts if start <= halt.at < end
        ]
        out.extend(opened.faults.get(start, ()))
        out.extend(batches.minute_batches(start, opened.minutes.get(start, ()), self._partitions, cause))
        out.extend(
            batches.revised(revision.at, revision.start, revision.bar, self._partitions, 1, cause)
            for revision in opened.revisions
            if start < revision.at <= end and opened.checks.fault_alone(revision.start, revision.bar) is None
        )
        return out


class _OpenSession(Struct):
    """minutes: good bars by the start of their minute. fed_through: end of the last minute published.

    told: symbols whose history is published; histories_due: the session's HISTORY tick was given.
    """

    session: Session
    checks: Checks
    loaded: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    histories_due: bool = False
    minutes: dict[dt.datetime, list[Bar]] = field(default_factory=dict)
    faults: dict[dt.datetime, list[Outgoing]] = field(default_factory=dict)
    revisions: list[Revision] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    fed_through: dt.datetime | None = None
    counted: Counter[tuple[str, dt.datetime, Fault]] = field(default_factory=Counter)

    def count(self, what: tuple[str, dt.datetime, Fault]) -> int:
        self.counted[what] += 1
        return self.counted[what]
