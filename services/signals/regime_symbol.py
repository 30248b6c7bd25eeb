"""One symbol's regime: how far it has run from its AVWAP, and whether that still rises (docs/strategy.md section 3)."""

from __future__ import annotations

from shared.contracts.rules import SymbolRegimeRules
from shared.contracts.vocabulary import SymbolRegime


def symbol_regime(
    dist_pct: float | None, avwap_slope: float | None, held: bool, rules: SymbolRegimeRules
) -> SymbolRegime:
    """ENTER when flat, ADD when held, else HOLD_ONLY. Distance and slope in percent.

    An unknown slope (a young anchor) passes. An unknown distance (no volume at all since the anchor) does not: a gate
    fails closed.
    """
    furthest = rules.max_dist_add if held else rules.max_dist_enter
    if dist_pct is None or dist_pct > furthest:
        return SymbolRegime.HOLD_ONLY
    if avwap_slope is not None and avwap_slope < rules.min_slope:
        return SymbolRegime.HOLD_ONLY
    return SymbolRegime.ADD if held else SymbolRegime.ENTER
