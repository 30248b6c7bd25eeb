"""The operator's commands: what they ask of state, and what holds at the broker though state is dead."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.inprocess.direct_broker import DirectBroker
from cli.operating.direct import Direct, Done, Unreachable
from cli.operating.standing import Booked, Books, Kept
from services.executor.broker import Answer, Fault, Replied, Silent
from services.executor.budget import Budget
from services.executor.work import Clock
from shared.contracts.orders import OrderTerms
from shared.contracts.vocabulary import HaltLevel
from shared.domain.accounts import wrong_account
from shared.runtime.halt import HaltFile
from tests.conformance.broker import CLOSE, InProcess, flat
from tests.unit.cli.conftest import Execute

ENTRY = "e7f3-150211-AAPL-entry-1"
LEVELS = (HaltLevel.HALT, HaltLevel.FLATTEN)


class Desk:
    """An account at the exchange, a ledger that stopped at some moment, and time that passes only when waited for."""

    def __init__(self) -> None:
        self.market = InProcess()
        self.market.ready(100.0, "AAPL", "MSFT")
        self.known = Books(installation="e7f3", positions={}, orders=())
        self.broker = Line(self)
        self.said: list[str] = []
        self.passed_s = 0.0
        self.budget = Budget(100_000, 0.0, 0.0)

    def books(self) -> Books:
        return self.known

    def wait(self, seconds: float) -> None:
        self.passed_s += seconds
        self.market.wait(seconds)

    def direct(self) -> Direct:
        clock = Clock(monotonic=lambda: self.passed_s, wait=self.wait, now=lambda: self.market.now)
        return Direct(self.broker, self, self.budget, clock, self.said.append)

    def work(self, level: HaltLevel) -> Done:
        return self.direct().work(level, 5.0)

    def entry(self, name: str = ENTRY, symbol: str = "AAPL", qty: int = 10, limit: float = 100.0) -> dict[str, Any]:
        leg = {"order_class": "oto", "stop_loss": {"stop_price": 95.0}}
        return self.market.order(
            symbol=symbol,
            qty=qty,
            type="limit",
            limit_price=limit,
            time_in_force="gtc",
            client_order_id=name,
            **leg,
        )

    def bought(self) -> dict[str, Any]:
        """10 AAPL, their stop at work; the ledger knows nothing of it yet."""
        order = self.entry()
        self.market.minute(flat(99.9), flat(100, "MSFT"))
        assert self.market.held() == ("10", "0")
        return order

    def knows(self, order: dict[str, Any], shares: int) -> None:
        """The ledger has booked `shares` of `order`, and what else the broker shows of it."""
        leg = order["legs"][0]
        self.known = Books(
            installation="e7f3",
            positions={"AAPL": Kept(shares, Decimal("95"))},
            orders=(
                Booked(order["client_order_id"], order["id"], "AAPL", "buy", shares, shares < 10),
                Booked(f"{order['client_order_id']}-stop", leg["id"], "AAPL", "sell", 0, True),
            ),
        )

    def statuses(self) -> dict[str, str]:
        orders = self.market.orders(status="all", nested=True, limit=500).body
        return {one["client_order_id"]: one["status"] for order in orders for one in (order, *(order["legs"] or []))}

    def sales(self) -> list[tuple[str, str, str]]:
        """(id, type, shares) of our `-flat-` orders, in the order of their ids."""
        orders = self.market.orders(status="all", limit=500, direction="asc").body
        found = [one for one in orders if "-flat-" in one["client_order_id"]]
        return sorted((one["client_order_id"], one["type"], one["qty"]) for one in found)


class Line(DirectBroker):
    """The way to the exchange; a submit may be spoiled, after it was carried out or before."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk.market.venue)
        self.spoil: list[Answer | None] = []
        self.before = False
        self.submits = 0
        self.down = False

    def submit(self, terms: OrderTerms) -> Answer:
        self.submits += 1
        spoiled = self.spoil.pop(0) if self.spoil else None
        if spoiled is not None and self.before:
            return spoiled
        answer = super().submit(terms)
        return answer if spoiled is None else spoiled

    def open_orders(self) -> Answer:
        return Silent(fault=Fault.NOT_CONNECTED, text="refused") if self.down else super().open_orders()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_halt_cancels_working_entries_and_keeps_stops(desk: Desk) -> None:
    desk.bought()
    desk.entry("e7f3-150211-MSFT-entry-1", "MSFT", limit=96)
    done = desk.work(HaltLevel.HALT)
    assert done.settled
    assert done.ended == ("e7f3-150211-MSFT-entry-1",)
    assert done.sent == ()
    assert desk.statuses()["e7f3-150211-MSFT-entry-1"] == "canceled"
    [aapl] = done.standing
    assert (aapl.symbol, aapl.shares, aapl.uncovered, [order.type for order in aapl.orders]) == (
        "AAPL",
        10,
        0,
        ["stop"],
    )


