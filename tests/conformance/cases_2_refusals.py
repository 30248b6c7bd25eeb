"""Each way to be refused: status, code, message and the further keys of the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.conformance.broker import Broker, flat
from tests.conformance.case import case

BAD: Final = 40010001
UNFIT: Final = 42210000
FORBIDDEN: Final = 40310000
REQUEST = "Refusals: the request"
PRICES = "Refusals: prices"
FRACTIONS = "Refusals: fractions and amounts"
ACCOUNT = "Refusals: the account"
PAPER = "measured on paper by third parties"
DOCS = "Alpaca docs: placing orders"
JAVA = "Petersoj/alpaca-java#44"
OPTIONS_PAGE = "Alpaca docs: error table of the options page"


def refused(section: str, text: str, source: str, status: int, code: int, message: str, **fields: Any) -> None:
    """A case that submits one order, after a minute at 100 dollars, and expects exactly this refusal."""

    @case(section, text, source)
    def _(b: Broker) -> None:
        b.ready()
        said = b.submit(**fields)
        assert (said.status, said.code, said.message) == (status, code, message)
        assert b.orders(status="all").body == []


OTO: Final[Mapping[str, Any]] = {"order_class": "oto", "time_in_force": "gtc"}
BRACKET: Final[Mapping[str, Any]] = {
    "order_class": "bracket",
    "time_in_force": "gtc",
    "take_profit": {"limit_price": 110},
    "stop_loss": {"stop_price": 90},
}

refused(REQUEST, "Without a symbol", JAVA, 422, BAD, "symbol is required", symbol=None)
refused(REQUEST, "Without a side", JAVA, 422, BAD, "invalid side", side=None)
refused(REQUEST, "With a side that does not exist", JAVA, 422, BAD, "invalid side", side="hold")
refused(REQUEST, "With a type that does not exist", JAVA, 422, BAD, "invalid order type", type="iceberg")
refused(REQUEST, "With a time in force that does not exist", JAVA, 422, BAD, "invalid time_in_force", time_in_force="x")
refused(REQUEST, "With a class that does not exist", JAVA, 422, BAD, "invalid order_class", order_class="trio")
refused(REQUEST, "Without a quantity", PAPER, 422, BAD, "qty or notional is required", qty=None)
refused(REQUEST, "With a quantity of nothing", PAPER, 422, BAD, "qty must be > 0", qty=0)
refused(REQUEST, "With a negative quantity", PAPER, 422, BAD, "qty must be > 0", qty=-5)
refused(
    REQUEST, "With quantity and amount", DOCS, 422, BAD, "only one of qty or notional is accepted", qty=1, notional=100
)
refused(REQUEST, "A limit order without a limit", PAPER, 422, BAD, "limit orders require a limit price", type="limit")
refused(REQUEST, "A stop order without a stop", DOCS, 422, BAD, "stop orders require a stop price", type="stop")
refused(
    REQUEST,
    "A stop-limit order with one price",
    DOCS,
    422,
    BAD,
    "stop limit orders require both stop and limit price",
    type="stop_limit",
    stop_price=101,
)
refused(
    REQUEST, "A market order with a limit", DOCS, 422, BAD, "market orders must not have a limit price", limit_price=99
)
refused(
    REQUEST,
    "A limit order with a stop",
    DOCS,
    422,
    BAD,
    "limit orders must not have a stop price",
    type="limit",
    limit_price=99,
    stop_price=98,
)
refused(
    REQUEST,
    "A client order id of 129 characters",
    PAPER,
    422,
    BAD,
    "client_order_id must be no more than 128 characters",
    client_order_id="x" * 129,
)
refused(
    REQUEST,
    "A bracket around a stop order",
    JAVA,
    422,
    BAD,
    "bracket orders must be market or limit orders",
    **BRACKET,
    type="stop",
    stop_price=105,
)
refused(
    REQUEST,
    "A bracket with one leg",
    DOCS,
    422,
    BAD,
    "bracket orders require take_profit.limit_price and stop_loss.stop_price",
    order_class="bracket",
    stop_loss={"stop_price": 90},
)
refused(
    REQUEST,
    "An OTO without a leg",
    DOCS,
    422,
    BAD,
    "oto orders require take_profit.limit_price or stop_loss.stop_price, not both",
    **OTO,
)
refused(
    REQUEST,
    "An OCO that is not a limit order",
    DOCS,
    422,
    BAD,
    "oco orders must be limit orders",
    order_class="oco",
    side="sell",
    take_profit={"limit_price": 110},
    stop_loss={"stop_price": 90},
)
refused(
    REQUEST,
    "An OCO that opens a position",
    DOCS,
    422,
    BAD,
    "oco orders must be exit orders",
    order_class="oco",
    type="limit",
    limit_price=110,
    take_profit={"limit_price": 110},
    stop_loss={"stop_price": 90},
)
refused(
    REQUEST,
    "Legs without a class",
    DOCS,
    422,
    BAD,
    "simple orders must not have take_profit or stop_loss",
    stop_loss={"stop_price": 90},
)
refused(
    REQUEST,
    "Legs that must act at once",
    DOCS,
    422,
    UNFIT,
    "complex orders must be DAY or GTC orders",
    order_class="oto",
    time_in_force="ioc",
    stop_loss={"stop_price": 90},
)
refused(
    REQUEST,
    "A market order for extended hours",
    OPTIONS_PAGE,
    422,
    UNFIT,
    "extended hours order must be DAY or GTC limit orders",
    extended_hours=True,
)
refused(
    REQUEST,
    "Legs in extended hours",
    DOCS,
    422,
    UNFIT,
    "complex orders cannot be extended hours orders",
    **OTO,
    type="limit",
    limit_price=99,
    stop_loss={"stop_price": 90},
    extended_hours=True,
)
refused(
    REQUEST,
    "A symbol with a slash and a newline",
    PAPER,
    422,
    UNFIT,
    'asset "A/B\n" not found',
    symbol="A/B\n",
)
refused(
    PRICES,
    "A limit with three decimals above a dollar",
    DOCS,
    422,
    UNFIT,
    "invalid limit_price 90.123. sub-penny increment does not fulfill minimum pricing criteria",
    type="limit",
    limit_price=90.123,
)
refused(
    PRICES,
    "A limit with five decimals below a dollar",
    DOCS,
    422,
    UNFIT,
    "invalid limit_price 0.12345. sub-penny increment does not fulfill minimum pricing criteria",
    type="limit",
    limit_price=0.12345,
)
refused(
    PRICES,
    "A stop with three decimals",
    DOCS,
    422,
    UNFIT,
    "invalid stop_price 105.001. sub-penny increment does not fulfill minimum pricing criteria",
    type="stop",
    stop_price=105.001,
)
refused(
    PRICES,
    "A leg's stop with three decimals",
    DOCS,
    422,
    UNFIT,
    "invalid stop_loss.stop_price 95.001. sub-penny increment does not fulfill minimum pricing criteria",
    **OTO,
    stop_loss={"stop_price": 95.001},
)
refused(
    PRICES,
    "A price of nothing",
    DOCS,
    422,
    BAD,
    "limit_price must be > 0",
    type="limit",
    limit_price=0,
)
refused(
    PRICES,
    "A take profit at or below the stop",
    OPTIONS_PAGE,
    422,
    UNFIT,
    "take_profit.limit_price must be > stop_loss.stop_price",
    order_class="bracket",
    take_profit={"limit_price": 90},
    stop_loss={"stop_price": 90},
)
refused(
    PRICES,
    "A leg's stop at the entry's limit",
    DOCS,
    422,
    UNFIT,
    "stop_loss.stop_price must be <= base_price - 0.01",
    **OTO,
    type="limit",
    limit_price=99,
    stop_loss={"stop_price": 99},
)
refused(
    PRICES,
    "A take profit at the last price",
    DOCS,
    422,
    UNFIT,
    "take_profit.limit_price must be >= base_price + 0.01",
    **OTO,
    take_profit={"limit_price": 100},
)
refused(
    FRACTIONS,
    "A fraction that is good till cancelled",
    PAPER,
    422,
    UNFIT,
    "fractional orders must be DAY orders",
    qty=1.5,
    time_in_force="gtc",
)
refused(
    FRACTIONS,
    "A fraction with a leg",
    PAPER,
    422,
    UNFIT,
    "fractional orders must be simple orders",
    qty=1.5,
    order_class="oto",
    stop_loss={"stop_price": 90},
)
refused(
    FRACTIONS,
    "A fraction of shares that are not held, sold",
    PAPER,
    422,
    UNFIT,
    "fractional orders cannot be sold short",
    qty=1.5,
    side="sell",
)
refused(
    FRACTIONS,
    "A quantity with ten decimals",
    DOCS,
    422,
    BAD,
    "qty must have at most 9 decimal places",
    qty=1.0123456789,
)
refused(
    FRACTIONS,
    "An amount with a limit",
    DOCS,
    422,
    UNFIT,
    "notional orders must be market orders",
    qty=None,
    notional=500,
    type="limit",
    limit_price=99,
)
refused(
    FRACTIONS,
    "An amount below one dollar",
    DOCS,
    403,
    FORBIDDEN,
    "cost basis must be >= minimal amount of order 1",
    qty=None,
    notional=0.5,
)
refused(
    ACCOUNT,
    "A sale without shares",
    "alpaca-py's test fixture",
    403,
    FORBIDDEN,
    "account is not allowed to short",
    side="sell",
)
refused(
    ACCOUNT,
    "An entry with a leg that sells short",
    "alpaca-py's test fixture",
    403,
    FORBIDDEN,
    "account is not allowed to short",
    **OTO,
    side="sell",
    stop_loss={"stop_price": 90},
)


@case(PRICES, "A sell stop at or above the last price is refused with both prices", PAPER)
def _(b: Broker) -> None:
    b.ready(71.99)
    b.hold(10, price=71.99)
    said = b.submit(side="sell", type="stop", stop_price=72.4)
    assert said.status == 422
    assert said.body == {
        "code": UNFIT,
        "market_price": "71.99",
        "message": "stop price must be less than current price",
        "stop_price": "72.4",
    }


@case(PRICES, "A buy stop at or below the last price is refused with both prices", PAPER)
def _(b: Broker) -> None:
    b.ready()
    said = b.submit(type="stop", stop_price=100)
    assert (said.status, said.message) == (422, "stop price must be greater than current price")


@case(PRICES, "Below a dollar four decimals are accepted", DOCS)
def _(b: Broker) -> None:
    b.ready(0.5)
    assert b.order(type="limit", limit_price=0.4567)["limit_price"] == "0.4567"


@case(PRICES, "Numbers may come as strings", "alpaca-py#705")
def _(b: Broker) -> None:
    b.ready()
    assert b.order(qty="10", type="limit", limit_price="99.50")["limit_price"] == "99.5"


@case(FRACTIONS, "A fraction of an asset that has none is refused", PAPER)
def _(b: Broker) -> None:
    b.begin(not_fractionable=("AAPL",))
    said = b.submit(qty=1.5)
    assert (said.status, said.code, said.message) == (403, FORBIDDEN, 'asset "AAPL" is not fractionable')


@case(FRACTIONS, "A fraction is bought and sold as a day order", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.order(qty=1.25)
    b.minute(flat(100.0))
    assert b.held() == ("1.25", "1.25")
    b.order(side="sell", qty=1.25)
    b.minute(flat(101.0))
    assert b.held() == ("0", "0")


@case(FRACTIONS, "An amount buys as many shares as it pays for, rounded down", DOCS)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(qty=None, notional=100)
    assert (order["qty"], order["notional"]) == (None, "100")
    b.minute(flat(33.0))
    assert b.held() == ("3.03030303", "3.03030303")
    assert b.status(order) == "filled"


@case(
    FRACTIONS, "A sale of a few decimals more than is held is refused", "measured on paper: 64.075232 of 64.075231525"
)
def _(b: Broker) -> None:
    b.ready()
    b.order(qty=64.075231525)
    b.minute(flat(100.0))
    said = b.submit(side="sell", qty=64.075232)
    assert said.message == "insufficient qty available for order (requested: 64.075232, available: 64.075231525)"


@case(ACCOUNT, "A client order id is unique for life, also after a cancel", "measured on paper, 2026-08-20")
def _(b: Broker) -> None:
    b.ready()
    b.cancel(b.order(type="limit", limit_price=99, client_order_id="once"))
    said = b.submit(type="limit", limit_price=98, client_order_id="once")
    assert (said.status, said.body) == (422, {"code": BAD, "message": "client_order_id must be unique"})


@case(ACCOUNT, "The same order under another id is simply made again", "measured on paper, 2026-08-20")
def _(b: Broker) -> None:
    b.ready()
    first = b.order(type="limit", limit_price=99, client_order_id="a")
    assert b.order(type="limit", limit_price=99, client_order_id="b")["id"] != first["id"]


@case(ACCOUNT, "A client order id of 128 characters is taken", "Alpaca's OpenAPI of the trading API")
def _(b: Broker) -> None:
    b.ready()
    assert b.order(type="limit", limit_price=99, client_order_id="y" * 128)["client_order_id"] == "y" * 128


@case(ACCOUNT, "A buy beyond the buying power is refused with both figures", PAPER)
def _(b: Broker) -> None:
    b.ready()
    said = b.submit(qty=3000, type="limit", limit_price=99)
    assert said.status == 403
    assert said.body == {
        "buying_power": "200000",
        "code": FORBIDDEN,
        "cost_basis": "297000",
        "message": "insufficient buying power",
    }


@case(ACCOUNT, "An asset that is not tradable is refused", DOCS)
def _(b: Broker) -> None:
    b.begin(untradable=("AAPL",))
    said = b.submit()
    assert (said.status, said.code, said.message) == (422, UNFIT, "asset AAPL is not tradable")


@case(ACCOUNT, "An asset that does not exist is refused", PAPER)
def _(b: Broker) -> None:
    b.begin(only_symbols=("MSFT",))
    said = b.submit()
    assert (said.status, said.code, said.message) == (422, UNFIT, 'asset "AAPL" not found')


@case(ACCOUNT, "While the user has suspended trading new orders are refused", DOCS)
def _(b: Broker) -> None:
    b.ready()
    b.ask("PATCH", "/account/configurations", body={"suspend_trade": True})
    assert b.submit().status == 403


@case(REQUEST, "A body that is no JSON object is refused", "any HTTP API")
def _(b: Broker) -> None:
    assert b.ask("POST", "/orders", body=["AAPL"]).status == 400


@case(REQUEST, "Keys that nobody knows are ignored", "Alpaca's OpenAPI of the trading API")
def _(b: Broker) -> None:
    b.ready()
    said = b.ask("POST", "/orders", body={**_LIMIT, "colour": "red"})
    assert said.status == 200


@case(REQUEST, "Numbers beyond any market are refused, not computed with", "own limit")
def _(b: Broker) -> None:
    b.ready()
    order = b.ask("POST", "/orders", body=_LIMIT).body
    for fields in ({"qty": "1e400"}, {"limit_price": "1e999999"}, {"limit_price": "1e-999999"}):
        said = b.ask("POST", "/orders", body=_LIMIT | fields)
        assert (said.status, said.code) == (422, BAD)
        assert b.ask("PATCH", f"/orders/{order['id']}", body=fields).status == 422


@case(REQUEST, "An id that is no UUID is refused in its own way", "alpacahq/Alpaca-API#135")
def _(b: Broker) -> None:
    said = b.order_by_id("not-a-uuid")
    assert (said.status, said.body) == (422, {"code": BAD, "message": "order_id is missing"})


@case(REQUEST, "An id that nobody has is not found, by reading, replacing and cancelling", PAPER)
def _(b: Broker) -> None:
    nobody = {"id": "00000000-0000-4000-8000-000000000000"}
    asks: list[Callable[[], Any]] = [
        lambda: b.order_by_id(nobody["id"]),
        lambda: b.replace(nobody, limit_price=1.0),
        lambda: b.cancel(nobody),
    ]
    for ask in asks:
        said = ask()
        assert (said.status, said.code, said.message) == (404, 40410000, f"order not found for {nobody['id']}")


@case(REQUEST, "A client order id that nobody has is not found", PAPER)
def _(b: Broker) -> None:
    said = b.order_by_client_id("nobody")
    assert (said.status, said.body) == (404, {"code": 40410000, "message": "order not found for nobody"})


_LIMIT: Final = {
    "symbol": "AAPL",
    "qty": 1,
    "side": "buy",
    "type": "limit",
    "limit_price": 99,
    "time_in_force": "day",
}
