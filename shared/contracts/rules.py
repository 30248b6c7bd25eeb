"""The settings of the trading rules: every number of docs/strategy.md, its default, its unit and its bounds.

Read once (shared/runtime/settings.py) and passed in small pieces to the pure functions that follow them.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.contracts.vocabulary import PivotSource

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """One table of the configuration file. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class LevelRules(Section):
    """Section 2: levels from completed daily bars."""

    pivot: PivotSource = PivotSource.SWING_HIGH
    swing_wing: Annotated[int, Field(ge=1, le=20)] = Field(3, description="bars on each side of a swing high")
    r1_multiple: Annotated[float, Field(gt=0)] = Field(0.5, description="R1 = pivot + this x prior range")
    r2_multiple: Annotated[float, Field(gt=0)] = Field(1.0, description="R2 = pivot + this x prior range")
    history: Annotated[int, Field(ge=20, le=1000)] = Field(250, description="completed sessions seen")
    slope_sessions: Annotated[int, Field(ge=1)] = Field(5, description="sessions over which AVWAP's slope is taken")
    atr_sessions: Annotated[int, Field(ge=2)] = Field(14, description="sessions of Wilder's ATR")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.r2_multiple <= self.r1_multiple:
            raise ValueError("r2_multiple must be above r1_multiple")
        return self


class StopRules(Section):
    """Sections 2 and 8: where stops lie."""

    min_distance: Fraction = Field(0.015, description="fraction of the price (first stop) or entry (structural)")
    buffer: Annotated[float, Field(ge=0)] = Field(0.10, description="dollars below a swing low")
    intraday_minutes: Annotated[int, Field(ge=1, le=30)] = Field(5, description="bars of the intraday higher low")
    intraday_min_bars: Annotated[int, Field(ge=3)] = 6
    intraday_after: Seconds = Field(1200, description="seconds after the entry before an intraday low counts")
    intraday_after_bars: Annotated[int, Field(ge=0)] = Field(4, description="five-minute bars after the entry")
    trail_fraction: Fraction = Field(0.5, description="of R2 - pivot, below high water, after R2")


class GlobalRegimeRules(Section):
    """Section 3: SPY's regime."""

    symbol: str = "SPY"
    unit: Annotated[str, Field(pattern="^(price|percent)$")] = "price"
    off_slope: float = -0.20
    defensive_slope: float = 0.0
    average: Annotated[int, Field(ge=2)] = Field(5, description="sessions of the moving average")
    range_sessions: Annotated[int, Field(ge=2)] = 10
    expansion: Annotated[float, Field(gt=0)] = 1.5
    adverse_sessions: Annotated[int, Field(ge=1)] = 8
    off_adverse: Annotated[int, Field(ge=1)] = 3
    defensive_adverse: Annotated[int, Field(ge=1)] = 1


class SymbolRegimeRules(Section):
    """Section 3: one symbol's distance from AVWAP, and AVWAP's slope, in percent."""

    max_dist_enter: float = 6.0
    max_dist_add: float = 8.0
    min_slope: float = -0.03


class BreakoutRules(Section):
    """Section 4: breakout and hold."""

    minutes: Annotated[int, Field(ge=1, le=60)] = Field(10, description="length of the bars, minutes")
    fresh: bool = Field(True, description="the close before the break must lie at or below the pivot")
    first: dt.time = Field(dt.time(9, 45), description="earliest confirmation, New York")
    last: dt.time = Field(dt.time(15, 30), description="latest confirmation, New York, on a full day")
    last_before_close: Seconds = Field(1800, description="latest confirmation on a half day, seconds before the close")
    min_rvol: Annotated[float, Field(ge=0)] = 0.8
    rvol_sessions: Annotated[int, Field(ge=1)] = 20


class RiskRules(Section):
    """Sections 5 and 9: what one entry may risk, and what the account may hold."""

    max_pct: Annotated[float, Field(gt=0)] = Field(4.0, description="price - first stop, percent of the price")
    max_per_share: Annotated[float, Field(gt=0)] | None = Field(None, description="dollars; none: no bound")


