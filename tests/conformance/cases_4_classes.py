"""Orders with legs: OTO, bracket, OCO."""

from __future__ import annotations

from typing import Any

from tests.conformance.broker import Broker, bar, flat
from tests.conformance.case import case

OTO = "Classes: OTO"
BRACKET = "Classes: bracket"
OCO = "Classes: OCO"
DOCS = "Alpaca docs: bracket, OCO and OTO orders"
RULE = "docs/strategy.md section 11"
SILENT = "alpacahq/alpaca-py#198"


def oto(b: Broker, **fields: Any) -> dict[str, Any]:
    wanted = {"order_class": "oto", "time_in_force": "gtc", "stop_loss": {"stop_price": 95}, **fields}
    return b.order(**wanted)


def bracket(b: Broker, **fields: Any) -> dict[str, Any]:
    legs = {"take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 95}}
    return b.order(**{"order_class": "bracket", "time_in_force": "gtc", **legs, **fields})


def oco(b: Broker, **fields: Any) -> dict[str, Any]:
    legs = {"take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 95}}
    return b.order(**{"order_class": "oco", "side": "sell", "type": "limit", "time_in_force": "gtc", **legs, **fields})


def leg(b: Broker, order: dict[str, Any], kind: str) -> dict[str, Any]:
    """The parent's present leg of that type."""
    return next(found for found in b.get(order)["legs"] if found["type"] == kind)


@case(OTO, "The leg is in the reply: a held sell of the same quantity with an id of the broker's", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, client_order_id="e-1")
    [stop] = order["legs"]
    assert (stop["status"], stop["side"], stop["type"], stop["qty"]) == ("held", "sell", "stop", "10")
    assert (stop["stop_price"], stop["time_in_force"], stop["order_class"]) == ("95", "gtc", "oto")
    assert stop["client_order_id"] not in ("", "e-1")


@case(OTO, "A held leg is not among the open orders and holds no shares", "alpaca-trade-api-python#322")
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    assert [open_order["id"] for open_order in b.orders().body] == [order["id"]]


@case(OTO, "The entry's fill makes the leg new, which then holds the shares", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0))
    stop = leg(b, order, "stop")
    assert (stop["status"], b.held()) == ("new", ("10", "0"))
    assert b.told(order) == ["pending_new", "new", "fill"]
    assert b.told(stop) == ["new"]


@case(OTO, "The leg trades from the bar after the one that filled its entry", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(bar("AAPL", 100, 101, 94, 96))
    assert leg(b, order, "stop")["status"] == "new"
    b.minute(bar("AAPL", 96, 96, 94.5, 95))
    assert b.fills()[-1] == ("10", "95")


@case(OTO, "The leg fills at the close of the bar that filled its entry, if that is at or below its stop", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(bar("AAPL", 100, 101, 93, 94.5))
    assert (leg(b, order, "stop")["status"], b.fills()) == ("filled", [("10", "100"), ("10", "94.5")])


@case(OTO, "A close exactly at the stop counts", RULE)
def _(b: Broker) -> None:
    b.ready()
    oto(b)
    b.minute(bar("AAPL", 100, 101, 94, 95))
    assert b.fills()[-1] == ("10", "95")


@case(OTO, "While the entry is partly filled the leg stays held and the shares are bare", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0, volume=60))
    assert (b.status(order), leg(b, order, "stop")["status"]) == ("partially_filled", "held")
    assert b.held() == ("6", "6")
    b.minute(flat(94.0, volume=0))
    assert b.held() == ("6", "6")


@case(OTO, "A partly filled entry that is cancelled takes its leg with it: the leg never becomes active", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0, volume=60))
    b.cancel(order)
    shown = b.get(order)
    assert (shown["status"], shown["filled_qty"], shown["legs"][0]["status"]) == ("canceled", "6", "canceled")
    assert b.held() == ("6", "6")


@case(OTO, "Cancelling the held leg cancels the entry", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    assert b.cancel(order["legs"][0]).status == 204
    assert (b.status(order), leg(b, order, "stop")["status"]) == ("canceled", "canceled")


@case(OTO, "Cancelling the active leg frees the shares and leaves the filled entry", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0))
    b.cancel(leg(b, order, "stop"))
    assert (b.status(order), leg(b, order, "stop")["status"], b.held()) == ("filled", "canceled", ("10", "10"))


@case(OTO, "A good-till-cancelled leg outlives the close", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0))
    b.until(b.now.replace(hour=21, minute=30))
    assert leg(b, order, "stop")["status"] == "new"


@case(OTO, "A day leg ends with the day", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, time_in_force="day")
    b.minute(flat(100.0))
    b.until(b.now.replace(hour=21, minute=0))
    assert (b.status(order), leg(b, order, "stop")["status"]) == ("filled", "expired")


@case(OTO, "A day entry that expires unfilled takes its leg with it", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, time_in_force="day", type="limit", limit_price=99)
    b.until(b.now.replace(hour=21, minute=0))
    assert b.status(order) == "expired"
    assert leg(b, order, "stop")["status"] in ("expired", "canceled")


