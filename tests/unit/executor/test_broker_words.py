"""The broker's JSON: read whole where it is right, left out alone where it is not."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.executor import broker_words
from services.executor.broker_words import Unreadable
from shared.contracts.orders import BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition

STOP: dict[str, Any] = {
    "id": "7b08df51-c1ac-453c-99f9-323a5f075f0d",
    "client_order_id": "e7f3-260109-AAPL-stop-1",
    "created_at": "2026-01-09T14:30:00.123456789Z",
    "updated_at": "2026-01-09T14:30:00.13Z",
    "submitted_at": "2026-01-09T09:30:00.122-05:00",
    "replaced_by": None,
    "replaces": None,
    "symbol": "AAPL",
    "notional": None,
    "qty": "10",
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "order_type": "stop",
    "type": "stop",
    "side": "sell",
    "time_in_force": "gtc",
    "limit_price": None,
    "stop_price": "95.1",
    "status": "new",
    "legs": None,
    "expires_at": "2026-04-09T20:15:00Z",
}
POSITION: dict[str, Any] = {
    "symbol": "AAPL",
    "qty": "10",
    "qty_available": "0",
    "avg_entry_price": "100.01",
    "side": "long",
    "current_price": "100.5",
}
FILL: dict[str, Any] = {
    "activity_type": "FILL",
    "id": "20260109143000000::c2e0a8a6-3b2f-4b0f-9a0c-1a2b3c4d5e6f",
    "cum_qty": "4",
    "leaves_qty": "6",
    "order_id": STOP["id"],
    "price": "94.98",
    "qty": "4",
    "side": "sell",
    "symbol": "AAPL",
    "transaction_time": "2026-01-09T14:30:00.5Z",
    "type": "partial_fill",
}
ACCOUNT: dict[str, Any] = {
    "account_number": "PA3000000001",
    "status": "ACTIVE",
    "cash": "98999.9",
    "equity": "100004.9",
    "buying_power": "198999.8",
    "multiplier": "2",
    "trading_blocked": False,
    "account_blocked": False,
    "trade_suspended_by_user": False,
}
UPDATE: dict[str, Any] = {
    "event": "partial_fill",
    "execution_id": "c2e0a8a6-3b2f-4b0f-9a0c-1a2b3c4d5e6f",
    "price": "94.98",
    "qty": "4",
    "position_qty": "6",
    "timestamp": "2026-01-09T14:30:00.5Z",
    "order": STOP | {"status": "partially_filled", "filled_qty": "4", "filled_avg_price": "94.98"},
}


def utc(hour: int, minute: int, second: int = 0, micro: int = 0, day: int = 9, month: int = 1) -> dt.datetime:
    return dt.datetime(2026, month, day, hour, minute, second, micro, tzinfo=dt.UTC)


def test_an_order_is_read_with_its_amounts_to_the_last_digit() -> None:
    assert broker_words.read_order(STOP).order == BrokerOrder(
        broker_id=STOP["id"],
        client_order_id="e7f3-260109-AAPL-stop-1",
        symbol="AAPL",
        side="sell",
        type="stop",
        order_class="",
        time_in_force="gtc",
        status="new",
        qty=Decimal(10),
        filled_qty=Decimal(0),
        stop_price=Decimal("95.1"),
        submitted_at=utc(14, 30, 0, 122_000),
        updated_at=utc(14, 30, 0, 130_000),
        expires_at=utc(20, 15, day=9, month=4),
    )


def test_nanoseconds_are_cut_and_not_rounded_into_the_future() -> None:
    raw = STOP | {"updated_at": "2026-01-09T14:30:00.999999999Z"}
    assert broker_words.read_order(raw).order.updated_at == utc(14, 30, 0, 999_999)


def test_legs_stand_within_their_parent() -> None:
    leg = STOP | {"id": "leg", "client_order_id": "invented-by-the-broker", "status": "held"}
    read = broker_words.read_order(STOP | {"type": "limit", "order_class": "oto", "legs": [leg]})
    assert [(child.broker_id, child.status) for child in read.order.legs] == [("leg", "held")]
    assert read.dropped == ()


def test_a_leg_that_cannot_be_read_is_left_out_and_named() -> None:
    read = broker_words.read_order(STOP | {"legs": [STOP | {"id": "leg", "status": "paused"}]})
    assert read.order.legs == ()
    assert "leg of order" in read.dropped[0].reason
    assert "'paused'" in read.dropped[0].reason


def test_one_unknown_status_does_not_hide_the_other_orders() -> None:
    orders, dropped = broker_words.read_orders(
        [STOP, STOP | {"id": "odd", "status": "paused"}, None, STOP | {"id": "b"}]
    )
    assert [order.broker_id for order in orders] == [STOP["id"], "b"]
    assert [element.reason for element in dropped] == [
        "order odd: status is 'paused', which this program does not know",
        "order: not an object but missing",
    ]


@pytest.mark.parametrize("raw", [None, {}, "[]", 3, {"orders": []}])
def test_what_is_no_list_is_not_an_empty_one(raw: object) -> None:
    with pytest.raises(Unreadable):
        broker_words.read_orders(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"status": None},
        {"side": "sell_short_exempt"},
        {"time_in_force": "forever"},
        {"order_class": None},
        {"qty": "ten"},
        {"qty": "NaN"},
        {"qty": "-1"},
        {"qty": True},
        {"filled_qty": None},
        {"filled_qty": "1e999999"},
        {"stop_price": "Infinity"},
        {"symbol": "AAPL:*"},
        {"symbol": "A" * 1000},
        {"id": "with blank"},
        {"client_order_id": "line\nbreak"},
        {"client_order_id": "x" * 129},
        {"submitted_at": "2026-01-09T14:30:00"},
        {"submitted_at": "2026-02-30T14:30:00Z"},
        {"submitted_at": 1767969000},
        {"legs": "none"},
        {"legs": [STOP] * 11},
        {"legs": [STOP | {"legs": [STOP]}]},
    ],
    ids=lambda change: json.dumps(change)[:40],
)
def test_an_order_with_one_bad_field_is_not_read(change: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        broker_words.read_order(STOP | change)


def test_foreign_orders_may_be_of_kinds_we_never_send() -> None:
    foreign = STOP | {"type": "trailing_stop", "qty": None, "client_order_id": "my order 1", "order_class": "bracket"}
    assert broker_words.read_order(foreign).order.qty is None


def test_positions_keep_their_sign() -> None:
    short = POSITION | {"symbol": "TSLA", "qty": "-5", "side": "short"}
    positions, dropped = broker_words.read_positions([POSITION, short])
    assert positions[0] == BrokerPosition(
        symbol="AAPL",
        qty=Decimal(10),
        avg_entry_price=Decimal("100.01"),
        qty_available=Decimal(0),
        current_price=Decimal("100.5"),
    )
    assert positions[1].qty == Decimal(-5)
    assert dropped == ()


def test_an_execution_is_known_by_what_stands_behind_the_colons() -> None:
    assert broker_words.read_fill(FILL) == BrokerFill(
        execution_id="c2e0a8a6-3b2f-4b0f-9a0c-1a2b3c4d5e6f",
        broker_order_id=STOP["id"],
        symbol="AAPL",
        side="sell",
        qty=Decimal(4),
        price=Decimal("94.98"),
        at=utc(14, 30, 0, 500_000),
    )


def test_an_execution_id_of_its_own_comes_first() -> None:
    assert broker_words.read_fill(FILL | {"execution_id": "own"}).execution_id == "own"


@pytest.mark.parametrize("change", [{"id": "20260109143000000"}, {"qty": "0"}, {"price": "-1"}, {"order_id": None}])
def test_an_execution_that_could_be_booked_wrongly_is_not_read(change: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        broker_words.read_fill(FILL | change)


def test_the_account_is_read_with_its_blocks() -> None:
    open_account = BrokerAccount(
        account_number="PA3000000001",
        status="ACTIVE",
        cash=Decimal("98999.9"),
        equity=Decimal("100004.9"),
        buying_power=Decimal("198999.8"),
        multiplier=Decimal(2),
    )
    assert broker_words.read_account(ACCOUNT) == open_account
    for change in ({"trading_blocked": True}, {"status": "ACCOUNT_CLOSED"}, {"trade_suspended_by_user": True}):
        assert broker_words.read_account(ACCOUNT | change).blocked


def test_a_fill_has_the_id_of_its_execution_each_time_it_is_sent() -> None:
    event, _ = broker_words.read_update(UPDATE)
    again, _ = broker_words.read_update(UPDATE | {"timestamp": "2026-01-09T14:31:00Z", "seq": 12})
    assert event.id == again.id == "event-c2e0a8a6-3b2f-4b0f-9a0c-1a2b3c4d5e6f"
    assert (event.qty, event.price, event.order.filled_qty) == (Decimal(4), Decimal("94.98"), Decimal(4))


def test_an_event_without_an_execution_is_known_by_order_event_and_time_or_by_its_number() -> None:
    plain = UPDATE | {"event": "new", "order": STOP}
    ids = {
        broker_words.read_update(raw)[0].id
        for raw in (
            plain,
            plain | {"event": "pending_cancel"},
            plain | {"order": STOP | {"updated_at": "2026-01-09T14:31:00Z"}},
            plain | {"seq": 8},
            plain | {"seq": 9},
        )
    }
    assert len(ids) == 5
    assert broker_words.read_update(plain | {"seq": 8})[0].seq == 8


def test_an_event_of_an_unknown_name_is_forwarded_with_its_order() -> None:
    event, _ = broker_words.read_update(UPDATE | {"event": "order_borrowed", "execution_id": None})
    assert (event.event, event.order.status) == ("order_borrowed", "partially_filled")


@pytest.mark.parametrize(
    "change",
    [{"execution_id": None}, {"qty": None}, {"price": "0"}, {"order": None}, {"event": None}, {"seq": "8"}],
)
def test_a_fill_that_could_be_booked_wrongly_is_not_read(change: dict[str, object]) -> None:
    with pytest.raises(Unreadable):
        broker_words.read_update(UPDATE | change)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["1e9", "-0", "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(STOP)), ANYTHING, st.booleans())
def test_whatever_stands_in_one_field_the_other_orders_are_read(key: str, value: object, missing: bool) -> None:
    spoilt = {name: field for name, field in STOP.items() if name != key} | ({} if missing else {key: value})
    orders, dropped = broker_words.read_orders([STOP, spoilt, STOP | {"id": "last"}])
    assert orders[0].broker_id == STOP["id"]
    assert orders[-1].broker_id == "last"
    assert len(orders) + len([element for element in dropped if not element.reason.startswith("leg of")]) == 3
    for order in orders:
        assert order.filled_qty.is_finite()
        assert order.qty is None or order.qty > 0


@settings(max_examples=100, deadline=None)
@given(ANYTHING)
def test_anything_at_all_is_read_or_refused_and_nothing_else(raw: object) -> None:
    readers = (
        broker_words.read_order,
        broker_words.read_orders,
        broker_words.read_position,
        broker_words.read_positions,
        broker_words.read_fill,
        broker_words.read_fills,
        broker_words.read_account,
        broker_words.read_clock,
        broker_words.read_asset,
        broker_words.read_update,
    )
    for read in readers:
        with contextlib.suppress(Unreadable):
            read(raw)
