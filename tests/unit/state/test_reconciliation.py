"""Ledger and broker compared: differences are named, healed where the rule is clear, and foreign things left alone."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.state import assets
from services.state.records import ForeignItem
from services.state.store import Store
from shared.contracts.commands import Adopt, Disown, Reconcile
from shared.contracts.journal import Alert
from shared.contracts.orders import BrokerAsset, BrokerOrder
from shared.contracts.vocabulary import Status
from tests.unit.state.day import ENTRY, LEG, buy, confirmed, of
from tests.unit.state.world import MINUTE, OPEN, World, dump

AT = OPEN + 20 * MINUTE
LATER = AT + 2 * MINUTE


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    buy(world, AT)
    return world


def reconcile(world: World, name: str) -> None:
    world.bus.publish([Reconcile(id=name, at=LATER, by="test")])
    world.settle(8)


def everything(store: Store) -> list[list[tuple[object, ...]]]:
    """All rows but those that say that a comparison took place, and the account's marks."""
    passing = {"meta", "order_actions", "outbox", "journal", "seen", "stream_positions", "sqlite_sequence", "account"}
    names = [name for (name,) in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [list(store._db.execute(f"SELECT * FROM {name}")) for name in names if name not in passing]


def texts(world: World) -> list[str]:
    return [message.text for message in world.bus.said(Alert) if isinstance(message, Alert)]


def their_order(symbol: str, client_order_id: str = "by-hand", side: str = "buy") -> BrokerOrder:
    return BrokerOrder(
        broker_id=f"foreign-{symbol}",
        client_order_id=client_order_id,
        symbol=symbol,
        side=side,
        type="limit",
        order_class="simple",
        time_in_force="gtc",
        status="new",
        qty=Decimal(3),
        filled_qty=Decimal(0),
        limit_price=Decimal("10.00"),
    )


def test_reconciling_three_times_writes_nothing_new(world: World) -> None:
    before = everything(world.store)
    for number in range(3):
        reconcile(world, f"again-{number}")
    assert everything(world.store) == before
    assert texts(world) == []


def test_foreign_shares_are_told_once_block_entries_in_their_symbol_and_are_left_alone(world: World) -> None:
    world.broker.shares["MSFT"], world.broker.paid["MSFT"] = Decimal(7), Decimal("400.00")
    for number in range(4):
        reconcile(world, f"again-{number}")
    [item] = world.store.foreign_items()
    assert (item.kind, item.symbol, item.qty, item.certain) == ("shares", "MSFT", Decimal(7), True)
    assert len([text for text in texts(world) if "MSFT" in text]) == 1
    world.minute(LATER, {"MSFT": 400.0}, of("MSFT", LATER, entries=(confirmed("MSFT", LATER, 400.0),)))
    rows = {row[0]: row[1:3] for row in dump(world.store)["entries"]}
    assert rows["260109-MSFT-entry-091452"] == ("refused", "foreign")
    assert world.broker.shares["MSFT"] == 7


def test_foreign_shares_seen_once_may_be_a_stale_reading(world: World) -> None:
    snapshot = world.broker.snapshot("nobody-asked", "stale")
    assert snapshot.positions is not None
    stale = replace(snapshot, positions=(replace(snapshot.positions[0], qty=Decimal(99)),))
    world.bus.publish([stale])
    world.settle(8)  # it looks again by itself
    assert world.store.foreign_items() == []
    assert texts(world) == []


def test_adopting_takes_foreign_shares_over_with_a_stop(world: World) -> None:
    world.broker.shares["MSFT"], world.broker.paid["MSFT"] = Decimal(7), Decimal("400.00")
    for number in range(2):
        reconcile(world, f"again-{number}")
    world.bus.publish([Adopt(id="take", at=LATER, by="test", symbol="MSFT", stop=Decimal("380.00"))])
    world.minute(LATER, {"MSFT": 401.0})
    held = {position.symbol: position for position in world.store.list_positions()}
    assert (held["MSFT"].qty, held["MSFT"].avg_price, held["MSFT"].pivot) == (7, Decimal("400.00"), None)
    [stop] = world.store.open_orders("MSFT")
    assert (stop.qty, stop.stop_price, stop.resting) == (7, Decimal("380.00"), True)
    assert world.store.foreign_items() == []


def test_a_foreign_order_blocks_its_symbol_until_it_is_gone(world: World) -> None:
    order = their_order("MSFT")
    world.broker.orders[order.broker_id] = order
    reconcile(world, "one")
    assert [(item.kind, item.symbol) for item in world.store.foreign_items()] == [("order", "MSFT")]
    world.broker.orders[order.broker_id] = replace(order, status="canceled")
    reconcile(world, "two")
    assert world.store.foreign_items() == []


def test_another_installation_on_the_account_stops_entries_everywhere(world: World) -> None:
    order = their_order("TSLA", "beef-260109-TSLA-entry-1")
    world.broker.orders[order.broker_id] = order
    reconcile(world, "one")
    assert {(item.kind, item.name) for item in world.store.foreign_items()} == {
        ("order", "foreign-TSLA"),
        ("installation", "beef"),
    }
    world.minute(LATER, {"MSFT": 100.0}, of("MSFT", LATER, entries=(confirmed("MSFT", LATER),)))
    assert dump(world.store)["entries"][-1][1:3] == ("refused", "foreign")


def test_a_list_that_could_not_be_read_is_never_no_orders(world: World) -> None:
    before = everything(world.store)
    snapshot = world.broker.snapshot("nobody-asked", "broken")
    unread = replace(snapshot, orders=None, positions=None, fills=None, account=None)
    world.bus.publish([unread])
    world.settle(3)
    assert everything(world.store) == before
    assert texts(world) == []


def test_an_order_that_the_broker_does_not_know_is_told_once_and_not_invented_away(world: World) -> None:
    known, world.broker.orders = world.broker.orders, {}
    for number in range(4):
        reconcile(world, f"look-{number}")
    leg = world.store.order(LEG)
    assert leg is not None
    assert (leg.status, leg.resting) == (Status.ACCEPTED, True)
    assert len([text for text in texts(world) if LEG in text]) == 1
    world.broker.orders = known


def test_an_old_stop_that_ended_unheard_is_found_by_its_id_and_the_shares_get_a_new_one(world: World) -> None:
    """No list shows it: it was sent longer ago than lists reach back, and is not open."""
    leg = world.broker.leg(ENTRY)
    world.broker.end(leg.broker_id, "canceled")
    world.executor.told = len(world.broker.events)
    world.broker.unlisted = {leg.broker_id, *world.broker.orders}
    reconcile(world, "look")
    world.settle(8)  # it looks again by itself, by the order's id
    world.minute(LATER, {"AAPL": 100.3})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.qty, stop.resting) == ("e7f3-260109-AAPL-stop-1", 16, True)
    assert texts(world) == []


