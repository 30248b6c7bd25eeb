"""Builds the `MarketContext` of a cycle: the ledger's rows, and levels and regimes by the rules that signals follow."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal

from cli.picture import Picture
from services.signals.avwap import dist_pct
from services.signals.levels import DailyLevels, daily_levels
from services.signals.regime_global import market_regime
from services.signals.regime_symbol import symbol_regime
from services.state.model import Candidate, Position
from services.state.records import VerdictRow
from shared.contracts.context import CandidateContext, MarketContext, MarketRegimeContext, PositionContext
from shared.contracts.market import DailyBar, DailyHistory
from shared.contracts.rules import Rules
from shared.domain import calendar
from shared.runtime.bus import Bus

History = Mapping[str, Sequence[DailyBar]]


def histories(bus: Bus, session: dt.date) -> History:
    """Daily bars by symbol, as market_data published them for `session`. Raises BusDown."""
    found = (entry.message for entry in bus.read_up_to("daily", "0", "+"))
    return {
        message.symbol: message.bars
        for message in found
        if isinstance(message, DailyHistory) and message.session == session
    }


def market_context(at: dt.datetime, seen: Picture, known: History, rules: Rules) -> MarketContext:
    """The market as it stands at `at`, UTC."""
    regime = market_regime(known.get(rules.regime.symbol, ()), rules.regime)
    held = {position.symbol for position in seen.held}
    verdicts = seen.last_verdicts()
    account = seen.account
    return MarketContext(
        at=at,
        session=seen.session,
        phase=calendar.phase_of(at, calendar.session(seen.session)),
        regime=MarketRegimeContext(
            state=regime.state,
            slope=regime.slope,
            average_range=regime.average_range,
            adverse_count=regime.adverse_count,
            bars=regime.bars,
        ),
        candidates=tuple(
            _candidate(candidate, known.get(candidate.symbol, ()), verdicts.get(candidate.symbol), held, rules)
            for candidate in seen.candidates
            if candidate.active
        ),
        positions=tuple(_position(position) for position in seen.held),
        equity=account.equity if account is not None else Decimal(0),
        cash=account.cash if account is not None else Decimal(0),
    )


def _candidate(
    candidate: Candidate, bars: Sequence[DailyBar], verdict: VerdictRow | None, held: set[str], rules: Rules
) -> CandidateContext:
    levels = daily_levels(bars, rules.levels)
    price = _price(levels, verdict)
    distance = dist_pct(price, levels.avwap.value) if price is not None and levels.avwap is not None else None
    slope = levels.avwap.slope if levels.avwap is not None else None
    pivot = candidate.pivot if candidate.pivot is not None else levels.pivot.price if levels.pivot else None
    known = bool(bars)
    return CandidateContext(
        symbol=candidate.symbol,
        strategy=candidate.strategy,
        regime=symbol_regime(distance, slope, candidate.symbol in held, rules.symbol_regime) if known else None,
        price=price,
        pivot=pivot,
        dist_pct=distance,
        avwap_slope=slope,
        spent=candidate.spent,
        verdict=verdict.reason if verdict is not None else "",
    )


def _price(levels: DailyLevels, verdict: VerdictRow | None) -> float | None:
    close = verdict.figures.get("hold_close") if verdict is not None else None
    if isinstance(close, float | int):
        return float(close)
    return levels.last.close if levels.last is not None else None


def _position(position: Position) -> PositionContext:
    return PositionContext(
        symbol=position.symbol,
        qty=position.qty,
        avg_price=position.avg_price,
        stop=position.stop,
        stop_mode=position.stop_mode,
        r1=position.r1,
        r2=position.r2,
    )
