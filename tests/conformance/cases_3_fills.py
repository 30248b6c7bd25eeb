"""At what price an order meets a bar, and how much of it: docs/strategy.md section 11."""

from __future__ import annotations

from typing import Any

from shared.contracts.market import Bar
from tests.conformance.broker import Broker, bar, flat
from tests.conformance.case import case

MARKET = "Fills: market orders"
LIMIT = "Fills: limit orders"
STOP = "Fills: stops"
VOLUME = "Fills: how much"
RULE = "docs/strategy.md section 11"


def fills(section: str, text: str, order: dict[str, Any], met: Bar, expected: str | None, source: str = RULE) -> None:
    """A case in which one order of 10 shares meets one bar, and fills at `expected` or not at all."""

    @case(section, text, source)
    def _(b: Broker) -> None:
        b.ready()
        if order.get("side") == "sell":
            b.hold(10)
        taken = b.order(**order)
        before = b.fills()
        b.minute(met)
        new = b.fills()[len(before) :]
        assert new == ([] if expected is None else [("10", expected)])
        assert b.status(taken) == ("new" if expected is None else "filled")


BUY_LIMIT = {"type": "limit", "limit_price": 99}
SELL_LIMIT = {"side": "sell", "type": "limit", "limit_price": 101}
BUY_STOP = {"type": "stop", "stop_price": 102}
SELL_STOP = {"side": "sell", "type": "stop", "stop_price": 98}

fills(MARKET, "A market buy fills at the open of the next bar", {}, bar("AAPL", 100.4, 101, 100, 100.9), "100.4")
fills(
    MARKET, "A market sale fills at the open of the next bar", {"side": "sell"}, bar("AAPL", 99.7, 101, 99, 100), "99.7"
)
fills(LIMIT, "A buy limit is not filled by a touch", BUY_LIMIT, bar("AAPL", 100, 101, 99, 100), None)
fills(LIMIT, "A buy limit traded through fills at its limit", BUY_LIMIT, bar("AAPL", 100, 101, 98.99, 100), "99")
fills(LIMIT, "A buy limit with a better open fills at the open", BUY_LIMIT, bar("AAPL", 98.5, 101, 98, 100), "98.5")
fills(
    LIMIT,
    "A buy limit is not filled by an open at it and nothing below",
    BUY_LIMIT,
    bar("AAPL", 99, 101, 99, 100),
    None,
)
fills(
    LIMIT, "A buy limit that opens at it and trades through fills at it", BUY_LIMIT, bar("AAPL", 99, 99, 98, 99), "99"
)
fills(LIMIT, "A sell limit is not filled by a touch", SELL_LIMIT, bar("AAPL", 100, 101, 99, 100), None)
fills(LIMIT, "A sell limit traded through fills at its limit", SELL_LIMIT, bar("AAPL", 100, 101.01, 99, 100), "101")
fills(LIMIT, "A sell limit with a better open fills at the open", SELL_LIMIT, bar("AAPL", 102, 102, 99, 100), "102")
fills(
    LIMIT,
    "A marketable buy limit fills at the open, not at its limit",
    {"type": "limit", "limit_price": 105},
    bar("AAPL", 100.2, 101, 100, 100.5),
    "100.2",
)
fills(STOP, "A sell stop is elected by a touch and fills at the stop", SELL_STOP, bar("AAPL", 100, 100, 98, 99), "98")
fills(STOP, "A sell stop that the open has passed fills at the open", SELL_STOP, bar("AAPL", 97.2, 99, 97, 98), "97.2")
fills(STOP, "A sell stop that is not reached rests", SELL_STOP, bar("AAPL", 100, 101, 98.01, 99), None)
fills(STOP, "A buy stop is elected by a touch and fills at the stop", BUY_STOP, bar("AAPL", 100, 102, 99, 101), "102")
fills(STOP, "A buy stop that the open has passed fills at the open", BUY_STOP, bar("AAPL", 103, 104, 102, 103), "103")
fills(
    STOP,
    "A buy stop never pays more than 2.5 % above itself",
    BUY_STOP,
    bar("AAPL", 110, 111, 109, 110),
    None,
    "Alpaca docs: stop orders (older page)",
)
fills(
    STOP,
    "A sell stop-limit elected inside the bar fills at the stop where that is better than its limit",
    {**SELL_STOP, "type": "stop_limit", "limit_price": 97},
    bar("AAPL", 100, 100, 96, 99),
    "98",
)
fills(
    STOP,
    "A sell stop-limit whose open gaps below its limit fills at the limit if it trades back through it",
    {**SELL_STOP, "type": "stop_limit", "limit_price": 97},
    bar("AAPL", 95, 97.5, 94, 97),
    "97",
)
fills(
    STOP,
    "A sell stop-limit that gaps below its limit and stays there does not fill",
    {**SELL_STOP, "type": "stop_limit", "limit_price": 97},
    bar("AAPL", 95, 96, 94, 95),
    None,
    "Alpaca docs: stop-limit orders may never fill",
)


