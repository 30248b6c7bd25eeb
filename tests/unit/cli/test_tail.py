from __future__ import annotations

import datetime as dt
import re

import pytest

from cli.tail_run import about, coloured, line, names_of
from cli.trouble import Trouble
from shared.contracts.commands import Sell
from shared.contracts.journal import Alert
from shared.contracts.market import Bar, Bars
from shared.runtime.bus import Entry

AT = dt.datetime(2015, 2, 11, 14, 31, tzinfo=dt.UTC)
MINUTE = AT - dt.timedelta(minutes=1)
BARS = Bars(
    id="bars-1-150211T1431",
    at=AT,
    cause="tick-1",
    partition=1,
    minute=MINUTE,
    rows=(Bar("AAPL", 124.0, 124.5, 123.9, 124.4, 1000.0),),
)


def test_a_partitioned_stream_means_all_its_partitions() -> None:
    assert names_of("bars", 3) == ("bars:0", "bars:1", "bars:2")
    assert names_of("bars:2", 3) == ("bars:2",)
    assert names_of("journal", 3) == ("journal",)


@pytest.mark.parametrize(
    ("name", "said"), [("intent", "did you mean intents"), ("bars:7", "there are bars:0"), ("journal:1", "no stream")]
)
def test_an_unknown_stream_is_refused_with_what_there_is(name: str, said: str) -> None:
    with pytest.raises(Trouble, match=said):
        names_of(name, 3)


def test_a_message_is_about_its_symbol_or_about_one_of_its_rows() -> None:
    assert about(BARS, "AAPL")
    assert not about(BARS, "FB")
    assert about(Sell(id="1", at=AT, by="cli", symbol="FB"), "FB")
    assert not about(None, "FB")


def test_a_line_says_when_what_why_and_the_content() -> None:
    entry = Entry("bars:1", "1-0", BARS)
    assert line(entry) == (
        "2015-02-11 14:31:00 Bars bars-1-150211T1431 <- tick-1: partition=1, minute=2015-02-11T14:30:00Z, "
        'rows=[["AAPL",124.0,124.5,123.9,124.4,1000.0]], part=0, parts=1'
    )


def test_an_unreadable_entry_is_shown_with_its_reason() -> None:
    assert line(Entry("bars:1", "1-0", None, "unknown type 'X'")) == "bars:1 1-0 unreadable: unknown type 'X'"


def alert(level: str) -> Entry:
    return Entry("alerts", "1-1", Alert(id="a", at=AT, level=level, key="k", text="something"))


@pytest.mark.parametrize(
    ("entry", "colour"),
    [
        (alert("critical"), "red"),
        (alert("warning"), "yellow"),
        (alert("info"), "cyan"),
        (Entry("bars:1", "1-1", BARS), "cyan"),
        (Entry("bars:1", "1-1", None, "not JSON"), "red"),
    ],
)
def test_the_kind_is_in_colour_and_the_words_are_the_same(entry: Entry, colour: str) -> None:
    shown = coloured(entry)
    assert re.sub(r"\x1b\[\d+m", "", shown) == line(entry)
    code = {"red": "31", "yellow": "33", "cyan": "36"}[colour]
    assert f"\x1b[{code}m" in shown
