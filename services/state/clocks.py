"""Our clock and calendar against the broker's: where they differ, times mean different things, and entries wait."""

from __future__ import annotations

import datetime as dt
from typing import Final

from services.state.store import Store
from services.state.unit import LONG_AGO, Unit

CLOCKS_APART_S: Final = 60.0
CLOCKS_DIFFER: Final = "clocks_apart_s"
HOURS_DIFFER: Final = "broker_is_closed"


def compare(unit: Unit, broker: dt.datetime) -> None:
    """Our clock against the broker's: far apart, times mean different things to the two, and entries wait."""
    if unit.now == LONG_AGO:
        return
    apart_s = (broker - unit.now).total_seconds()
    if abs(apart_s) > CLOCKS_APART_S:
        unit.store.set_note(CLOCKS_DIFFER, f"{apart_s:.0f}")
        text = f"this machine's clock and the broker's are more than {CLOCKS_APART_S:.0f} s apart; entries wait"
        unit.alert_once("critical", "clock", text)
    elif unit.store.note(CLOCKS_DIFFER):
        unit.store.set_note(CLOCKS_DIFFER, "")
        unit.all_clear("clock")


def compare_hours(unit: Unit, at: dt.datetime, is_open: bool | None) -> None:
    """Whether broker and calendar agree on the market being open at `at`, by the broker's clock; if not, entries wait.

    That the broker takes orders where the calendar sees none is no trouble of ours.
    """
    session = unit.store.last_session()
    if session is None or is_open is None:
        return
    closed = not is_open and session.opens_at <= at < session.closes_at
    if closed != bool(unit.store.note(HOURS_DIFFER)):
        unit.store.set_note(HOURS_DIFFER, "yes" if closed else "")
    if closed:
        text = f"the broker says that the market is closed, the calendar of {session.session} does not; entries wait"
        unit.alert_once("critical", "hours", text)
    else:
        unit.all_clear("hours")


def differ(store: Store) -> bool:
    """Whether the broker's clock is far from ours, or it says that the market is closed."""
    return bool(store.note(CLOCKS_DIFFER) or store.note(HOURS_DIFFER))
