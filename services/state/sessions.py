"""A session begins: yesterday's entries end, counters start anew, the account is read, candidates come in."""

from __future__ import annotations

import datetime as dt
from typing import Final

from msgspec.structs import replace

from services.state import account_stop, protection
from services.state.model import Candidate, IntentStatus
from services.state.records import SessionRow
from services.state.unit import Unit
from shared.contracts.market import SessionOpened

SEEN_KEPT: Final = dt.timedelta(days=14)
"""Message ids are kept this long, above the age of anything that a stream still holds."""
_CLOSED: Final = "closed_session"


def begun(unit: Unit, opened: SessionOpened | None) -> bool:
    """Whether the ledger is in the session that market data opened."""
    return opened is not None and unit.store.account().session == opened.session


def roll(unit: Unit, opened: SessionOpened) -> None:
    """Go over to the session `opened`; nothing the second time. Entries of an earlier one are ended by planning."""
    account = unit.store.account()
    if account.session is not None and account.session >= opened.session:
        return
    unit.advance(opened.at)
    unit.store.upsert_session(
        SessionRow(
            session=opened.session,
            opens_at=opened.opens_at,
            closes_at=opened.closes_at,
            early=opened.early,
            previous=opened.previous,
            following=opened.following,
            following_opens_at=opened.following_opens_at,
            opening_equity=None,
        )
    )
    for row in unit.store.pending_entry_intents():
        unit.store.update_entry_intent(replace(row, status=IntentStatus.EXPIRED, reason="expired"))
    for candidate in unit.store.list_active_candidates():
        _roll_candidate(unit, candidate, opened)
    unit.store.put_account(replace(account_stop.rolled(account), session=opened.session, armed=False, entry_orders=0))
    protection.begin(unit)
    unit.store.forget_seen(opened.opens_at - SEEN_KEPT)
    for symbol in unit.store.active_symbols():
        unit.touch(symbol)
    unit.journal("session_opened", f"session {opened.session}, closes {opened.closes_at:%H:%M} UTC", cause=opened.id)


def _roll_candidate(unit: Unit, candidate: Candidate, opened: SessionOpened) -> None:
    """One that expires is over; one that does not stands for the new session, unspent."""
    unit.relist(candidate.symbol)
    if candidate.expires_at is not None and candidate.expires_at <= opened.opens_at:
        unit.store.upsert_candidate(replace(candidate, active=False, note="expired"))
        return
    unit.store.upsert_candidate(
        replace(candidate, session=opened.session, since=opened.opens_at, spent=False, released_at=None)
    )


def expire_candidates(unit: Unit) -> None:
    """End what is past its time."""
    for candidate in unit.store.list_active_candidates():
        if candidate.expires_at is not None and candidate.expires_at <= unit.now:
            unit.store.upsert_candidate(replace(candidate, active=False, note="expired"))
            unit.relist(candidate.symbol)


def close(unit: Unit) -> None:
    """The session is over, which is said once: arming ends with it."""
    account = unit.store.account()
    if account.armed:
        account = replace(account, armed=False)
        unit.store.put_account(account)
        unit.journal("disarmed", "arming ends with the session")
    if account.session is None or unit.store.note(_CLOSED) == str(account.session):
        return
    unit.store.set_note(_CLOSED, str(account.session))
    since = f"{account.equity - account.opening_equity:+,.2f} since its opening"
    unit.journal(
        "session_closed",
        f"session {account.session} is over: equity {account.equity:,.2f}, "
        + (since if account.opening_equity else "which was not read at its opening"),
        figures={
            "equity": float(account.equity),
            "opening_equity": float(account.opening_equity),
            "held": len(unit.store.list_positions()),
        },
    )
