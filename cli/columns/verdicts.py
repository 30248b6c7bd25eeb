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
from services.signals.boh import Pair, Question, Window, is_fresh, refusal, trading_window
from services.signals.levels import DailyLevels, daily_levels, pivot_and_targets
from services.signals.regime_global import MarketRegime, market_regime
from services.signals.verdict import Case, Figures, judge
from shared.contracts import ids
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, Reason
from shared.contracts.wire import encode_json
from shared.domain.bars import SpanBar
from shared.domain.calendar import Session

Answer = tuple[Reason, str]
VerdictText = tuple[str, str, str, str, str, str, str, str, str]
"""A row of the ledger's `verdicts`, as it stands there."""

PLAIN: Final = (1e-3, 1e15)
"""Floats in between are written by Python as they are by msgspec: digits with a point, no exponent."""

_CLOCK: Final = [f"{minute // 60:02d}:{minute % 60:02d}:00+00:00" for minute in range(24 * 60)]
STAGE: Final = "signals"
REFUSED: Final = "refused"


class Stamps(Struct, frozen=True):
    """One session's times as text, by minutes after the opening; and for each end of a span its minute in ids."""

    iso: list[str]
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
        return cls([f"{date}{time}" for time in clock], names, ends)


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
        if reason is Reason.CONFIRMED:
            return Eventful(known.stamps.ends[quiet], rows[:quiet])
        rows.append((session, symbol, iso[end], strategy, STAGE, REFUSED, reason.value, figures, decided + name))
        if quiet == len(rows) - 1 and reason in NOT_A_CONFIRMATION:
            quiet += 1
    return rows


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
            return repeat((Reason.STALE_DATA, "{}"), len(self._known.stamps.ends))
        return self._with_bars(spans)

    def _with_bars(self, spans: Spans) -> Iterator[Answer]:
        stale_after, iso, ends = self._rules.limits.stale_data_after, self._known.stamps.iso, self._known.stamps.ends
        refused, daily = self._daily()
        pivot = self._pivot.price if self._pivot is not None else 0.0
        places, closes = spans.places, spans.closes
        texts = [_text(close) for close in closes]
        starts = [f'"{iso[self._start(place)]}"' for place in places]
        last = -1  # place in `spans` of the newest closed span
        for place, end in enumerate(ends):
            if last + 1 < len(places) and places[last + 1] == place:
                last += 1
            if last < 0:
                yield Reason.STALE_DATA, "{}"
                continue
            seen = f'{{"last_bar_end":"{iso[spans.ends[last]]}"'
            if (end - spans.ends[last]) * 60 >= stale_after:
                yield Reason.STALE_DATA, seen + "}"
                continue
            seen += daily
            if refused is not None:
                yield refused, seen + "}"
                continue
            if last == 0:
                yield Reason.NO_BREAK, f'{seen},"hold_start":{starts[0]},"hold_close":{texts[0]}}}'
                continue
            first, second = closes[last - 1], closes[last]
            seen += (
                f',"break_start":{starts[last - 1]},"break_close":{texts[last - 1]}'
                f',"hold_start":{starts[last]},"hold_close":{texts[last]}'
            )
            if not first > pivot:
                yield Reason.NO_BREAK, seen + "}"
            elif second < pivot:
                yield Reason.NOT_HELD, seen + "}"
            else:
                yield self._above(pivot, spans, last, end, seen)

    def _above(self, pivot: float, spans: Spans, last: int, end: int, seen: str) -> Answer:
        """Two closes that may be a breakout and hold. One that is goes to all the rules."""
        pair = self._pair(spans, last)
        asked = Question(pivot=pivot, window=self._known.window, fresh=self._rules.breakout.fresh, at=end)
        refused = refusal(pair, asked)
        if refused is Reason.GAP:
            return refused, seen + "}"
        if refused is not None:
            close = _text(pair.before) if pair.before is not None else "null"
            fresh = "yes" if is_fresh(pair, pivot) else "no"
            return refused, f'{seen},"prev_close":{close},"fresh":"{fresh}"}}'
        case = self._case(spans, last, end, pair)
        judgement = judge(case, self._rules)
        if "rvol" in judgement.figures:
            judgement = judge(self._with_volume(case), self._rules)
        self._used = self._used or judgement.spends
        return judgement.reason, _figures(judgement.figures)

    def _daily(self) -> tuple[Reason | None, str]:
        """What the daily bars refuse all session long, and the figures that they give."""
        pivot, targets, last = self._pivot, self._targets, self._last
        told = f',"daily_bars":{float(len(self._bars))}'  # a figure is a float once it has been a message
        if pivot is None:
            return Reason.NO_PIVOT, told
        told += f',"pivot":{_text(pivot.price)},"pivot_date":{_date(pivot.date)}'
        if targets is None:
            return Reason.BAD_LEVELS, told
        told += f',"r1":{_text(targets.r1)},"r2":{_text(targets.r2)}'
        told += f',"last_session":{_date(last.session if last is not None else None)}'
        stale = last is None or last.session != self._known.previous
        return (Reason.STALE_LEVELS if stale else None), told

    def _with_volume(self, case: Case) -> Case:
        """Volumes take a while to add up, and few breakouts come so far that the rules ask for them."""
        day = self._known.day
        return replace(
            case,
            volume=self._columns.volume(self._symbol, day.session, case.at),
            profile=self._columns.profile(day, self._symbol),
        )

    def _start(self, place: int) -> int:
        return place * self._rules.breakout.minutes

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

    def _pair(self, spans: Spans, last: int) -> Pair:
        """The two newest closed bars; of their prices the rules ask for the close alone."""
        before = spans.closes[last - 2] if last >= 2 else None
        if before is None and self._last is not None:
            before = self._last.close
        return Pair(before, self._bar(spans, last - 1), self._bar(spans, last))

    def _bar(self, spans: Spans, number: int) -> SpanBar:
        start, close = self._start(spans.places[number]), spans.closes[number]
        end = min(start + self._rules.breakout.minutes, self._known.day.minutes)
        return SpanBar(start, end, close, close, close, close, 0.0)


def _figures(figures: Figures) -> str:
    """As state writes them: out of a message in which every number is a float."""
    told = {name: seen if seen is None or isinstance(seen, str) else float(seen) for name, seen in figures.items()}
    return encode_json(told).decode()


def _text(value: float) -> str:
    low, high = PLAIN
    return repr(value) if low <= value < high else encode_json(value).decode()


def _date(value: dt.date | None) -> str:
    return "null" if value is None else f'"{value.isoformat()}"'
