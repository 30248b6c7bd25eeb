"""The same read-only and one-share cases on the paper exchange and on a real Alpaca paper account.

`pytest -m alpaca tests/conformance/test_real_paper.py`, with APCA_API_KEY_ID and APCA_API_SECRET_KEY of a paper account
in the environment, asks the real one; without both it is skipped. It buys at most one share of F, and sells it again;
ids begin with `t3st-`, so that nothing of anybody else is touched.
"""

from __future__ import annotations

import datetime as dt
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from services.exchange.exchange import Exchange, new_book
from services.exchange.faults import Faults
from services.exchange.market import Market
from services.exchange.venue import KeepsNothing, TickClock, Venue
from services.exchange.web import Access, App, Server
from services.executor.alpaca_broker import AlpacaBroker
from services.executor.broker import Answer, Replied
from services.executor.broker_words import (
    OVER,
    read_account,
    read_fills,
    read_market,
    read_order,
    read_orders,
    read_positions,
)
from services.executor.fate import Verb, outcome
from services.executor.work import differences
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar
from shared.contracts.orders import BrokerOrder, OrderTerms
from shared.contracts.vocabulary import OrderClass, OrderType, Outcome, Side, TimeInForce
from shared.domain import calendar
from shared.domain.accounts import PAPER_PREFIX

PAPER_URL: Final = "https://paper-api.alpaca.markets"
SYMBOL: Final = "F"
OPEN: Final = dt.datetime(2015, 2, 11, 15, 0, tzinfo=dt.UTC)
PRICE: Final = 12.0
DEADLINE_S: Final = 60.0


class Place:
    """A broker, and how its market goes on."""

    def __init__(self, broker: AlpacaBroker, url: str, trade: Callable[[], None]) -> None:
        self.broker = broker
        self.url = url
        self.trade = trade
        self.run = secrets.token_hex(3)
        self._count = 0

    def terms(self, **changes: object) -> OrderTerms:
        """One share of F, a limit far below the market, good till cancelled; each with an id of its own."""
        self._count += 1
        usual = OrderTerms(
            client_order_id=f"t3st-{self.run}-{self._count}",
            symbol=SYMBOL,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            qty=1,
            limit_price=Decimal("2.00"),
        )
        return replace(usual, **changes)

    def order(self, terms: OrderTerms) -> BrokerOrder:
        """An order that must be taken, with its legs as the broker shows them."""
        taken = read_order(good(self.broker.submit(terms))).order
        return read_order(good(self.broker.by_id(taken.broker_id))).order

    def until(self, order: BrokerOrder, *statuses: str) -> BrokerOrder:
        """The order, once it is in one of `statuses`."""
        give_up = time.monotonic() + DEADLINE_S
        while True:
            seen = read_order(good(self.broker.by_id(order.broker_id))).order
            if seen.status in statuses:
                return seen
            assert time.monotonic() < give_up, seen
            self.trade()

    def held(self) -> Decimal:
        positions, _ = read_positions(good(self.broker.positions()))
        return next((position.qty for position in positions if position.symbol == SYMBOL), Decimal(0))

    def is_open(self) -> bool:
        return read_market(good(self.broker.clock())).is_open

    def end_everything(self) -> None:
        """Nothing of this run is left working."""
        working, _ = read_orders(good(self.broker.open_orders()))
        for order in working:
            if order.client_order_id.startswith(f"t3st-{self.run}-"):
                self.broker.cancel(order.broker_id)
                self.until(order, *OVER)


def good(answer: Answer) -> object:
    assert isinstance(answer, Replied), answer
    assert 200 <= answer.status < 300, answer
    return answer.body


@pytest.fixture(scope="module")
def exchange() -> Iterator[Place]:
    rules = ExchangeRules(random_partials=0.0)
    clock = TickClock(OPEN)
    venue = Venue(Exchange(new_book(rules, "real", OPEN), rules), Market(), clock, KeepsNothing())
    demo = SecretStr("demo")
    server = Server(App(venue, Access(demo, demo), Faults()), "127.0.0.1", 0)
    server.start()

    def trade() -> None:
        start = clock.now()
        clock.move_to(start + dt.timedelta(minutes=1))
        bar = Bar(SYMBOL, PRICE, PRICE, PRICE, PRICE, 1e6)
        venue.do(lambda exchange, now: exchange.match(start, [bar], now))

    trade()
    url = f"http://127.0.0.1:{server.port}"
    yield Place(AlpacaBroker(demo, demo, url), url, trade)
    server.stop()


@pytest.fixture(scope="module")
def real(request: pytest.FixtureRequest) -> Place:
    key, secret = os.environ.get("APCA_API_KEY_ID"), os.environ.get("APCA_API_SECRET_KEY")
    if "alpaca" not in str(request.config.getoption("-m")):
        pytest.skip("asks a real paper account: run with -m alpaca, on purpose")
    if not key or not secret:
        pytest.skip("no keys: set APCA_API_KEY_ID and APCA_API_SECRET_KEY of an Alpaca paper account")
    return Place(
        AlpacaBroker(SecretStr(key), SecretStr(secret), PAPER_URL), PAPER_URL, lambda: pause(threading.Event())
    )


def pause(never: threading.Event) -> None:
    never.wait(0.5)


