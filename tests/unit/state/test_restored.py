"""A ledger put back from a backup of earlier that day: the broker has gone on, and the day ends as it should."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.main import app
from shared.contracts.journal import Alert
from shared.contracts.orders import ListenerConnected
from shared.contracts.vocabulary import Status
from tests.unit.state.day import ENTRY, MSFT_ENTRY, buy, confirmed, of
from tests.unit.state.world import MINUTE, OPEN, ListBus, World, dump

AT = OPEN + 20 * MINUTE


def execution(*line: str) -> None:
    with pytest.raises(SystemExit) as end:
        app(list(line), prog_name="execution")
    assert not end.value.code


@pytest.fixture
def restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """AAPL was bought before the backup; its first half sold, and MSFT bought, after it; then the ledger went back."""
    monkeypatch.setattr(os, "environ", {**os.environ, "EV2_HOME": str(tmp_path)})
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    buy(world, AT)
    execution("backup", str(tmp_path / "backup"))
    world.broker.fill(f"{ENTRY}-stop", 3, "98.00")
    buy(world, AT + 2 * MINUTE, "MSFT")
    world.store.close()
    execution("restore", str(tmp_path / "backup"))
    world.bus = ListBus()  # as the command leaves it
    world.executor.bus, world.executor.told = world.bus, len(world.broker.events)
    world._start()
    return world


def compare(world: World) -> None:
    """What the listener's connection asks for at the start of every run."""
    world.bus.publish([ListenerConnected(id="connected", at=world.broker.now, listener="one", fence=1)])
    world.settle(20)


def test_what_happened_after_the_backup_is_taken_in_and_told(restored: World) -> None:
    assert restored.store.position(MSFT_ENTRY) is None
    compare(restored)
    held = {position.symbol: position.qty for position in restored.store.list_positions()}
    assert held == {symbol: int(qty) for symbol, qty in restored.broker.shares.items()}
    assert restored.store.foreign_items() == []
    leg = restored.store.order(f"{MSFT_ENTRY}-stop")
    assert leg is not None
    assert (leg.resting, leg.qty) == (True, held["MSFT"])
    told = [alert.text for alert in restored.bus.said(Alert) if isinstance(alert, Alert)]
    assert any(text.startswith(f"{MSFT_ENTRY} stands at the broker") for text in told)


def test_the_same_breakout_said_again_buys_nothing_twice(restored: World) -> None:
    compare(restored)
    before = {order.client_order_id for order in restored.broker.orders.values() if order.side == "buy"}
    at = AT + 6 * MINUTE
    restored.minute(at, {"AAPL": 100.0, "MSFT": 100.0}, of("MSFT", at, entries=(confirmed("MSFT", at),)))
    restored.minute(at + MINUTE, {"AAPL": 100.0, "MSFT": 100.0})
    assert {order.client_order_id for order in restored.broker.orders.values() if order.side == "buy"} == before
    [(_, status, reason, *_)] = [row for row in dump(restored.store)["entries"] if "MSFT" in str(row[0])]
    assert status == "refused", reason


def test_the_day_ends_with_every_share_covered_and_none_oversold(restored: World) -> None:
    compare(restored)
    restored.close()
    for symbol, qty in restored.broker.shares.items():
        resting = [order for order in restored.store.open_orders(symbol) if order.resting]
        assert sum(order.remaining for order in resting) == qty
    assert restored.store.note("oversold_shares") in ("", "0")
    assert all(order.status is not Status.UNRESOLVED for order in restored.store.open_orders())
