"""A scripted day with everything in it: an entry, a trim, a raised stop, a partly filled entry, an exit, a refusal."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from shared.contracts import ids
from shared.contracts.decisions import Decided, EntryIntent, ExitIntent, Mark, StopIntent, TrimIntent, Verdict
from shared.contracts.vocabulary import Reason, StopMode
from tests.unit.state.world import MINUTE, OPEN, PARTITIONS, SESSION, World, decided

ENTRY = "e7f3-260109-AAPL-entry-1"
LEG = f"{ENTRY}-stop"
MSFT_ENTRY = "e7f3-260109-MSFT-entry-1"


def confirmed(symbol: str, at: dt.datetime, close: float = 100.0, **changes: object) -> EntryIntent:
    """A confirmation whose levels leave room: pivot half a dollar below, R1 and R2 three and six above."""
    fields: dict[str, object] = {
        "id": ids.intent_id(SESSION, symbol, "entry", at),
        "symbol": symbol,
        "strategy": "boh",
        "session": SESSION,
        "confirmed_at": at,
        "confirm_close": close,
        "pivot": close - 0.5,
        "r1": close + 3,
        "r2": close + 6,
        "first_stop": close - 2,
        "swing_low": close - 1.5,
        "scan_stop": None,
        "atr_pct": 1.0,
        "dist_pct": 1.0,
        "break_start": at - 20 * MINUTE,
        "hold_start": at - 10 * MINUTE,
        "cause": f"bars-{at:%H%M}",
        **changes,
    }
    return EntryIntent(**fields)  # type: ignore[arg-type]


def of(symbol: str, at: dt.datetime, **what: Any) -> Decided:
    """What the partition of `symbol` decided at `at`."""
    return decided(ids.partition_of(symbol, PARTITIONS), at, **what)


def mark(symbol: str, close: float, **changes: object) -> Mark:
    fields: dict[str, object] = {
        "symbol": symbol,
        "position_id": f"e7f3-260109-{symbol}-entry-1",
        "high_water": close,
        "invalidations": 0,
        "stop_mode": StopMode.OPEN,
        "last_close": close,
        **changes,
    }
    return Mark(**fields)  # type: ignore[arg-type]


def buy(world: World, at: dt.datetime, symbol: str = "AAPL", price: str = "100.10") -> int:
    """A confirmation at `at`, admitted at once and filled in the next minute; the shares bought."""
    world.minute(at, {symbol: 100.0}, of(symbol, at, entries=(confirmed(symbol, at),)))
    name = f"e7f3-260109-{symbol}-entry-1"
    order = world.store.order(name)
    assert order is not None
    world.minute(
        at + MINUTE,
        {symbol: 100.2},
        of(symbol, at + MINUTE, marks=(mark(symbol, 100.2),)),
        fills=lambda: world.broker.fill(name, order.qty, price),
    )
    return order.qty


def play(world: World) -> None:
    """The whole day; what it must end in stands in test_state_day.py."""
    world.open()
    at = OPEN + 20 * MINUTE
    shares = buy(world, at)

    # MSFT is bought in part, and the rest is cancelled.
    at += 2 * MINUTE
    verdict = Verdict(symbol="MSFT", strategy="boh", reason=Reason.CONFIRMED, spends=True, figures={"close": 100.0})
    world.minute(
        at, {"AAPL": 101.0, "MSFT": 100.0}, of("MSFT", at, entries=(confirmed("MSFT", at),), verdicts=(verdict,))
    )
    at += MINUTE
    world.minute(at, {"AAPL": 102.0, "MSFT": 100.1}, fills=lambda: world.broker.fill(MSFT_ENTRY, 5, "100.05"))
    at += MINUTE
    world.minute(at, {"AAPL": 102.5, "MSFT": 100.1})

    # AAPL reaches R1: half is sold, the stop goes to the average price.
    at += MINUTE
    trim = TrimIntent(
        id=f"trim-{at:%H%M}", symbol="AAPL", level="r1", fraction=0.5, price=103.1, cause=f"bars-{at:%H%M}"
    )
    raised = StopIntent(
        id=f"stop-{at:%H%M}", symbol="AAPL", stop=Decimal("100.10"), basis="breakeven", cause=f"bars-{at:%H%M}"
    )
    world.minute(
        at,
        {"AAPL": 103.1, "MSFT": 100.2},
        of("AAPL", at, trims=(trim,), stops=(raised,), marks=(mark("AAPL", 103.1),)),
    )
    at += MINUTE
    world.minute(
        at,
        {"AAPL": 103.2},
        of("AAPL", at, marks=(mark("AAPL", 103.2),)),
        fills=lambda: world.broker.fill("e7f3-260109-AAPL-trim-1", shares // 2, "103.05"),
    )

    # MSFT fails: all is sold, the first limit is not filled, the second is.
    at += MINUTE
    leave = ExitIntent(
        id=f"exit-{at:%H%M}", symbol="MSFT", reason="invalidation", price=99.2, market=False, cause=f"bars-{at:%H%M}"
    )
    world.minute(at, {"AAPL": 103.0, "MSFT": 99.2}, of("MSFT", at, exits=(leave,)))
    at += MINUTE
    world.minute(at, {"AAPL": 103.0, "MSFT": 99.1})
    at += MINUTE
    world.minute(
        at,
        {"AAPL": 103.0, "MSFT": 99.0},
        fills=lambda: world.broker.fill("e7f3-260109-MSFT-exit-2", 5, "98.90"),
    )

    # A second confirmation of MSFT in the same session is spent; AAPL's stop is hit.
    at += MINUTE
    world.minute(at, {"MSFT": 101.0}, of("MSFT", at, entries=(confirmed("MSFT", at, 101.0),)))
    at += MINUTE
    rest = world.store.open_orders("AAPL")
    [stop] = [order.client_order_id for order in rest]
    world.minute(at, {"AAPL": 100.0}, fills=lambda: world.broker.fill(stop, shares - shares // 2, "100.05"))
    world.close()
