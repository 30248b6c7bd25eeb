"""The words of the trade, each spelled one way: in code, streams, tables and on screens."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    STOP_LIMIT = "stop_limit"


class TimeInForce(StrEnum):
    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class OrderClass(StrEnum):
    SIMPLE = "simple"
    OTO = "oto"


class OrderKind(StrEnum):
    """Why an order of ours exists; part of its client order id."""

    ENTRY = "entry"
    STOP = "stop"
    TRIM = "trim"
    EXIT = "exit"
    FLAT = "flat"


class Status(StrEnum):
    """Where an order of ours is in its life; the table of steps is in shared/domain/order_life.py."""

    PLANNED = "planned"
    CLAIMED = "claimed"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    REJECTED = "rejected"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REPLACED = "replaced"
    DENIED = "denied"
    UNRESOLVED = "unresolved"
    ABSENT = "absent"


class ActionKind(StrEnum):
    """What an executor may be asked to do."""

    SUBMIT = "submit"
    REPLACE = "replace"
    CANCEL = "cancel"
    RECONCILE = "reconcile"


class Queue(StrEnum):
    """Two queues, so that a stop never waits behind an entry."""

    PROTECT = "protect"
    ENTRY = "entry"


class Outcome(StrEnum):
    """What an executor knows after it spoke, or did not speak, to the broker. Unknown is not refused."""

    DONE = "done"  # the broker took the request; its order is attached (cancel: request taken, not yet canceled)
    FOUND = "found"  # a look-up, or a duplicate answer, shows that the order exists; it is attached
    MISSING = "missing"  # a look-up says the broker does not know the id; one such answer proves nothing
    REFUSED = "refused"  # the broker said no: nothing was created or changed
    UNKNOWN = "unknown"  # time-out, 5xx, cut connection, unreadable reply: it may be working
    NOT_SENT = "not_sent"  # never left this machine: connection refused, DNS, lease over


class StopMode(StrEnum):
    """Label of a position's exit state."""

    OPEN = "open"
    CAUTION = "caution"
    EXITING = "exiting"


class TrimState(StrEnum):
    OPEN = "open"
    WORKING = "working"
    DONE = "done"


class GlobalRegime(StrEnum):
    NORMAL = "NORMAL"
    DEFENSIVE = "DEFENSIVE"
    OFF = "OFF"


class SymbolRegime(StrEnum):
    ENTER = "ENTER"
    ADD = "ADD"
    HOLD_ONLY = "HOLD_ONLY"


class Phase(StrEnum):
    """Parts of a session: OPEN_NOISE to 09:45 New York, EARLY_TREND to 10:30, NORMAL to 30 min before the close."""

    OPEN_NOISE = "OPEN_NOISE"
    EARLY_TREND = "EARLY_TREND"
    NORMAL = "NORMAL"
    CLOSE_PROTECT = "CLOSE_PROTECT"
    CLOSED = "CLOSED"


class HaltLevel(StrEnum):
    """none: trade; pause: no entries; halt: also cancel working entries; flatten: sell everything."""

    NONE = "none"
    PAUSE = "pause"
    HALT = "halt"
    FLATTEN = "flatten"


class PivotSource(StrEnum):
    SWING_HIGH = "swing_high"
    PRIOR_DAY_HIGH = "prior_day_high"
    SCAN = "scan"


class Reason(StrEnum):
    """Every verdict, in the order in which the rules are asked (docs/strategy.md, section 5)."""

    # signals: what one symbol's bars say
    STALE_DATA = "stale_data"
    HALTED = "halted"
    NO_PIVOT = "no_pivot"
    BAD_LEVELS = "bad_levels"
    STALE_LEVELS = "stale_levels"
    NO_BREAK = "no_break"
    NOT_HELD = "not_held"
    GAP = "gap"
    NOT_FRESH = "not_fresh"
    OUTSIDE_WINDOW = "outside_window"
    ALREADY_CONFIRMED = "already_confirmed"
    REGIME_GLOBAL = "regime_global"
    REGIME_SYMBOL = "regime_symbol"
    NO_STOP = "no_stop"
    EXTENDED = "extended"
    RISK_TOO_WIDE = "risk_too_wide"
    LOW_RVOL = "low_rvol"
    CONFIRMED = "confirmed"
    # state: what the account allows
    SPENT = "spent"
    NOT_TRADABLE = "not_tradable"
    KILL_SWITCH = "kill_switch"
    NOT_ARMED = "not_armed"
    PAUSED = "paused"
    MARKET_CLOSED = "market_closed"
    FEED_SILENT = "feed_silent"
    ACCOUNT_BLOCKED = "account_blocked"
    FOREIGN = "foreign"
    BLOCK_LIST = "block_list"
    ALLOW_LIST = "allow_list"
    EXISTING_POSITION = "existing_position"
    EXISTING_ORDER = "existing_order"
    COOLDOWN = "cooldown"
    MAX_POSITIONS = "max_positions"
    MAX_ORDERS = "max_orders"
    DAILY_LOSS = "daily_loss"
    DRAWDOWN = "drawdown"
    EXPIRED = "expired"
    FAILED_HOLD = "failed_hold"
    DRIFT = "drift"
    SIZE_ZERO = "size_zero"
    SECTOR_CAP = "sector_cap"
    SYMBOL_CAP = "symbol_cap"
    GROSS_CAP = "gross_cap"
    BUYING_POWER = "buying_power"
    ADMITTED = "admitted"


NOT_A_CONFIRMATION: Final = frozenset(
    {
        Reason.NO_PIVOT,
        Reason.BAD_LEVELS,
        Reason.STALE_LEVELS,
        Reason.NO_BREAK,
        Reason.NOT_HELD,
        Reason.GAP,
        Reason.NOT_FRESH,
        Reason.OUTSIDE_WINDOW,
        Reason.ALREADY_CONFIRMED,
    }
)
"""Reasons that say no breakout was confirmed: nothing was refused, so nothing is spent."""

KEEPS_THE_SESSION: Final = frozenset(
    {
        Reason.REGIME_GLOBAL,
        Reason.STALE_DATA,
        Reason.HALTED,
        Reason.KILL_SWITCH,
        Reason.PAUSED,
        Reason.FEED_SILENT,
        Reason.NOT_ARMED,
    }
)
"""Refusals of a confirmation that leave the symbol's session unspent: a later fresh break may confirm."""
