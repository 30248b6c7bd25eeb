"""What an operator may ask of state. Each is answered in the journal with the command's id as its cause."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from shared.contracts.message import Message

DONE: Final = "command_done"
REFUSED: Final = "command_refused"
"""Kinds of the journal's answers: it was obeyed, or the text says why not."""


class Command(Message, frozen=True, kw_only=True):
    """by: who asked, as shown in the journal."""

    by: str


class Pause(Command, frozen=True, kw_only=True):
    """No new entries."""


class Resume(Command, frozen=True, kw_only=True):
    """Back to trading; also ends a daily-loss or drawdown stop."""


class Halt(Command, frozen=True, kw_only=True):
    """No new entries, working entries are cancelled, stops stay."""


class Flatten(Command, frozen=True, kw_only=True):
    """Sell everything."""


class Arm(Command, frozen=True, kw_only=True):
    """Allow live entries until the close of this session. account: the broker's number, typed by a person."""

    account: str


class Adopt(Command, frozen=True, kw_only=True):
    """Take over foreign shares of `symbol` with a stop at `stop` dollars."""

    symbol: str
    stop: Decimal


class Disown(Command, frozen=True, kw_only=True):
    """Shares of `symbol` that the broker no longer holds went at `price` dollars each."""

    symbol: str
    price: Decimal


class Sell(Command, frozen=True, kw_only=True):
    symbol: str


class Cancel(Command, frozen=True, kw_only=True):
    """order: the client order id of a working entry."""

    order: str


class Block(Command, frozen=True, kw_only=True):
    symbol: str


class Unblock(Command, frozen=True, kw_only=True):
    symbol: str


class Reload(Command, frozen=True, kw_only=True):
    """Read the watchlist and scan file again."""


class Reconcile(Command, frozen=True, kw_only=True):
    """Compare the ledger with the broker now."""
