"""Sessions, nights, half days, halts, splits: when orders live and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.conformance.broker import CLOSE, OPEN, Broker, bar, flat
from tests.conformance.case import case

HOURS = "Hours"
HALTS = "Halts"
SPLITS = "Splits"
DOCS = "Alpaca docs: time in force"
PAPER = "measured on paper: 08:00 UTC of the next trading day"
RULE = "docs/strategy.md section 10"
TOMORROW = OPEN + timedelta(days=1)


@case(HOURS, "A day order expires at the close and says so", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=90)
    assert order["expires_at"] == "2015-02-11T21:00:00Z"
    b.until(CLOSE)
    shown = b.get(order)
    assert (shown["status"], shown["expired_at"]) == ("expired", "2015-02-11T21:00:00Z")
    assert b.told(order) == ["pending_new", "new", "expired"]


@case(HOURS, "A partly filled day order expires with what it has", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0, volume=60))
    b.until(CLOSE)
    assert (b.status(order), b.get(order)["filled_qty"]) == ("expired", "6")


@case(HOURS, "On a half day it expires at 13:00 New York", DOCS)
def _(b: Broker) -> None:
    b.begin(at=datetime(2014, 11, 28, 14, 30, tzinfo=UTC))
    b.minute(flat(100.0))
    order = b.order(type="limit", limit_price=90)
    assert order["expires_at"] == "2014-11-28T18:00:00Z"
    b.until(datetime(2014, 11, 28, 18, 0, tzinfo=UTC))
    assert b.status(order) == "expired"


@case(HOURS, "Expiry may come a quarter of an hour later: a switch", "not documented; switch `expiry_delay`")
def _(b: Broker) -> None:
    b.ready(expiry_delay=900)
    order = b.order(type="limit", limit_price=90)
    b.until(CLOSE)
    assert b.status(order) == "new"
    b.until(CLOSE + timedelta(minutes=15))
    assert b.status(order) == "expired"


@case(HOURS, "After the close an order is accepted, and becomes new at 04:00 New York", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.until(CLOSE + timedelta(hours=1))
    order = b.order()
    assert (order["status"], order["expires_at"]) == ("accepted", "2015-02-12T21:00:00Z")
    b.until(datetime(2015, 2, 12, 8, 59, tzinfo=UTC))
    assert b.status(order) == "accepted"
    b.until(datetime(2015, 2, 12, 9, 0, tzinfo=UTC))
    assert b.status(order) == "new"
    assert b.told(order) == ["accepted", "new"]


@case(HOURS, "An order of the night fills at the next open", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.until(CLOSE + timedelta(hours=1))
    b.order()
    b.until(TOMORROW)
    b.minute(bar("AAPL", 103, 104, 102, 103))
    assert b.fills() == [("10", "103")]


@case(HOURS, "Over a holiday weekend an order waits for the next session", DOCS)
def _(b: Broker) -> None:
    b.begin(at=datetime(2015, 2, 14, 12, 0, tzinfo=UTC))
    order = b.order(type="limit", limit_price=90)
    assert order["expires_at"] == "2015-02-17T21:00:00Z"


@case(HOURS, "Before the open, from 04:00 on, an order is new at once and fills at the open", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.until(TOMORROW - timedelta(hours=1))
    order = b.order()
    assert order["status"] == "new"
    b.until(TOMORROW)
    b.minute(flat(101.0))
    assert b.fills() == [("10", "101")]


@case(HOURS, "At the close an order already belongs to the next session", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.until(CLOSE)
    assert b.order()["expires_at"] == "2015-02-12T21:00:00Z"


@case(HOURS, "Good-till-cancelled orders outlive the night and trade the next day", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95, time_in_force="gtc")
    b.until(CLOSE)
    b.until(TOMORROW)
    assert b.status(stop) == "new"
    b.minute(bar("AAPL", 90, 91, 89, 90))
    assert b.fills()[-1] == ("10", "90")


@case(HOURS, "Good-till-cancelled orders end after 90 days at 16:15 New York", "Alpaca docs: aged orders")
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=90, time_in_force="gtc")
    assert order["expires_at"] == "2015-05-12T20:15:00Z"
    b.until(datetime(2015, 5, 12, 20, 0, tzinfo=UTC))
    assert b.status(order) == "new"
    b.until(datetime(2015, 5, 12, 20, 15, tzinfo=UTC))
    assert b.status(order) == "canceled"


@case(HOURS, "Outside the session immediate orders end at once", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.until(CLOSE + timedelta(hours=1))
    assert b.order(time_in_force="ioc")["status"] == "canceled"


@case(HOURS, "Bars outside the regular session fill nothing and move no price", "docs/strategy.md section 4")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95, time_in_force="gtc")
    b.until(CLOSE)
    b.minute(flat(50.0))
    assert (b.held(), b.position("AAPL").body["current_price"]) == (("10", "0"), "100")


@case(HOURS, "Change on the day is counted from the last close", "Alpaca's OpenAPI of the trading API")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.until(CLOSE)
    b.until(TOMORROW)
    b.minute(flat(102.0))
    position = b.position("AAPL").body
    assert (position["lastday_price"], position["change_today"]) == ("100", "0.02")
    assert position["unrealized_intraday_pl"] == "20"


@case(
    HOURS,
    "With a delay an order is pending_new first, and does not trade before it is new",
    "Lean.Brokerages.Alpaca#41",
)
def _(b: Broker) -> None:
    b.ready(acknowledge_delay=90)
    order = b.order()
    assert order["status"] == "pending_new"
    b.minute(flat(100.0))
    assert b.status(order) == "pending_new"
    b.wait(60)
    b.minute(flat(100.0))
    assert b.told(order) == ["pending_new", "new", "fill"]


@case(HALTS, "In a halt orders are taken and stay where they are; nothing fills", "Alpaca docs: trading halts")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95)
    b.halt("AAPL", halted=True)
    b.minute(flat(90.0))
    assert b.status(stop) == "new"
    assert b.submit(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 80}).status == 200


@case(HALTS, "After a halt a stop may fill far beyond its price", "real halts: REPL 2026-04-10")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95)
    b.halt("AAPL", halted=True)
    b.minute()
    b.halt("AAPL", halted=False)
    b.minute(bar("AAPL", 32, 33, 30, 31))
    assert b.fills()[-1] == ("10", "32")


@case(SPLITS, "Over night position and resting orders follow a split; ids stay", RULE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95, time_in_force="gtc")
    b.until(CLOSE)
    b.venue.do(lambda exchange, now: exchange.split("AAPL", Decimal(4), now))
    position, shown = b.position("AAPL").body, b.get(stop)
    assert (position["qty"], position["avg_entry_price"], position["cost_basis"]) == ("40", "25", "1000")
    assert (shown["qty"], shown["stop_price"], shown["status"]) == ("40", "23.75", "new")
    assert b.told(stop)[-1] == "restated"


@case(SPLITS, "A reverse split pays fractions of a share out", RULE)
def _(b: Broker) -> None:
    b.ready(10.0)
    b.hold(25, price=10.0)
    b.until(CLOSE)
    b.venue.do(lambda exchange, now: exchange.split("AAPL", Decimal("0.1"), now))
    assert (b.held(), b.account().body["cash"]) == (("2", "2"), "99800")
