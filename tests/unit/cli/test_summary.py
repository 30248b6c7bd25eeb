from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from cli.picture import picture
from cli.summary import Bought, Summary, summary
from tests.unit.cli.ledgers import ENTRY, SESSION, at, make_ledger


def test_a_session_is_counted_from_its_rows(tmp_path: Path) -> None:
    make_ledger(tmp_path / "ledger.sqlite")
    seen = picture(tmp_path / "ledger.sqlite")
    assert seen is not None
    assert summary(seen) == Summary(
        session=SESSION,
        candidates=2,
        verdicts=4,
        confirmed=1,
        entries=(Bought(symbol="AAPL", at=at(15, 3), qty=80, price=Decimal("124.3000"), client_order_id=ENTRY),),
        waiting={"no_break": 2},
        refused={"regime_symbol": 1},
        trims=1,
        stops_raised=0,
        stopped=0,
        exits=0,
        held=1,
        realized=Decimal("42.00"),  # 40 x (125.35 - 124.30)
        open=Decimal("68.00"),  # worth 100085 - 95045 = 5040, cost 40 x 124.30 = 4972
        equity=Decimal("100085.00"),
        unresolved=0,
    )


def test_without_a_ledger_there_is_no_picture(tmp_path: Path) -> None:
    assert picture(tmp_path / "ledger.sqlite") is None
