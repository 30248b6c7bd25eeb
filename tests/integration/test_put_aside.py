"""What was put aside is counted in the demo's summary: never silently dropped."""

from __future__ import annotations

from datetime import UTC, datetime

from cli.demo_run import put_aside
from cli.demo_summary import DemoSummary, in_words
from shared.contracts.journal import DeadLetter
from shared.runtime.bus import Bus


def letter(name: str, reason: str) -> DeadLetter:
    at = datetime(2026, 1, 9, 15, tzinfo=UTC)
    return DeadLetter(id=name, at=at, stream="feed", entry="", reason=reason, service="market_data")


def test_bars_in_quarantine_are_counted_once_by_reason_and_told(bus: Bus) -> None:
    bus.publish(
        [letter("a", "no price"), letter("b", "high below low"), letter("c", "no price"), letter("a", "no price")]
    )
    dead = put_aside(bus)
    assert dead == {"no price": 2, "high below low": 1}
    report = DemoSummary(sessions=(), dead=dead, seconds=1.0, restarts=0, home="/h", ledger="/h/l", commands=())
    assert "  put aside    2  no price\n  put aside    1  high below low\n" in in_words(report)