def test_a_position_that_cannot_be_read_is_not_one_that_is_gone(world: World) -> None:
    for number in range(4):
        snapshot = world.broker.snapshot("nobody-asked", f"odd-{number}")
        world.bus.publish([replace(snapshot, positions=(), unread=("AAPL",))])
        world.settle(4)
    assert world.store.foreign_items() == []
    assert texts(world) == []


def test_a_part_of_a_share_is_told_and_the_rest_of_the_snapshot_counts(world: World) -> None:
    leg = world.broker.leg(ENTRY)
    world.broker.end(leg.broker_id, "canceled")
    world.executor.told = len(world.broker.events)
    world.broker.fills.append(replace(world.broker.fills[0], execution_id="odd", qty=Decimal("0.5")))
    for number in range(3):
        reconcile(world, f"look-{number}")
    assert len([text for text in texts(world) if "0.5 shares" in text]) == 1
    old = world.store.order(LEG)
    assert old is not None
    assert old.status is Status.CANCELED


def test_a_stop_that_someone_cancelled_at_the_broker_returns(world: World) -> None:
    world.broker.end(world.broker.leg(ENTRY).broker_id, "canceled")
    world.executor.told = len(world.broker.events)  # and no update tells of it
    reconcile(world, "look")
    world.minute(LATER, {"AAPL": 100.3})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.qty, stop.resting) == ("e7f3-260109-AAPL-stop-1", 16, True)


