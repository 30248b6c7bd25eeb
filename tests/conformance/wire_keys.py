"""The keys and JSON types that each answer must have, written by hand from Alpaca's own examples and OpenAPI.

Stricter than alpaca-py's models: money is text everywhere, and a key whose value is null must be there. It shares
nothing with services/exchange/wire.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")
UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
MONEY: Final = re.compile(r"-?\d+(\.\d+)?\Z")

Keys = Mapping[str, str]

ORDER: Final[Keys] = {
    "id": "uuid",
    "client_order_id": "text",
    "created_at": "stamp",
    "updated_at": "stamp",
    "submitted_at": "stamp",
    "filled_at": "stamp?",
    "expired_at": "stamp?",
    "canceled_at": "stamp?",
    "failed_at": "stamp?",
    "replaced_at": "stamp?",
    "replaced_by": "uuid?",
    "replaces": "uuid?",
    "asset_id": "uuid",
    "symbol": "text",
    "asset_class": "text",
    "notional": "money?",
    "qty": "money?",
    "filled_qty": "money",
    "filled_avg_price": "money?",
    "order_class": "text",
    "order_type": "text",
    "type": "text",
    "side": "text",
    "position_intent": "text",
    "time_in_force": "text",
    "limit_price": "money?",
    "stop_price": "money?",
    "status": "text",
    "extended_hours": "flag",
    "legs": "list?",
    "trail_percent": "money?",
    "trail_price": "money?",
    "hwm": "money?",
    "subtag": "text?",
    "source": "text?",
    "expires_at": "stamp?",
}
POSITION: Final[Keys] = {
    "asset_id": "uuid",
    "symbol": "text",
    "exchange": "text",
    "asset_class": "text",
    "asset_marginable": "flag",
    "qty": "money",
    "qty_available": "money",
    "avg_entry_price": "money",
    "side": "text",
    "market_value": "money",
    "cost_basis": "money",
    "unrealized_pl": "money",
    "unrealized_plpc": "money",
    "unrealized_intraday_pl": "money",
    "unrealized_intraday_plpc": "money",
    "current_price": "money",
    "lastday_price": "money",
    "change_today": "money",
}
ACCOUNT: Final[Keys] = {
    "id": "uuid",
    "account_number": "text",
    "status": "text",
    "currency": "text",
    "cash": "money",
    "portfolio_value": "money",
    "equity": "money",
    "last_equity": "money",
    "buying_power": "money",
    "regt_buying_power": "money",
    "non_marginable_buying_power": "money",
    "long_market_value": "money",
    "short_market_value": "money",
    "initial_margin": "money",
    "maintenance_margin": "money",
    "multiplier": "money",
    "shorting_enabled": "flag",
    "trading_blocked": "flag",
    "transfers_blocked": "flag",
    "account_blocked": "flag",
    "trade_suspended_by_user": "flag",
    "created_at": "stamp",
    "sma": "money",
    "accrued_fees": "money",
}
CONFIGURATIONS: Final[Keys] = {
    "fractional_trading": "flag",
    "max_margin_multiplier": "money",
    "no_shorting": "flag",
    "suspend_trade": "flag",
    "trade_confirm_email": "text",
    "ptp_no_exception_entry": "flag",
}
CLOCK: Final[Keys] = {"timestamp": "stamp", "is_open": "flag", "next_open": "stamp", "next_close": "stamp"}
SESSION: Final[Keys] = {
    "date": "text",
    "open": "text",
    "close": "text",
    "session_open": "text",
    "session_close": "text",
    "settlement_date": "text",
}
ASSET: Final[Keys] = {
    "id": "uuid",
    "class": "text",
    "exchange": "text",
    "symbol": "text",
    "status": "text",
    "tradable": "flag",
    "marginable": "flag",
    "shortable": "flag",
    "easy_to_borrow": "flag",
    "fractionable": "flag",
}
FILL: Final[Keys] = {
    "id": "text",
    "activity_type": "text",
    "transaction_time": "stamp",
    "type": "text",
    "price": "money",
    "qty": "money",
    "side": "text",
    "symbol": "text",
    "leaves_qty": "money",
    "order_id": "uuid",
    "cum_qty": "money",
}
HISTORY: Final[Keys] = {
    "timestamp": "list",
    "equity": "list",
    "profit_loss": "list",
    "profit_loss_pct": "list",
    "base_value": "number",
    "timeframe": "text",
}
UPDATE: Final[Keys] = {
    "event": "text",
    "execution_id": "uuid?",
    "price": "money?",
    "qty": "money?",
    "position_qty": "money?",
    "timestamp": "stamp",
    "order": "object",
}
BAR: Final[Keys] = {
    "t": "stamp",
    "o": "number",
    "h": "number",
    "l": "number",
    "c": "number",
    "v": "number",
    "n": "number",
    "vw": "number",
}
BARS: Final[Keys] = {"bars": "object", "next_page_token": "text?"}


def missing(body: Any, keys: Keys) -> list[str]:
    """What of `keys` is absent from `body`, or of another type."""
    if not isinstance(body, dict):
        return ["not an object"]
    return [
        f"{name}: {'absent' if name not in body else repr(body[name])}"
        for name, kind in keys.items()
        if name not in body or not _is(body[name], kind)
    ]


def _is(value: Any, kind: str) -> bool:
    if kind.endswith("?") and value is None:
        return True
    match kind.rstrip("?"):
        case "text":
            return isinstance(value, str)
        case "money":
            return isinstance(value, str) and MONEY.match(value) is not None
        case "stamp":
            return isinstance(value, str) and STAMP.match(value) is not None
        case "uuid":
            return isinstance(value, str) and UUID.match(value) is not None
        case "flag":
            return isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "list":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    raise ValueError(kind)
