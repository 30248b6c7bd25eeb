"""What the sockets say: trade updates and market data."""

from __future__ import annotations

import re

from tests.conformance.broker import Broker, bar, flat
from tests.conformance.case import case

EVENTS = "Stream: trade updates"
SEQ = "Stream: numbers of this exchange"
LEAN = "QuantConnect/Lean.Brokerages.Alpaca#41"
DOCS = "Alpaca docs: websocket streaming"
OURS = "own addition, ignored by other clients"
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


@case(EVENTS, "A market order is pending_new, new, fill", LEAN)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0))
    assert b.told(order) == ["pending_new", "new", "fill"]


@case(EVENTS, "pending_new is told or not: a switch", "switch `announce_pending_new`")
def _(b: Broker) -> None:
    b.ready(announce_pending_new=False)
    order = b.order()
    assert b.told(order) == ["new"]


@case(EVENTS, "A fill says its own quantity and price, the order the sums, and what is held now", "Alpaca-API#103")
def _(b: Broker) -> None:
    b.ready()
    b.order()
    b.minute(flat(100.0, volume=60))
    b.minute(flat(101.0, volume=60))
    first, second = [update for update in b.events() if update["execution_id"]]
    assert (first["event"], first["qty"], first["price"], first["position_qty"]) == ("partial_fill", "6", "100", "6")
    assert (first["order"]["filled_qty"], first["order"]["status"]) == ("6", "partially_filled")
    assert (second["event"], second["qty"], second["price"], second["position_qty"]) == ("fill", "4", "101", "10")
    assert (second["order"]["filled_qty"], second["order"]["filled_avg_price"]) == ("10", "100.4")


@case(EVENTS, "Execution ids are UUIDs, unique, and those of the activities", "Lean.Brokerages.Alpaca PR#61")
def _(b: Broker) -> None:
    b.ready()
    for _number in range(3):
        b.hold(10)
    ids = [update["execution_id"] for update in b.events() if update["execution_id"]]
    assert len(set(ids)) == 3
    assert all(UUID.match(text) for text in ids)
    activities = b.ask("GET", "/account/activities", {"direction": "asc"}).body
    assert [fill["id"].partition("::")[2] for fill in activities] == ids


@case(EVENTS, "An event without an execution has null for its id, price and quantity", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.order()
    update = b.events()[0]
    assert (update["execution_id"], update["price"], update["qty"], update["position_qty"]) == (None,) * 4


@case(EVENTS, "The order in an event is the order as REST shows it, legs apart", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=99, client_order_id="same")
    told = b.events()[-1]["order"]
    assert told == b.order_by_id(order["id"]).body


@case(EVENTS, "An order refused at the request has no event", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.submit(side="sell")
    assert b.events() == []


@case(EVENTS, "An order that is rejected later has an event, and its legs end with it", "Alpaca docs: order life")
def _(b: Broker) -> None:
    b.ready()
    order = b.order(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 95})
    b.venue.do(lambda exchange, now: exchange.reject(order["id"], now))
    assert b.told(order) == ["pending_new", "new", "rejected"]
    shown = b.get(order)
    assert (shown["status"], shown["legs"][0]["status"]) == ("rejected", "canceled")
    assert shown["failed_at"] is not None


@case(EVENTS, "The entry's fill comes before its leg's new", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.order(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 95})
    b.minute(flat(100.0))
    assert [(update["event"], update["order"]["side"]) for update in b.events()[-2:]] == [
        ("fill", "buy"),
        ("new", "sell"),
    ]


@case(SEQ, "Trade updates are numbered from 1 without a gap", OURS)
def _(b: Broker) -> None:
    b.ready()
    b.order()
    b.minute(bar("AAPL", 100, 101, 99, 100))
    assert [update["seq"] for update in b.events()] == [1, 2, 3]


@case(SEQ, "Each reply tells the number of the last trade update sent before it", OURS)
def _(b: Broker) -> None:
    b.ready()
    assert b.account().headers["X-Trade-Update-Seq"] == "0"
    assert b.submit().headers["X-Trade-Update-Seq"] == "2"
    b.minute(flat(100.0))
    assert b.positions().headers["X-Trade-Update-Seq"] == "3"
    assert b.submit(side="sell", qty=99).headers["X-Trade-Update-Seq"] == "3"


@case(SEQ, "The same requests in the same market give the same ids", OURS)
def _(b: Broker) -> None:
    def ids() -> list[str]:
        b.ready()
        made = b.order(client_order_id="fixed", order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 95})
        b.minute(flat(100.0))
        executions = [fill["id"] for fill in b.ask("GET", "/account/activities").body]
        return [made["id"], made["legs"][0]["id"], *executions]

    assert ids() == ids()