@pytest.fixture(params=["exchange", pytest.param("real", marks=pytest.mark.alpaca)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    found: Place = request.getfixturevalue(request.param)
    yield found
    found.end_everything()


# Reading


def test_the_account_is_a_paper_account_that_can_be_read_whole(place: Place) -> None:
    account = read_account(good(place.broker.account()))
    assert account.account_number.startswith(PAPER_PREFIX)
    assert account.multiplier >= 1


def test_clock_and_calendar_agree(place: Place) -> None:
    clock = read_market(good(place.broker.clock()))
    assert (calendar.session_at(clock.at) is not None) is clock.is_open
    assert clock.next_open == calendar.next_open(clock.at).opens_at


def test_every_element_of_every_list_can_be_read(place: Place) -> None:
    since = read_market(good(place.broker.clock())).at - dt.timedelta(days=5)
    for read, answer in (
        (read_orders, place.broker.open_orders()),
        (read_orders, place.broker.orders_since(since)),
        (read_positions, place.broker.positions()),
        (read_fills, place.broker.fills_since(since)),
    ):
        _, dropped = read(good(answer))
        assert dropped == ()


def test_an_id_that_nobody_used_is_missing_and_no_fault(place: Place) -> None:
    answer = place.broker.by_client_order_id(f"t3st-{place.run}-never")
    assert isinstance(answer, Replied)
    assert (answer.status, answer.code) == (404, 40410000)
    assert outcome(Verb.LOOK_UP, answer, readable=False) is Outcome.MISSING


def test_keys_that_are_none_are_refused(place: Place) -> None:
    stranger = AlpacaBroker(SecretStr("PKNOBODY"), SecretStr("nothing"), place.url)
    answer = stranger.account()
    assert isinstance(answer, Replied)
    assert answer.status in (401, 403)


# One share that is not bought


def test_an_entry_with_its_stop_is_found_by_our_id_with_the_terms_that_were_sent(place: Place) -> None:
    terms = place.terms(order_class=OrderClass.OTO, leg_stop_price=Decimal("1.50"))
    order = place.order(terms)
    assert differences(terms, order) == ""
    [leg] = order.legs
    assert (leg.side, leg.type, leg.stop_price, leg.status) == ("sell", "stop", Decimal("1.50"), "held")
    found = read_order(good(place.broker.by_client_order_id(terms.client_order_id))).order
    assert found.broker_id == order.broker_id


def test_an_id_is_taken_once_for_ever(place: Place) -> None:
    terms = place.terms()
    order = place.order(terms)
    again = place.broker.submit(terms)
    assert isinstance(again, Replied)
    assert (again.status, again.code) == (422, 40010001)
    place.broker.cancel(order.broker_id)
    place.until(order, "canceled")
    once_more = place.broker.submit(terms)
    assert isinstance(once_more, Replied)
    assert (once_more.status, once_more.code) == (422, 40010001)


def test_a_cancel_is_taken_and_then_the_order_ends_with_its_leg(place: Place) -> None:
    order = place.order(place.terms(order_class=OrderClass.OTO, leg_stop_price=Decimal("1.50")))
    good(place.broker.cancel(order.broker_id))
    ended = place.until(order, "canceled")
    assert [leg.status for leg in ended.legs] == ["canceled"]


def test_a_replacement_is_a_new_order_that_names_the_old_one(place: Place) -> None:
    if not place.is_open():
        pytest.skip("the market is closed: what was accepted is not replaced before it is new")
    order = place.until(place.order(place.terms()), "new")
    new = place.terms(limit_price=Decimal("2.01"))
    fresh = read_order(good(place.broker.replace(order.broker_id, new))).order
    assert (fresh.client_order_id, fresh.replaces) == (new.client_order_id, order.broker_id)
    assert place.until(order, "replaced").replaced_by == fresh.broker_id


def test_a_price_between_two_cents_is_refused(place: Place) -> None:
    answer = place.broker.submit(place.terms(limit_price=Decimal("2.001")))
    assert isinstance(answer, Replied)
    assert (answer.status, answer.code) == (422, 42210000)


# One share that is bought and sold again


def test_a_share_is_bought_protected_and_sold(place: Place) -> None:
    if not place.is_open():
        pytest.skip("the market is closed: no share can be bought")
    before = place.held()
    market = {"type": OrderType.MARKET, "time_in_force": TimeInForce.DAY, "limit_price": None}
    bought = place.until(place.order(place.terms(**market)), "filled")
    assert place.held() == before + 1
    stop = {"side": Side.SELL, "type": OrderType.STOP, "limit_price": None, "stop_price": Decimal("2.00")}
    resting = place.until(place.order(place.terms(**stop)), "new")
    if before == 0:
        refused = place.broker.submit(place.terms(**market, side=Side.SELL))
        assert isinstance(refused, Replied)
        assert (refused.status, refused.code) == (403, 40310000)
    good(place.broker.cancel(resting.broker_id))
    place.until(resting, "canceled")
    sold = place.until(place.order(place.terms(**market, side=Side.SELL)), "filled")
    assert place.held() == before
    since = (bought.submitted_at or OPEN) - dt.timedelta(seconds=1)
    fills, _ = read_fills(good(place.broker.fills_since(since)))
    ours = [fill for fill in fills if fill.broker_order_id in (bought.broker_id, sold.broker_id)]
    assert [(fill.side, fill.qty) for fill in ours] == [("buy", Decimal(1)), ("sell", Decimal(1))]
    assert len({fill.execution_id for fill in ours}) == 2
