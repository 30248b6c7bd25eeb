"""The salt of every draw: given, or the ledger's own secret."""

from __future__ import annotations

from pathlib import Path

from services.state.__main__ import setup_of, with_salt
from services.state.store import Store
from shared.runtime.settings import load_settings


def test_a_ledger_without_a_given_salt_draws_one_and_keeps_it(tmp_path: Path) -> None:
    setup = setup_of(load_settings({"EV2_HOME": str(tmp_path)}))
    store = Store.open(tmp_path / "ledger.sqlite", lambda waited: None)
    first = with_salt(setup, store).salt
    store.close()
    again = Store.open(tmp_path / "ledger.sqlite", lambda waited: None)
    other = Store.open(tmp_path / "other.sqlite", lambda waited: None)
    assert len(first) == 32
    assert with_salt(setup, again).salt == first
    assert with_salt(setup, other).salt != first
    again.close()
    other.close()


def test_a_given_salt_is_taken_as_it_is(tmp_path: Path) -> None:
    setup = setup_of(load_settings({"EV2_HOME": str(tmp_path), "EV2_RUN__SALT": "7"}))
    store = Store.open(tmp_path / "ledger.sqlite", lambda waited: None)
    assert with_salt(setup, store).salt == "7"
    assert store.note("salt") == ""
    store.close()
