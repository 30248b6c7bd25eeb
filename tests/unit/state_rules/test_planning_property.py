"""From any mix of position, orders and intents that a day can lead to, planning protects and never oversells."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.vocabulary import HaltLevel, OrderKind
from tests.unit.state_rules.small_broker import SmallBroker

HAPPENINGS = st.one_of(
    st.tuples(st.just("time"), st.sampled_from([1, 3, 5, 30, 60, 60, 60, 300, 1800, 7200])),
    st.tuples(st.just("price"), st.integers(4600, 5600)),
    st.tuples(st.just("trim"), st.sampled_from(["r1", "r2"])),
    st.tuples(st.just("raise"), st.integers(4700, 5300)),
    st.tuples(st.just("exit"), st.just(0)),
    st.tuples(st.just("halt symbol"), st.booleans()),
    st.tuples(st.just("level"), st.sampled_from(HaltLevel)),
    st.tuples(st.just("to the close"), st.sampled_from([125, 119, 61, 60, 59, 1, 0])),
    st.tuples(st.just("night"), st.sampled_from([19800, 600, 0])),
)


def happen(broker: SmallBroker, what: str, how: object) -> None:
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


@settings(max_examples=250, deadline=None)
@given(
    data=st.data(),
    qty=st.integers(1, 200),
    faults=st.sampled_from([0, 3, 10]),
    happenings=st.lists(HAPPENINGS, min_size=1, max_size=25),
)
def test_planning_never_oversells_converges_and_leaves_every_share_covered(
    data: st.DataObject, qty: int, faults: int, happenings: list[tuple[str, object]]
) -> None:
    broker = SmallBroker(
        qty,
        chance=lambda what: data.draw(st.integers(1, 20), label=what) <= faults,
        share=lambda most: data.draw(st.integers(0, most), label="shares"),
    )
    for what, how in happenings:
        happen(broker, what, how)
        broker.check()
        broker.settle()
        covered_or_explained(broker)

    # Faults are over: a plain day follows, in which everything fills.
    broker.chance = lambda what: False
    broker.share = lambda most: most
    broker.halted, broker.level = False, HaltLevel.NONE
    broker.next_morning(before_open_s=0)
    for _ in range(25):
        broker.settle()
        broker.pass_time(60)
    broker.settle()
    at_rest(broker)


def covered_or_explained(broker: SmallBroker) -> None:
    """After each instant: all held shares are on offer, or the reason stands in the open."""
    if broker.covered == broker.held:
        return
    entry_open = any(one.kind is OrderKind.ENTRY for one in broker.orders.values())
    refused = bool(broker.refused_cancels) or any(one.note for one in broker.ended)
    cannot_trade = not broker.trading and broker.price <= broker.stop
    leg_to_wake = any(not one.resting for one in broker.orders.values())
    assert entry_open or refused or cannot_trade or leg_to_wake, broker.book()


def at_rest(broker: SmallBroker) -> None:
    assert broker.open_rows("exit", "trim") == []
    assert broker.covered == broker.held
    if broker.held:
        (stop,) = broker.working_sells
        assert (stop.kind, stop.remaining) == (OrderKind.STOP, broker.held)
        assert stop.stop_price == broker.stop
    else:
        assert not broker.working_sells