def test_an_order_replaced_by_hand_goes_on_under_our_next_name(world: World) -> None:
    leg = world.broker.leg(ENTRY)
    theirs = replace(
        leg, broker_id="by-hand", client_order_id="web-page", stop_price=Decimal("97.00"), replaces=leg.broker_id
    )
    world.broker.orders["by-hand"] = theirs
    world.broker.orders[leg.broker_id] = replace(leg, status="replaced", replaced_by="by-hand")
    reconcile(world, "look")
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.broker_id, stop.stop_price) == (
        "e7f3-260109-AAPL-stop-1",
        "by-hand",
        Decimal("97.00"),
    )
    assert world.store.foreign_items() == []
    world.minute(LATER, {"AAPL": 100.3})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.stop_price, stop.resting) == (Decimal("98.40"), True)


def test_an_old_backup_takes_its_own_orders_in_again_and_uses_no_number_twice(tmp_path: Path) -> None:
    world = World(tmp_path, symbols=("AAPL", "MSFT"))
    world.open()
    old = tmp_path / "old.sqlite"
    world.store.backup(old)
    buy(world, AT)
    world.store.close()
    ledger = tmp_path / "data" / "execution_v2.sqlite"
    for end in ("-wal", "-shm"):
        ledger.with_name(ledger.name + end).unlink(missing_ok=True)
    old.replace(ledger)
    world.bus.streams.clear()
    world._start()
    reconcile(world, "look")
    order, leg = world.store.order(ENTRY), world.store.order(LEG)
    assert order is not None
    assert leg is not None
    assert (order.status, order.filled_qty, leg.resting) == (Status.FILLED, 16, True)
    [held] = world.store.list_positions()
    assert (held.position_id, held.qty, held.avg_price, held.stop) == (ENTRY, 16, Decimal("100.1"), Decimal("98.40"))
    assert world.store.next_order_number(order.session, "AAPL", order.kind) == 2


def test_the_broker_takes_the_word_on_cash_when_both_hold_the_same_shares(world: World) -> None:
    account = world.store.account()
    assert account.cash == world.broker.cash
    assert account.opening_equity == Decimal(100_000)


def test_a_snapshot_that_was_read_in_part_says_so(world: World) -> None:
    snapshot = world.broker.snapshot("nobody-asked", "part")
    world.bus.publish([replace(snapshot, dropped=("order 7: unknown enum",))])
    world.settle(2)
    kinds = [kind for (kind,) in sqlite_rows(world, "SELECT kind FROM journal")]
    assert "snapshot_partly_read" in kinds


def sqlite_rows(world: World, query: str) -> list[tuple[object, ...]]:
    cursor: sqlite3.Cursor = world.store._db.execute(query)
    return list(cursor)


def test_what_is_foreign_is_certain_at_once_unless_it_is_shares() -> None:
    def item(kind: str, readings: int) -> ForeignItem:
        return ForeignItem(kind=kind, name="n", symbol="S", qty=Decimal(1), price=None, readings=readings, detail="d")

    assert [item("order", 1).certain, item("shares", 1).certain, item("shares", 2).certain] == [True, False, True]


