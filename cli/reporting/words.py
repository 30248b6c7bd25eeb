"""Figures of a report as people read them, the same on the terminal and on the page. Unknown is `-`, never 0."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from cli.show import NEW_YORK
from shared.domain.words import why_in_words

UNKNOWN: Final = "-"
MINUTE_S: Final = 60
HOUR_S: Final = 3_600
DAY_S: Final = 86_400


def money(amount: Decimal | float | None) -> str:
    """`+12.30` dollars."""
    return _whole_zero(f"{amount:+,.2f}") if amount is not None else UNKNOWN


def price(amount: Decimal | float | None) -> str:
    """`104.62` dollars; four digits below one dollar."""
    if amount is None:
        return UNKNOWN
    return f"{amount:,.2f}" if amount >= 1 else f"{amount:,.4f}"


def in_r(multiple: float | None, digits: int = 2) -> str:
    """`+0.50 R`."""
    return _whole_zero(f"{multiple:+.{digits}f}") + " R" if multiple is not None else UNKNOWN


def percent(fraction: float | None, digits: int = 1) -> str:
    """`33.3 %` of a fraction."""
    return f"{100 * fraction:.{digits}f} %" if fraction is not None else UNKNOWN


def basis_points(points: float | None) -> str:
    """`+0.3 bp`."""
    return _whole_zero(f"{points:+.1f}") + " bp" if points is not None else UNKNOWN


def lasted(seconds: float | None) -> str:
    """`3 h 26 min`: the two largest units."""
    if seconds is None:
        return UNKNOWN
    whole = round(seconds)
    if whole < MINUTE_S:
        return f"{whole} s"
    if whole < HOUR_S:
        return _two(whole // MINUTE_S, "min", whole % MINUTE_S, "s")
    if whole < DAY_S:
        return _two(whole // HOUR_S, "h", whole % HOUR_S // MINUTE_S, "min")
    return _two(whole // DAY_S, "d", whole % DAY_S // HOUR_S, "h")


def moment(at: dt.datetime | None, *, year: bool = False) -> str:
    """`02-11 09:55` of New York; `2015-02-11 09:55` with the year."""
    if at is None:
        return UNKNOWN
    local = at.astimezone(NEW_YORK)
    return f"{local:%Y-%m-%d %H:%M}" if year else f"{local:%m-%d %H:%M}"


def left_by(code: str) -> str:
    """What sold the last share: the reason of an exit or trim in words, or its stop."""
    if code in ("r1", "r2"):
        return f"a trim at {code.upper()}"
    return "its stop" if code == "stop" else why_in_words(code)


def _whole_zero(text: str) -> str:
    """What rounds to nothing has no sign of its own: `+0.00`, never `-0.00`."""
    return text if text.strip("+-0.") else f"+{text[1:]}"


def _two(large: int, of_large: str, small: int, of_small: str) -> str:
    return f"{large} {of_large} {small} {of_small}" if small else f"{large} {of_large}"
