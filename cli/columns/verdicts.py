"""Verdicts on a symbol's whole session from columns, where nothing of it can lead to an order.

The rules are those of services/signals/verdict.py. What says that no breakout was confirmed, which is nearly every
verdict, is decided here on closes alone; from the first confirmed breakout and hold of a session on the rules
themselves are asked, bar by bar. A session in which they confirm is not of this file: it goes through the services.
Rows are equal to the ledger's to the byte; tests/unit/columns holds them to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import cached_property
from itertools import repeat
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from cli.columns.market import Columns, Spans
from services.signals.boh import Pair, Window, trading_window
from services.signals.levels import DailyLevels, daily_levels, pivot_and_targets
from services.signals.regime_global import MarketRegime, market_regime
from services.signals.verdict import Case, Figures, judge
from shared.contracts import ids
from shared.contracts.decisions import Decided
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, Reason
from shared.contracts.wire import encode_json
from shared.domain.bars import SpanBar
from shared.domain.calendar import Session

Answer = tuple[str, str]
"""Reason and figures, as they stand in the ledger."""
VerdictText = tuple[str, str, str, str, str, str, str, str, str]
"""A row of the ledger's `verdicts`, as it stands there."""

PLAIN: Final = (1e-3, 1e15)
"""Floats in between are written by Python as they are by msgspec: digits with a point, no exponent."""

_CLOCK: Final = [f"{minute // 60:02d}:{minute % 60:02d}:00+00:00" for minute in range(24 * 60)]
STAGE: Final = "signals"
REFUSED: Final = "refused"
STALE_DATA: Final = Reason.STALE_DATA.value
NO_BREAK: Final = Reason.NO_BREAK.value
NOT_HELD: Final = Reason.NOT_HELD.value
GAP: Final = Reason.GAP.value
NOT_FRESH: Final = Reason.NOT_FRESH.value


class Stamps(Struct, frozen=True):
    """One session's times as text, by minutes after the opening; for each span its start as JSON, and its end's name.

    ends: of the spans, minutes after the opening. names: as they stand in ids.
    """

    iso: list[str]
    starts: list[str]
    names: list[str]
    ends: list[int]

    @classmethod
    def of(cls, day: Session, span: int) -> Stamps:
        ends = [*range(span, day.minutes, span), day.minutes]
        start = day.opens_at.hour * 60 + day.opens_at.minute
        assert start + day.minutes < len(_CLOCK), "a regular session lies within one day of UTC"
        date, short = f"{day.opens_at:%Y-%m-%d}T", f"{day.opens_at:%y%m%d}T"
        clock = _CLOCK[start : start + day.minutes + 1]
        names = [f"{short}{clock[end][:2]}{clock[end][3:5]}" for end in ends]
        iso = [f"{date}{time}" for time in clock]
        return cls(iso, [f'"{iso[start]}"' for start in range(0, day.minutes, span)], names, ends)


class Before(Struct, frozen=True):
    """What is known before a session opens. previous: the session before it. market: None where it is not of then."""

    day: Session
    previous: dt.date
    window: Window
    market: MarketRegime | None
    stamps: Stamps


class Eventful(Struct, frozen=True):
    """A symbol's session with a confirmation: from `first` on, minutes after the opening, it goes through the services.

    first: end of the first breakout and hold about which the rules say more than that it is none. rows: until then.
    """

    first: int
    rows: list[VerdictText]


def before(columns: Columns, day: Session, previous: dt.date, rules: Rules) -> Before:
    """The session's calendar and the market's regime, as signals knows them."""
    bars = columns.daily(day, rules.regime.symbol)[-rules.levels.history :]
    known = bool(bars) and bars[-1].session == previous
    return Before(
        day,
        previous,
        trading_window(day, rules.breakout),
        market_regime(bars, rules.regime) if known else None,
        Stamps.of(day, rules.breakout.minutes),
    )


def verdicts_of(
    columns: Columns, known: Before, symbol: str, rules: Rules, partitions: int
) -> list[VerdictText] | Eventful:
    """The session of a candidate that counts from the opening and is not held at any time of it."""
    asked = _Asked(columns, known, symbol, rules)
    rows: list[VerdictText] = []
    session, strategy, iso = known.day.session.isoformat(), rules.strategy.id, known.stamps.iso
    decided = f"decided-{ids.partition_of(symbol, partitions)}-"
    quiet = 0  # rows before the first confirmation, taken or refused
    for end, name, (reason, figures) in zip(known.stamps.ends, known.stamps.names, asked.answers(), strict=True):
        if reason == Reason.CONFIRMED:
            return Eventful(known.stamps.ends[quiet], rows[:quiet])
        rows.append((session, symbol, iso[end], strategy, STAGE, REFUSED, reason, figures, decided + name))
        if quiet == len(rows) - 1 and reason in NOT_A_CONFIRMATION:
            quiet += 1
    return rows


def told(decided: Decided) -> list[VerdictText]:
    """Verdicts of signals as state would write them down."""
    session, at = decided.session.isoformat(), decided.minute.isoformat()
    return [
        (
            session,
            verdict.symbol,
            at,
            verdict.strategy,
            STAGE,
            verdict.outcome,
            verdict.reason.value,
            _figures(verdict.figures),
            decided.id,
        )
        for verdict in decided.verdicts
    ]