class SizeRules(Section):
    """Section 6: how many shares."""

    base_fraction: Fraction = Field(0.02, description="of equity, before the scale")
    max_fraction: Fraction = Field(0.10, description="of equity, at most")
    max_dist_pct: Annotated[float, Field(gt=0)] = 6.0
    floor_scale: Fraction = 0.25
    correlation_sessions: Annotated[int, Field(ge=5)] = 60
    correlation_min_sessions: Annotated[int, Field(ge=2)] = 20
    correlation_from: Fraction = 0.6
    correlation_penalty: Fraction = 0.5


class EntryRules(Section):
    """Section 7: when and how an entry goes out. Times in seconds."""

    delay_min: Seconds = 60
    delay_max: Seconds = 240
    max_slip: Fraction = Field(0.0010, description="the drawn slip, fraction of the reference")
    limit_cap: Fraction = Field(0.0025, description="the limit never lies further above the reference")
    max_drift: Fraction = 0.01
    valid_for: Seconds = 300
    fill_for: Seconds = 300
    partial_for: Seconds = 3
    last_before_close: Seconds = Field(600, description="no entry is sent in the last seconds of the session")
    cancel_before_close: Seconds = 60

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.delay_max < self.delay_min:
            raise ValueError("delay_max must not be below delay_min")
        return self


class TrimRules(Section):
    """Section 8: selling into strength."""

    r1_fraction: Fraction = 0.5
    r2_fraction: Fraction = 0.5
    fill_for: Seconds = 60
    breakeven_on_r1: bool = True
    max_slip: Fraction = 0.0010


class ExitRules(Section):
    """Section 8: leaving."""

    slip: Fraction = Field(0.0025, description="limit below the last close")
    fill_for: Seconds = 30
    tries: Annotated[int, Field(ge=1, le=10)] = Field(3, description="limit orders before a market order")
    invalidations: Annotated[int, Field(ge=1)] = 2
    end_of_day: bool = False
    end_of_day_before: Seconds = 300
    end_of_day_market_before: Seconds = 120


class ProtectionRules(Section):
    max_gap: Seconds = Field(5, description="seconds shares may stay without a resting stop")
    renew_before_days: Annotated[int, Field(ge=1, le=60)] = 10


class CandidateRules(Section):
    """Section 1: who may be bought."""

    watchlist: tuple[str, ...] = ()
    watchlist_file: str | None = None
    scan_file: str | None = None
    max_age: Seconds | None = Field(86_400, description="seconds; a scan file older than this is refused; none: off")
    ttl: Seconds = 21_600


class LimitRules(Section):
    """Section 9: what the ledger enforces."""

    max_positions: Annotated[int, Field(ge=1)] = 5
    max_orders: Annotated[int, Field(ge=1)] = Field(20, description="entry orders a day")
    gross: Annotated[float, Field(gt=0)] = Field(1.0, description="fraction of equity")
    per_symbol: Fraction = 0.10
    per_sector: Fraction = 0.30
    allow: tuple[str, ...] = ()
    block: tuple[str, ...] = ()
    daily_loss: Fraction = 0.02
    drawdown: Fraction = 0.10
    cooldown_minutes: Annotated[int, Field(ge=0)] = Field(120, description="market minutes")
    feed_silent_after: Seconds = 90
    stale_data_after: Seconds = 600


class StrategyRules(Section):
    """allow_adds is refused in this version: an ADD regime is reported only."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,16}$")] = "boh"
    allow_adds: bool = False

    @model_validator(mode="after")
    def _no_adds(self) -> Self:
        if self.allow_adds:
            raise ValueError("allow_adds is not supported in this version; remove it or set it to false")
        return self


class Rules(BaseModel):
    """All of them, as they stand in the configuration file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: CandidateRules = CandidateRules()
    levels: LevelRules = LevelRules()
    regime: GlobalRegimeRules = GlobalRegimeRules()
    symbol_regime: SymbolRegimeRules = SymbolRegimeRules()
    breakout: BreakoutRules = BreakoutRules()
    risk: RiskRules = RiskRules()
    size: SizeRules = SizeRules()
    entry: EntryRules = EntryRules()
    stop: StopRules = StopRules()
    trim: TrimRules = TrimRules()
    exit: ExitRules = ExitRules()
    protection: ProtectionRules = ProtectionRules()
    limits: LimitRules = LimitRules()
    strategy: StrategyRules = StrategyRules()
