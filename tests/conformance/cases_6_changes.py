"""Replacing and cancelling, at once and with delay; races with fills."""

from __future__ import annotations

from typing import Any

from tests.conformance.broker import Broker, bar, flat
from tests.conformance.case import case

REPLACE = "Changes: replace"
CANCEL = "Changes: cancel"
DOCS = "Alpaca docs: replacing an order"
TABLE = "Alpaca docs: error table of the options page"
PAPER = "measured on paper by third parties"


def resting(b: Broker, **fields: Any) -> dict[str, Any]:
    return b.order(**{"type": "limit", "limit_price": 99, "time_in_force": "gtc", **fields})


@case(REPLACE, "A replacement is a new order that names the old one, and is named by it", DOCS)
def _(b: Broker) -> None:
    b.ready()
    old = resting(b)
    said = b.replace(old, limit_price=98.5, client_order_id="new-1")
    new = said.body
    assert (said.status, new["replaces"], new["limit_price"], new["qty"]) == (200, old["id"], "98.5", "10")
    assert (new["client_order_id"], new["status"]) == ("new-1", "new")
    shown = b.get(old)
    assert (shown["status"], shown["replaced_by"]) == ("replaced", new["id"])
    assert shown["replaced_at"] is not None


@case(REPLACE, "The events are replaced for the old order and new for the new one", "alpaca-trade-api-csharp#149")
def _(b: Broker) -> None:
    b.ready()
    old = resting(b)
    new = b.replace(old, limit_price=98.5).body
    assert (b.told(old), b.told(new)) == (["pending_new", "new", "replaced"], ["new"])


@case(REPLACE, "With a delay the old order is pending_replace and still works", DOCS)
def _(b: Broker) -> None:
    b.ready(replace_delay=5)
    old = resting(b)
    new = b.replace(old, limit_price=98.5).body
    assert (b.status(old), new["status"]) == ("pending_replace", "pending_new")
    b.wait(5)
    assert (b.status(old), b.status(new)) == ("replaced", "new")
    assert b.told(old) == ["pending_new", "new", "pending_replace", "replaced"]


@case(REPLACE, "An old order that fills first wins: the replacement is rejected by events", "Alpaca's OpenAPI: replace")
def _(b: Broker) -> None:
    b.ready(replace_delay=90)
    old = resting(b)
    new = b.replace(old, limit_price=98.5).body
    b.minute(bar("AAPL", 98.9, 99, 98.8, 99))
    b.wait(60)
    assert (b.status(old), b.status(new)) == ("filled", "rejected")
    assert b.told(old)[-2:] == ["fill", "order_replace_rejected"]
    assert b.told(new) == ["rejected"]


@case(REPLACE, "A partly filled order is replaced for what is left", "not documented; switch `replace_of_partial`")
def _(b: Broker) -> None:
    b.ready()
    old = b.order()
    b.minute(flat(100.0, volume=40))
    new = b.replace(old, qty=9).body
    assert (b.get(old)["filled_qty"], new["qty"], new["filled_qty"]) == ("4", "5", "0")


@case(REPLACE, "Or, with the switch, for the whole quantity again, as was seen", "Alpaca-API#165")
def _(b: Broker) -> None:
    b.ready(replace_of_partial="total")
    old = b.order()
    b.minute(flat(100.0, volume=40))
    assert b.replace(old, qty=9).body["qty"] == "9"


@case(REPLACE, "A replacement to less than was filled meanwhile is rejected, and the old order goes on", DOCS)
def _(b: Broker) -> None:
    b.ready(replace_delay=90)
    old = b.order()
    new = b.replace(old, qty=5).body
    b.minute(flat(100.0, volume=60))
    b.wait(60)
    assert (b.status(old), b.status(new)) == ("partially_filled", "rejected")
    b.minute(flat(100.0))
    assert b.status(old) == "filled"


@case(REPLACE, "To a quantity at or below what is filled is refused", TABLE)
def _(b: Broker) -> None:
    b.ready()
    old = b.order()
    b.minute(flat(100.0, volume=40))
    said = b.replace(old, qty=4)
    assert (said.status, said.message) == (422, "qty must be > filled_qty")


