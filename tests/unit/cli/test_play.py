"""What a demo does with a home that has played before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from cli.play import Market, Play, Start, begin, start_of
from cli.trouble import Trouble

MONDAY, TUESDAY, WEDNESDAY = dt.date(2015, 2, 9), dt.date(2015, 2, 10), dt.date(2015, 2, 11)
MARKET = Market(bars="/bars.parquet", daily="", seed=7, watchlist=("AAPL", "FB"))
PLAY = Play(market=MARKET, first=MONDAY, last=MONDAY)


def played(data: Path, play: Play, over: dt.date | None) -> Path:
    """A data folder in which `play` was begun, and `over` was its last session that came to its end."""
    data.mkdir()
    begin(data, play, Start.FIRST)
    (data / "execution_v2.sqlite").write_bytes(b"ledger")
    if over is not None:
        (data / "conductor.txt").write_text(over.isoformat())
    return data


def test_an_empty_home_starts(tmp_path: Path) -> None:
    assert start_of(tmp_path, PLAY) is Start.FIRST


def test_an_interrupted_session_goes_on(tmp_path: Path) -> None:
    assert start_of(played(tmp_path / "data", PLAY, over=None), PLAY) is Start.RESUMED


def test_of_several_sessions_the_one_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    week = msgspec.structs.replace(PLAY, last=WEDNESDAY)
    assert start_of(played(tmp_path / "data", week, over=TUESDAY), week) is Start.RESUMED


def test_a_finished_session_is_played_afresh(tmp_path: Path) -> None:
    assert start_of(played(tmp_path / "data", PLAY, over=MONDAY), PLAY) is Start.AFRESH


def test_the_next_session_goes_on_with_the_same_ledger_over_night(tmp_path: Path) -> None:
    next_day = msgspec.structs.replace(PLAY, first=TUESDAY, last=TUESDAY)
    assert start_of(played(tmp_path / "data", PLAY, over=MONDAY), next_day) is Start.NEXT_DAY


@pytest.mark.parametrize(
    ("asked", "over"),
    [
        (msgspec.structs.replace(PLAY, first=WEDNESDAY, last=WEDNESDAY), MONDAY),  # a session between is missing
        (msgspec.structs.replace(PLAY, first=TUESDAY, last=TUESDAY), None),  # the one before is not over
        (Play(market=msgspec.structs.replace(MARKET, seed=8), first=TUESDAY, last=TUESDAY), MONDAY),
        (msgspec.structs.replace(PLAY, first=TUESDAY, last=TUESDAY, bus="another"), MONDAY),
    ],
)
def test_whatever_does_not_follow_starts_afresh(tmp_path: Path, asked: Play, over: dt.date | None) -> None:
    assert start_of(played(tmp_path / "data", PLAY, over), asked) is Start.AFRESH


def test_starting_afresh_keeps_what_was_there_in_one_folder(tmp_path: Path) -> None:
    data = played(tmp_path / "data", PLAY, over=MONDAY)
    (data / "up.lock").write_text("4711")
    for _ in range(2):
        (data / "execution_v2.sqlite").write_bytes(b"ledger")
        begin(data, PLAY, Start.AFRESH)
    assert sorted(path.name for path in data.iterdir()) == ["demo.json", "previous", "up.lock"]
    assert (data / "previous" / "execution_v2.sqlite").read_bytes() == b"ledger"


def test_a_ledger_that_is_no_demos_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "execution_v2.sqlite").write_bytes(b"ledger")
    with pytest.raises(Trouble, match="no demo's; choose another folder with --home"):
        start_of(tmp_path, PLAY)


def test_a_damaged_record_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{")
    with pytest.raises(Trouble, match=r"demo\.json cannot be read"):
        start_of(tmp_path, PLAY)
