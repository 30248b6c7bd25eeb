"""Daily loss and drawdown: when the account stops entering, and what ends that (docs/strategy.md section 9).

`Account.stopped` is one word; `daily_loss` lasts to the end of its session, `drawdown` until an operator resumes, over
night too. `resumed` stands for the rest of the session in which that happened: its loss is known and accepted, and the
drawdown is measured from the equity of that moment; without it the same loss would stop the account again a second
later.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from services.state.model import Account
from shared.contracts.money import exact
from shared.contracts.rules import LimitRules

DAILY_LOSS: Final = "daily_loss"
DRAWDOWN: Final = "drawdown"
RESUMED: Final = "resumed"


def marked(account: Account, rules: LimitRules) -> Account:
    """`account` after a new mark of its equity: its peak, and whether it is stopped now."""
    risen = replace(account, peak_equity=max(account.peak_equity, account.equity))
    return replace(risen, stopped=_stopped(risen, rules))


def resumed(account: Account) -> Account:
    """`account` after an operator's resume; as it is where it was not stopped."""
    if account.stopped not in (DAILY_LOSS, DRAWDOWN):
        return account
    return replace(account, stopped=RESUMED, peak_equity=account.equity)


def rolled(account: Account) -> Account:
    """`account` in the next session, whose loss is counted anew: of what was, only a drawdown lasts.

    Until the broker's account was read its opening equity is unknown: 0, by which no loss is measured, and no entry
    sized.
    """
    return replace(account, opening_equity=Decimal(0), stopped=DRAWDOWN if account.stopped == DRAWDOWN else "")


def _stopped(account: Account, rules: LimitRules) -> str:
    if account.peak_equity > 0 and account.equity <= account.peak_equity * (1 - exact(rules.drawdown)):
        return DRAWDOWN
    if account.stopped:
        return account.stopped
    if account.opening_equity > 0 and account.equity <= account.opening_equity * (1 - exact(rules.daily_loss)):
        return DAILY_LOSS
    return ""
