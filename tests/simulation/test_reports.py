"""Reports and explanations of days on which things went wrong, held against the broker's side and the auditor."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from decimal import Decimal

import pytest

from cli.auditor.books import own_orders
from cli.auditor.ledger_side import read_books
from cli.auditor.protection import uncovered
from cli.explaining.command import tree
from cli.explaining.explanation import explain
from cli.explaining.lookup import names
from cli.explaining.reading import evidence
from cli.reporting.reading import rows_of
from cli.reporting.report import Report, report_of
from cli.reporting.rows import Market
from cli.simulation import trial
from cli.simulation.world import World
from shared.contracts.rules import Rules

RULES = Rules()
BY_A_PERSON = "command"


@pytest.fixture(scope="module", params=[3, 11, 37])
def world(request: pytest.FixtureRequest) -> World:
    trial.hush()
    made = trial.world_of(trial.case_of(request.param))
    made.play()
    return made


def reported(world: World) -> Report:
    days = world.store.database.execute("SELECT min(session), max(session) FROM sessions").fetchone()
    rows = rows_of(world.store.database, *map(dt.date.fromisoformat, days))
    assert rows is not None
    return report_of(rows, Market(source="", recorded={}, missing={}), RULES.stop)


def test_profit_less_what_is_held_is_the_cash_of_our_orders_at_the_broker(world: World) -> None:
    broker, report = world.broker_view(), reported(world)
    own = own_orders(broker, read_books(world.store.database))
    cash = sum(
        (one.qty * one.price * (1 if one.side == "sell" else -1) for one in broker.executions if one.order_id in own),
        Decimal(0),
    )
    cost = sum((trade.held * trade.bought_at for trade in report.trades), Decimal(0))
    assert report.trades
    assert report.totals.oversold == 0
    assert abs(report.totals.realized - cost - cash) < Decimal("0.01")


def test_protection_gaps_last_as_long_as_the_auditor_finds_at_the_broker(world: World) -> None:
    """Those beside a filling entry too: of the others a day that ends well has none."""
    broker, report = world.broker_view(), reported(world)
    found: Counter[tuple[str, bool]] = Counter()
    for gap in uncovered(broker, own_orders(broker, read_books(world.store.database))):
        found[gap.symbol, gap.pending] += round(((gap.ends_at or report.until) - gap.begins_at).total_seconds())
    told: Counter[tuple[str, bool]] = Counter()
    for one in report.gaps:
        told[one.symbol, one.pending] += round((one.ends_at - one.begins_at).total_seconds())
    assert told == found
    assert found


def test_every_order_and_every_intent_is_explained_back_to_a_bar(world: World) -> None:
    database = world.store.database
    known = names(database)
    for name, found in {**known.orders, **known.brokers, **known.intents}.items():
        of = explain(evidence(database, found), RULES.size)
        assert tree(of).children, name
        assert of.bar.ends_at is not None or of.bar.cause.startswith(BY_A_PERSON), name
        booked = database.execute("SELECT sum(qty) FROM fills WHERE client_order_id = ?", (found.order,)).fetchone()[0]
        assert sum(fill.shares for story in of.orders if story.role == "asked" for fill in story.fills) == (booked or 0)