@case(REPLACE, "With nothing changed is refused", "alpacahq/alpaca-py#412")
def _(b: Broker) -> None:
    b.ready()
    old = resting(b)
    for fields in ({"limit_price": 99.0}, {"qty": 10}, {}):
        said = b.replace(old, **fields)
        assert (said.status, said.code, said.message) == (422, 42210000, "order parameters are not changed")


@case(
    REPLACE, "Of an order in the night queue is refused", "measured on paper: cannot replace order in accepted status"
)
def _(b: Broker) -> None:
    b.ready()
    b.until(b.now.replace(hour=22))
    said = b.replace(resting(b), limit_price=98.0)
    assert (said.status, said.message) == (422, "cannot replace order in accepted status")


@case(REPLACE, "Of an order that is not acknowledged yet is refused", TABLE)
def _(b: Broker) -> None:
    b.ready(acknowledge_delay=5)
    said = b.replace(resting(b), limit_price=98.0)
    assert said.message == "cannot replace order in pending_new status"


@case(REPLACE, "While a cancel is pending is refused", TABLE)
def _(b: Broker) -> None:
    b.ready(cancel_delay=5)
    order = resting(b)
    b.cancel(order)
    assert b.replace(order, limit_price=98.0).message == "cannot replace order in pending_cancel status"


@case(REPLACE, "While another replacement is pending is refused", TABLE)
def _(b: Broker) -> None:
    b.ready(replace_delay=5)
    order = resting(b)
    b.replace(order, limit_price=98.0)
    assert b.replace(order, limit_price=97.0).message == "cannot replace order in pending_replace status"


@case(REPLACE, "Of a replaced order is refused", TABLE)
def _(b: Broker) -> None:
    b.ready()
    order = resting(b)
    b.replace(order, limit_price=98.0)
    assert b.replace(order, limit_price=97.0).message == "order already replaced"


@case(REPLACE, "Of a filled order is refused", TABLE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0))
    assert b.replace(order, qty=20).message == 'order is already in "filled" state'


@case(REPLACE, "Of a fraction of a share is refused", DOCS)
def _(b: Broker) -> None:
    b.ready()
    assert b.replace(resting(b), qty=1.5).status == 422


