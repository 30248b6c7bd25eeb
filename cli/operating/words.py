"""Symbols and prices as a person types them."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from cli.trouble import Trouble
from shared.contracts.ids import is_symbol


def a_symbol(text: str) -> str:
    """In capitals. Raises Trouble."""
    symbol = text.strip().upper()
    if not is_symbol(symbol):
        raise Trouble(f"{text[:40]!r} is no symbol: write one such as AAPL or BRK.B")
    return symbol


def a_price(name: str, text: str) -> Decimal:
    """Dollars, above 0. Raises Trouble."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(0)
    if not price.is_finite() or price <= 0:
        raise Trouble(f"{name} {text[:40]!r}: write dollars above 0, such as 171.50")
    return price
