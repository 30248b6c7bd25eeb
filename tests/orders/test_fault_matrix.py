"""Each fault of the broker at each thing that is asked of it, once: afterwards both sides agree, to the share and cent.

REST through alpaca-py over loopback, trade updates through the exchange's own stream (tests/orders/floor.py). Faults of
bars and of sockets that open (`bar`, `connect`, `key`) meet no order: tests/integration/test_market_data_alpaca.py and
tests/unit/executor/test_listener.py have those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from services.exchange.faults import ACTIONS, Do, Fault, Kind
from shared.contracts.decisions import ExitIntent, StopIntent, TrimIntent
from shared.contracts.vocabulary import Status
from tests.orders.floor import AGREE, Building, Floor
from tests.unit.state.day import ENTRY, LEG, confirmed, mark, of
from tests.unit.state.world import MINUTE

SHARES: Final = 16
LONG_S: Final = 0.3
"""Longer than alpaca-py is let wait here."""


@pytest.fixture(scope="module")
def building() -> Iterator[Building]:
    made = Building()
    yield made
    made.close()


# What is asked of the broker: the minutes before it, the minute in which it is asked, and what must have come of it.


class Asked(Struct, frozen=True, kw_only=True):
    """request: method and path at the broker. done: whether it came to what was wanted, some minutes later.

    sends: it makes an order. look_up: how its fate is looked up.
    """

    request: str
    before: Callable[[Floor], None]
    act: Callable[[Floor], None]
    done: Callable[[Floor], bool]
    sends: bool = True
    look_up: str = "GET /v2/orders:by_client_order_id"


def _open(floor: Floor) -> None:
    floor.open()
    floor.minute({"AAPL": 100.0})


def _confirm(floor: Floor) -> None:
    at = floor.at + MINUTE
    floor.minute({"AAPL": 100.0}, of("AAPL", at, entries=(confirmed("AAPL", at),)))


def _working(floor: Floor) -> None:
    _open(floor)
    _confirm(floor)


def _bought(floor: Floor) -> None:
    _working(floor)
    floor.minute({"AAPL": 99.9})
    assert floor.held() == SHARES


def _buy_a_part(floor: Floor) -> None:
    """Five shares are bought, the rest is cancelled, and what was bought gets its stop."""
    floor.minute({"AAPL": 99.9}, volume=50)


def _minute_above(floor: Floor) -> None:
    floor.minute({"AAPL": 100.5})


def _raise(floor: Floor) -> None:
    at = floor.at + MINUTE
    wanted = StopIntent(id="raise", symbol="AAPL", stop=Decimal("99.20"), basis="test", cause="bars")
    floor.minute({"AAPL": 100.5}, of("AAPL", at, stops=(wanted,), marks=(mark("AAPL", 100.5),)))


def _trim(floor: Floor) -> None:
    at = floor.at + MINUTE
    wanted = TrimIntent(id="trim", symbol="AAPL", level="r1", fraction=0.5, price=103.1, cause="bars")
    floor.minute({"AAPL": 103.1}, of("AAPL", at, trims=(wanted,), marks=(mark("AAPL", 103.1),)))


def _leave(floor: Floor) -> None:
    at = floor.at + MINUTE
    wanted = ExitIntent(id="exit", symbol="AAPL", reason="test", price=100.5, market=True, cause="bars")
    floor.minute({"AAPL": 100.5}, of("AAPL", at, exits=(wanted,), marks=(mark("AAPL", 100.5),)))


def _stop_at(price: str, shares: int) -> Callable[[Floor], bool]:
    return lambda floor: (
        [(order.stop_price, order.qty) for order in floor.orders() if order.type == "stop" and order.status == "new"]
        == [(Decimal(price), Decimal(shares))]
    )


ASKED: Final[dict[str, Asked]] = {
    "submit an entry with its stop": Asked(
        request="POST /v2/orders", before=_open, act=_confirm, done=lambda floor: floor.held() == SHARES
    ),
    "submit a stop": Asked(request="POST /v2/orders", before=_working, act=_buy_a_part, done=_stop_at("98.4", 5)),
    "replace a stop": Asked(
        request="PATCH /v2/orders/*", before=_bought, act=_raise, done=_stop_at("99.2", SHARES), sends=False
    ),
    "cancel": Asked(
        request="DELETE /v2/orders/*",
        before=_working,
        act=_minute_above,
        done=lambda floor: floor.order(ENTRY).status == "canceled",
        sends=False,
        look_up="GET /v2/orders/*",
    ),
    "trim": Asked(request="POST /v2/orders", before=_bought, act=_trim, done=lambda floor: floor.held() == SHARES // 2),
    "exit at the market": Asked(
        request="POST /v2/orders", before=_bought, act=_leave, done=lambda floor: floor.held() == 0
    ),
}


# What goes wrong.


def hits(do: Do, **how: object) -> Fault:
    return Fault(on="?", do=do, **how)  # type: ignore[arg-type]


LOST: Final = hits(Do.STATUS, status=504, after=True)
"""The request was carried out and its answer is lost, so that it is looked up: where look-ups are to go wrong."""
LOOK_UP: Final = "look up"
LIST: Final = "GET /v2/orders"

REQUESTS: Final[dict[str, tuple[Fault, ...]]] = {
    **{f"{status} before": (hits(Do.STATUS, status=status),) for status in (429, 500, 502, 503, 504)},
    **{f"{status} after": (hits(Do.STATUS, status=status, after=True),) for status in (429, 500, 502, 503, 504)},
    "504 three times": (hits(Do.STATUS, status=504, times=3),),
    "cut before": (hits(Do.DROP),),
    "cut after": (hits(Do.DROP, after=True),),
    "slow before": (hits(Do.STALL, seconds=LONG_S),),
    "slow after": (hits(Do.STALL, seconds=LONG_S, after=True),),
    "half a reply": (hits(Do.TRUNCATE),),
    "an empty reply": (hits(Do.EMPTY),),
    "an unknown status": (hits(Do.ENUM),),
    "what was answered before": (hits(Do.STALE),),
    "lost, and unknown for a while": (LOST, Fault(on=LOOK_UP, do=Do.STATUS, status=404, times=3)),
    "lost, and the look-up fails": (LOST, Fault(on=LOOK_UP, do=Do.STATUS, status=503, times=4)),
    "lost, and the look-up is unreadable": (LOST, Fault(on=LOOK_UP, do=Do.ENUM, times=2)),
    "lost, and the lists are old": (LOST, Fault(on=LIST, do=Do.STALE, times=2)),
    "lost, and one element of the lists is unreadable": (LOST, Fault(on=LIST, do=Do.ENUM, times=2)),
    "lost, and the positions are not read": (LOST, Fault(on="GET /v2/positions", do=Do.STATUS, status=500, times=3)),
    "lost, and the executions are cut off": (LOST, Fault(on="GET /v2/account/activities", do=Do.TRUNCATE, times=2)),
}
EVENTS: Final[dict[str, Fault]] = {
    "one update is lost": Fault(on="event *", do=Do.DROP),
    "all updates are lost": Fault(on="event *", do=Do.DROP, times=20),
    "each comes three times": Fault(on="event *", do=Do.DUPLICATE, times=20),
    "the next comes before it": Fault(on="event *", do=Do.SWAP),
    "one without data": Fault(on="event *", do=Do.NULL),
    "a name that nobody knows": Fault(on="event *", do=Do.RENAME),
    "silence from here on": Fault(on="event *", do=Do.MUTE),
    "the connection ends": Fault(on="event *", do=Do.CLOSE, status=1006),
}


def test_every_fault_of_requests_orders_and_updates_is_in_the_matrix() -> None:
    asked = {fault.do for faults in REQUESTS.values() for fault in faults}
    assert asked == ACTIONS[Kind.REQUEST]
    assert {fault.do for fault in EVENTS.values()} == ACTIONS[Kind.EVENT]
    assert ACTIONS[Kind.ORDER] == {Do.REJECT}


def settle(floor: Floor, asked: Asked) -> None:
    """The minutes after it, in which all is well again."""
    last = 103.2 if asked.act is _trim else 99.9 if asked.act is _confirm else 100.5
    for _ in range(3):
        floor.minute({"AAPL": last})


def agree(floor: Floor, asked: Asked) -> None:
    assert floor.findings() == ()
    assert floor.note("oversold_shares") == 0
    assert floor.note("unprotected_share_seconds") == 0
    assert asked.done(floor), [
        (order.client_order_id, order.side, order.type, order.status, order.qty, order.stop_price)
        for order in floor.orders()
    ]
    assert len(AGREE) >= 15


@pytest.mark.parametrize("fault", REQUESTS)
@pytest.mark.parametrize("name", ASKED)
def test_a_request_that_goes_wrong(building: Building, tmp_path: Path, name: str, fault: str) -> None:
    asked, floor = ASKED[name], Floor(building, tmp_path)
    asked.before(floor)
    places = {"?": asked.request, LOOK_UP: asked.look_up}
    faults = tuple(replace(one, on=places.get(one.on, one.on)) for one in REQUESTS[fault])
    if any(one.on.startswith("GET") and one.on != asked.look_up for one in faults):
        floor.break_events(Fault(on="event *", do=Do.DROP, times=20))  # so that ledger and broker are compared
    floor.break_requests(*faults)
    asked.act(floor)
    settle(floor, asked)
    assert all(floor.hits), "nothing passed by that could go wrong"
    floor.mend()
    settle(floor, asked)
    agree(floor, asked)


@pytest.mark.parametrize("fault", ["429 before", "504 after", "half a reply"])
@pytest.mark.parametrize("name", [name for name, asked in ASKED.items() if asked.before is _bought])
def test_a_request_that_goes_wrong_where_legs_keep_their_quantity(
    building: Building, tmp_path: Path, name: str, fault: str
) -> None:
    asked, floor = ASKED[name], Floor(building, tmp_path, leg_qty_replaceable=False)
    asked.before(floor)
    floor.break_requests(*(replace(one, on=asked.request) for one in REQUESTS[fault]))
    asked.act(floor)
    settle(floor, asked)
    assert all(floor.hits)
    agree(floor, asked)


@pytest.mark.parametrize("fault", EVENTS)
@pytest.mark.parametrize("name", ASKED)
def test_an_update_that_goes_wrong(building: Building, tmp_path: Path, name: str, fault: str) -> None:
    asked, floor = ASKED[name], Floor(building, tmp_path)
    asked.before(floor)
    floor.break_events(EVENTS[fault])
    asked.act(floor)
    settle(floor, asked)
    assert all(floor.hits), "nothing passed by that could go wrong"
    agree(floor, asked)


@pytest.mark.parametrize("name", [name for name, asked in ASKED.items() if asked.sends])
def test_an_order_that_is_taken_and_then_refused_by_an_update(building: Building, tmp_path: Path, name: str) -> None:
    asked, floor = ASKED[name], Floor(building, tmp_path)
    asked.before(floor)
    floor.break_requests(Fault(on="order AAPL", do=Do.REJECT))
    asked.act(floor)
    settle(floor, asked)
    assert all(floor.hits)
    assert floor.findings(gap_s=60.0) == ()
    assert floor.note("oversold_shares") == 0
    rejected = [order for order in floor.orders() if order.status == "rejected"]
    assert rejected
    if name == "submit an entry with its stop":
        entry = floor.store.order(ENTRY)
        assert entry is not None
        assert (entry.status, floor.held()) == (Status.REJECTED, 0)
    assert LEG