def test_halt_puts_a_stop_under_what_a_cancelled_entry_had_bought(desk: Desk) -> None:
    desk.entry()
    desk.market.minute(flat(99.9, volume=40), flat(100, "MSFT"))
    assert desk.market.held() == ("4", "4")
    done = desk.work(HaltLevel.HALT)
    assert desk.sales() == [("e7f3-150211-AAPL-flat-1", "stop", "4")]
    assert [one.uncovered for one in done.standing] == [0]


def test_flatten_ends_stops_and_entries_and_sells_what_is_held(desk: Desk) -> None:
    desk.bought()
    desk.entry("e7f3-150211-MSFT-entry-1", "MSFT", limit=96)
    done = desk.work(HaltLevel.FLATTEN)
    assert desk.sales() == [("e7f3-150211-AAPL-flat-1", "market", "10")]
    assert not done.settled, "the sale is at work until the next minute"
    desk.market.minute(flat(99.5), flat(100, "MSFT"))
    assert desk.work(HaltLevel.FLATTEN).settled
    assert desk.market.held() == ("0", "0")


@pytest.mark.parametrize("filled", [False, True])
def test_flatten_twice_never_sells_twice(desk: Desk, filled: bool) -> None:
    order = desk.bought()
    desk.knows(order, 10)
    desk.work(HaltLevel.FLATTEN)
    if filled:
        desk.market.minute(flat(99.5), flat(100, "MSFT"))
    desk.work(HaltLevel.FLATTEN)
    assert desk.sales() == [("e7f3-150211-AAPL-flat-1", "market", "10")]


@pytest.mark.parametrize("booked", [0, 4, 10])
def test_shares_are_counted_once_whatever_the_ledger_knew_of_their_order(desk: Desk, booked: int) -> None:
    desk.knows(desk.bought(), booked)
    desk.work(HaltLevel.FLATTEN)
    assert [qty for _, _, qty in desk.sales()] == ["10"]


def test_shares_and_orders_that_no_record_explains_are_left_alone(desk: Desk) -> None:
    desk.market.hold(7, "AAPL", 100.0)
    theirs = desk.market.order(symbol="MSFT", qty=3, type="limit", limit_price=90, client_order_id="by-hand")
    other = desk.entry("a1b2-150211-MSFT-entry-1", "MSFT", limit=96)
    desk.entry()
    desk.market.minute(flat(99.9), flat(100, "MSFT"))
    assert desk.market.held() == ("17", "7")
    desk.work(HaltLevel.FLATTEN)
    desk.market.minute(flat(99.5), flat(100, "MSFT"))
    assert desk.market.held() == ("7", "7")
    assert desk.market.status(theirs) == desk.market.status(other) == "new"


def test_what_somebody_else_offers_of_ours_is_not_sold_again(desk: Desk) -> None:
    desk.bought()
    stop = next(one for one in desk.market.orders(status="open").body if one["type"] == "stop")
    desk.market.cancel(stop)
    desk.market.order(symbol="AAPL", side="sell", qty=6, type="limit", limit_price=120, client_order_id="by-hand")
    desk.work(HaltLevel.FLATTEN)
    assert [qty for _, _, qty in desk.sales()] == ["4"]


@pytest.mark.parametrize("before", [False, True])
def test_a_sale_whose_reply_is_lost_is_sent_again_under_the_same_id(desk: Desk, before: bool) -> None:
    desk.knows(desk.bought(), 10)
    desk.broker.before = before
    desk.broker.spoil = [Silent(fault=Fault.READ_TIMEOUT)]
    desk.work(HaltLevel.FLATTEN)
    assert desk.broker.submits == (2 if before else 1)
    assert desk.sales() == [("e7f3-150211-AAPL-flat-1", "market", "10")]


def test_a_sale_that_the_broker_keeps_refusing_gives_the_stop_back(desk: Desk) -> None:
    desk.knows(desk.bought(), 10)
    desk.broker.before = True
    refusal = Replied(status=422, body={}, code=42210000, text="asset AAPL is not tradable")
    desk.broker.spoil = [refusal] * 3
    done = desk.work(HaltLevel.FLATTEN)
    assert desk.sales() == [("e7f3-150211-AAPL-flat-1", "stop", "10")]
    assert done.refused == ("e7f3-150211-AAPL-flat-1: 422 asset AAPL is not tradable",)
    assert [one.uncovered for one in done.standing] == [0]


