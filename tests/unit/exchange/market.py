"""A small exchange for the unit tests: one symbol or a few, minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from services.exchange.exchange import Exchange, new_book
from services.exchange.orders import Order
from services.exchange.refusals import Refusal
from services.exchange.requests import OrderRequest, StopLoss, TakeProfit
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar

OPEN: Final = datetime(2015, 2, 11, 14, 30, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)


def an_exchange(**rules: Any) -> Exchange:
    chosen = ExchangeRules.model_validate({"random_partials": 0.0, **rules})
    return Exchange(new_book(chosen, "salt", OPEN), chosen)


def flat(price: float, symbol: str = "AAPL", volume: float = 1e6) -> Bar:
    return Bar(symbol, price, price, price, price, volume)


def request(**fields: Any) -> OrderRequest:
    """A market day buy of 10 AAPL, unless told otherwise; prices as text."""
    wanted: dict[str, Any] = {"symbol": "AAPL", "qty": "10", "side": "buy", "type": "market", "time_in_force": "day"}
    wanted |= fields
    for name in ("qty", "limit_price", "stop_price"):
        if wanted.get(name) is not None:
            wanted[name] = Decimal(str(wanted[name]))
    if isinstance(stop := wanted.get("stop_loss"), str):
        wanted["stop_loss"] = StopLoss(Decimal(stop))
    if isinstance(profit := wanted.get("take_profit"), str):
        wanted["take_profit"] = TakeProfit(Decimal(profit))
    return OrderRequest(**wanted)


def placed(exchange: Exchange, now: datetime, **fields: Any) -> Order:
    order = exchange.submit(request(**fields), now)
    assert not isinstance(order, Refusal), order
    return order
