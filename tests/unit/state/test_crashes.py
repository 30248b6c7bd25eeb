"""Kill state anywhere in a day: the day ends with the same ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.state.day import play
from tests.unit.state.world import World, dump

SYMBOLS = ("AAPL", "MSFT")
POINTS = ("state.in_transaction", "before publish", "after publish")
"""Where a step can be cut: nothing committed; committed and not sent; sent and not known to be sent."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for many short-lived ledgers, in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def day(home: Path, kill_at: tuple[int, str] | None = None) -> World:
    world = World(home, symbols=SYMBOLS)
    world.kill_at = kill_at
    play(world)
    return world


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_ends_in_the_same_ledger(point: str, home: Path) -> None:
    whole = day(home / "whole")
    expected, broker_orders = dump(whole.store), sorted(whole.broker.orders)
    whole.store.close()
    steps = whole.steps
    assert steps > 40
    for step in range(1, steps + 1, 1 if point == POINTS[0] else 2):
        world = day(home / f"{step}", kill_at=(step, point))
        assert world.kills == 1, f"step {step} was not reached"
        assert dump(world.store) == expected, f"killed at step {step}, {point}"
        assert sorted(world.broker.orders) == broker_orders, f"killed at step {step}, {point}"
        world.store.close()


def test_a_day_that_is_killed_at_every_tenth_step_ends_in_the_same_ledger(home: Path) -> None:
    whole = day(home / "whole")
    world = World(home / "killed", symbols=SYMBOLS)
    turn = world.turn

    def turn_and_kill() -> None:
        if world.steps % 10 == 9:
            world.kill_at = (world.steps + 1, POINTS[world.steps % 3])
        turn()

    world.turn = turn_and_kill  # type: ignore[method-assign]
    play(world)
    assert world.kills >= 5
    assert dump(world.store) == dump(whole.store)