class _Asked:
    """One symbol's session, asked at each end of a span."""

    def __init__(self, columns: Columns, known: Before, symbol: str, rules: Rules) -> None:
        self._columns = columns
        self._known = known
        self._symbol = symbol
        self._rules = rules
        self._bars = columns.daily(known.day, symbol)[-rules.levels.history :]
        self._last = self._bars[-1] if self._bars else None
        self._pivot, self._targets = pivot_and_targets(self._bars, rules.levels) if self._bars else (None, None)
        self._used = False

    @cached_property
    def _levels(self) -> DailyLevels:
        """All of them; few breakouts come so far that the rules ask for more than the pivot and the targets."""
        return daily_levels(self._bars, self._rules.levels)

    def answers(self) -> Iterator[Answer]:
        """Reason and figures of each verdict, in time order."""
        spans = self._columns.spans(self._symbol, self._known.day.session)
        if spans is None:
            return repeat((STALE_DATA, "{}"), len(self._known.stamps.ends))
        return self._with_bars(spans)

    def _with_bars(self, spans: Spans) -> Iterator[Answer]:
        stamps, stale_after = self._known.stamps, self._rules.limits.stale_data_after
        refused, daily = self._daily()
        pivot = self._pivot.price if self._pivot is not None else 0.0
        places, closes, bar_ends = [*spans.places, -1], spans.closes, spans.ends
        iso, starts, texts = stamps.iso, stamps.starts, _texts(closes)
        close_before = self._last.close if self._last is not None else None
        fresh_only = self._rules.breakout.fresh
        last = -1  # place in `spans` of the newest closed span
        for place, end in enumerate(stamps.ends):
            if places[last + 1] == place:
                last += 1
            if last < 0:
                yield STALE_DATA, "{}"
                continue
            seen = f'{{"last_bar_end":"{iso[bar_ends[last]]}"'
            if (end - bar_ends[last]) * 60 >= stale_after:
                yield STALE_DATA, seen + "}"
                continue
            if refused:
                yield refused, f"{seen}{daily}}}"
                continue
            hold = f'"hold_start":{starts[places[last]]},"hold_close":{texts[last]}'
            if last == 0:
                yield NO_BREAK, f"{seen}{daily},{hold}}}"
                continue
            seen = f'{seen}{daily},"break_start":{starts[places[last - 1]]},"break_close":{texts[last - 1]},{hold}'
            if not closes[last - 1] > pivot:
                yield NO_BREAK, seen + "}"
            elif closes[last] < pivot:
                yield NOT_HELD, seen + "}"
            elif places[last] != place or places[last - 1] != place - 1:
                yield GAP, seen + "}"
            else:
                before = closes[last - 2] if last >= 2 else close_before
                if fresh_only and (before is None or before > pivot):
                    close = "null" if before is None else _text(before)
                    yield NOT_FRESH, f'{seen},"prev_close":{close},"fresh":"no"}}'
                else:
                    yield self._by_the_rules(spans, last, end, before)

    def _by_the_rules(self, spans: Spans, last: int, end: int, before: float | None) -> Answer:
        """Two closes that may be a breakout and hold go to all the rules. before: the close in front of them."""
        case = self._case(spans, last, end, Pair(before, self._bar(spans, last - 1), self._bar(spans, last)))
        judgement = judge(case, self._rules)
        if "rvol" in judgement.figures:
            judgement = judge(self._with_volume(case), self._rules)
        self._used = self._used or judgement.spends
        return judgement.reason.value, _figures(judgement.figures)

    def _daily(self) -> Answer:
        """What the daily bars refuse all session long, empty: nothing; and the figures that they give."""
        pivot, targets, last = self._pivot, self._targets, self._last
        told = f',"daily_bars":{float(len(self._bars))}'  # a figure is a float once it has been a message
        if pivot is None:
            return Reason.NO_PIVOT.value, told
        told += f',"pivot":{_text(pivot.price)},"pivot_date":{_date(pivot.date)}'
        if targets is None:
            return Reason.BAD_LEVELS.value, told
        told += f',"r1":{_text(targets.r1)},"r2":{_text(targets.r2)}'
        told += f',"last_session":{_date(last.session if last is not None else None)}'
        stale = last is None or last.session != self._known.previous
        return Reason.STALE_LEVELS.value if stale else "", told

    def _with_volume(self, case: Case) -> Case:
        """Volumes take a while to add up, and few breakouts come so far that the rules ask for them."""
        day = self._known.day
        return replace(
            case,
            volume=self._columns.volume(self._symbol, day.session, case.at),
            profile=self._columns.profile(day, self._symbol),
        )

    def _case(self, spans: Spans, last: int, end: int, pair: Pair) -> Case:
        known = self._known
        return Case(
            day=known.day,
            previous=known.previous,
            window=known.window,
            at=end,
            last_bar_end=spans.ends[last],
            halted=False,
            levels=self._levels,
            scan=None,
            pair=pair,
            counts_from=0.0,
            used=self._used,
            market=known.market,
            held=False,
            volume=0.0,
            profile=None,
        )

    def _bar(self, spans: Spans, number: int) -> SpanBar:
        """Of a bar's prices the rules ask for the close alone."""
        span, close = self._rules.breakout.minutes, spans.closes[number]
        start = spans.places[number] * span
        end = min(start + span, self._known.day.minutes)
        return SpanBar(start, end, close, close, close, close, 0.0)


def _figures(figures: Figures) -> str:
    """As state writes them: out of a message in which every number is a float."""
    told = {name: seen if seen is None or isinstance(seen, str) else float(seen) for name, seen in figures.items()}
    return encode_json(told).decode()


def _texts(values: list[float]) -> list[str]:
    low, high = PLAIN
    plain = low <= min(values) and max(values) < high
    return list(map(repr if plain else _text, values))


def _text(value: float) -> str:
    low, high = PLAIN
    return repr(value) if low <= value < high else encode_json(value).decode()


def _date(value: dt.date | None) -> str:
    return "null" if value is None else f'"{value.isoformat()}"'
