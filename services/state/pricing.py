"""When an entry falls due, and at what prices orders go out (docs/strategy.md sections 7 and 8).

Drawn figures are hashes of named things: nobody else can foresee them without the salt, and a restart or a replay with
the same salt draws the same.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from shared.contracts.money import SUB_DOLLAR_TICK, exact, figure, round_down, round_up
from shared.contracts.rules import EntryRules, ExitRules, StopRules, TrimRules
from shared.domain.draws import draw

ONE: Final = Decimal(1)


def due_at(
    confirmed_at: dt.datetime, rules: EntryRules, *, salt: str, strategy: str, session: dt.date, symbol: str
) -> dt.datetime:
    """When a confirmation falls due: a drawn delay after it, in whole seconds, since state's clock ticks in seconds."""
    chance = draw(salt, "delay", strategy, session, symbol)
    delay_s = round(rules.delay_min + chance * (rules.delay_max - rules.delay_min))
    return confirmed_at + dt.timedelta(seconds=min(max(delay_s, rules.delay_min), rules.delay_max))


def entry_slip(rules: EntryRules, *, salt: str, strategy: str, session: dt.date, symbol: str) -> float:
    """The drawn fraction, 0 to `max_slip`, by which an entry's limit lies above its reference."""
    return draw(salt, "slip", strategy, session, symbol) * rules.max_slip


def trim_slip(rules: TrimRules, *, salt: str, strategy: str, session: dt.date, symbol: str, level: str) -> float:
    """The drawn fraction, 0 to `max_slip`, by which a trim's limit lies below the last close. level: r1 or r2."""
    return draw(salt, "trim", strategy, session, symbol, level) * rules.max_slip


def entry_limit(reference: float, slip_fraction: float, rules: EntryRules) -> Decimal:
    """Marketable limit of an entry: `reference` raised by the slip, up to the grid, within [reference, its cap].

    reference: last closed one-minute close, dollars. Where no step of the grid lies within, as for a reference of
    2.0044 whose cap is 2.0094, the cap wins: a limit below the market may miss a trade, one above it may not be bought.
    Raises ValueError for a slip outside 0 to `limit_cap`, or a price that is not positive.
    """
    if not 0 <= slip_fraction <= rules.limit_cap:
        raise ValueError(f"slip of {slip_fraction}, allowed is 0 to {rules.limit_cap}")
    price = _positive(reference)
    wanted = round_up(price * (ONE + _fraction(slip_fraction)))
    highest = price * (ONE + _fraction(rules.limit_cap))
    return wanted if wanted <= highest else _at_least_a_tick(round_down(highest))


def trim_limit(last_close: float, slip_fraction: float) -> Decimal:
    """Limit of a trim: the last close less the slip, down to the grid. Raises ValueError as `entry_limit`."""
    return _below(last_close, slip_fraction)


def exit_limit(last_close: float, rules: ExitRules) -> Decimal:
    """Limit of a full exit: the last close less `slip`, down to the grid. Raises ValueError as `entry_limit`."""
    return _below(last_close, rules.slip)


def first_stop(
    price: Decimal | float, swing_low: float | None, rules: StopRules, scan_stop: float | None = None
) -> Decimal | None:
    """First stop of an entry at `price` dollars, down to the grid; None where there is none below the price.

    swing_low: the most recent daily one, dollars. scan_stop: the scan row's stop, which then stands in its place.
    """
    bought_at = exact(price)
    if scan_stop is not None:
        stop = exact(scan_stop)
    elif swing_low is None:
        return None
    else:
        stop = exact(figure(swing_low - rules.buffer))
        if stop < bought_at:
            stop = min(stop, bought_at * (ONE - _fraction(rules.min_distance)))
    if not 0 < stop < bought_at:
        return None
    on_grid = round_down(stop)
    return on_grid if on_grid > 0 else None


def resting_stop(stop: Decimal) -> Decimal:
    """A stop as it is sent: down to the grid."""
    return round_down(stop)


def _below(last_close: float, fraction: float) -> Decimal:
    if not 0 <= fraction < 1:
        raise ValueError(f"slip of {fraction}, allowed is 0 to below 1")
    return _at_least_a_tick(round_down(_positive(last_close) * (ONE - _fraction(fraction))))


def _at_least_a_tick(price: Decimal) -> Decimal:
    return max(price, SUB_DOLLAR_TICK)


def _positive(price: float) -> Decimal:
    value = exact(price)
    if value <= 0:
        raise ValueError(f"{price} is no price: it must be above 0")
    return value


def _fraction(value: float) -> Decimal:
    return exact(figure(value))
