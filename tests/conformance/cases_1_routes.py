"""Each route, and what it answers."""

from __future__ import annotations

import re
from datetime import timedelta

from tests.conformance.broker import CLOSE, MINUTE, OPEN, Broker, bar, flat
from tests.conformance.case import case

ACCOUNT = "Routes: account"
ORDERS = "Routes: orders"
POSITIONS = "Routes: positions"
MARKET = "Routes: hours and assets"
DATA = "Routes: market data"
SPEC = "Alpaca's OpenAPI of the trading API"
DATA_SPEC = "Alpaca's OpenAPI of the market data API"
ACTIVITY_PAGE = "Alpaca docs: account activities"
NANO = re.compile(r"\d{17}::[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


@case(ACCOUNT, "A new account has its cash, and twice as much buying power", SPEC)
def _(b: Broker) -> None:
    account = b.account().body
    assert (account["cash"], account["equity"], account["buying_power"]) == ("100000", "100000", "200000")
    assert (account["status"], account["currency"], account["multiplier"]) == ("ACTIVE", "USD", "2")


@case(ACCOUNT, "After a purchase cash falls by quantity times price, and equity follows the last price", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10, price=100.0)
    b.minute(flat(101.5))
    account = b.account().body
    assert (account["cash"], account["long_market_value"], account["equity"]) == ("99000", "1015", "100015")


@case(ACCOUNT, "Fields of the abolished day-trade rule are absent", "Alpaca changelog 2026-07-06")
def _(b: Broker) -> None:
    gone = {"pattern_day_trader", "daytrade_count", "daytrading_buying_power"}
    assert gone.isdisjoint(b.account().body)


@case(ACCOUNT, "Yesterday's equity is that of the last close", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.minute(flat(110.0))
    b.until(CLOSE)
    assert b.account().body["last_equity"] == "100100"


@case(ACCOUNT, "The configuration is read and changed", SPEC)
def _(b: Broker) -> None:
    assert b.ask("GET", "/account/configurations").body["suspend_trade"] is False
    assert b.ask("PATCH", "/account/configurations", body={"suspend_trade": True}).body["suspend_trade"] is True
    assert b.account().body["trade_suspended_by_user"] is True


@case(ACCOUNT, "Portfolio history has a point for each close and one for now", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.until(CLOSE)
    b.until(CLOSE + timedelta(days=1))
    history = b.ask("GET", "/account/portfolio/history", {"period": "1M", "timeframe": "1D"}).body
    assert history["equity"] == [100000.0, 100000.0, 100000.0]
    assert len(history["timestamp"]) == len(history["profit_loss"]) == 3


@case(ACCOUNT, "A fill is an activity with the execution's id behind its time", ACTIVITY_PAGE)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(qty=10)
    b.minute(flat(100.25))
    [fill] = b.ask("GET", "/account/activities").body
    assert NANO.match(fill["id"])
    assert fill["id"].startswith("20150211143200000::")
    assert {name: fill[name] for name in ("activity_type", "type", "symbol", "side", "qty", "price")} == {
        "activity_type": "FILL",
        "type": "fill",
        "symbol": "AAPL",
        "side": "buy",
        "qty": "10",
        "price": "100.25",
    }
    assert (fill["order_id"], fill["cum_qty"], fill["leaves_qty"]) == (order["id"], "10", "0")


@case(ACCOUNT, "Partial fills are activities of type partial_fill with what is left", ACTIVITY_PAGE)
def _(b: Broker) -> None:
    b.ready()
    b.order(qty=10)
    b.minute(flat(100.0, volume=60))
    b.minute(flat(100.0, volume=60))
    fills = b.ask("GET", "/account/activities/FILL", {"direction": "asc"}).body
    assert [(f["type"], f["qty"], f["cum_qty"], f["leaves_qty"]) for f in fills] == [
        ("partial_fill", "6", "6", "4"),
        ("fill", "4", "10", "0"),
    ]


@case(ACCOUNT, "Activities are paged by the id of the last one, newest first unless asked otherwise", ACTIVITY_PAGE)
def _(b: Broker) -> None:
    b.ready()
    for _number in range(3):
        b.hold(1)
    newest = b.ask("GET", "/account/activities").body
    first = b.ask("GET", "/account/activities", {"direction": "asc", "page_size": 2}).body
    token = {"direction": "asc", "page_size": 2, "page_token": first[-1]["id"]}
    second = b.ask("GET", "/account/activities", token).body
    assert [fill["id"] for fill in [*first, *second]] == [fill["id"] for fill in reversed(newest)]


@case(ACCOUNT, "Activities after a time leave out those at it", ACTIVITY_PAGE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(1)
    b.hold(2)
    at = b.ask("GET", "/account/activities", {"direction": "asc"}).body[0]["transaction_time"]
    assert [fill["qty"] for fill in b.ask("GET", "/account/activities", {"after": at}).body] == ["2"]


@case(ACCOUNT, "Activities of another kind are none", ACTIVITY_PAGE)
def _(b: Broker) -> None:
    b.ready()
    b.hold(1)
    assert b.ask("GET", "/account/activities", {"activity_types": "DIV"}).body == []
    assert len(b.ask("GET", "/account/activities", {"activity_types": "FILL"}).body) == 1


@case(MARKET, "The clock says open in the session, with New York's offset", SPEC)
def _(b: Broker) -> None:
    clock = b.clock().body
    assert clock["is_open"] is True
    assert clock["timestamp"].endswith("-05:00")
    assert clock["next_close"] == "2015-02-11T16:00:00-05:00"
    assert clock["next_open"] == "2015-02-12T09:30:00-05:00"


@case(MARKET, "The clock says closed at the close and before a weekend", SPEC)
def _(b: Broker) -> None:
    b.begin(at=OPEN + timedelta(days=2, hours=6, minutes=30))
    clock = b.clock().body
    assert (clock["is_open"], clock["next_open"]) == (False, "2015-02-17T09:30:00-05:00")  # Presidents' Day between


@case(MARKET, "The calendar has half days, and no holidays", SPEC)
def _(b: Broker) -> None:
    days = b.calendar("2014-11-26", "2014-11-28").body
    assert [(day["date"], day["open"], day["close"]) for day in days] == [
        ("2014-11-26", "09:30", "16:00"),
        ("2014-11-28", "09:30", "13:00"),
    ]


@case(MARKET, "An asset that was seen is active, tradable and fractionable", SPEC)
def _(b: Broker) -> None:
    b.ready()
    asset = b.ask("GET", "/assets/AAPL").body
    assert (asset["class"], asset["status"], asset["tradable"]) == ("us_equity", "active", True)
    assert (asset["fractionable"], asset["shortable"]) == (True, False)


@case(MARKET, "An asset is found by its id as well as by its symbol", SPEC)
def _(b: Broker) -> None:
    b.ready()
    asset_id = b.ask("GET", "/assets/AAPL").body["id"]
    assert b.ask("GET", f"/assets/{asset_id}").body["symbol"] == "AAPL"


@case(MARKET, "Assets are listed", SPEC)
def _(b: Broker) -> None:
    b.ready(100.0, "AAPL", "MSFT")
    listed = b.ask("GET", "/assets", {"status": "active", "asset_class": "us_equity"}).body
    assert [asset["symbol"] for asset in listed] == ["AAPL", "MSFT"]


@case(MARKET, "An asset that does not exist is not found", SPEC)
def _(b: Broker) -> None:
    b.begin(only_symbols=("AAPL",))
    said = b.ask("GET", "/assets/NOSUCH")
    assert (said.status, said.code) == (404, 40410000)


@case(MARKET, "A route that does not exist is not found", "any HTTP API")
def _(b: Broker) -> None:
    assert b.ask("GET", "/nonsense").status == 404


@case(ORDERS, "A submitted order is answered with every key, money as strings", SPEC)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=99.5, time_in_force="gtc", client_order_id="c-1")
    assert (order["qty"], order["filled_qty"], order["limit_price"]) == ("10", "0", "99.5")
    assert (order["stop_price"], order["filled_avg_price"], order["notional"], order["legs"]) == (None,) * 4
    assert (order["client_order_id"], order["order_class"], order["type"], order["side"]) == ("c-1", "", "limit", "buy")
    assert (order["order_type"], order["position_intent"]) == ("limit", "buy_to_open")


@case(ORDERS, "Without a client order id the broker makes one", SPEC)
def _(b: Broker) -> None:
    b.ready()
    first, second = b.order(type="limit", limit_price=99), b.order(type="limit", limit_price=99)
    assert len({first["client_order_id"], second["client_order_id"], ""}) == 3


@case(ORDERS, "An order is found by its id", SPEC)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=99)
    assert b.order_by_id(order["id"]).body["id"] == order["id"]


@case(ORDERS, "An order is found by its client order id", SPEC)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=99, client_order_id="a:b c/d?e")
    assert b.order_by_client_id("a:b c/d?e").body["id"] == order["id"]


@case(ORDERS, "Open orders are listed by default, newest first", SPEC)
def _(b: Broker) -> None:
    b.ready()
    first = b.order(type="limit", limit_price=99)
    b.wait(1)
    second = b.order(type="limit", limit_price=98)
    b.cancel(b.order(type="limit", limit_price=97))
    assert [order["id"] for order in b.orders().body] == [second["id"], first["id"]]


@case(ORDERS, "Closed orders and all orders are listed on request", SPEC)
def _(b: Broker) -> None:
    b.ready()
    rests = b.order(type="limit", limit_price=99)
    gone = b.order(type="limit", limit_price=98)
    b.cancel(gone)
    assert [order["id"] for order in b.orders(status="closed").body] == [gone["id"]]
    assert {order["id"] for order in b.orders(status="all").body} == {rests["id"], gone["id"]}


@case(ORDERS, "Orders are paged by time of submission, both ends exclusive", SPEC)
def _(b: Broker) -> None:
    b.ready()
    made = []
    for _number in range(4):
        made.append(b.order(type="limit", limit_price=50))
        b.wait(1)
    after, until = OPEN + MINUTE, OPEN + MINUTE + timedelta(seconds=3)
    found = b.orders(status="all", after=after, until=until, direction="asc").body
    assert [order["id"] for order in found] == [made[1]["id"], made[2]["id"]]


@case(ORDERS, "The limit cuts the list, 50 unless asked otherwise", SPEC)
def _(b: Broker) -> None:
    b.ready()
    for _number in range(60):
        b.order(qty=1, type="limit", limit_price=50)
    assert (len(b.orders().body), len(b.orders(limit=55).body)) == (50, 55)


@case(ORDERS, "A limit above 500 is refused", SPEC)
def _(b: Broker) -> None:
    assert b.ask("GET", "/orders", {"limit": 501}).status == 422


@case(ORDERS, "Orders are filtered by symbols and by side", SPEC)
def _(b: Broker) -> None:
    b.ready(100.0, "AAPL", "MSFT", "IBM")
    b.hold(5, "IBM")
    for symbol in ("AAPL", "MSFT"):
        b.order(symbol=symbol, type="limit", limit_price=50)
    sale = b.order(symbol="IBM", side="sell", qty=5, type="limit", limit_price=150)
    assert [order["symbol"] for order in b.orders(symbols=["MSFT", "NONE"]).body] == ["MSFT"]
    assert [order["id"] for order in b.orders(side="sell").body] == [sale["id"]]


@case(ORDERS, "Nested lists show legs under their parent, flat lists show them as orders", SPEC)
def _(b: Broker) -> None:
    b.ready()
    entry = b.order(order_class="oto", stop_loss={"stop_price": 95}, time_in_force="gtc")
    [nested] = b.orders(status="all", nested=True).body
    assert [leg["status"] for leg in nested["legs"]] == ["held"]
    flat_list = b.orders(status="all").body
    assert {order["id"] for order in flat_list} == {entry["id"], nested["legs"][0]["id"]}
    assert all(order["legs"] is None for order in flat_list)


@case(ORDERS, "A leg whose parent is not in a nested list stands by itself", "alpaca-trade-api-python#322")
def _(b: Broker) -> None:
    b.ready()
    entry = b.order(order_class="oto", stop_loss={"stop_price": 95}, time_in_force="gtc")
    b.minute(flat(100.0))
    assert [order["id"] for order in b.orders(nested=True).body] == [entry["legs"][0]["id"]]


@case(ORDERS, "Cancelling everything answers 207 with each order's id", SPEC)
def _(b: Broker) -> None:
    b.ready()
    made = {b.order(type="limit", limit_price=price)["id"] for price in (98, 99)}
    said = b.cancel_all()
    assert (said.status, {row["id"]: row["status"] for row in said.body}) == (207, dict.fromkeys(made, 200))
    assert b.orders().body == []


@case(POSITIONS, "A position shows quantity, price paid, value and profit as strings", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10, price=100.0)
    b.minute(bar("AAPL", 101, 103, 100, 102))
    [position] = b.positions().body
    assert (position["qty"], position["avg_entry_price"], position["cost_basis"]) == ("10", "100", "1000")
    assert (position["current_price"], position["market_value"], position["unrealized_pl"]) == ("102", "1020", "20")
    assert (position["unrealized_plpc"], position["side"], position["qty_available"]) == ("0.02", "long", "10")


@case(POSITIONS, "The average price is the mean of what was paid and does not move with sales", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10, price=100.0)
    b.hold(20, price=103.0)
    b.order(side="sell", qty=15)
    b.minute(flat(105.0))
    position = b.position("AAPL").body
    assert (position["qty"], position["avg_entry_price"], position["cost_basis"]) == ("15", "102", "1530")


@case(POSITIONS, "A position that does not exist is not found", "measured on paper, 2026: 40410000")
def _(b: Broker) -> None:
    b.ready()
    said = b.position("AAPL")
    assert (said.status, said.body) == (404, {"code": 40410000, "message": "position does not exist"})


@case(POSITIONS, "A position in a symbol that does not exist is another 404", "measured on paper: symbol not found")
def _(b: Broker) -> None:
    b.begin(only_symbols=("AAPL",))
    said = b.position("NOSUCH")
    assert (said.status, said.message) == (404, "symbol not found: NOSUCH")


@case(POSITIONS, "Closing a position sells all of it at the market", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    said = b.close("AAPL")
    assert (said.status, said.body["side"], said.body["type"], said.body["qty"]) == (200, "sell", "market", "10")
    b.minute(flat(101.0))
    assert b.positions().body == []


@case(POSITIONS, "Closing a part sells that quantity or percentage", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    assert b.close("AAPL", qty="4").body["qty"] == "4"
    b.minute(flat(100.0))
    assert b.close("AAPL", percentage="50").body["qty"] == "3"


@case(POSITIONS, "Closing what is not held is not found", "measured on paper: position does not exist")
def _(b: Broker) -> None:
    b.ready()
    assert b.close("AAPL").status == 404


@case(POSITIONS, "Closing everything answers 207 with an order for each", SPEC)
def _(b: Broker) -> None:
    b.ready(100.0, "AAPL", "MSFT")
    b.hold(10, "AAPL")
    b.hold(5, "MSFT")
    said = b.close_all(cancel_orders=False)
    rows = {row["symbol"]: (row["status"], row["body"]["qty"]) for row in said.body}
    assert (said.status, rows) == (207, {"AAPL": (200, "10"), "MSFT": (200, "5")})


@case(POSITIONS, "Closing everything reports shares that an order holds, unless orders are cancelled first", SPEC)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95, time_in_force="gtc")
    [row] = b.close_all(cancel_orders=False).body
    assert (row["status"], row["body"]["code"], row["body"]["available"]) == (403, 40310000, "0")
    [row] = b.close_all(cancel_orders=True).body
    assert row["status"] == 200


@case(DATA, "Latest bars, quotes and snapshots come from the last minute", DATA_SPEC)
def _(b: Broker) -> None:
    b.begin()
    b.minute(bar("AAPL", 100, 102, 99, 101, 5000))
    b.minute(bar("AAPL", 101, 103, 100.5, 102, 3000))
    latest = b.ask("GET", "/stocks/bars/latest", {"symbols": "AAPL,NONE"}).body["bars"]
    assert {key: latest["AAPL"][key] for key in "tohlcv"} == {
        "t": "2015-02-11T14:31:00Z",
        "o": 101,
        "h": 103,
        "l": 100.5,
        "c": 102,
        "v": 3000,
    }
    assert "NONE" not in latest
    quote = b.ask("GET", "/stocks/quotes/latest", {"symbols": "AAPL"}).body["quotes"]["AAPL"]
    assert (quote["bp"], quote["ap"]) == (101.99, 102.01)
    day = b.ask("GET", "/stocks/snapshots", {"symbols": "AAPL"}).body["AAPL"]["dailyBar"]
    assert (day["t"], day["o"], day["h"], day["l"], day["c"], day["v"]) == (
        "2015-02-11T05:00:00Z",
        100,
        103,
        99,
        102,
        8000,
    )


@case(DATA, "Symbols without bars are absent from an answer, and there is no next page", DATA_SPEC)
def _(b: Broker) -> None:
    said = b.bars(["NONE"], "1Min", OPEN, CLOSE)
    assert said.body == {"bars": {}, "next_page_token": None}


@case(DATA, "A time frame that does not exist is refused", DATA_SPEC)
def _(b: Broker) -> None:
    assert b.ask("GET", "/stocks/bars", {"symbols": "AAPL", "timeframe": "7Fortnight"}).status == 422


@case(DATA, "Quotes and trades of the past are empty, not an error", DATA_SPEC)
def _(b: Broker) -> None:
    assert b.ask("GET", "/stocks/quotes", {"symbols": "AAPL"}).body == {"quotes": {}, "next_page_token": None}
    assert b.ask("GET", "/stocks/trades", {"symbols": "AAPL"}).body == {"trades": {}, "next_page_token": None}
