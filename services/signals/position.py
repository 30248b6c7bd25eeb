"""What a held position asks for at one closed minute: stop hit, failure, trims, stops (docs/strategy.md section 8).

The rules are asked in the section's order, and a later one sees what an earlier one decided. What a position
remembers (high water, failed closes, trims) is the ledger's; between two of its updates the marks run on here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.signals.stops import Lows, StopLevel, structural_stop, trailing_stop
from shared.contracts.money import exact, round_down, round_up
from shared.contracts.rules import ExitRules, Rules
from shared.contracts.views import PositionChanged
from shared.contracts.vocabulary import Phase, StopMode, TrimState
from shared.domain.levels import trim_shares

STOP_HIT: Final = "stop_hit"
INVALIDATED: Final = "invalidated"
END_OF_DAY: Final = "end_of_day"
STOP_ABOVE_PRICE: Final = "stop_above_price"

_PROGRESS: Final[Mapping[TrimState, int]] = {TrimState.OPEN: 0, TrimState.WORKING: 1, TrimState.DONE: 2}


class Held(Struct, frozen=True, kw_only=True):
    """A position, its levels and its marks. Prices in dollars; levels None for adopted shares."""

    symbol: str
    position_id: str
    qty: int
    avg_price: Decimal
    pivot: float | None
    r1: float | None
    r2: float | None
    stop: Decimal | None
    stop_resting: bool
    stop_mode: StopMode
    high_water: float
    invalidations: int
    r1_state: TrimState
    r2_state: TrimState
    entered_at: dt.datetime


class Minute(Struct, frozen=True, kw_only=True):
    """What one closed minute says to a position.

    price: last close, dollars. traded: this minute has a bar. breakout_close: close of the ten-minute bar that closed
    at `at`, if one did. closing: the minute ends at the session's close.
    """

    at: dt.datetime
    closes_at: dt.datetime
    price: float
    traded: bool
    breakout_close: float | None
    phase: Phase
    lows: Lows

    @property
    def closing(self) -> bool:
        return self.at >= self.closes_at

    @property
    def to_close_s(self) -> float:
        return (self.closes_at - self.at).total_seconds()


class Leave(Struct, frozen=True):
    """Sell all. market: at once, without a limit."""

    reason: str
    market: bool


class Trim(Struct, frozen=True):
    """level: `r1` or `r2`. fraction: of the shares held when it is worked."""

    level: str
    fraction: float


class Raise(Struct, frozen=True):
    """A higher stop, dollars on the grid, and the rule that gave it."""

    stop: Decimal
    basis: str


class Step(Struct, frozen=True, kw_only=True):
    """The position after the minute, and what it asks for."""

    held: Held
    leave: Leave | None = None
    trims: tuple[Trim, ...] = ()
    stop: Raise | None = None
    r1_marked: bool = False
    r2_marked: bool = False


def from_ledger(told: PositionChanged) -> Held:
    """The position as the ledger has it."""
    return Held(
        symbol=told.symbol,
        position_id=told.position_id,
        qty=told.qty,
        avg_price=told.avg_price,
        pivot=told.pivot,
        r1=told.r1,
        r2=told.r2,
        stop=told.stop,
        stop_resting=told.stop_resting,
        stop_mode=told.stop_mode,
        high_water=told.high_water,
        invalidations=told.invalidations,
        r1_state=told.r1_state,
        r2_state=told.r2_state,
        entered_at=told.entered_at,
    )


def updated(own: Held, told: PositionChanged) -> Held:
    """The ledger's facts with our own later marks: its word is of a minute before the last one evaluated here.

    What it cannot know yet stays: a stop that was just raised, a trim that was just asked for.
    """
    ledger = from_ledger(told)
    stops = [stop for stop in (own.stop, ledger.stop) if stop is not None]
    return replace(
        ledger,
        stop=max(stops, default=None),
        stop_mode=StopMode.EXITING if ledger.stop_mode is StopMode.EXITING else own.stop_mode,
        high_water=max(own.high_water, ledger.high_water),
        invalidations=own.invalidations,
        r1_state=max(own.r1_state, ledger.r1_state, key=_PROGRESS.__getitem__),
        r2_state=max(own.r2_state, ledger.r2_state, key=_PROGRESS.__getitem__),
    )


def evaluate(held: Held, minute: Minute, rules: Rules) -> Step:
    """One closed minute. A position that is being sold moves its marks and asks for nothing more."""
    was_exiting = held.stop_mode is StopMode.EXITING
    held = _marked(held, minute)
    if was_exiting:
        return Step(held=held)
    leave = _leave(held, minute, rules.exit)
    if leave is not None:
        return Step(held=replace(held, stop_mode=StopMode.EXITING), leave=leave)
    if minute.closing or not minute.traded or _is_through(held, minute.price):
        return Step(held=held)  # at the close nothing is sent; through a resting stop the broker is selling
    return _into_strength(held, minute, rules)


def _marked(held: Held, minute: Minute) -> Held:
    """High water, and ten-minute closes below the pivot in a row."""
    if minute.traded and minute.price > held.high_water:
        held = replace(held, high_water=minute.price)
    if held.pivot is None or minute.breakout_close is None or minute.at <= held.entered_at:
        return held
    if minute.breakout_close < held.pivot:
        mode = StopMode.CAUTION if held.stop_mode is StopMode.OPEN else held.stop_mode
        return replace(held, invalidations=held.invalidations + 1, stop_mode=mode)
    calm = held.stop_mode is StopMode.CAUTION and held.r2_state is TrimState.OPEN
    return replace(held, invalidations=0, stop_mode=StopMode.OPEN if calm else held.stop_mode)


def _leave(held: Held, minute: Minute, rules: ExitRules) -> Leave | None:
    """The first reason to sell all. What is decided at the close is sold at the next open, as market."""
    if minute.traded and _is_through(held, minute.price) and not held.stop_resting:
        return Leave(STOP_HIT, market=True)
    if held.invalidations >= rules.invalidations:
        return Leave(INVALIDATED, market=minute.closing or _is_through(held, minute.price))
    if rules.end_of_day and minute.to_close_s <= rules.end_of_day_before:
        return Leave(END_OF_DAY, market=minute.to_close_s <= rules.end_of_day_market_before)
    return None


def _is_through(held: Held, price: float) -> bool:
    return held.stop is not None and exact(price) <= held.stop


def _into_strength(held: Held, minute: Minute, rules: Rules) -> Step:
    """Trims, then the highest of all stops that the trims and the structure give."""
    trims: list[Trim] = []
    stops: list[Raise] = []
    after, marked_r1 = _trim_at_r1(held, minute.price, rules, trims, stops)
    after, marked_r2 = _trim_at_r2(after, minute.price, rules, trims, stops)
    structural = structural_stop(minute.phase, float(held.avg_price), minute.lows, rules.stop)
    if structural is not None:
        stops.append(_on_grid(structural))
    floor = held.stop if held.stop is not None else Decimal(0)
    higher = max((stop for stop in stops if stop.stop > floor), key=_height, default=None)
    if higher is not None and higher.stop >= exact(minute.price):
        return Step(
            held=replace(held, stop_mode=StopMode.EXITING, high_water=after.high_water),
            leave=Leave(STOP_ABOVE_PRICE, market=True),
        )
    if higher is not None:
        after = replace(after, stop=higher.stop)
    return Step(held=after, trims=tuple(trims), stop=higher, r1_marked=marked_r1, r2_marked=marked_r2)


def _trim_at_r1(held: Held, price: float, rules: Rules, trims: list[Trim], stops: list[Raise]) -> tuple[Held, bool]:
    """Once at R1: sell a part, stop to the pivot and to break-even. True where nothing could be sold."""
    if held.r1 is None or held.r1_state is not TrimState.OPEN or price < held.r1:
        return held, False
    if held.pivot is not None:
        stops.append(Raise(round_down(held.pivot), "r1_pivot"))
    if rules.trim.breakeven_on_r1:
        stops.append(Raise(round_up(held.avg_price), "r1_breakeven"))
    if trim_shares(held.qty, rules.trim.r1_fraction) == 0:
        return replace(held, r1_state=TrimState.DONE), True
    trims.append(Trim("r1", rules.trim.r1_fraction))
    return replace(held, r1_state=TrimState.WORKING), False


def _trim_at_r2(held: Held, price: float, rules: Rules, trims: list[Trim], stops: list[Raise]) -> tuple[Held, bool]:
    """Once at R2: sell a part of what is left; from then on the stop trails. True where nothing could be sold."""
    r2, pivot = held.r2, held.pivot
    if r2 is None or pivot is None or r2 <= pivot:
        return held, False
    marked = False
    if held.r2_state is TrimState.OPEN and price >= r2:
        left = held.qty
        if held.r1_state is TrimState.WORKING:
            left -= trim_shares(held.qty, rules.trim.r1_fraction)
        marked = trim_shares(left, rules.trim.r2_fraction) == 0
        if not marked:
            trims.append(Trim("r2", rules.trim.r2_fraction))
        state = TrimState.DONE if marked else TrimState.WORKING
        held = replace(held, r2_state=state, stop_mode=StopMode.CAUTION)
    if held.r2_state is not TrimState.OPEN:
        trail = trailing_stop(held.high_water, pivot, r2, rules.stop)
        stops.append(_on_grid(StopLevel(trail, "trail")))
    return held, marked


def _on_grid(level: StopLevel) -> Raise:
    return Raise(round_down(level.price), level.basis)


def _height(stop: Raise) -> Decimal:
    return stop.stop
