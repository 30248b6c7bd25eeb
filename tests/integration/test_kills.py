"""Every service is killed once in the middle of the session, and the day ends with the same ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.whole_day import SERVICES, digest_of, play, play_in_process, seen_in
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
SYMBOLS = ("AAPL", "DIA", "FB", "IWM", "QQQ", "SPY")

# Minutes around the one entry (confirmed at minute 20, bought at 24), its trim (105) and its stops (134).
MINUTES = (21, 23, 24, 25, 60, 105, 106, 133)


@pytest.mark.timeout(170)
@pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there")
def test_killing_every_service_once_in_the_session_changes_nothing_in_the_ledger(tmp_path: Path) -> None:
    summary = play(
        tmp_path / "killed",
        *("--bars", str(SIX), "--session", "2015-02-26"),
        kills=list(zip(MINUTES, SERVICES, strict=True)),
    )
    assert summary["restarts"] >= len(SERVICES)
    seen = seen_in(tmp_path / "killed")
    brokers = [row.broker_id for row in seen.orders if row.broker_id is not None]
    assert len(brokers) == len(set(brokers))
    variables = {"EV2_FEED": f'{{"kind":"recorded","bars":"{SIX}"}}'}
    undisturbed = play_in_process(tmp_path / "one", variables, "2015-02-26", "2015-02-26", SYMBOLS)
    assert digest_of(tmp_path / "killed") == undisturbed
