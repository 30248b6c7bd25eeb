"""The broker's refusals: HTTP status and body, one row each. Messages and codes are Alpaca's, letter for letter."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum
from typing import Final

from msgspec import Struct

BAD_REQUEST: Final = 40010001
UNPROCESSABLE: Final = 42210000
FORBIDDEN: Final = 40310000
NOT_FOUND: Final = 40410000
TOO_MANY: Final = 42910000


class Refusal(Struct, frozen=True):
    """The broker said no, and nothing was created or changed. code is None where Alpaca sends none."""

    status: int
    code: int | None
    message: str
    extra: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    def body(self) -> dict[str, object]:
        """The JSON body; keys in the alphabetical order in which Alpaca writes them."""
        code = {} if self.code is None else {"code": self.code}
        return dict(sorted({**dict(self.extra), **code, "message": self.message}.items()))


class Why(Enum):
    """(HTTP status, code, message); `{}` is filled in by `refuse`."""

    # 422 40010001: the request itself is wrong
    ORDER_ID_MISSING = (422, BAD_REQUEST, "order_id is missing")
    ID_NOT_UNIQUE = (422, BAD_REQUEST, "client_order_id must be unique")
    ID_TOO_LONG = (422, BAD_REQUEST, "client_order_id must be no more than 128 characters")
    ID_MISSING = (422, BAD_REQUEST, "client_order_id is missing")
    BODY_UNREADABLE = (400, 40010000, "request body format is invalid")
    PARAMETER = (422, BAD_REQUEST, "invalid {}")
    SYMBOL_MISSING = (422, BAD_REQUEST, "symbol is required")
    SIDE = (422, BAD_REQUEST, "invalid side")
    TYPE = (422, BAD_REQUEST, "invalid order type")
    TIF = (422, BAD_REQUEST, "invalid time_in_force")
    CLASS = (422, BAD_REQUEST, "invalid order_class")
    QTY_MISSING = (422, BAD_REQUEST, "qty or notional is required")
    QTY_AND_NOTIONAL = (422, BAD_REQUEST, "only one of qty or notional is accepted")
    QTY_NOT_POSITIVE = (422, BAD_REQUEST, "qty must be > 0")
    QTY_DECIMALS = (422, BAD_REQUEST, "qty must have at most 9 decimal places")
    NOTIONAL_NOT_POSITIVE = (422, BAD_REQUEST, "notional must be > 0")
    LIMIT_MISSING = (422, BAD_REQUEST, "limit orders require a limit price")
    STOP_MISSING = (422, BAD_REQUEST, "stop orders require a stop price")
    STOP_LIMIT_MISSING = (422, BAD_REQUEST, "stop limit orders require both stop and limit price")
    MARKET_WITH_LIMIT = (422, BAD_REQUEST, "market orders must not have a limit price")
    MARKET_WITH_STOP = (422, BAD_REQUEST, "market orders must not have a stop price")
    LIMIT_WITH_STOP = (422, BAD_REQUEST, "limit orders must not have a stop price")
    STOP_WITH_LIMIT = (422, BAD_REQUEST, "stop orders must not have a limit price")
    PRICE_NOT_POSITIVE = (422, BAD_REQUEST, "{} must be > 0")
    BRACKET_TYPE = (422, BAD_REQUEST, "bracket orders must be market or limit orders")
    OTO_TYPE = (422, BAD_REQUEST, "oto orders must be market or limit orders")
    OCO_TYPE = (422, BAD_REQUEST, "oco orders must be limit orders")
    BRACKET_LEGS = (422, BAD_REQUEST, "bracket orders require take_profit.limit_price and stop_loss.stop_price")
    OCO_LEGS = (422, BAD_REQUEST, "oco orders require take_profit.limit_price and stop_loss.stop_price")
    OCO_ENTRY = (422, BAD_REQUEST, "oco orders must be exit orders")
    OTO_LEGS = (422, BAD_REQUEST, "oto orders require take_profit.limit_price or stop_loss.stop_price, not both")
    SIMPLE_WITH_LEGS = (422, BAD_REQUEST, "simple orders must not have take_profit or stop_loss")
    COMPLEX_TIF = (422, UNPROCESSABLE, "complex orders must be DAY or GTC orders")
    COMPLEX_EXTENDED = (422, UNPROCESSABLE, "complex orders cannot be extended hours orders")
    EXTENDED_TYPE = (422, UNPROCESSABLE, "extended hours order must be DAY or GTC limit orders")

    # 422 42210000: the order is readable and not acceptable
    ASSET_UNKNOWN = (422, UNPROCESSABLE, 'asset "{}" not found')
    ASSET_UNTRADABLE = (422, UNPROCESSABLE, "asset {} is not tradable")
    SUB_PENNY = (
        422,
        UNPROCESSABLE,
        "invalid {} {}. sub-penny increment does not fulfill minimum pricing criteria",
    )
    STOP_NOT_BELOW = (422, UNPROCESSABLE, "stop price must be less than current price")
    STOP_NOT_ABOVE = (422, UNPROCESSABLE, "stop price must be greater than current price")
    FRACTIONAL_TIF = (422, UNPROCESSABLE, "fractional orders must be DAY orders")
    FRACTIONAL_CLASS = (422, UNPROCESSABLE, "fractional orders must be simple orders")
    FRACTIONAL_SHORT = (422, UNPROCESSABLE, "fractional orders cannot be sold short")
    NOTIONAL_TYPE = (422, UNPROCESSABLE, "notional orders must be market orders")
    TAKE_PROFIT_BELOW_STOP = (422, UNPROCESSABLE, "take_profit.limit_price must be > stop_loss.stop_price")
    STOP_LOSS_AT_BASE = (422, UNPROCESSABLE, "stop_loss.stop_price must be <= base_price - 0.01")
    TAKE_PROFIT_AT_BASE = (422, UNPROCESSABLE, "take_profit.limit_price must be >= base_price + 0.01")
    STOP_LOSS_LIMIT = (422, UNPROCESSABLE, "stop_loss.limit_price must be <= stop_loss.stop_price")
    ALREADY = (422, UNPROCESSABLE, 'order is already in "{}" state')
    REPLACE_STATUS = (422, UNPROCESSABLE, "cannot replace order in {} status")
    CANCEL_STATUS = (422, UNPROCESSABLE, "cannot cancel order in {} status")
    ALREADY_REPLACED = (422, UNPROCESSABLE, "order already replaced")
    NOT_CHANGED = (422, UNPROCESSABLE, "order parameters are not changed")
    QTY_FILLED = (422, UNPROCESSABLE, "qty must be > filled_qty")
    QTY_NOT_WHOLE = (422, UNPROCESSABLE, "qty must be a whole number of shares")
    REPLACE_NOTIONAL = (422, UNPROCESSABLE, "notional orders cannot be replaced")
    REPLACE_LEG_QTY = (422, UNPROCESSABLE, "qty of a leg cannot be replaced")

    # 403: the account does not allow it
    BUYING_POWER = (403, FORBIDDEN, "insufficient buying power")
    MINIMAL_AMOUNT = (403, FORBIDDEN, "cost basis must be >= minimal amount of order 1")
    NO_SHORT = (403, FORBIDDEN, "account is not allowed to short")
    QTY_HELD = (403, FORBIDDEN, "insufficient qty available for order (requested: {}, available: {})")
    NOT_FRACTIONABLE = (403, FORBIDDEN, 'asset "{}" is not fractionable')
    WASH_TRADE = (403, FORBIDDEN, "potential wash trade detected. use complex orders")
    WASH_TRADE_422 = (422, UNPROCESSABLE, "potential wash trade detected. use complex orders")
    ACCOUNT_BLOCKED = (403, FORBIDDEN, "account is blocked")
    TRADING_SUSPENDED = (403, FORBIDDEN, "new orders are rejected by user request")

    # not found, not allowed, too many
    ORDER_UNKNOWN = (404, NOT_FOUND, "order not found for {}")
    POSITION_UNKNOWN = (404, NOT_FOUND, "position does not exist")
    ASSET_404 = (404, NOT_FOUND, "asset not found for {}")
    SYMBOL_UNKNOWN = (404, NOT_FOUND, "symbol not found: {}")
    ROUTE_UNKNOWN = (404, NOT_FOUND, "endpoint not found")
    UNAUTHORIZED = (401, None, "unauthorized.")
    RATE_LIMIT = (429, TOO_MANY, "too many requests.")
    INTERNAL = (500, 50010000, "internal server error occurred")


def refuse(why: Why, *words: object, **extra: str | tuple[str, ...]) -> Refusal:
    """The refusal of `why` with its blanks filled by `words` and the further keys of its body."""
    status, code, message = why.value
    return Refusal(status, code, message.format(*words), tuple(extra.items()))


def text_of(number: Decimal) -> str:
    """A number as Alpaca writes it: no exponent, no trailing zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
