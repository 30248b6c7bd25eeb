"""How many shares an entry buys (docs/strategy.md section 6). Floats in, whole shares out; the limit price is exact.

Figures are rounded to nine decimals before they are compared or cut to whole shares, so that 1,200.0000000000002
dollars at 10 are 120 shares, and 1,199.9999999999998 too.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import pairwise

from shared.contracts.money import figure
from shared.contracts.rules import SizeRules


def shares(
    equity: Decimal | float,
    price: Decimal | float,
    rules: SizeRules,
    *,
    dist_pct: float = 0.0,
    atr_pct: float = 0.0,
    penalty: float = 0.0,
) -> int:
    """Whole shares for `equity` dollars at `price` dollars a share; 0 where one share is too much.

    dist_pct: percent above AVWAP. atr_pct: percent of the price. penalty: `correlation_penalty`, taken as 0 to 1.
    Raises ValueError for equity or a price that is not positive.
    """
    return shares_at_scale(equity, price, volatility_scale(dist_pct, atr_pct, rules), rules, penalty=penalty)


def shares_at_scale(
    equity: Decimal | float, price: Decimal | float, scale: float, rules: SizeRules, *, penalty: float = 0.0
) -> int:
    """As `shares`, with the volatility's scale (0 to 1) already known."""
    if not equity > 0 or not price > 0:
        raise ValueError(f"no size for {equity} dollars at a price of {price}: both must be above 0")
    kept = 1.0 - min(max(penalty, 0.0), 1.0)
    dollars = min(float(equity) * rules.base_fraction * scale * kept, float(equity) * rules.max_fraction)
    return math.floor(figure(dollars / float(price)))


def volatility_scale(dist_pct: float, atr_pct: float, rules: SizeRules) -> float:
    """1 for a quiet stock at its AVWAP, down to `floor_scale` for one that is far off it or moves much."""
    volatility = max(dist_pct, atr_pct, 0.0)
    return max(rules.floor_scale, 1.0 - min(volatility / rules.max_dist_pct, 1.0))


def scale_for(dist_pct: float | None, atr_pct: float | None, rules: SizeRules) -> float:
    """The scale where a figure may be unknown: what cannot be measured is bought as if it were wild."""
    if dist_pct is None or atr_pct is None:
        return rules.floor_scale
    return volatility_scale(dist_pct, atr_pct, rules)


def correlation_penalty(correlations: Iterable[float], rules: SizeRules) -> float:
    """Fraction by which the size shrinks: 0 up to a mean |correlation| of 0.6, then linear to 0.5 at 1.0; 0 for none.

    correlations: with each held symbol for which it is known.
    """
    sizes = [abs(value) for value in correlations]
    if not sizes:
        return 0.0
    mean = figure(sum(sizes) / len(sizes))
    if mean <= rules.correlation_from:
        return 0.0
    span = 1.0 - rules.correlation_from
    return figure(rules.correlation_penalty * min((mean - rules.correlation_from) / span, 1.0))


DailyCloses = Sequence[tuple[dt.date, float]]
"""(session, close in dollars) of completed sessions, oldest first."""


def correlations_with(closes: DailyCloses, held: Iterable[DailyCloses], rules: SizeRules) -> list[float]:
    """Correlation of daily returns with each held symbol, over the sessions that both have of their last 60.

    A symbol with fewer than 20 common sessions, or a constant price, is left out: it is unknown, not uncorrelated.
    """
    own = _returns(closes, rules.correlation_sessions)
    known = (_correlation(own, _returns(other, rules.correlation_sessions), rules) for other in held)
    return [value for value in known if value is not None]


def _returns(closes: DailyCloses, sessions: int) -> dict[dt.date, float]:
    last = closes[-(sessions + 1) :]
    return {session: close / before - 1.0 for (_, before), (session, close) in pairwise(last) if before > 0}


def _correlation(own: dict[dt.date, float], other: dict[dt.date, float], rules: SizeRules) -> float | None:
    common = [session for session in own if session in other]
    if len(common) < rules.correlation_min_sessions:
        return None
    xs, ys = [own[session] for session in common], [other[session] for session in common]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread_x = sum((x - mean_x) ** 2 for x in xs)
    spread_y = sum((y - mean_y) ** 2 for y in ys)
    if figure(spread_x) == 0.0 or figure(spread_y) == 0.0:
        return None
    together = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return figure(together / math.sqrt(spread_x * spread_y))
