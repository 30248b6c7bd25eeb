"""Verdicts and orders in words, for screens. JSON has the codes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

from shared.contracts.decisions import Figure
from shared.contracts.vocabulary import OrderKind, Reason
from shared.domain.calendar import NEW_YORK

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*[+Z]")

IN_WORDS: Final[Mapping[Reason, str]] = {
    Reason.STALE_DATA: "no bar of it for 10 minutes",
    Reason.HALTED: "trading in it is halted",
    Reason.NO_PIVOT: "no swing high to break",
    Reason.BAD_LEVELS: "its targets do not lie above the pivot",
    Reason.STALE_LEVELS: "daily bars do not reach the last session",
    Reason.NO_BREAK: "no close above the pivot",
    Reason.NOT_HELD: "broke out, did not hold",
    Reason.GAP: "bars missing between break and hold",
    Reason.NOT_FRESH: "was above the pivot before",
    Reason.OUTSIDE_WINDOW: "too early or too late in the day",
    Reason.ALREADY_CONFIRMED: "had its breakout today",
    Reason.REGIME_GLOBAL: "broke out, the market is not NORMAL",
    Reason.REGIME_SYMBOL: "broke out, too far from its AVWAP or AVWAP falls",
    Reason.NO_STOP: "broke out, no place for a stop",
    Reason.EXTENDED: "broke out, already at R1",
    Reason.RISK_TOO_WIDE: "broke out, its stop is too far away",
    Reason.LOW_RVOL: "broke out on thin volume",
    Reason.CONFIRMED: "broke out and held",
    Reason.SPENT: "had its chance this session",
    Reason.NOT_TRADABLE: "the broker does not trade it",
    Reason.KILL_SWITCH: "trading is halted by a person",
    Reason.NOT_ARMED: "live trading is not armed",
    Reason.PAUSED: "entries are paused",
    Reason.MARKET_CLOSED: "too late, the session ends",
    Reason.FEED_SILENT: "the feed is silent",
    Reason.ACCOUNT_BLOCKED: "the broker blocks the account",
    Reason.FOREIGN: "shares or orders of somebody else",
    Reason.BLOCK_LIST: "on the block list",
    Reason.ALLOW_LIST: "not on the allow list",
    Reason.EXISTING_POSITION: "is held already",
    Reason.EXISTING_ORDER: "has an order at work",
    Reason.COOLDOWN: "traded too recently",
    Reason.MAX_POSITIONS: "as many positions as allowed",
    Reason.MAX_ORDERS: "as many orders today as allowed",
    Reason.DAILY_LOSS: "lost too much today",
    Reason.DRAWDOWN: "lost too much since the peak",
    Reason.EXPIRED: "came too late",
    Reason.FAILED_HOLD: "fell back below the pivot",
    Reason.DRIFT: "ran away from its confirmation",
    Reason.SIZE_ZERO: "too small for one share",
    Reason.SECTOR_CAP: "too much in its sector",
    Reason.SYMBOL_CAP: "too much in one symbol",
    Reason.GROSS_CAP: "too much invested",
    Reason.BUYING_POWER: "not enough buying power",
    Reason.ADMITTED: "bought",
}

ORDER_WORDS: Final[Mapping[OrderKind, str]] = {
    OrderKind.ENTRY: "buys the breakout",
    OrderKind.STOP: "protects",
    OrderKind.TRIM: "sells into strength",
    OrderKind.EXIT: "leaves",
    OrderKind.FLAT: "sells all, as ordered",
}

WHY_WORDS: Final[Mapping[str, str]] = {
    "first_stop": "with the entry",
    "daily_swing_low": "below the daily swing low",
    "intraday_hl": "below a higher low of today",
    "r1_breakeven": "R1 was reached, so to the entry price",
    "trail": "R2 was reached, so it trails",
    "stop_hit": "the price fell to the stop",
    "invalidated": "fell back below the pivot",
    "end_of_day": "the session ends",
    "stop_above_price": "the stop would lie above the price",
    "operator": "ordered by a person",
}
"""Why a stop lies where it lies, and why a position is left: the codes of docs/strategy.md sections 8 and 9."""


def why_in_words(code: str) -> str:
    """What the basis of a stop, or the reason of an exit, means."""
    return WHY_WORDS.get(code, code.replace("_", " "))


def reason_in_words(code: str) -> str:
    """What a reason's code means; the code itself where a newer ledger has one this program does not know."""
    try:
        return IN_WORDS[Reason(code)]
    except ValueError:
        return code


def figures_in_words(figures: Mapping[str, Figure]) -> str:
    """`pivot 101.20, last bar end 09:40`: what the rule saw, unknown figures left out; times by New York's clock."""
    return ", ".join(
        f"{name.replace('_', ' ')} {_figure(value)}" for name, value in figures.items() if value is not None
    )


def _figure(value: Figure) -> str:
    if isinstance(value, float | int):
        return f"{value:,.4f}".rstrip("0").rstrip(".")
    if isinstance(value, str) and TIME.match(value):
        return f"{dt.datetime.fromisoformat(value).astimezone(NEW_YORK):%H:%M}"
    return str(value)
