from __future__ import annotations

from pathlib import Path

import pytest

from cli.lists import complaints
from cli.market import chosen
from cli.trouble import Trouble
from shared.runtime.settings import load_settings

KNOWN = ("AAPL", "FB", "SPY")


def test_a_bad_row_is_told_with_its_line_and_the_good_rows_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "watchlist.txt"
    path.write_text("AAPL\n# a comment\nF*B\nZZZ, FB\nAAPL\n")
    assert chosen(str(path), KNOWN, "the file") == ("AAPL", "FB")
    told = capsys.readouterr().err.splitlines()
    assert [line.removeprefix(str(path)).split(":")[0] for line in told] == [
        " line 3 (F*B)",
        " line 5 (AAPL)",
        " line 4 (ZZZ)",
    ]
    assert told[2].endswith("unknown in the file; the row does not count")


def test_a_list_without_any_good_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "watchlist.txt"
    path.write_text("F*B\n")
    with pytest.raises(Trouble, match=r"has no symbol of the file: .* line 1 \(F\*B\)"):
        chosen(str(path), KNOWN, "the file")


def test_a_list_may_be_longer_than_a_name_of_a_file() -> None:
    many = tuple(f"A{number}" for number in range(100))
    assert chosen(",".join(many), many, "the file") == many


def test_a_list_that_is_not_there_is_called_a_file(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match=r"--watchlist .*/watchlist\.txt: no such file"):
        chosen(str(tmp_path / "watchlist.txt"), KNOWN, "the file")


def test_configured_lists_are_looked_at_before_the_start(home: Path) -> None:
    (home / "execution.toml").write_text(
        '[candidates]\nwatchlist = ["AAPL", "a b"]\nwatchlist_file = "none.txt"\nscan_file = "scan.csv"\n'
    )
    (home / "scan.csv").write_text(
        "Symbol,Entry_Level,Stop_Loss,Target_R2,Entry_DistPct,Price\nFB,80,78,84,1,79\nSPY,206,210,209,1,205\n"
    )
    list_row, no_file, scan_row = complaints(load_settings())
    assert list_row.startswith("candidates.watchlist row 2 (a b): ")
    assert no_file == f"{home / 'none.txt'}: cannot be read (No such file or directory); nothing of it counts"
    assert scan_row.startswith(f"{home / 'scan.csv'} line 3 (SPY")
    assert "Stop_Loss 210" in scan_row
