"""Market data in a live run: bars come when they come, minutes are closed by the clock.

A minute is closed `grace` after its end and told as one complete batch of each partition; what comes later, or corrects
it, is told as a revision and decides nothing (docs/strategy.md section 4). Pure: time is the feed's `Beat`.

After a restart, or on a new bus, the session is told again from its opening with the same ids: its bars so far come
from the feed's history.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct, field

from services.market_data import batches
from services.market_data.arrivals import BarArrived, Beat, FeedDown, FeedSaid, HaltArrived, LiveSource
from services.market_data.checks import Checks, Fault
from services.market_data.followed import Followed
from services.market_data.source import Halt, History, Row, last_close, minute_volume
from shared.contracts.journal import Alert
from shared.contracts.market import Bar
from shared.contracts.message import Message
from shared.contracts.outgoing import Latest, Outgoing
from shared.contracts.views import CandidateChanged, PositionChanged
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session

HISTORIES_AT_ONCE: Final = 50
"""Symbols whose history is fetched in one turn, so that no turn takes longer than a few seconds."""
ASK_AGAIN: Final = dt.timedelta(seconds=5)
PATIENCE: Final = dt.timedelta(seconds=60)
"""How long closed minutes wait for the history of bars after a restart: later than that they go out without."""
CANDIDATES_WAIT: Final = dt.timedelta(seconds=10)
"""How long a restart in mid-session waits for state to say whom to follow, where nobody is known yet."""
AFTER_CLOSE: Final = dt.timedelta(minutes=30)
"""A start within this time after the close still tells the session to its end."""
SILENT_AFTER: Final = dt.timedelta(seconds=90)


class LiveMarketData:
    """source: the feed. grace: time after a minute's end until it is closed. Other figures as in service.py."""

    def __init__(
        self, source: LiveSource, partitions: int, *, grace: dt.timedelta, max_jump: float, index: str = "SPY"
    ) -> None:
        self._source = source
        self._partitions = partitions
        self._grace = grace
        self._max_jump = max_jump
        self._followed = Followed(index, source.followed())
        self._open: _OpenSession | None = None
        self._over: dt.date | None = None
        self._now: dt.datetime | None = None
        self._caught_up = False
        self._quiet = True
        self._outside_told: set[tuple[str, dt.date]] = set()
        self.quarantined: Counter[Fault] = Counter()

    def handle(self, message: Message) -> Sequence[Outgoing]:
        """Take one message of the streams or of the feed."""
        match message:
            case Beat():
                return self._on_beat(message)
            case BarArrived():
                return self._on_bar(message)
            case HaltArrived():
                halt = Halt(message.at, message.symbol, message.halted, message.code)
                return [batches.halted(halt, self._partitions)]
            case FeedSaid():
                return [_alert(message.at, message.level, message.key, message.text)]
            case CandidateChanged():
                self._followed.candidate(message)
            case PositionChanged():
                self._followed.position(message)
            case _:
                pass  # the streams also carry what concerns the ledger alone
        self._quiet = False
        return []

    def _on_beat(self, beat: Beat) -> list[Outgoing]:
        if self._now is not None and beat.at < self._now:
            return []
        self._now = beat.at
        if not self._has_caught_up():
            return []
        self._source.follow(self._followed.symbols())
        out: list[Outgoing] = []
        opened = self._session_at(beat.at, out)
        if opened is None:
            return out
        self._tell_histories(opened, beat.at, out)
        self._fetch_bars(opened, beat.at, out)
        self._close_minutes(opened, beat, out)
        self._watch_silence(opened, beat.at, out)
        if opened.fed_through >= opened.session.closes_at:
            out.append(batches.closed(opened.session))
            self._open, self._over = None, opened.session.session
        return out

    def _has_caught_up(self) -> bool:
        """Once a turn brought nothing from the streams, they are read to their end: whom to follow is known."""
        self._caught_up = self._caught_up or self._quiet
        self._quiet = True
        return self._caught_up

    def _session_at(self, at: dt.datetime, out: list[Outgoing]) -> _OpenSession | None:
        """The session that is being told; opened here at its opening, or where a start falls into it."""
        if self._open is not None:
            return self._open
        session = calendar.session_at(at)
        if session is None:
            last = calendar.previous(calendar.next_open(at).session)
            session = last if at < last.closes_at + AFTER_CLOSE else None
        if session is None or session.session == self._over:
            return None
        self._open = _OpenSession(session, Checks(session, self._max_jump), at, session.opens_at, last_bar_at=at)
        out.append(batches.opened(session))
        return self._open

    def _tell_histories(self, opened: _OpenSession, at: dt.datetime, out: list[Outgoing]) -> None:
        new = [symbol for symbol in self._followed.symbols() if symbol not in opened.told][:HISTORIES_AT_ONCE]
        if not new or not _is_time(opened.ask_history_at, at):
            return
        try:
            known = self._source.histories(opened.session, new)
        except FeedDown as fault:
            if opened.ask_history_at is None:
                out.append(_alert(at, "warning", "history", f"daily history cannot be had: {fault}; asked again"))
            opened.ask_history_at = at + ASK_AGAIN
            return
        opened.ask_history_at = None
        for symbol in new:
            history = known.get(symbol, History())
            opened.told.add(symbol)
            opened.checks.expect(symbol, last_close(history), minute_volume(history, opened.session))
            out.extend(batches.history(opened.session, symbol, history))

    def _fetch_bars(self, opened: _OpenSession, at: dt.datetime, out: list[Outgoing]) -> None:
        """The session's earlier bars of symbols that are followed only now, once their history is known."""
        until = min(at.replace(second=0, microsecond=0), opened.session.closes_at)
        new = sorted(opened.told - opened.fetched)
        if not new or not _is_time(opened.ask_bars_at, at):
            return
        if until <= opened.session.opens_at:
            opened.fetched.update(new)
            return
        try:
            rows = self._source.so_far(opened.session, new, until)
        except FeedDown as fault:
            if opened.ask_bars_at is None:
                out.append(_alert(at, "warning", "back-fill", f"earlier bars cannot be had: {fault}; asked again"))
            opened.ask_bars_at = at + ASK_AGAIN
            return
        opened.ask_bars_at = None
        opened.fetched.update(new)
        for row in rows:
            out.extend(self._take(opened, row, at))

    def _on_bar(self, arrived: BarArrived) -> list[Outgoing]:
        opened = self._open
        if opened is None or arrived.bar.symbol not in self._followed:
            return self._stray(arrived)
        opened.last_bar_at = max(opened.last_bar_at, arrived.at)
        opened.silent = False
        row = Row(arrived.start, arrived.bar)
        return self._revise(opened, row, arrived.at) if arrived.revised else self._take(opened, row, arrived.at)

    def _stray(self, arrived: BarArrived) -> list[Outgoing]:
        """A bar outside any session, or of a symbol nobody asked for."""
        row = Row(arrived.start, arrived.bar)
        if self._open is None:
            return self._outside(row, arrived.at)
        self.quarantined[Fault.UNKNOWN_SYMBOL] += 1
        return [batches.quarantined(arrived.at, row, Fault.UNKNOWN_SYMBOL, self._partitions)]

    def _outside(self, row: Row, at: dt.datetime) -> list[Outgoing]:
        """Extended hours bring hundreds of bars a symbol: the first of a day is told, all are counted."""
        self.quarantined[Fault.OUTSIDE_SESSION] += 1
        told = (row.bar.symbol, row.start.date())
        if told in self._outside_told:
            return []
        self._outside_told.add(told)
        return [batches.quarantined(at, row, Fault.OUTSIDE_SESSION, self._partitions)]

    def _take(self, opened: _OpenSession, row: Row, at: dt.datetime) -> list[Outgoing]:
        """File a bar under its minute; the socket and the history may both bring it."""
        start, bar = row
        known = opened.minutes.get(start, {}).get(bar.symbol)
        if known == bar:
            return []
        if known is not None or start < opened.fed_through:
            return self._revise(opened, row, at)
        fault = opened.checks.take(start, bar)
        if fault is not None:
            return self._quarantine(opened, row, fault, at)
        opened.minutes.setdefault(start, {})[bar.symbol] = bar
        return []

    def _revise(self, opened: _OpenSession, row: Row, at: dt.datetime) -> list[Outgoing]:
        """A correction of an open minute replaces its bar; of a closed one it is told, and decides nothing."""
        start, bar = row
        fault = opened.checks.fault_alone(start, bar)
        if fault is not None:
            return self._quarantine(opened, row, fault, at)
        held = opened.minutes.setdefault(start, {})
        if held.get(bar.symbol) == bar:
            return []
        held[bar.symbol] = bar
        if start >= opened.fed_through:
            return []
        opened.revisions[start, bar.symbol] += 1
        number = opened.revisions[start, bar.symbol]
        return [batches.revised(at, start, bar, self._partitions, number)]

    def _quarantine(self, opened: _OpenSession, row: Row, fault: Fault, at: dt.datetime) -> list[Outgoing]:
        if fault is Fault.OUTSIDE_SESSION:
            return self._outside(row, at)
        self.quarantined[fault] += 1
        opened.faults[row.bar.symbol, row.start, fault] += 1
        number = opened.faults[row.bar.symbol, row.start, fault]
        return [batches.quarantined(at, row, fault, self._partitions, number=number)]

    def _close_minutes(self, opened: _OpenSession, beat: Beat, out: list[Outgoing]) -> None:
        if not self._may_close(opened, beat.at):
            return
        while opened.fed_through < opened.session.closes_at and beat.at >= opened.fed_through + MINUTE + self._grace:
            start = opened.fed_through
            rows = opened.minutes.get(start, {}).values()
            out.extend(batches.minute_batches(start, rows, self._partitions))
            opened.fed_through = start + MINUTE
            out.append(self._latest(opened, beat, len(rows)))

    def _may_close(self, opened: _OpenSession, at: dt.datetime) -> bool:
        """Whether what was missed before this process started is there, or has been waited for long enough."""
        waited = at - opened.since
        if waited >= PATIENCE or opened.fed_through > opened.session.opens_at:
            return True
        started_in_it = opened.since >= opened.session.opens_at + MINUTE
        if started_in_it and len(self._followed.symbols()) == 1 and waited < CANDIDATES_WAIT:
            return False
        return opened.fetched.issuperset(self._followed.symbols())

    def _latest(self, opened: _OpenSession, beat: Beat, bars: int) -> Latest:
        """For people: how the feed is, `HGETALL feed`."""
        return Latest(
            key="feed",
            fields={
                "minute": opened.fed_through.isoformat(),
                "bars": str(bars),
                "followed": str(len(self._followed.symbols())),
                "last_bar_at": opened.last_bar_at.isoformat(),
                "connected": "yes" if beat.connected else "no",
                "quarantined": str(sum(self.quarantined.values())),
            },
        )

    def _watch_silence(self, opened: _OpenSession, at: dt.datetime, out: list[Outgoing]) -> None:
        if not opened.silent and at - opened.last_bar_at >= SILENT_AFTER:
            opened.silent = True
            text = f"no bar of any followed symbol since {opened.last_bar_at:%H:%M:%S} UTC"
            out.append(_alert(at, "critical", "feed-silent", text))


class _OpenSession(Struct):
    """since: when this process began to tell it. fed_through: end of the last minute closed.

    minutes: good bars by start and symbol. told, fetched: symbols whose history, whose earlier bars are there.
    """

    session: Session
    checks: Checks
    since: dt.datetime
    fed_through: dt.datetime
    last_bar_at: dt.datetime
    silent: bool = False
    minutes: dict[dt.datetime, dict[str, Bar]] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)
    revisions: Counter[tuple[dt.datetime, str]] = field(default_factory=Counter)
    faults: Counter[tuple[str, dt.datetime, Fault]] = field(default_factory=Counter)
    ask_history_at: dt.datetime | None = None
    ask_bars_at: dt.datetime | None = None


def _is_time(due: dt.datetime | None, at: dt.datetime) -> bool:
    return due is None or at >= due


def _alert(at: dt.datetime, level: str, key: str, text: str) -> Alert:
    return Alert(
        id=f"alert-market_data-{key}-{at:%y%m%dT%H%M%S}", at=at, level=level, key=f"market_data-{key}", text=text
    )
