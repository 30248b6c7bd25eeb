"""What open orders hold back: shares, buying power; and the wash-trade table."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.broker import Broker, flat
from tests.conformance.case import case

SHARES = "Reservations: shares"
MONEY = "Reservations: buying power"
WASH = "Wash trades"
PAPER = "measured on paper by third parties: LIDR, held_for_orders"
BUYING = "Alpaca docs: buying power of open orders"
PROTECTION = "Alpaca docs: user protection, 2026-09-16"
FREE = "not documented; switch `shares_free_at`"


@case(SHARES, "A resting sell holds its shares, and a second sell is told which order does", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95, time_in_force="gtc")
    assert b.held() == ("10", "0")
    said = b.submit(side="sell", qty=10)
    assert said.status == 403
    assert said.body == {
        "available": "0",
        "code": 40310000,
        "existing_qty": "10",
        "held_for_orders": "10",
        "message": "insufficient qty available for order (requested: 10, available: 0)",
        "related_orders": [stop["id"]],
        "symbol": "AAPL",
    }


@case(SHARES, "A second stop for the same shares is refused", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95)
    assert b.submit(side="sell", type="stop", stop_price=94).status == 403


@case(SHARES, "What a smaller stop leaves over may be sold", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95, qty=6)
    assert b.submit(side="sell", qty=5).status == 403
    assert b.submit(side="sell", qty=4).status == 200


@case(SHARES, "More than is held is refused as short of shares", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(5)
    said = b.submit(side="sell", qty=10)
    assert said.message == "insufficient qty available for order (requested: 10, available: 5)"


@case(SHARES, "A cancelled sell gives its shares back", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.cancel(b.order(side="sell", type="stop", stop_price=95))
    assert b.held() == ("10", "10")


@case(SHARES, "While a cancel is pending the shares are still held", "alpacahq/alpaca-py#400")
def _(b: Broker) -> None:
    b.ready(cancel_delay=60)
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95)
    assert b.cancel(stop).status == 204
    assert (b.status(stop), b.held(), b.submit(side="sell").status) == ("pending_cancel", ("10", "0"), 403)
    b.wait(60)
    assert (b.status(stop), b.held()) == ("canceled", ("10", "10"))


@case(SHARES, "A partly filled sell holds only its rest", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", qty=8)
    b.minute(flat(100.0, volume=50))
    assert b.held() == ("5", "2")


@case(SHARES, "An order of the night queue holds its shares too", PAPER)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.until(b.now.replace(hour=22, minute=0))
    assert b.order(side="sell", type="stop", stop_price=95)["status"] == "accepted"
    assert b.held() == ("10", "0")


@case(SHARES, "A stop that is shrunk by replace frees the shares", "alpaca docs: replacing an order")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95)
    assert b.replace(stop, qty=4).status == 200
    assert b.held() == ("10", "6")


@case(SHARES, "Shares come free when the smaller order stands, not at the request", FREE)
def _(b: Broker) -> None:
    b.ready(replace_delay=5, shares_free_at="replaced")
    b.hold(10)
    b.replace(b.order(side="sell", type="stop", stop_price=95), qty=4)
    assert b.held() == ("10", "0")
    b.wait(5)
    assert b.held() == ("10", "6")


@case(SHARES, "Or at the request, with the switch", FREE)
def _(b: Broker) -> None:
    b.ready(replace_delay=5, shares_free_at="patch")
    b.hold(10)
    b.replace(b.order(side="sell", type="stop", stop_price=95), qty=4)
    assert b.held() == ("10", "6")
    b.wait(5)
    assert b.held() == ("10", "6")


@case(SHARES, "A stop that is to grow needs free shares", "Alpaca-API#282")
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    stop = b.order(side="sell", type="stop", stop_price=95, qty=4)
    b.order(side="sell", type="limit", limit_price=120, qty=4)
    said = b.replace(stop, qty=8)
    assert (said.status, said.code, said.body["available"]) == (403, 40310000, "6")
    assert b.replace(stop, qty=6).status == 200


@case(MONEY, "An open limit buy holds its limit times its quantity", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.order(type="limit", limit_price=99)
    account = b.account().body
    assert (account["buying_power"], account["non_marginable_buying_power"]) == ("199010", "99010")


@case(MONEY, "An open market buy holds its quantity at 2.5 % above the last price", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.order()
    assert b.account().body["buying_power"] == "198975"


@case(MONEY, "Below 50 dollars the margin on a market buy is 4 %", BUYING)
def _(b: Broker) -> None:
    b.ready(20.0)
    b.order()
    assert b.account().body["buying_power"] == "199792"


@case(MONEY, "A cancelled buy gives its buying power back", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.cancel(b.order(type="limit", limit_price=99))
    assert b.account().body["buying_power"] == "200000"


@case(MONEY, "Shares held take buying power at their value", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.hold(100)
    assert b.account().body["buying_power"] == "190000"


@case(MONEY, "An open sell gives nothing back before it is filled", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.hold(100)
    b.order(side="sell", qty=100, type="limit", limit_price=110)
    assert b.account().body["buying_power"] == "190000"


@case(MONEY, "Open buys count together", BUYING)
def _(b: Broker) -> None:
    b.ready()
    b.order(type="limit", limit_price=99, qty=1500)
    said = b.submit(type="limit", limit_price=99, qty=600)
    assert (said.status, said.body["buying_power"], said.body["cost_basis"]) == (403, "51500", "59400")


@case(MONEY, "A buy that is being replaced holds the larger of the two", BUYING)
def _(b: Broker) -> None:
    b.ready(replace_delay=5)
    order = b.order(type="limit", limit_price=99)
    b.replace(order, qty=20)
    assert b.account().body["buying_power"] == "198020"


@case(MONEY, "A buy may not grow beyond the buying power", BUYING)
def _(b: Broker) -> None:
    b.ready()
    order = b.order(type="limit", limit_price=99)
    assert b.replace(order, qty=3000).body["message"] == "insufficient buying power"


@case(MONEY, "A cash account has no more than its cash", "switch `multiplier`")
def _(b: Broker) -> None:
    b.ready(multiplier=1)
    assert b.submit(type="limit", limit_price=99, qty=1011).status == 403
    assert b.submit(type="limit", limit_price=99, qty=1010).status == 200


SELLS: Final[dict[str, dict[str, Any]]] = {
    "market": {"type": "market"},
    "limit": {"type": "limit", "limit_price": 110},
    "stop": {"type": "stop", "stop_price": 90},
    "stop_limit": {"type": "stop_limit", "stop_price": 95, "limit_price": 90},
}
BUYS: Final[dict[str, dict[str, Any]]] = {
    "market": {"type": "market"},
    "limit": {"type": "limit", "limit_price": 105},
    "stop": {"type": "stop", "stop_price": 105},
    "stop_limit": {"type": "stop_limit", "stop_price": 101, "limit_price": 105},
}
STOP_REASON: Final = "opposite side market/stop order exists"
LIMIT_REASON: Final = "opposite side limit order exists"
WASH_TABLE: Final = (
    # resting sell, new buy, refused (the sell limit lies at 110 or 90, the buy limit at 105), reason
    ("market", "market", True, STOP_REASON),
    ("market", "limit", True, STOP_REASON),
    ("market", "stop", True, STOP_REASON),
    ("market", "stop_limit", True, STOP_REASON),
    ("limit", "market", True, LIMIT_REASON),
    ("limit", "limit", False, ""),
    ("limit", "stop", True, LIMIT_REASON),
    ("limit", "stop_limit", False, ""),
    ("stop", "market", True, STOP_REASON),
    ("stop", "limit", True, STOP_REASON),
    ("stop", "stop", True, STOP_REASON),
    ("stop", "stop_limit", True, STOP_REASON),
    ("stop_limit", "market", True, LIMIT_REASON),
    ("stop_limit", "limit", True, LIMIT_REASON),
    ("stop_limit", "stop", True, LIMIT_REASON),
    ("stop_limit", "stop_limit", True, LIMIT_REASON),
)


def wash_case(resting: str, new: str, refused: bool, reason: str) -> None:
    """One row of the table."""
    what = "is refused" if refused else "is taken, since their limits do not cross"

    @case(WASH, f"With a resting {resting} sell a {new} buy {what}", PROTECTION)
    def _(b: Broker) -> None:
        b.ready()
        b.hold(10)
        sell = b.order(side="sell", **SELLS[resting])
        said = b.submit(**BUYS[new])
        if not refused:
            assert said.status == 200
            return
        assert said.status == 403
        assert said.body == {
            "code": 40310000,
            "existing_order_id": sell["id"],
            "message": "potential wash trade detected. use complex orders",
            "reject_reason": reason,
        }


for row in WASH_TABLE:
    wash_case(*row)


@case(WASH, "Limits that cross are refused", PROTECTION)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="limit", limit_price=105)
    assert b.submit(type="limit", limit_price=104.99).status == 200
    assert b.submit(type="limit", limit_price=105).status == 403


@case(WASH, "With a resting limit buy a stop sell is refused", PROTECTION)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(type="limit", limit_price=90)
    assert b.submit(side="sell", type="stop", stop_price=95).body["reject_reason"] == LIMIT_REASON


@case(WASH, "An order with legs is taken in spite of a resting opposite one", PROTECTION)
def _(b: Broker) -> None:
    b.ready()
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95)
    assert b.submit(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 94}).status == 200


@case(WASH, "An active leg does not stand in the way of a simple buy", PROTECTION)
def _(b: Broker) -> None:
    b.ready()
    b.order(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 94})
    b.minute(flat(100.0))
    assert b.submit().status == 200


@case(
    WASH, "An open entry with a leg stands in the way of a simple stop, or not: a switch", "switch `open_entry_blocks`"
)
def _(b: Broker) -> None:
    for blocks, status in ((True, 403), (False, 200)):
        b.ready(open_entry_blocks=blocks)
        b.order(order_class="oto", time_in_force="gtc", stop_loss={"stop_price": 94})
        b.minute(flat(100.0, volume=60))
        assert b.submit(side="sell", qty=6, type="stop", stop_price=94).status == status


@case(WASH, "Once it was seen with another status and code: a switch", "Petersoj/alpaca-java#145")
def _(b: Broker) -> None:
    b.ready(wash_trade_status=422)
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95)
    said = b.submit()
    assert (said.status, said.code) == (422, 42210000)


@case(WASH, "An order in another symbol is never in the way", PROTECTION)
def _(b: Broker) -> None:
    b.ready(100.0, "AAPL", "MSFT")
    b.hold(10)
    b.order(side="sell", type="stop", stop_price=95)
    assert b.submit(symbol="MSFT").status == 200
