"""What refused breakouts did until the session's close, by the recorded minutes, and what they would have brought.

Nobody traded them, so this is an estimate: it buys at the price that was seen when they were refused, with the first
stop that the rules would have given, and holds to the stop or the close. No trims, no raised stops, no slippage.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from cli.reporting.rows import Market, Minute, Recorded, Rows
from services.state.model import EntryRow
from services.state.records import VerdictRow
from shared.contracts.rules import StopRules
from shared.domain.levels import first_stop

NOTHING_AFTER: Final = "no minute of it was recorded afterwards"


class Afterwards(Struct, frozen=True, kw_only=True):
    """From the refusal to the session's close, dollars a share. best, worst: moves from the price, never below 0 and
    never above 0. best_r, worst_r, would_r: in units of price less stop; None without a stop. would_end: `stop` or
    `close`, whichever would have sold.
    """

    best: float
    worst: float
    last: float
    best_r: float | None
    worst_r: float | None
    would_r: float | None
    would_end: str


class RefusedBreakout(Struct, frozen=True, kw_only=True):
    """A breakout that held and was not bought. stage: who refused: `signals`, or the account at `arrival` or `due`.

    price: dollars when it was refused. stop: the first stop that it would have had. unknown: why nothing is said of
    afterwards; empty where it is.
    """

    session: dt.date
    symbol: str
    at: dt.datetime
    stage: str
    reason: str
    price: float
    stop: float | None
    afterwards: Afterwards | None
    unknown: str


def refused_breakouts(rows: Rows, market: Market, rules: StopRules) -> tuple[RefusedBreakout, ...]:
    """Of every refusal of a confirmation that had a price, by time. Others, such as silent data, are only counted."""
    closes = {row.session: row.closes_at for row in rows.sessions}
    found = [
        _refused(verdict, price, rows.entries.get(verdict.cause), market, closes[verdict.session], rules)
        for verdict in rows.refused
        if (price := price_of(verdict, rows.entries.get(verdict.cause))) is not None
    ]
    return tuple(sorted(found, key=lambda one: (one.at, one.symbol, one.stage)))


def price_of(verdict: VerdictRow, entry: EntryRow | None) -> float | None:
    """The last price that was seen when it was refused, dollars; None where no breakout had held."""
    reference = verdict.figures.get("reference") or (entry.reference if entry is not None else None)
    if reference is None:
        reference = entry.confirm_close if entry is not None else verdict.figures.get("hold_close")
    return float(reference) if isinstance(reference, int | float) and reference > 0 else None


def follow(price: float, stop: float | None, minutes: Sequence[Minute]) -> Afterwards | None:
    """minutes: those that began at or after the refusal, in order. None without any."""
    if not minutes:
        return None
    risk = price - stop if stop is not None else None
    best = max(0.0, max(minute.high for minute in minutes) - price)
    worst = min(0.0, min(minute.low for minute in minutes) - price)
    last = minutes[-1].close - price
    made, end = last, "close"
    hit = next((minute for minute in minutes if stop is not None and minute.low <= stop), None)
    if stop is not None and hit is not None:
        made, end = min(stop, hit.open) - price, "stop"  # a gap through it fills at the open
    return Afterwards(
        best=round(best, 9),
        worst=round(worst, 9),
        last=round(last, 9),
        best_r=_in_risk(best, risk),
        worst_r=_in_risk(worst, risk),
        would_r=_in_risk(made, risk),
        would_end=end,
    )


def _refused(
    verdict: VerdictRow,
    price: float,
    entry: EntryRow | None,
    market: Market,
    closes_at: dt.datetime,
    rules: StopRules,
) -> RefusedBreakout:
    recorded = market.recorded.get((verdict.session, verdict.symbol))
    stop = _stop(verdict, entry, price, recorded, rules)
    minutes = _after(recorded, verdict.at, closes_at)
    afterwards = follow(price, stop, minutes)
    unknown = "" if afterwards is not None else market.missing.get(verdict.session, NOTHING_AFTER)
    return RefusedBreakout(
        session=verdict.session,
        symbol=verdict.symbol,
        at=verdict.at,
        stage=verdict.stage,
        reason=verdict.reason,
        price=price,
        stop=stop,
        afterwards=afterwards,
        unknown=unknown,
    )


def _stop(
    verdict: VerdictRow, entry: EntryRow | None, price: float, recorded: Recorded | None, rules: StopRules
) -> float | None:
    """What the rules gave; where they refused before they came to it, what they would have given."""
    if entry is not None:
        given: float | None = entry.first_stop
    elif "first_stop" in verdict.figures:
        figure = verdict.figures["first_stop"]
        given = float(figure) if isinstance(figure, int | float) else None
    else:
        given = first_stop(recorded.swing_low, price, rules) if recorded is not None else None
    return given if given is not None and given < price else None


def _after(recorded: Recorded | None, at: dt.datetime, closes_at: dt.datetime) -> list[Minute]:
    return [minute for minute in recorded.minutes if at <= minute.start < closes_at] if recorded is not None else []


def _in_risk(move: float, risk: float | None) -> float | None:
    return round(move / risk, 6) if risk is not None and risk > 0 else None
