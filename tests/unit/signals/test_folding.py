"""Folding bar by bar is the same as computing from scratch, and folding again is the same fold."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.signals.boh import Pair, Question, Window, first_confirmed, pairs, refusal
from services.signals.levels import daily_levels
from services.signals.position import Held, Minute, evaluate
from services.signals.service import Signals
from services.signals.stops import IntradayLows, Lows
from services.signals.symbol_day import SymbolDay
from shared.contracts.decisions import Decided
from shared.contracts.ids import partition_of
from shared.contracts.market import Bar, DailyBar
from shared.contracts.message import Message
from shared.contracts.rules import LevelRules, Rules, StopRules
from shared.contracts.vocabulary import Phase, StopMode, TrimState
from shared.domain.bars import BarBuilder, SpanBar
from tests.unit.signals.kit import (
    CLOSES,
    SESSION,
    after,
    bar,
    bars,
    daily,
    history,
    opened,
    position,
    rising,
    taken,
    tick,
)
from tests.unit.signals.ledger import Ledger

PRICES = st.integers(980, 1040).map(lambda cents: cents / 100)


@st.composite
def sessions(draw: st.DrawFn) -> dict[int, Bar]:
    """One symbol's minutes by their place; ten-minute stretches near one price, some minutes and stretches missing."""
    minutes: dict[int, Bar] = {}
    for stretch in range(39):
        level = draw(st.none() | PRICES)
        if level is None:
            continue
        for minute in range(10 * stretch, 10 * stretch + 10, draw(st.sampled_from([1, 1, 1, 3, 7]))):
            low = round(level - draw(st.integers(0, 8)) / 100, 2)
            minutes[minute] = Bar("ABC", level, level + 0.05, low, level, float(draw(st.integers(0, 500))))
    return minutes


