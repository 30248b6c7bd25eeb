"""The gates of live trading (docs/operating.md, "Live"): whose account it is, and whether entries may use its money.

All at once: the mode, keys that lead to the account that is meant, its number in the configuration, margin, and `arm`
of the day. What lacks one of them is protect-only: entries are refused, everything that protects or leaves goes on.
A wrong account is worse: what it holds says nothing about this ledger, so nothing of it is taken.
"""

from __future__ import annotations

from typing import Final

from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts.commands import Arm
from shared.contracts.orders import BrokerAccount
from shared.domain.accounts import wrong_account
from shared.domain.calendar import NEW_YORK

_MARGIN: Final = "margin_account"
_YES: Final = "yes"
_NO: Final = "no"


def belongs(unit: Unit, seen: BrokerAccount | None, setup: Setup) -> bool:
    """Whether what the broker shows is about the account of this ledger; if not, a person is told."""
    if seen is None:
        return True
    why = wrong_account(setup.broker, setup.account, unit.store.account().account_number, seen.account_number)
    if why:
        unit.alert_once("critical", "account", f"{why}; nothing is planned or sent")
        return False
    unit.all_clear("account")
    _note_margin(unit, seen, setup)
    return True


def _note_margin(unit: Unit, seen: BrokerAccount, setup: Setup) -> None:
    has_margin = _YES if seen.multiplier > 1 else _NO
    if unit.store.note(_MARGIN) == has_margin:
        return
    unit.store.set_note(_MARGIN, has_margin)
    if setup.live and has_margin == _NO:
        unit.alert("critical", "margin", f"account {seen.account_number} has no margin: no entry is sent")


def entries_allowed(unit: Unit, setup: Setup) -> bool:
    """Whether live trading was armed and still may be; always where no real money is meant."""
    if not setup.live:
        return True
    return unit.store.account().armed and bool(setup.account) and unit.store.note(_MARGIN) == _YES


def objection_to_arming(unit: Unit, command: Arm, setup: Setup) -> str:
    """Why entries are not allowed now; empty: they are."""
    account, session = unit.store.account(), unit.store.last_session()
    if session is None or account.session is None:
        return "no session has begun; arm after the opening"
    if not account.account_number:
        return "the broker's account was not read yet; try again in a moment"
    if command.account != account.account_number or (setup.account and setup.account != account.account_number):
        return "that is not the number of the broker's account"
    if not setup.live:
        return ""
    if not setup.account:
        return "broker.account is not set; name the account's number in execution.toml"
    if unit.store.note(_MARGIN) != _YES:
        return f"account {account.account_number} has no margin (multiplier 1)"
    if unit.now >= session.closes_at or command.at.astimezone(NEW_YORK).date() != session.session:
        return f"session {session.session} is over or the command is of another day; arm after the opening"
    return ""