def test_while_the_market_is_closed_flatten_keeps_the_stops(desk: Desk) -> None:
    desk.knows(desk.bought(), 10)
    desk.market.until(CLOSE + dt.timedelta(minutes=5))
    done = desk.work(HaltLevel.FLATTEN)
    assert (done.open, done.settled, done.ended, done.sent) == (False, True, (), ())
    assert done.opens == dt.datetime(2015, 2, 12, 14, 30, tzinfo=dt.UTC)


def test_an_order_of_last_week_that_ended_since_is_read_by_its_id(desk: Desk) -> None:
    order = desk.bought()
    desk.knows(order, 10)
    desk.market.minute(flat(94.0), flat(100, "MSFT"))  # the stop sold
    desk.market.until(CLOSE + dt.timedelta(days=9))
    done = desk.work(HaltLevel.FLATTEN)
    assert done.standing == ()


@pytest.mark.parametrize("level", LEVELS)
def test_a_broker_that_does_not_answer_is_never_taken_for_one_without_orders(desk: Desk, level: HaltLevel) -> None:
    desk.broker.down = True
    with pytest.raises(Unreachable, match="open orders cannot be read: nothing answers at its address"):
        desk.work(level)


def test_at_the_rate_limit_it_says_how_long_it_will_take(desk: Desk) -> None:
    desk.budget = Budget(60, 0.0, 0.0)
    for _ in range(58):
        assert desk.budget.wait_s(0.0) == 0
    for number in range(5):
        desk.entry(f"e7f3-150211-AAPL-entry-{number + 1}", limit=96)
    done = desk.work(HaltLevel.HALT)
    assert desk.said == ["at the broker's rate limit: 8 requests to go, about 8 s"]
    assert len(done.ended) == 5
    assert desk.passed_s >= 5


@pytest.mark.parametrize(
    ("kind", "configured", "known", "seen", "wrong"),
    [
        ("exchange", "", "", "PA3000000001", ""),
        ("paper", "", "", "PA3000000001", ""),
        ("live", "", "", "412345678", ""),
        ("live", "412345678", "412345678", "412345678", ""),
        ("live", "", "", "PA3000000001", "live keys"),
        ("paper", "", "", "412345678", "paper keys"),
        ("live", "412345678", "", "499999999", "correct one of the two"),
        ("paper", "", "PA1", "PA2", "another --home"),
    ],
)
def test_an_account_that_is_not_the_one_meant_is_named(
    kind: str, configured: str, known: str, seen: str, wrong: str
) -> None:
    why = wrong_account(kind, configured, known, seen)
    assert bool(why) == bool(wrong)
    assert wrong in why


@pytest.mark.parametrize("level", ["pause", "halt", "flatten"])
def test_a_level_is_written_before_anybody_is_asked(
    execute: Execute, home: Path, capsys: pytest.CaptureFixture[str], level: str
) -> None:
    assert execute(level, "--json") == 3
    assert HaltFile(home / "data" / "halt").read() == level
    told = json.loads(capsys.readouterr().out)
    assert (told["level"], told["file"], told["by"]) == (level, True, "")
    assert "not confirmed" in told["text"]


def test_a_weaker_level_does_not_lift_a_stricter_one(execute: Execute, home: Path) -> None:
    file = HaltFile(home / "data" / "halt")
    file.write(HaltLevel.FLATTEN)
    execute("pause")
    assert file.read() is HaltLevel.FLATTEN


@pytest.mark.parametrize(
    "arguments",
    [("resume",), ("sell", "AAPL"), ("cancel", ENTRY), ("block", "aapl"), ("unblock", "AAPL")],
    ids=lambda arguments: arguments[0],
)
def test_without_a_bus_a_command_is_not_confirmed(
    execute: Execute, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert execute(*arguments) == 3
    said = capsys.readouterr().out
    assert f"{arguments[0]} is not confirmed: the bus does not answer, so nothing was asked" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sell", "../x"), "'../x' is no symbol"),
        (("adopt", "AAPL", "--stop", "-1"), "--stop '-1': write dollars above 0"),
        (("adopt", "AAPL", "--stop", "nan"), "--stop 'nan': write dollars above 0"),
        (("arm",), "broker.kind is exchange: only live trading is armed"),
        (("reconcile",), "no ledger at"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    execute: Execute, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert execute(*arguments) == 2
    assert said in capsys.readouterr().err
