"""What Alpaca's documents leave open is a switch of the exchange: the engine works under every setting.

May the quantity of an OTO leg be replaced? Do shares come free at the PATCH or at `replaced`? Is the order that
replaces a partly filled one of the remaining size, or of the whole? Whole days at the conductor's pace, where the
broker answers at once, and one position by the wall clock, where cancels and replacements take their time.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from cli.auditor.audit import audit
from cli.auditor.ledger_side import read_ledger
from cli.auditor.views import Terms
from cli.inprocess.engine import Engine
from cli.simulation.market import SYMBOLS, SimulatedMarket
from cli.simulation.world import view_of
from services.state.__main__ import setup_of
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.contracts.decisions import ExitIntent, StopIntent, TrimIntent
from shared.contracts.rules import EntryRules, Rules, TrimRules
from shared.contracts.vocabulary import OrderKind, Status
from shared.domain import calendar
from shared.runtime.halt import HaltFile
from shared.runtime.settings import Settings
from tests.orders.floor import Building, Floor
from tests.unit.state.day import confirmed, of
from tests.unit.state.world import opened

DAY: Final = dt.date(2019, 3, 14)
SEED: Final = 2
SWITCHES: Final = [
    {"leg_qty_replaceable": legs, "shares_free_at": free, "replace_of_partial": partial}
    for legs, free, partial in itertools.product((True, False), ("patch", "replaced"), ("remaining", "total"))
]


def name_of(switches: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in switches.items())


@pytest.fixture(scope="module")
def building() -> Iterator[Building]:
    made = Building()
    yield made
    made.close()


@pytest.mark.parametrize("switches", SWITCHES, ids=name_of)
def test_a_whole_day_of_six_symbols_ends_with_books_that_agree(tmp_path: Path, switches: dict[str, Any]) -> None:
    settings = Settings.model_validate(
        {
            "run": {"pace": "conducted", "salt": str(SEED), "installation": "test"},
            "bus": {"partitions": 1},
            "candidates": {"watchlist": list(SYMBOLS)},
            "exchange": {"random_partials": 0.3, **switches},
        }
    )
    store = Store.in_memory()
    with store.transaction():
        store.set_note("installation", "test")
    setup = setup_of(settings)
    lists = CandidateFiles(tmp_path, setup)
    engine = Engine(settings, setup, SimulatedMarket(SEED, DAY), store, HaltFile(tmp_path / "halt"), lists)
    engine.play(calendar.session(DAY))
    assert audit(view_of(engine.venue.exchange.book), read_ledger(store._db), Terms()) == ()
    ended = Counter((order.kind, order.status) for order in store.orders_of_session(DAY))
    assert ended[OrderKind.ENTRY, Status.FILLED] >= 3
    assert ended[OrderKind.TRIM, Status.FILLED] >= 1
    assert ended[OrderKind.STOP, Status.REPLACED] >= 10


SLOW: Final[dict[str, Any]] = {"acknowledge_delay": 0.5, "cancel_delay": 2.0, "replace_delay": 2.0}
PATIENT: Final = Rules(entry=EntryRules(delay_min=0, delay_max=0, max_slip=0.0), trim=TrimRules(fill_for=150))
"""A bar fills what rested when it began, so a limit needs up to two minutes here."""


def stops(floor: Floor) -> list[tuple[Decimal | None, int]]:
    """Price and shares of the stops at work."""
    at_work = (order for order in floor.orders() if order.type == "stop" and order.status == "new")
    return [(order.stop_price, int(order.qty or 0)) for order in at_work]


@pytest.mark.parametrize("switches", SWITCHES[::2], ids=name_of)
def test_a_position_is_trimmed_raised_and_left_at_a_broker_that_takes_its_time(
    building: Building, tmp_path: Path, switches: dict[str, Any]
) -> None:
    floor = Floor(building, tmp_path, conducted=False, trading=PATIENT, **SLOW, **switches)
    floor.bus.publish([opened()])
    floor.seconds(60, {"AAPL": 100.0})
    floor.until(
        lambda: floor.held() == 16, {"AAPL": 99.9}, of("AAPL", floor.at, entries=(confirmed("AAPL", floor.at),))
    )
    trim = TrimIntent(id="trim", symbol="AAPL", level="r1", fraction=0.5, price=103.1, cause="bars")
    floor.seconds(60, {"AAPL": 103.1})
    floor.until(lambda: floor.held() == 8, {"AAPL": 103.2}, of("AAPL", floor.at, trims=(trim,)))
    higher = StopIntent(id="raise", symbol="AAPL", stop=Decimal("101.00"), basis="test", cause="bars")
    floor.until(lambda: stops(floor) == [(Decimal(101), 8)], {"AAPL": 103.2}, of("AAPL", floor.at, stops=(higher,)))
    leave = ExitIntent(id="exit", symbol="AAPL", reason="test", price=103.2, market=True, cause="bars")
    floor.seconds(60, {"AAPL": 103.2})  # a partition decides once on a minute
    floor.until(lambda: floor.held() == 0, {"AAPL": 103.2}, of("AAPL", floor.at, exits=(leave,)))
    floor.seconds(5, {"AAPL": 103.2})
    assert floor.findings(gap_s=5.0) == ()
    assert floor.note("oversold_shares") == 0
    bound = 16 * 5  # protection.max_gap
    assert floor.note("unprotected_share_seconds") <= bound
    assert floor.open_in_ledger() == []