@case(STOP, "A stop-limit with equal prices, elected inside a bar, is a limit from the next bar on", RULE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop_limit", stop_price=98, limit_price=98)
    b.minute(bar("AAPL", 100, 100, 97, 97.5))
    assert b.held() == ("10", "0")
    b.minute(bar("AAPL", 97.5, 98.5, 97, 98))
    assert b.fills()[-1] == ("10", "98")


@case(STOP, "A stop that was elected without enough volume goes on at the market", RULE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=98)
    b.minute(bar("AAPL", 100, 100, 98, 99.5, 60))
    b.minute(bar("AAPL", 99.6, 100, 99, 100, 1000))
    assert b.fills()[1:] == [("6", "98"), ("4", "99.6")]


@case(MARKET, "An order meets the bar after it, never the one it was sent in", RULE)
def _(b: Broker) -> None:
    b.ready()
    b.wait(30)
    order = b.order()
    start = b.now
    b.venue.do(lambda exchange, now: exchange.match(start.replace(second=0), [flat(100.0)], start))
    assert b.status(order) == "new"
    b.wait(30)
    b.minute(flat(100.0))
    assert b.status(order) == "filled"


@case(MARKET, "A minute without a trade in the symbol fills nothing", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(50.0, "MSFT"))
    assert b.status(order) == "new"


@case(MARKET, "A fill carries the time of the minute's end", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0))
    assert b.get(order)["filled_at"] == "2015-02-11T14:32:00Z"


@case(LIMIT, "At the open, fill-or-kill and immediate-or-cancel fill or end", "Alpaca docs: time in force")
def _(b: Broker) -> None:
    b.ready()
    kinds = {"better": 101, "not reached": 99}
    made = {
        (tif, name): b.order(type="limit", limit_price=limit, time_in_force=tif)
        for tif in ("ioc", "fok")
        for name, limit in kinds.items()
    }
    b.minute(bar("AAPL", 100, 101, 98, 100))
    assert {key: b.status(order) for key, order in made.items()} == {
        ("ioc", "better"): "filled",
        ("ioc", "not reached"): "canceled",
        ("fok", "better"): "filled",
        ("fok", "not reached"): "canceled",
    }


@case(VOLUME, "Immediate-or-cancel takes what there is and cancels the rest", "Alpaca docs: time in force")
def _(b: Broker) -> None:
    b.ready()
    order = b.order(time_in_force="ioc")
    b.minute(flat(100.0, volume=60))
    shown = b.get(order)
    assert (shown["status"], shown["filled_qty"]) == ("canceled", "6")


@case(VOLUME, "Fill-or-kill takes all or nothing", "Alpaca docs: time in force")
def _(b: Broker) -> None:
    b.ready()
    order = b.order(time_in_force="fok")
    b.minute(flat(100.0, volume=60))
    shown = b.get(order)
    assert (shown["status"], shown["filled_qty"]) == ("canceled", "0")


@case(VOLUME, "An order takes at most a tenth of a bar's volume, and goes on in the next", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(qty=25)
    for expected in ("10", "20", "25"):
        b.minute(flat(100.0, volume=109))
        assert b.get(order)["filled_qty"] == expected
    assert b.status(order) == "filled"


@case(VOLUME, "The share of the volume is one for all orders of a symbol: stops first, then by client order id", RULE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(20)
    late = b.order(side="sell", qty=10, type="limit", limit_price=97, client_order_id="a")
    first = b.order(side="sell", qty=10, type="stop", stop_price=98, client_order_id="b")
    b.minute(bar("AAPL", 98, 99, 97, 98, 120))
    assert (b.get(first)["filled_qty"], b.get(late)["filled_qty"]) == ("10", "2")


@case(VOLUME, "Among equals the lower client order id is first", RULE)
def _(b: Broker) -> None:
    b.ready()
    second = b.order(client_order_id="b")
    first = b.order(client_order_id="a")
    b.minute(flat(100.0, volume=100))
    assert (b.status(first), b.status(second)) == ("filled", "new")


@case(VOLUME, "A bar too thin for one share fills nothing", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0, volume=9))
    assert b.status(order) == "new"


@case(VOLUME, "A tenth of the fills are cut at random, and the same ones in every run", "Alpaca docs: paper trading")
def _(b: Broker) -> None:
    def quantities() -> list[str]:
        b.ready(random_partials=0.1)
        made = [b.order(qty=20, client_order_id=f"p-{number}") for number in range(60)]
        b.minute(flat(100.0, volume=1e9))
        return [b.get(order)["filled_qty"] for order in made]

    first = quantities()
    cut = [qty for qty in first if qty != "20"]
    assert 1 <= len(cut) <= 15
    assert all(1 <= int(qty) < 20 for qty in cut)
    assert quantities() == first


@case(VOLUME, "The average price of an order weighs its fills", RULE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order()
    b.minute(flat(100.0, volume=60))
    b.minute(flat(101.0, volume=60))
    shown = b.get(order)
    assert (shown["filled_qty"], shown["filled_avg_price"]) == ("10", "100.4")


@case(VOLUME, "With a spread a buyer pays half of it more and a seller gets half of it less", "switch `spread`")
def _(b: Broker) -> None:
    b.ready(spread=0.002)
    b.order()
    b.minute(flat(100.0))
    b.order(side="sell")
    b.minute(flat(100.0))
    assert b.fills() == [("10", "100.1"), ("10", "99.9")]


@case(VOLUME, "With a spread a limit must be passed by half of it", "switch `spread`")
def _(b: Broker) -> None:
    b.ready(spread=0.002)
    order = b.order(type="limit", limit_price=99)
    b.minute(bar("AAPL", 100, 100, 98.95, 99))
    assert b.status(order) == "new"
    b.minute(bar("AAPL", 99.5, 100, 98.85, 99))
    assert b.fills() == [("10", "99")]


@case(MARKET, "Prices off the grid in a bar are paid as they are", "Alpaca-API#103")
def _(b: Broker) -> None:
    b.ready()
    b.order()
    b.minute(flat(100.1234))
    assert b.account().body["cash"] == "98998.766"