@case(REPLACE, "Of an order over an amount is refused", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(qty=None, notional=500)
    assert b.replace(order, qty=3).message == "notional orders cannot be replaced"


@case(REPLACE, "To a price off the grid is refused", "Alpaca docs: placing orders")
def _(b: Broker) -> None:
    b.ready()
    assert "sub-penny" in b.replace(resting(b), limit_price=98.123).message


@case(REPLACE, "Of a stop to above the last price is refused", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95)
    assert b.replace(stop, stop_price=100.5).message == "stop price must be less than current price"


@case(REPLACE, "Under an id that exists is refused", PAPER)
def _(b: Broker) -> None:
    b.ready()
    order = resting(b, client_order_id="a")
    said = b.replace(order, limit_price=98.0, client_order_id="a")
    assert (said.status, said.message) == (422, "client_order_id must be unique")


@case(REPLACE, "Changes the time in force", DOCS)
def _(b: Broker) -> None:
    b.ready()
    new = b.replace(resting(b), time_in_force="day").body
    assert (new["time_in_force"], new["expires_at"]) == ("day", "2015-02-11T21:00:00Z")


@case(REPLACE, "The new order meets the bar after it", "docs/strategy.md section 11")
def _(b: Broker) -> None:
    b.ready()
    new = b.replace(resting(b), limit_price=98.0).body
    b.minute(bar("AAPL", 99, 99, 97.9, 98))
    assert (b.status(new), b.fills()) == ("filled", [("10", "98")])


@case(CANCEL, "A cancel is answered 204 without a body, and the order is canceled", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = resting(b)
    said = b.cancel(order)
    assert (said.status, said.body) == (204, None)
    shown = b.get(order)
    assert (shown["status"], shown["canceled_at"]) == ("canceled", "2015-02-11T14:31:00Z")
    assert b.told(order) == ["pending_new", "new", "canceled"]


@case(CANCEL, "With a delay the order is pending_cancel first", "alpacahq/alpaca-py#400")
def _(b: Broker) -> None:
    b.ready(cancel_delay=5)
    order = resting(b)
    b.cancel(order)
    assert b.status(order) == "pending_cancel"
    b.wait(5)
    assert b.told(order) == ["pending_new", "new", "pending_cancel", "canceled"]


@case(CANCEL, "A fill may cross a pending cancel", "Alpaca docs: orders, cancel")
def _(b: Broker) -> None:
    b.ready(cancel_delay=90)
    order = resting(b)
    b.cancel(order)
    b.minute(bar("AAPL", 98.9, 99, 98.8, 99))
    assert b.status(order) == "filled"
    b.wait(90)
    assert b.status(order) == "filled"


@case(CANCEL, "A partial fill may cross a pending cancel, and the rest is cancelled", "Alpaca docs: orders, cancel")
def _(b: Broker) -> None:
    b.ready(cancel_delay=90)
    order = b.order()
    b.cancel(order)
    b.minute(flat(100.0, volume=60))
    assert (b.status(order), b.get(order)["filled_qty"]) == ("pending_cancel", "6")
    b.wait(90)
    assert (b.status(order), b.get(order)["filled_qty"]) == ("canceled", "6")


@case(CANCEL, "Of a filled order is refused", TABLE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0))
    said = b.cancel(order)
    assert (said.status, said.body) == (422, {"code": 42210000, "message": 'order is already in "filled" state'})


@case(CANCEL, "Of a canceled order is accepted again", "measured on paper by third parties; switch")
def _(b: Broker) -> None:
    b.ready()
    order = resting(b)
    b.cancel(order)
    assert b.cancel(order).status == 204
    assert b.told(order).count("canceled") == 1


@case(CANCEL, "Or refused, with the switch", "switch `repeat_cancel_accepted`")
def _(b: Broker) -> None:
    b.ready(repeat_cancel_accepted=False)
    order = resting(b)
    b.cancel(order)
    assert b.cancel(order).message == 'order is already in "canceled" state'


@case(CANCEL, "Of a replaced or expired order is refused", TABLE)
def _(b: Broker) -> None:
    b.ready()
    old = resting(b)
    b.replace(old, limit_price=98.0)
    assert b.cancel(old).message == 'order is already in "replaced" state'
    day = resting(b, time_in_force="day")
    b.until(b.now.replace(hour=21, minute=0))
    assert b.cancel(day).message == 'order is already in "expired" state'


@case(CANCEL, "While a replacement is pending is refused", "Alpaca docs: order life")
def _(b: Broker) -> None:
    b.ready(replace_delay=5)
    order = resting(b)
    b.replace(order, limit_price=98.0)
    assert b.cancel(order).message == "cannot cancel order in pending_replace status"


@case(CANCEL, "Of a replacement that does not stand yet is refused", "Alpaca docs: order life")
def _(b: Broker) -> None:
    b.ready(replace_delay=5)
    new = b.replace(resting(b), limit_price=98.0).body
    assert b.cancel(new).message == "cannot cancel order in pending_new status"
    assert b.replace(new, limit_price=97.0).message == "cannot replace order in pending_new status"
    b.wait(5)
    assert (b.cancel(new).status, b.status(new)) == (204, "canceled")


@case(CANCEL, "Of an order in the night queue is accepted", "Alpaca docs: order life")
def _(b: Broker) -> None:
    b.ready()
    b.until(b.now.replace(hour=22))
    order = resting(b)
    assert (b.cancel(order).status, b.status(order)) == (204, "canceled")


@case(CANCEL, "Twice while it is pending cancels once", "alpacahq/alpaca-py#400")
def _(b: Broker) -> None:
    b.ready(cancel_delay=5)
    order = resting(b)
    assert (b.cancel(order).status, b.cancel(order).status) == (204, 204)
    b.wait(5)
    assert b.told(order).count("canceled") == 1