@case(OTO, "The leg may be a take profit", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(order_class="oto", time_in_force="gtc", take_profit={"limit_price": 110})
    b.minute(flat(100.0))
    assert leg(b, order, "limit")["status"] == "new"
    b.minute(bar("AAPL", 109, 112, 109, 111))
    assert b.fills()[-1] == ("10", "110")


@case(OTO, "The leg may be a stop-limit", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, stop_loss={"stop_price": 95, "limit_price": 94})
    assert (order["legs"][0]["type"], order["legs"][0]["limit_price"]) == ("stop_limit", "94")


@case(OTO, "The active leg's stop is raised by replace, and it stays the entry's leg", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b)
    b.minute(flat(100.0))
    old = leg(b, order, "stop")
    new = b.replace(old, stop_price=97.0).body
    [shown] = b.get(order)["legs"]
    assert (shown["id"], shown["stop_price"], shown["replaces"], shown["status"]) == (new["id"], "97", old["id"], "new")
    assert b.get(old)["replaced_by"] == new["id"]


@case(
    OTO,
    "The quantity of an active leg may be replaced, or not: a switch",
    "not documented; switch `leg_qty_replaceable`",
)
def _(b: Broker) -> None:
    for allowed, status in ((True, 200), (False, 422)):
        b.ready(leg_qty_replaceable=allowed)
        order = oto(b)
        b.minute(flat(100.0))
        assert b.replace(leg(b, order, "stop"), qty=5).status == status
        assert b.held() == (("10", "5") if allowed else ("10", "0"))


@case(OTO, "A held leg's stop may be replaced before the entry fills", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, type="limit", limit_price=99)
    b.replace(order["legs"][0], stop_price=94.0)
    assert (leg(b, order, "stop")["status"], leg(b, order, "stop")["stop_price"]) == ("held", "94")
    b.minute(bar("AAPL", 98, 99, 98, 98.5))
    b.minute(bar("AAPL", 95, 95, 94, 94.5))
    assert b.fills()[-1] == ("10", "94")


@case(OTO, "An entry may be replaced, and its held leg goes with the new one", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = oto(b, type="limit", limit_price=99)
    new = b.replace(order, qty=8, limit_price=98.5).body
    assert [found["qty"] for found in b.get(new)["legs"]] == ["8"]
    b.minute(bar("AAPL", 98, 99, 98, 98.5))
    assert (leg(b, new, "stop")["status"], b.held()) == ("new", ("8", "0"))


@case(BRACKET, "Both legs are held until the entry is filled", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    assert [(found["type"], found["status"]) for found in order["legs"]] == [("limit", "held"), ("stop", "held")]


@case(BRACKET, "After the entry's fill the take profit is new and the stop stays held, yet works", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    b.minute(flat(100.0))
    assert (leg(b, order, "limit")["status"], leg(b, order, "stop")["status"]) == ("new", "held")
    assert b.held() == ("10", "0")
    b.minute(bar("AAPL", 96, 96, 94, 95))
    assert b.fills()[-1] == ("10", "95")
    assert (leg(b, order, "limit")["status"], leg(b, order, "stop")["status"]) == ("canceled", "filled")


@case(BRACKET, "The take profit's fill cancels the stop, and no event says so", SILENT)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    b.minute(flat(100.0))
    b.minute(bar("AAPL", 109, 111, 109, 110))
    stop = leg(b, order, "stop")
    assert (leg(b, order, "limit")["status"], stop["status"]) == ("filled", "canceled")
    assert b.told(stop) == []


@case(BRACKET, "With the switch off the cancel of the stop is told", "switch `silent_pair_cancel`")
def _(b: Broker) -> None:
    b.ready(silent_pair_cancel=False)
    order = bracket(b)
    b.minute(flat(100.0))
    b.minute(bar("AAPL", 109, 111, 109, 110))
    assert b.told(leg(b, order, "stop")) == ["canceled"]


@case(BRACKET, "A bar that reaches both legs fills the stop", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    b.minute(flat(100.0))
    b.minute(bar("AAPL", 100, 111, 94, 100))
    assert (leg(b, order, "limit")["status"], leg(b, order, "stop")["status"]) == ("canceled", "filled")


@case(BRACKET, "A partly filled take profit shrinks the stop to what is left", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    b.minute(flat(100.0))
    b.minute(bar("AAPL", 111, 111, 111, 111, 40))
    assert (leg(b, order, "limit")["filled_qty"], leg(b, order, "stop")["qty"]) == ("4", "6")
    assert b.held() == ("6", "0")


@case(BRACKET, "Cancelling one leg cancels the other", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = bracket(b)
    b.minute(flat(100.0))
    b.cancel(leg(b, order, "stop"))
    assert {found["status"] for found in b.get(order)["legs"]} == {"canceled"}
    assert b.held() == ("10", "10")


@case(OCO, "The take profit is the parent and the stop its held leg; the shares are held once", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    order = oco(b)
    assert (order["type"], order["limit_price"], order["status"]) == ("limit", "110", "new")
    assert [(found["type"], found["status"]) for found in order["legs"]] == [("stop", "held")]
    assert b.held() == ("10", "0")


@case(OCO, "The stop's fill cancels the take profit", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    order = oco(b)
    b.minute(bar("AAPL", 96, 96, 94, 95))
    assert (b.status(order), leg(b, order, "stop")["status"]) == ("canceled", "filled")
    assert b.held() == ("0", "0")


@case(OCO, "The take profit's fill cancels the stop", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    order = oco(b)
    b.minute(bar("AAPL", 111, 112, 110, 111))
    assert (b.status(order), leg(b, order, "stop")["status"]) == ("filled", "canceled")


@case(OCO, "Cancelling one ends both and frees the shares", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    order = oco(b)
    b.cancel(order)
    assert (b.status(order), leg(b, order, "stop")["status"], b.held()) == ("canceled", "canceled", ("10", "10"))


@case(OCO, "More shares than are held are refused", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(5)
    fields = {"take_profit": {"limit_price": 110}, "stop_loss": {"stop_price": 95}}
    said = b.submit(order_class="oco", side="sell", type="limit", time_in_force="gtc", qty=10, **fields)
    assert (said.status, said.body["available"]) == (403, "5")
