"""The report's forms: nothing from outside becomes markup or a formula, nothing unknown becomes a zero."""

from __future__ import annotations

import csv
import datetime as dt
import io
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from cli.reporting import words
from cli.reporting.csv_files import csv_files
from cli.reporting.page import page
from cli.reporting.plots import ticks
from cli.reporting.report import Report, report_of
from cli.reporting.rows import Market
from cli.reporting.tables import trades
from cli.reporting.terminal import print_report
from shared.contracts.rules import StopRules
from shared.contracts.vocabulary import Side
from tests.unit.reporting.made import LEG, bought, entry_order, fill, leg, position, refusal, rows

NOTHING = Market(source="", recorded={}, missing={})


def of_symbol(symbol: str) -> Report:
    """A report in which `symbol` is what was traded and refused, under a reason that nobody knows."""
    traded = rows(
        [bought(), fill(1, LEG, Side.SELL, 100, "49.00", 60)],
        [replace(entry_order(), symbol=symbol), replace(leg(), symbol=symbol)],
        refused=[replace(refusal(reason=symbol, hold_close=10.0), symbol=symbol)],
        positions=[position(symbol=symbol)],
    )
    return report_of(traded, NOTHING, StopRules())


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=y>', "</style><b>", "&lt;b&gt;", "a\x00b", "'--><svg>"]


@pytest.mark.parametrize("symbol", HOSTILE)
def test_what_comes_from_outside_is_text_on_the_page(symbol: str) -> None:
    plain, hostile = Elements(page(of_symbol("AAPL"))), Elements(page(of_symbol(symbol)))
    assert hostile.names == plain.names
    assert symbol.replace("\x00", "\N{REPLACEMENT CHARACTER}") in "".join(hostile.text)


@pytest.mark.parametrize("symbol", ["=1+1", "@SUM(A1)", "+cmd", "-2+3", "\t=1"])
def test_no_cell_of_a_csv_file_begins_a_formula(symbol: str) -> None:
    files = csv_files(of_symbol(symbol))
    cells = [cell for text in files.values() for row in csv.reader(io.StringIO(text)) for cell in row]
    assert f"'{symbol}" in cells
    assert symbol not in cells


def test_every_csv_file_has_its_columns_even_without_rows() -> None:
    for name, text in csv_files(report_of(rows(), NOTHING, StopRules())).items():
        [head, *rest] = list(csv.reader(io.StringIO(text)))
        assert len(head) > 1, name
        assert name == "sessions.csv" or name == "equity.csv" or rest == [], name


@pytest.mark.parametrize("symbol", ["[bold]x[/bold]", "[/]"])
def test_a_terminal_shows_markup_as_it_stands(symbol: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_report(of_symbol(symbol))
    assert symbol in capsys.readouterr().out


def test_a_session_in_which_nothing_happened_has_a_page_and_says_so() -> None:
    text = page(report_of(rows(), NOTHING, StopRules()))
    assert "nothing was held" in text
    assert "no breakout was refused" in text


def test_a_report_of_more_than_one_year_tells_the_year_of_each_time() -> None:
    of_one = of_symbol("AAPL")
    assert trades(of_one).rows[0][0] == "02-11 10:00"
    assert trades(replace(of_one, last=dt.date(2016, 1, 4))).rows[0][0] == "2015-02-11 10:00"


def test_unknown_is_a_dash_and_what_rounds_to_nothing_has_no_sign() -> None:
    assert [form(None) for form in (words.money, words.price, words.in_r, words.percent, words.lasted)] == ["-"] * 5
    assert (words.money(-0.004), words.in_r(-0.001), words.money(-0.006)) == ("+0.00", "+0.00 R", "-0.01")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert words.lasted(seconds) == said


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9))
@example(900719926.0546875, 1.192092896e-07)
def test_ticks_reach_around_all_values_and_are_few(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert found == sorted(found)
    rounding = 1e-6 + 1e-6 * max(abs(low), abs(low + span), span)
    assert found[0] <= low + rounding
    assert found[-1] >= low + span - rounding
    assert 2 <= len(found) <= 8
