"""What to ask of the broker next, so that a halt level holds there: pure, and worked out anew at every look.

halt      entries end; what they bought meanwhile gets its stop back
flatten   entries, stops and limits end, then what is ours is sold at the market; with the market closed it is a halt
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from msgspec import Struct

from cli.operating.standing import Standing
from shared.contracts import ids
from shared.contracts.money import round_down
from shared.contracts.orders import BrokerOrder, OrderTerms
from shared.contracts.vocabulary import HaltLevel, OrderKind, OrderType, Side, TimeInForce
from shared.domain.order_life import IN_TRANSIT


class Cancel(Struct, frozen=True):
    """End an open order of ours."""

    order: BrokerOrder


class Send(Struct, frozen=True):
    """A sale, or a stop, under an id of its own."""

    terms: OrderTerms


Step = Cancel | Send


class Today(Struct, frozen=True, kw_only=True):
    """What holds for every symbol. session: the date in ids. open: the market is."""

    installation: str
    session: dt.date
    open: bool


class Plan(Struct, frozen=True):
    """steps: to be done now. waits: the broker is between two states; look again."""

    steps: tuple[Step, ...]
    waits: bool = False


NOTHING: Final = Plan(())


def plan(standing: Standing, level: HaltLevel, today: Today, *, refused: bool) -> Plan:
    """The next steps in one symbol. level: halt or flatten. refused: the broker keeps refusing its sale."""
    selling = level is HaltLevel.FLATTEN and today.open and not refused
    ending = [order for order in standing.orders if order.side == "buy" or (selling and not _is_sale(order))]
    if ending:
        ready = tuple(Cancel(order) for order in ending if order.status not in IN_TRANSIT)
        return Plan(ready, waits=True)
    shares = standing.uncovered
    if shares == 0:
        # A sale at the market ends by itself, and soon: its end is waited for.
        return Plan((), waits=selling and any(_is_sale(order) for order in standing.sells))
    if selling:
        return Plan((Send(_terms(standing, today, shares, None)),), waits=True)
    if standing.stop is None:
        return NOTHING
    return Plan((Send(_terms(standing, today, shares, round_down(standing.stop))),), waits=True)


def _is_sale(order: BrokerOrder) -> bool:
    return order.type == "market"


def _terms(standing: Standing, today: Today, shares: int, stop: Decimal | None) -> OrderTerms:
    assert 0 < shares <= standing.held - standing.offered, standing
    return OrderTerms(
        client_order_id=ids.client_order_id(
            today.installation, today.session, standing.symbol, OrderKind.FLAT, standing.flats + 1
        ),
        symbol=standing.symbol,
        side=Side.SELL,
        type=OrderType.MARKET if stop is None else OrderType.STOP,
        time_in_force=TimeInForce.DAY if stop is None else TimeInForce.GTC,
        qty=shares,
        stop_price=stop,
    )
