"""Nothing that is decided depends on what comes after it; and a decision that did would be found."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
import polars as pl
import pytest

from cli.lookahead_run import Asked, Cut, check, minutes_to_cut, run
from cli.trouble import Trouble
from services.market_data.recorded_source import RecordedSource
from services.market_data.source import Day
from services.state.store import Store
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session
from tests.chaos.day import EAGER_RULES, SESSION, the_source

CUTS = 3


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four sessions of the synthetic market in a file, so that there is history for the last."""
    source, path = the_source(), tmp_path_factory.mktemp("bars") / "minutes.parquet"
    days = calendar.sessions(calendar.previous(SESSION, 12).session, SESSION)
    rows = [
        (row.bar.symbol, row.start, *msgspec.structs.astuple(row.bar)[1:])
        for day in days
        for row in source.day(day, None).rows
    ]
    columns = ["symbol", "timestamp", "open", "high", "low", "close", "volume"]
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(path)
    return path


def asked(bars: Path, *, bar_by_bar: bool) -> Asked:
    return Asked(
        bars=bars,
        daily=None,
        session=str(SESSION),
        watchlist=None,
        tape=None,
        cuts=CUTS,
        seed=5,
        bar_by_bar=bar_by_bar,
    )


def eager(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    for name, value in {**EAGER_RULES, "EV2_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("bar_by_bar", [False, True])
def test_a_session_with_its_end_cut_off_is_decided_the_same_up_to_the_cut(
    bars: Path, bar_by_bar: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eager(monkeypatch, tmp_path)
    assert run(asked(bars, bar_by_bar=bar_by_bar), as_json=False) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert said.count("the same: verdicts") == CUTS
    assert "orders" in said
    assert said.splitlines()[-1].startswith("No decision looked ahead.")


def test_a_feed_that_lets_the_last_close_of_the_day_shine_through_is_found(
    bars: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = RecordedSource.day

    def leaking(self: RecordedSource, session: Session, symbols: Collection[str] | None) -> Day:
        day = honest(self, session, symbols)
        last = {row.bar.symbol: row.bar.close for row in day.rows}
        rows = tuple(
            row._replace(
                bar=msgspec.structs.replace(row.bar, close=max(row.bar.close, min(row.bar.high, last[row.bar.symbol])))
            )
            for row in day.rows
        )
        return msgspec.structs.replace(day, rows=rows)

    monkeypatch.setattr(RecordedSource, "day", leaking)
    eager(monkeypatch, tmp_path)
    assert run(asked(bars, bar_by_bar=True), as_json=False) == 1
    assert "LOOKED AHEAD" in capsys.readouterr().out


def test_two_ledgers_that_differ_only_after_the_cut_are_the_same_up_to_it() -> None:
    at = calendar.session(SESSION).opens_at
    assert check(Store.in_memory(), Store.in_memory(), at) == Cut(
        at=at,
        compared={
            "verdicts": 0,
            "entry intents": 0,
            "entries judged": 0,
            "exit intents": 0,
            "orders": 0,
            "fills": 0,
        },
        differs=(),
    )


def test_the_minutes_are_the_seeds_and_lie_within_the_session() -> None:
    session = calendar.session(SESSION)
    assert minutes_to_cut(session, session.closes_at, 4, seed=1) == minutes_to_cut(
        session, session.closes_at, 4, seed=1
    )
    assert minutes_to_cut(session, session.closes_at, 4, seed=1) != minutes_to_cut(
        session, session.closes_at, 4, seed=2
    )
    cuts = minutes_to_cut(session, session.closes_at, 10_000, seed=1)
    assert session.opens_at < cuts[0] < cuts[-1] < session.closes_at
    assert len(set(cuts)) == len(cuts)


def test_no_cut_lies_behind_the_end_of_what_is_known() -> None:
    """There it would compare the same with itself, and find nothing."""
    session = calendar.session(SESSION)
    last = session.opens_at + 100 * MINUTE
    assert max(minutes_to_cut(session, last, 10_000, seed=1)) < last
    with pytest.raises(Trouble, match="too early to be cut"):
        minutes_to_cut(session, session.opens_at + 15 * MINUTE, 1, seed=1)