def split(world: World, new: int, old: int) -> None:
    """The broker splits AAPL over night: shares, average price and resting orders."""
    world.broker.shares["AAPL"] = Decimal(int(world.broker.shares["AAPL"]) * new // old)
    world.broker.paid["AAPL"] = (Decimal("100.10") * old / new).quantize(Decimal("0.0001"))
    for order in list(world.broker.orders.values()):
        if order.status == "new" and order.qty is not None and order.stop_price is not None:
            scaled = (order.stop_price * old / new).quantize(Decimal("0.01"))
            world.broker.orders[order.broker_id] = replace(
                order, qty=Decimal(int(order.qty) * new // old), stop_price=scaled
            )


@pytest.mark.parametrize(
    ("new", "old", "shares", "stop"), [(4, 1, 64, "24.60"), (3, 2, 24, "65.60"), (1, 4, 4, "393.60")]
)
def test_a_split_scales_the_position_and_its_levels(world: World, new: int, old: int, shares: int, stop: str) -> None:
    split(world, new, old)
    reconcile(world, "one")
    reconcile(world, "two")
    [position] = world.store.list_positions()
    assert (position.qty, position.bought, position.stop) == (shares, shares, Decimal(stop))
    assert position.avg_price == (Decimal("100.10") * old / new).quantize(Decimal("0.000001"))
    assert position.pivot == pytest.approx(99.5 * old / new)
    assert world.store.foreign_items() == []
    price = 100.2 * old / new
    world.minute(LATER, {"AAPL": price})
    [resting] = world.store.open_orders("AAPL")
    assert (resting.client_order_id, resting.qty, resting.stop_price) == (LEG, shares, Decimal(stop))
    world.minute(LATER + MINUTE, {"AAPL": price}, fills=lambda: world.broker.fill(LEG, shares, stop))
    assert world.store.list_positions() == []
    assert len([text for text in texts(world) if "was split" in text]) == 1


def sell_by_hand(world: World, qty: int, price: str = "100.40", kind: str = "market", until: str = "gtc") -> None:
    """A person cancels our stop on the broker's page and sells at the market; no trade update reaches us."""
    world.broker.end(world.broker.leg(ENTRY).broker_id, "canceled")
    order = replace(
        their_order("AAPL", side="sell"),
        type=kind,
        time_in_force=until,
        limit_price=None,
        qty=Decimal(qty),
        submitted_at=world.broker.now,
    )
    world.broker.orders[order.broker_id] = order
    world.broker.fill("by-hand", qty, price)
    world.executor.told = len(world.broker.events)


@pytest.mark.parametrize("qty", [6, 16])
def test_a_sale_by_hand_is_booked_by_its_own_executions_and_the_rest_is_protected(world: World, qty: int) -> None:
    sell_by_hand(world, qty)
    for number in range(2):
        reconcile(world, f"look-{number}")
    world.minute(LATER, {"AAPL": 100.3})
    held = [position.qty for position in world.store.list_positions()]
    stops = [(stop.qty, stop.resting) for stop in world.store.open_orders("AAPL")]
    assert (held, stops) == (([10], [(10, True)]) if qty == 6 else ([], []))
    assert world.store.account().cash == world.broker.cash
    assert world.store.foreign_items() == []
    sale = world.store.order_by_broker_id("foreign-AAPL")
    assert sale is not None
    assert (sale.client_order_id, sale.status, sale.filled_qty) == ("e7f3-260109-AAPL-exit-1", Status.FILLED, qty)
    before = everything(world.store)
    for number in range(3):
        reconcile(world, f"again-{number}")
    assert everything(world.store) == before


@pytest.mark.parametrize(("kind", "until"), [("trailing_stop", "day"), ("market", "opg"), ("limit", "cls")])
def test_a_sale_by_an_order_of_a_kind_that_we_never_send_is_booked_too(world: World, kind: str, until: str) -> None:
    sell_by_hand(world, 16, kind=kind, until=until)
    for number in range(2):
        reconcile(world, f"look-{number}")
    assert world.store.list_positions() == []
    assert world.store.account().cash == world.broker.cash


def test_shares_that_went_without_a_trace_are_named_and_only_the_rest_gets_a_stop(world: World) -> None:
    """The broker would refuse a stop for all of them, and none would be protected."""
    world.broker.refuse = lambda action: (
        "insufficient qty available for order (requested: 16, available: 10)"
        if action.terms is not None and action.terms.qty > 10
        else ""
    )
    world.broker.end(world.broker.leg(ENTRY).broker_id, "canceled")
    world.broker.shares["AAPL"] = Decimal(10)
    world.executor.told = len(world.broker.events)
    for number in range(2):
        reconcile(world, f"look-{number}")
    for minute in range(3):
        world.minute(LATER + minute * MINUTE, {"AAPL": 100.3})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.qty, stop.resting) == (10, True)
    [item] = world.store.foreign_items()
    assert (item.symbol, item.qty) == ("AAPL", Decimal(-6))
    assert len([text for text in texts(world) if "the broker holds 10, the ledger 16" in text]) == 1


@pytest.mark.parametrize("left", [0, 10])
def test_disowning_books_missing_shares_at_the_price_that_a_person_says(world: World, left: int) -> None:
    world.broker.shares["AAPL"] = Decimal(left)
    for number in range(2):
        reconcile(world, f"look-{number}")
    cash = world.store.account().cash
    world.bus.publish([Disown(id="gone", at=LATER, by="test", symbol="AAPL", price=Decimal("90.00"))])
    world.minute(LATER, {"AAPL": 100.3})
    assert [position.qty for position in world.store.list_positions()] == ([left] if left else [])
    assert world.store.account().cash == cash + (16 - left) * 90
    assert [stop.qty for stop in world.store.open_orders("AAPL")] == ([left] if left else [])
    assert world.store.foreign_items() == []


def test_what_the_broker_holds_is_not_disowned(world: World) -> None:
    before = everything(world.store)
    world.bus.publish([Disown(id="gone", at=LATER, by="test", symbol="AAPL", price=Decimal("90.00"))])
    world.settle(3)
    assert everything(world.store) == before
    refused = sqlite_rows(world, "SELECT text FROM journal WHERE kind = 'command_refused'")
    assert refused == [("disown by test: the broker holds all shares of AAPL; `execution reconcile` looks again",)]


def test_a_stop_that_rests_is_not_made_smaller_by_a_reading_of_the_shares(world: World) -> None:
    world.broker.shares["AAPL"] = Decimal(0)
    for number in range(3):
        reconcile(world, f"look-{number}")
    world.minute(LATER, {"AAPL": 100.3})
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.qty, stop.resting) == (LEG, 16, True)