def _spans(minutes: dict[int, Bar], span: int, length: int) -> list[SpanBar]:
    """From scratch: group by span, then look at each group."""
    groups: dict[int, list[Bar]] = {}
    for minute in sorted(minutes):
        if minute < length:
            groups.setdefault(minute // span, []).append(minutes[minute])
    return [
        SpanBar(
            number * span,
            min(number * span + span, length),
            group[0].open,
            max(row.high for row in group),
            min(row.low for row in group),
            group[-1].close,
            _left_sum([row.volume for row in group]),
        )
        for number, group in sorted(groups.items())
    ]


def _left_sum(values: list[float]) -> float:
    total = 0.0
    for value in values:
        total += value
    return total


def _add(builder: BarBuilder, minute: int, row: Bar) -> SpanBar | None:
    return builder.add(minute, row.open, row.high, row.low, row.close, row.volume)


@settings(max_examples=100, deadline=None)
@given(sessions(), st.sampled_from([1, 5, 10, 7, 60]), st.sampled_from([390, 210, 385]))
def test_built_bars_equal_the_grouped_ones_however_they_are_closed(
    minutes: dict[int, Bar], span: int, length: int
) -> None:
    lazily, promptly = BarBuilder(span, length), BarBuilder(span, length)
    lazy: list[SpanBar] = []
    prompt: list[SpanBar] = []
    for minute in range(length):
        if minute in minutes:
            lazy += filter(None, [_add(lazily, minute, minutes[minute])])
            prompt += filter(None, [_add(promptly, minute, minutes[minute])])
        prompt += filter(None, [promptly.close_through(minute + 1)])
    lazy += filter(None, [lazily.close_through(length)])
    assert lazy == prompt == _spans(minutes, span, length)


@settings(max_examples=100, deadline=None)
@given(sessions(), st.integers(1, 390))
def test_a_symbols_day_equals_what_its_bars_say_from_scratch(minutes: dict[int, Bar], end: int) -> None:
    rules = Rules()
    day = SymbolDay(rules, 390)
    seen = {minute: row for minute, row in minutes.items() if minute < end}
    for minute, row in sorted(seen.items()):
        day.add(minute, row)
    day.close_through(end)
    closed = [span for span in _spans(seen, 10, 390) if span.end <= end]
    expected = list(pairs(closed, 9.90))[-1] if closed else Pair(9.90, None, None)
    assert day.pair(9.90) == expected
    assert day.volume == _left_sum([row.volume for _, row in sorted(seen.items())])
    short = [span for span in _spans(seen, 5, 390) if span.end <= end]
    assert day.intraday_stop(99.0) == _higher_low(short, rules.stop)
    assert day.short_bars_from(100) == sum(span.start >= 100 for span in short[-4:])


def _higher_low(spans: list[SpanBar], rules: StopRules) -> float | None:
    """From scratch: every strict low, then the latest that is above the one before it."""
    lows = [span.low for span in spans]
    swings = [b for a, b, c in zip(lows, lows[1:], lows[2:], strict=False) if a > b < c]
    higher = [later for earlier, later in pairwise(swings) if later > earlier]
    return round(higher[-1] - rules.buffer, 9) if higher and len(lows) >= rules.intraday_min_bars else None


@settings(max_examples=100, deadline=None)
@given(st.lists(PRICES, min_size=1, max_size=39), PRICES, st.booleans())
def test_the_first_confirmed_pair_is_the_first_of_all_pairs_that_is_confirmed(
    closes: list[float], pivot: float, fresh: bool
) -> None:
    spans = [SpanBar(10 * k, 10 * k + 10, c, c, c, c, 1.0) for k, c in enumerate(closes)]
    window = Window(15, 360, 390)

    def asked(at: int) -> Question:
        return Question(pivot=pivot, window=window, fresh=fresh, at=at)

    confirmed = [
        pair
        for k in range(1, len(spans))
        if refusal(pair := Pair(spans[k - 2].close if k > 1 else 9.9, spans[k - 1], spans[k]), asked(spans[k].end))
        is None
    ]
    assert first_confirmed(spans, 9.9, asked(0)) == (confirmed[0] if confirmed else None)


DAYS = st.lists(st.tuples(PRICES, st.integers(0, 40), st.integers(0, 40), st.integers(0, 9)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(DAYS, st.integers(20, 30))
def test_levels_see_the_last_sessions_alone(days: list[tuple[float, int, int, int]], seen: int) -> None:
    made = tuple(
        DailyBar(SESSION.fromordinal(700_000 + k), close, close + up / 100, close - down / 100, close, float(volume))
        for k, (close, up, down, volume) in enumerate(days)
    )
    rules = LevelRules(history=seen)
    assert daily_levels(made, rules) == daily_levels(made[-seen:], rules)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(900, 1200), min_size=10, max_size=80), st.integers(1, 9))
def test_stops_never_fall_and_never_reach_the_price(cents: list[int], qty: int) -> None:
    rules = Rules()
    lows = IntradayLows(rules.stop)
    held = Held(
        symbol="ABC",
        position_id="p",
        qty=qty,
        avg_price=Decimal("10.02"),
        pivot=10.0,
        r1=10.3,
        r2=10.6,
        stop=Decimal("9.00"),
        stop_resting=True,
        stop_mode=StopMode.OPEN,
        high_water=10.02,
        invalidations=0,
        r1_state=TrimState.OPEN,
        r2_state=TrimState.OPEN,
        entered_at=after(0),
    )
    for place, cent in enumerate(cents):
        price = cent / 100
        lows.add(SpanBar(5 * place, 5 * place + 5, price, price, price, price, 1.0))
        minute = Minute(
            at=after(5 * place + 5),
            closes_at=CLOSES,
            price=price,
            traded=True,
            breakout_close=price if place % 2 else None,
            phase=Phase.NORMAL if place > 11 else Phase.EARLY_TREND,
            lows=Lows(
                daily=9.2,
                intraday=lows.stop(price),
                since_entry=after(5 * place + 5) - after(0),
                bars_after_entry=min(place + 1, 4),
            ),
        )
        step = evaluate(held, minute, rules)
        assert step.held.stop is not None
        assert held.stop is not None
        assert step.held.stop >= held.stop
        if step.stop is not None:
            assert step.stop.stop > held.stop
            assert step.stop.stop < Decimal(str(price))
            assert step.held.stop == step.stop.stop
        if held.stop_mode is StopMode.EXITING:
            assert (step.leave, step.trims, step.stop) == (None, (), None)
        assert step.held.high_water >= held.high_water
        held = step.held


@st.composite
def markets(draw: st.DrawFn) -> dict[str, dict[int, Bar]]:
    """Three symbols around the pivot, each with stretches of one price."""
    found: dict[str, dict[int, Bar]] = {}
    for symbol in ("ABC", "DEF", "GHI"):
        closes = draw(st.lists(st.integers(992, 1022), min_size=18, max_size=18))
        found[symbol] = {
            minute: bar(closes[minute // 10] / 100, symbol, low=closes[minute // 10] / 100 - (minute % 3) / 100)
            for minute in range(180)
            if (minute + closes[0]) % draw(st.sampled_from([7, 50, 1000]))
        }
    return found


def _service() -> Signals:
    signals = Signals(1, Rules(), lambda _: 1)
    for message in (opened(), history(rising(), "SPY"), *(history(daily(), name) for name in ("ABC", "DEF", "GHI"))):
        signals.handle(message)
    return signals


def _decide(signals: Signals, market: dict[str, dict[int, Bar]], end: int) -> Decided:
    rows = [minutes[end - 1] for _, minutes in sorted(market.items()) if end - 1 in minutes]
    signals.handle(bars(end, rows))
    [decided] = signals.handle(tick(end))
    assert isinstance(decided, Decided)
    return decided


@settings(max_examples=60, deadline=None)
@given(markets(), st.integers(1, 179), st.booleans())
def test_a_service_that_starts_again_at_any_minute_decides_the_same_from_there_on(
    market: dict[str, dict[int, Bar]], cut: int, holds: bool
) -> None:
    """The views as of the cut come first, then the whole session's bars: the order of a restart in life."""
    ledger = Ledger(tuple(market))
    if holds:
        ledger.hold(position("DEF", entered_at=after(-1000), decided_through=after(-900), stop=Decimal("9.50")))
    first = _service()
    _tell(first, ledger.views())
    told: dict[int, list[Message]] = {}
    decided: dict[int, Decided] = {}
    at_cut: list[Message] = []
    for end in range(1, 181):
        decided[end] = _decide(first, market, end)
        told[end] = ledger.take(decided[end], end)
        _tell(first, told[end])
        if end == cut:
            at_cut = ledger.views()
    again = _service()
    _tell(again, [*at_cut, taken(cut)])
    for end in range(1, 181):
        answer = _decide(again, market, end)
        if end > cut:
            assert answer == decided[end]
            _tell(again, told[end])
        else:
            assert (answer.verdicts, answer.entries, answer.marks, answer.trims) == ((), (), (), ())
    for stops in ledger.stops.values():
        assert stops == sorted(stops)


def _tell(signals: Signals, messages: list[Message]) -> None:
    for message in messages:
        signals.handle(message)


@settings(max_examples=20, deadline=None)
@given(markets())
def test_two_replicas_decide_together_what_one_decides_alone(market: dict[str, dict[int, Bar]]) -> None:
    def run(owned: tuple[int, ...]) -> list[Decided]:
        signals = Signals(4, Rules(), lambda _: 1, owned)
        ledger = Ledger(tuple(market))
        messages = (opened(), history(rising(), "SPY"), *(history(daily(), name) for name in market))
        _tell(signals, [*messages, *ledger.views()])
        answers: list[Decided] = []
        for end in range(1, 61):
            for partition in range(4):
                rows = [
                    minutes[end - 1]
                    for name, minutes in sorted(market.items())
                    if end - 1 in minutes and partition_of(name, 4) == partition
                ]
                signals.handle(bars(end, rows, partition))
            answers += [message for message in signals.handle(tick(end)) if isinstance(message, Decided)]
        return answers

    def key(decided: Decided) -> tuple[str, str]:
        return decided.minute.isoformat(), decided.id

    assert sorted(run((0, 1, 2, 3)), key=key) == sorted([*run((1, 3)), *run((0, 2))], key=key)
