"""A position as the fold of its executions: whole shares, exact dollars, long only."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, assert_never

from msgspec import Struct
from msgspec.structs import replace

from shared.contracts.vocabulary import Side

SHOWN: Final = Decimal("0.000001")
"""Averages are kept to a millionth of a dollar; sums are exact."""


class Fill(Struct, frozen=True, kw_only=True):
    """One execution of an order of ours. execution_id: the broker's, unique. qty: shares. price: dollars a share."""

    execution_id: str
    side: Side
    qty: int
    price: Decimal
    at: dt.datetime


class Split(Struct, frozen=True, kw_only=True):
    """`old` shares became `new` ones: 4 for 1 is new=4, old=1; a reverse split of 1 for 10 is new=1, old=10."""

    new: int
    old: int
    at: dt.datetime


Happening = Fill | Split


class Holding(Struct, frozen=True, kw_only=True):
    """What the executions of one position add up to.

    bought, sold: shares, ever, in today's shares after splits. paid, received: exact dollars.
    oversold: shares sold beyond what was held. They are counted here and nowhere else: `qty` never falls below zero and
    no dollar of them is booked, since a short position is an error to be looked at, not a trade.
    left_over: shares, below one, that a split leaves to be paid out in cash by the broker.
    """

    bought: int = 0
    sold: int = 0
    paid: Decimal = Decimal(0)
    received: Decimal = Decimal(0)
    oversold: int = 0
    left_over: Decimal = Decimal(0)
    first_bought_at: dt.datetime | None = None
    last_bought_at: dt.datetime | None = None
    last_sold_at: dt.datetime | None = None

    @property
    def qty(self) -> int:
        """Shares held now."""
        return self.bought - self.sold

    @property
    def avg_price(self) -> Decimal:
        """Dollars a share over all that was bought, to a millionth; 0 before the first purchase."""
        return _shown(self.paid / self.bought) if self.bought else Decimal(0)

    @property
    def realized(self) -> Decimal:
        """Dollars won by what was sold, against the average price; exact to the cent once all is sold."""
        if self.qty == 0:
            return self.received - self.paid
        return _shown(self.received - self.paid * self.sold / self.bought)


def fold(happenings: Iterable[Happening], start: Holding | None = None) -> Holding:
    """The holding after `happenings`, in their order; an execution id that comes again is booked once."""
    holding = start or Holding()
    seen: set[str] = set()
    for happening in happenings:
        match happening:
            case Fill():
                if happening.execution_id in seen:
                    continue
                seen.add(happening.execution_id)
                holding = book(holding, happening)
            case Split():
                holding = split(holding, happening.new, happening.old)
            case _:
                assert_never(happening)
    return holding


def book(holding: Holding, fill: Fill) -> Holding:
    """`holding` with one execution more. Raises ValueError for one without shares or a price."""
    if fill.qty <= 0 or fill.price <= 0:
        raise ValueError(
            f"execution {fill.execution_id} of {fill.qty} shares at {fill.price}: neither may be below one"
        )
    if fill.side is Side.BUY:
        return replace(
            holding,
            bought=holding.bought + fill.qty,
            paid=holding.paid + fill.qty * fill.price,
            first_bought_at=holding.first_bought_at or fill.at,
            last_bought_at=fill.at,
        )
    booked = min(fill.qty, holding.qty)
    return replace(
        holding,
        sold=holding.sold + booked,
        received=holding.received + booked * fill.price,
        oversold=holding.oversold + fill.qty - booked,
        last_sold_at=fill.at,
    )


def split(holding: Holding, new: int, old: int) -> Holding:
    """`holding` in the shares after a split; a fraction of a share goes to `left_over`. Dollars stay as they are.

    Raises ValueError for a ratio that is not positive.
    """
    if new <= 0 or old <= 0:
        raise ValueError(f"a split of {new} for {old}: both must be above 0")
    held, rest = divmod(holding.qty * new, old)
    sold = holding.sold * new // old
    return replace(
        holding,
        sold=sold,
        bought=held + sold,
        left_over=holding.left_over + Decimal(rest) / Decimal(old),
    )


def scaled(price: Decimal, new: int, old: int) -> Decimal:
    """A price of before the split in dollars after it; not yet on the grid."""
    return price * old / new


def _shown(dollars: Decimal) -> Decimal:
    return dollars.quantize(SHOWN, rounding=ROUND_HALF_EVEN)