def test_what_is_held_and_no_longer_traded_keeps_its_stop_and_a_person_is_told(world: World) -> None:
    snapshot = world.broker.snapshot("nobody-asked", "assets")
    world.bus.publish([replace(snapshot, assets=(BrokerAsset(symbol="AAPL", tradable=False),))])
    world.minute(LATER, {"AAPL": 100.3})
    assert [text for text in texts(world) if "does not trade" in text] == [
        "the broker does not trade AAPL; what is held keeps its stop"
    ]
    [stop] = world.store.open_orders("AAPL")
    assert (stop.client_order_id, stop.resting) == (LEG, True)


def test_the_broker_is_asked_once_a_session_which_symbols_it_trades(world: World) -> None:
    assert assets.to_ask(world.store) == ("AAPL", "MSFT")
    said = (BrokerAsset(symbol="AAPL", tradable=True), BrokerAsset(symbol="MSFT", tradable=False))
    world.bus.publish([replace(world.broker.snapshot("nobody-asked", "assets"), assets=said)])
    world.settle(3)
    assert assets.to_ask(world.store) == ()
    assert [assets.is_traded(world.store, symbol) for symbol in ("AAPL", "MSFT", "TSLA")] == [True, False, True]


def test_shares_sold_by_hand_are_no_split(world: World) -> None:
    world.broker.shares["AAPL"] = Decimal(8)  # half of them, at the same average price
    for number in range(3):
        reconcile(world, f"again-{number}")
    [item] = world.store.foreign_items()
    assert (item.symbol, item.qty) == ("AAPL", Decimal(-8))
    [position] = world.store.list_positions()
    assert position.qty == 16
