"""The end of a session is said once, with what it came to; arming ends with it."""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from services.state import sessions
from services.state.store import Store
from services.state.unit import Unit
from shared.contracts.journal import JournalEntry
from tests.unit.state.world import CLOSE, opened


def closed(store: Store) -> list[JournalEntry]:
    with store.transaction():
        unit = Unit(store)
        unit.advance(CLOSE)
        sessions.close(unit)
        unit.seal()
    return [item for item in unit.out if isinstance(item, JournalEntry)]


def test_the_end_is_said_once_and_arming_ends_each_time() -> None:
    store = Store.in_memory()
    with store.transaction():
        unit = Unit(store)
        sessions.roll(unit, opened())
        account = replace(store.account(), equity=Decimal("100010.50"), opening_equity=Decimal(100_000), armed=True)
        store.put_account(account)
        unit.seal()
    first = closed(store)
    assert [entry.kind for entry in first] == ["disarmed", "session_closed"]
    assert first[1].text.endswith("is over: equity 100,010.50, +10.50 since its opening")
    assert first[1].figures == {"equity": 100_010.5, "opening_equity": 100_000.0, "held": 0}
    assert store.account().armed is False
    assert closed(store) == []
