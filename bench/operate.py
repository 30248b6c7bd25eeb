"""From `execution halt` or `flatten` to the last order cancelled or sent, with 50 open orders on the exchange.

Real processes over loopback and a real server: the exchange in this process, state and executors as their own, each
command as a person types it, its start included. The end is the exchange's own stamp of the last order that ended or
came in, by the same machine's clock.

python -m bench.operate [--rounds N] [--orders N]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any, Final

from pydantic import SecretStr

from bench.server import admin
from cli.inprocess.direct_broker import DirectBroker
from services.exchange.exchange import Exchange, new_book
from services.exchange.faults import Faults
from services.exchange.market import Market
from services.exchange.orders import Order
from services.exchange.venue import KeepsNothing, Venue
from services.exchange.web import Access, App, Server
from services.exchange.words import Status
from services.executor.broker import Replied
from services.state.store import Store
from shared.contracts.exchange_rules import ExchangeRules
from shared.contracts.market import Bar, SessionOpened
from shared.contracts.orders import OrderTerms
from shared.contracts.vocabulary import OrderClass, OrderType, Side, TimeInForce
from shared.runtime.bus import Bus, BusDown
from shared.runtime.embedded import start_server
from shared.runtime.settings import DEMO_KEY, BusSettings
from shared.runtime.supervisor import ChildSpec, Supervisor

ORDERS: Final = 50
TARGET_S: Final = 2.0
DEADLINE_S: Final = 30.0
INSTALLATION: Final = "bench"
MINUTE: Final = dt.timedelta(minutes=1)
OPENING: Final = dt.datetime(2015, 2, 11, 14, 30, tzinfo=dt.UTC)
PRICE: Final = 100.0


class Running:
    """A clock that runs from `start` on, as this machine's does."""

    def __init__(self, start: dt.datetime) -> None:
        self._start = start
        self._began = time.monotonic()

    def now(self) -> dt.datetime:
        return self._start + dt.timedelta(seconds=time.monotonic() - self._began)


class Paper:
    """The exchange on a port of this process. start: what its clock says now; from then on it runs."""

    def __init__(self, start: dt.datetime, requests_per_minute: int = 0) -> None:
        self.clock = Running(start)
        rules = ExchangeRules(random_partials=0.0, cash=Decimal(1_000_000))
        self.venue = Venue(Exchange(new_book(rules, "bench", start), rules), Market(), self.clock, KeepsNothing())
        self.direct = DirectBroker(self.venue)
        self.faults = Faults()
        demo = SecretStr(DEMO_KEY)
        self._server = Server(App(self.venue, Access(demo, demo, requests_per_minute), self.faults), "127.0.0.1", 0)

    def __enter__(self) -> Paper:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def environment(self) -> dict[str, str]:
        address = f"127.0.0.1:{self._server.port}"
        return {"EV2_BROKER__URL": f"http://{address}", "EV2_BROKER__STREAM_URL": f"ws://{address}/stream"}

    def trade(self, prices: Mapping[str, float], volume: float = 1e6) -> None:
        """A minute in which each symbol trades flat at its price."""
        bars = [Bar(symbol, price, price, price, price, volume) for symbol, price in prices.items()]
        now = self.clock.now()
        self.venue.do(lambda exchange, at: exchange.match(now, bars, now))

    def entry(self, symbol: str, session: dt.date, limit: float = PRICE - 5, number: int = 1) -> str:
        """An OTO entry of ours, 10 shares; its id."""
        name = f"{INSTALLATION}-{session:%y%m%d}-{symbol}-entry-{number}"
        terms = OrderTerms(
            client_order_id=name,
            symbol=symbol,
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            qty=10,
            limit_price=Decimal(str(limit)),
            order_class=OrderClass.OTO,
            leg_stop_price=Decimal(str(limit - 5)),
        )
        answer = self.direct.submit(terms)
        assert isinstance(answer, Replied), answer
        assert answer.status == 200, answer
        return name

    def orders(self) -> list[Order]:
        return self.venue.do(lambda exchange, now: list(exchange.book.orders()))[0]

    def held(self) -> dict[str, int]:
        positions = self.venue.do(lambda exchange, now: list(exchange.book.positions()))[0]
        return {position.symbol: int(position.qty) for position in positions if position.qty}


