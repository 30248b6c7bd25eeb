"""From any mix of position, orders and intents that a day can lead to, planning protects and never oversells.

Days are made from a seed, and the seed alone repeats one: `random_day(1234)`.
"""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.vocabulary import HaltLevel, OrderKind
from tests.unit.state_rules.small_broker import SmallBroker

BATCH = 250


@pytest.mark.parametrize("first", range(0, 2000, BATCH))
def test_on_random_days_planning_never_oversells_converges_and_leaves_every_share_covered(first: int) -> None:
    for seed in range(first, first + BATCH):
        try:
            random_day(seed)
        except AssertionError as fault:
            raise AssertionError(f"day {seed}: {fault}") from fault


@settings(max_examples=150, deadline=None)
@given(data=st.data(), qty=st.integers(1, 200), faults=st.sampled_from([0, 3, 10]))
def test_on_a_day_that_hypothesis_may_shrink_it_does_so_too(data: st.DataObject, qty: int, faults: int) -> None:
    broker = SmallBroker(
        qty,
        chance=lambda what: data.draw(st.integers(1, 20), label=what) <= faults,
        share=lambda most: data.draw(st.integers(0, most), label="shares"),
    )
    for what, how in data.draw(st.lists(HAPPENINGS, min_size=1, max_size=25), label="happenings"):
        live_through(broker, what, how)
    end_well(broker)


def random_day(seed: int) -> SmallBroker:
    """Sessions of one position: prices, intents, halts, kill levels, nights, and a broker that often says no."""
    chance = random.Random(seed)
    faults = chance.choice([0, 0, 3, 10])
    broker = SmallBroker(
        chance.randint(1, 200),
        chance=lambda what: chance.randint(1, 20) <= faults,
        share=lambda most: chance.choice([0, most, most, chance.randint(0, most)]),
    )
    kinds = (
        ["time"] * 6 + ["price"] * 3 + ["trim", "raise"] * 2 + ["exit", "halt symbol", "level", "to the close", "night"]
    )
    for _ in range(chance.randint(3, 40)):
        what = chance.choice(kinds)
        live_through(broker, what, _how(chance, what))
    end_well(broker)
    return broker


def _how(chance: random.Random, what: str) -> object:
    match what:
        case "time":
            return chance.choice([1, 3, 5, 30, 60, 60, 60, 300, 1800])
        case "price":
            return chance.choice([chance.randint(4700, 5500), chance.randint(4950, 5200)])
        case "trim":
            return chance.choice(["r1", "r2"])
        case "raise":
            return chance.randint(4700, 5300)
        case "halt symbol":
            return chance.random() < 0.3
        case "level":
            return chance.choice([*[HaltLevel.NONE] * 4, *HaltLevel])
        case "to the close":
            return chance.choice([125, 119, 61, 60, 59, 1, 0])
        case "night":
            return chance.choice([19800, 600, 0])
        case _:
            return None


HAPPENINGS = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([1, 3, 5, 30, 60, 300, 1800])),
    st.tuples(st.just("price"), st.integers(4600, 5600)),
    st.tuples(st.just("trim"), st.sampled_from(["r1", "r2"])),
    st.tuples(st.just("raise"), st.integers(4700, 5300)),
    st.tuples(st.just("exit"), st.none()),
    st.tuples(st.just("halt symbol"), st.booleans()),
    st.tuples(st.just("level"), st.sampled_from(HaltLevel)),
    st.tuples(st.just("to the close"), st.sampled_from([125, 119, 61, 60, 59, 1, 0])),
    st.tuples(st.just("night"), st.sampled_from([19800, 600, 0])),
)


def live_through(broker: SmallBroker, what: str, how: object) -> None:
    match what, how:
        case "time", int():
            broker.pass_time(how)
        case "price", int():
            broker.price = Decimal(how) / 100
            broker.pass_time(1)
        case "trim", str():
            broker.intend("trim", level=how)
        case "raise", int():
            broker.intend("stop", stop=Decimal(how) / 100)
        case "exit", _:
            broker.intend("exit")
        case "halt symbol", bool():
            broker.halted = how
        case "level", HaltLevel():
            broker.level = how
        case "to the close", int():
            left = int((broker.closes - broker.now).total_seconds()) - how
            broker.pass_time(max(left, 0))
        case "night", int():
            broker.next_morning(how)
        case _:
            raise AssertionError((what, how))
    broker.check()
    broker.settle()
    covered_or_explained(broker)


def end_well(broker: SmallBroker) -> None:
    """Faults are over: a plain day follows, in which everything fills."""
    broker.chance = lambda what: False
    broker.share = lambda most: most
    broker.halted, broker.level = False, HaltLevel.NONE
    broker.next_morning(before_open_s=0)
    for _ in range(25):
        broker.settle()
        broker.pass_time(60)
    broker.settle()
    assert broker.open_rows("exit", "trim") == []
    assert broker.covered == broker.held
    if broker.held:
        (stop,) = broker.working_sells
        assert (stop.kind, stop.remaining, stop.stop_price) == (OrderKind.STOP, broker.held, broker.stop)
    else:
        assert not broker.working_sells


def covered_or_explained(broker: SmallBroker) -> None:
    """After each instant: all held shares are on offer, or the reason stands in the open."""
    if broker.covered == broker.held:
        return
    entry_open = any(one.kind is OrderKind.ENTRY for one in broker.orders.values())
    refused = bool(broker.refused_cancels) or any(one.note for one in broker.ended)
    cannot_trade = not broker.trading and broker.price <= broker.stop
    leg_to_wake = any(not one.resting for one in broker.orders.values())
    assert entry_open or refused or cannot_trade or leg_to_wake, broker.book()


def test_the_random_days_are_worth_their_time() -> None:
    """Each way in which an order can end was seen, and positions were held over the last night and were not."""
    days = [random_day(seed) for seed in range(300)]
    ends = {(order.kind.value, order.status.value) for day in days for order in day.ended}
    assert ends >= {
        (kind, status)
        for kind, statuses in {
            "entry": ("filled", "canceled"),
            "stop": ("filled", "canceled", "replaced", "rejected"),
            "trim": ("filled", "canceled", "expired", "rejected"),
            "exit": ("filled", "canceled", "expired", "rejected"),
        }.items()
        for status in statuses
    }
    assert 20 < sum(day.held > 0 for day in days) < 280
