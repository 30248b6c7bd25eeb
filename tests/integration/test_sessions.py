"""Sessions over real processes: what the ledger must say afterwards, and that the same day in one process agrees."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from cli.picture import Picture
from services.market_data.synthetic_source import write_files
from services.state.model import IntentStatus
from shared.contracts.vocabulary import OrderKind, Reason, Side, Status
from tests.integration.whole_day import digest_of, play, play_in_process, seen_in
from tests.unit.market_data.markets import LIVELY_SESSION, TOGETHER, TOGETHER_AT, twelve_at_once
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
SYMBOLS = ("AAPL", "DIA", "FB", "IWM", "QQQ", "SPY")
FEED = f'{{"kind":"recorded","bars":"{SIX}"}}'
BOUNDARIES = 39

pytestmark = pytest.mark.timeout(170)
needs_market = pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there")


def entries_of(seen: Picture) -> list[str]:
    """Symbols of the session's entry orders that were filled, sorted."""
    return sorted(
        order.symbol
        for order in seen.orders
        if order.kind is OrderKind.ENTRY and order.filled_qty and order.session == seen.session
    )


def promises(seen: Picture, symbols: int) -> None:
    """What must be true of any session that is over."""
    assert len({(verdict.symbol, verdict.at) for verdict in seen.verdicts if verdict.stage == "signals"}) == (
        symbols * BOUNDARIES
    )
    by_id = {order.client_order_id: order for order in seen.orders}
    intents = {row.id for row in seen.entries}
    for order in seen.orders:
        assert order.status not in (Status.PLANNED, Status.CLAIMED, Status.UNRESOLVED), order
        if order.kind is OrderKind.ENTRY:
            assert f"{order.client_order_id}-stop" in by_id
            assert order.intent in intents
        if order.session == seen.session:
            assert order.cause, order
    bars = {row.id: row.cause for row in seen.entries}
    assert all(cause.startswith("bars-") for cause in bars.values())
    for position in seen.positions:
        signed: dict[Side, int] = defaultdict(int)
        for fill in seen.fills:
            if fill.position_id == position.position_id:
                signed[fill.side] += fill.qty
        if position.session == seen.session:
            assert (position.bought, position.sold) == (signed[Side.BUY], signed[Side.SELL])
        assert position.qty == position.bought - position.sold
        resting = [
            order
            for order in seen.orders
            if order.resting and order.side is Side.SELL and order.symbol == position.symbol
        ]
        assert sum(order.remaining for order in resting) == position.qty


@needs_market
def test_a_day_that_buys_trims_and_is_stopped_out_is_the_same_in_one_process(tmp_path: Path) -> None:
    play(tmp_path / "many", "--bars", str(SIX), "--session", "2015-02-26")
    seen = seen_in(tmp_path / "many")
    assert entries_of(seen) == ["FB"]
    assert [row.level for row in seen.exits if row.kind == "trim"] == ["r1"]
    assert seen.held == ()
    promises(seen, symbols=6)
    one = play_in_process(tmp_path / "one", {"EV2_FEED": FEED}, "2015-02-26", "2015-02-26", SYMBOLS)
    assert digest_of(tmp_path / "many") == one


@needs_market
def test_a_position_and_its_stop_last_over_the_night(tmp_path: Path) -> None:
    play(tmp_path / "many", "--bars", str(SIX), "--session", "2015-06-16", "--to", "2015-06-17")
    first, second = seen_in(tmp_path / "many", "2015-06-16"), seen_in(tmp_path / "many", "2015-06-17")
    assert entries_of(first) == ["IWM"]
    [bought] = first.positions
    assert entries_of(second) == []
    [position] = second.positions
    assert position.position_id == bought.position_id
    [leg] = [order for order in first.orders if order.client_order_id == f"{bought.position_id}-stop"]
    assert leg.time_in_force == "gtc"
    assert leg.accepted_at is not None
    assert leg.ended_at is not None
    assert leg.accepted_at.date() == first.session
    assert leg.ended_at.date() == second.session
    assert [row.level for row in second.exits if row.kind == "trim"] == ["r1"]
    promises(second, symbols=6)
    one = play_in_process(tmp_path / "one", {"EV2_FEED": FEED}, "2015-06-16", "2015-06-17", SYMBOLS)
    assert digest_of(tmp_path / "many") == one


def test_of_twelve_confirmations_at_one_instant_five_become_positions_in_the_order_in_which_they_fall_due(
    tmp_path: Path,
) -> None:
    bars, daily = write_files(twelve_at_once(), [LIVELY_SESSION], tmp_path)
    day = str(LIVELY_SESSION.session)
    play(
        tmp_path / "many",
        *("--bars", str(bars), "--daily", str(daily), "--session", day, "--watchlist", ",".join(TOGETHER)),
    )
    seen = seen_in(tmp_path / "many")
    together = [row for row in seen.entries if row.confirmed_at == TOGETHER_AT]
    assert sorted(row.symbol for row in together) == sorted(TOGETHER)
    judged = sorted(together, key=lambda row: (row.due, row.id))
    admitted = [row for row in judged if row.reason == Reason.ADMITTED]
    full = [row for row in judged if row.reason == Reason.MAX_POSITIONS]
    assert len(admitted) >= 5
    assert all(row.status in (IntentStatus.DONE, IntentStatus.EXPIRED, IntentStatus.REFUSED) for row in judged)
    assert full, [row.reason for row in judged]
    held_at_once = len(admitted[:5])
    assert held_at_once == 5
    assert max(row.due for row in admitted[:5]) <= min(row.due for row in full)
    promises(seen, symbols=len(TOGETHER))