class Home:
    """A home folder with a ledger of our installation, and the commands in it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._variables = {"EV2_HOME": str(folder), "EV2_RUN__INSTALLATION": INSTALLATION, **environment}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
        self.environment = {**clean, **self._variables}
        store = Store.open(folder / "data" / "execution_v2.sqlite")
        with store.transaction():
            store.set_note("installation", INSTALLATION)
        store.close()

    def type(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command."""
        command = [sys.executable, "-m", "cli.main", *words]
        done = subprocess.run(
            command, check=False, env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S * 2
        )
        return done.returncode, done.stdout, done.stderr

    def ask(self, *words: str) -> tuple[int, Any]:
        """Exit code and what it says as JSON."""
        code, out, err = self.type(*words, "--json")
        assert out.startswith("{"), (out, err)
        return code, json.loads(out)

    @contextmanager
    def running(self) -> Iterator[Bus]:
        """State, executors and a listener by the wall clock, in a session that lasts from now for a few hours."""
        server = start_server(self.folder / "data")
        client = admin(self.folder / "data")
        bus = Bus(client, BusSettings(), "bench")
        specs = [ChildSpec(name="state-1", module="services.state")]
        specs += [
            ChildSpec(name=f"executor-{role}", module="services.executor", arguments=("--role", role))
            for role in ("protect", "entry", "listener")
        ]
        processes = Supervisor(specs, self._variables, self.folder / "data")
        try:
            processes.start()
            await_it(lambda: _epoch(bus) > 0, "state did not start")
            bus.publish([session_of(dt.datetime.now(dt.UTC))])
            self.processes = processes
            yield bus
        finally:
            processes.stop()
            server.terminate()
            server.wait()
            client.close()


def session_of(now: dt.datetime) -> SessionOpened:
    """A session of today that is open now."""
    day = now.date()
    return SessionOpened(
        id=f"session-{now:%y%m%dT%H%M%S}",
        at=now - MINUTE,
        session=day,
        opens_at=now - MINUTE,
        closes_at=now + dt.timedelta(hours=6),
        early=False,
        previous=day - dt.timedelta(days=1),
        following=day + dt.timedelta(days=1),
        following_opens_at=now + dt.timedelta(hours=24),
    )


def await_it(what: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(f"operate: {why}")
        time.sleep(0.01)


def _epoch(bus: Bus) -> int:
    try:
        return bus.life().epoch
    except BusDown:
        return 0


def symbols(count: int) -> list[str]:
    return [f"S{number:03d}" for number in range(count)]


def through_state(folder: Path, count: int) -> float:
    """`halt` with everything alive: seconds from the command to the last entry cancelled."""
    now = dt.datetime.now(dt.UTC)
    with Paper(now) as paper:
        home = Home(folder, paper.environment)
        for symbol in symbols(count):
            paper.entry(symbol, now.date())
        with home.running() as bus:
            await_it(lambda: len(bus.views("order:*-entry-*-stop")) >= count, "state did not take the orders in")
            began = paper.clock.now()
            code, told = home.ask("halt")
        assert (code, told["by"]) == (0, "state"), told
        ended = [order.canceled_at for order in paper.orders() if order.side == "buy"]
        assert all(ended), "an entry is left working"
        return (max(at for at in ended if at is not None) - began).total_seconds()


def without_state(folder: Path, count: int, level: str) -> float:
    """`halt` or `flatten` with nothing alive but the broker: seconds to the last order cancelled or sent."""
    with Paper(OPENING + 30 * MINUTE) as paper:
        home = Home(folder, paper.environment | {"EV2_BROKER__LEASE": "0.01"})
        for symbol in symbols(count):
            paper.entry(symbol, OPENING.date(), limit=PRICE - 5 if level == "halt" else PRICE)
        if level == "flatten":
            paper.trade(dict.fromkeys(symbols(count), PRICE - 0.1))
            assert len(paper.held()) == count
        began = paper.clock.now()
        code, told = home.ask(level)
        assert told["by"] == "broker", (code, told)
        orders = paper.orders()
        if level == "halt":
            last = [order.canceled_at for order in orders if order.side == "buy"]
            assert all(last), "an entry is left working"
        else:
            last = [order.created_at for order in orders if "-flat-" in order.client_order_id]
            assert len(last) == count, "not everything was sold"
            assert not any(order.type == "stop" and order.status is Status.NEW for order in orders)
        return (max(at for at in last if at is not None) - began).total_seconds()


def run(rounds: int = 3, count: int = ORDERS) -> None:
    print(f"operate: {count} open orders, {rounds} rounds; from the command's start to the last order, seconds")
    measures: dict[str, Callable[[Path], float]] = {
        "halt, state alive": lambda folder: through_state(folder, count),
        "halt, state and bus dead": lambda folder: without_state(folder, count, "halt"),
        "flatten, state and bus dead": lambda folder: without_state(folder, count, "flatten"),
    }
    for name, measure in measures.items():
        times = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="ev2-") as folder:
                times.append(measure(Path(folder)))
        verdict = "reached" if max(times) < TARGET_S else "MISSED"
        print(f"  {name:<28} median {median(times):.2f}  worst {max(times):.2f}  target {TARGET_S:.0f}: {verdict}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.operate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=ORDERS)
    asked = parser.parse_args()
    run(asked.rounds, asked.orders)


if __name__ == "__main__":
    main()
