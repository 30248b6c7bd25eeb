"""Watchlist and scan file, row by row (docs/strategy.md section 1)."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from services.state.candidates import (
    MAX_BYTES,
    MAX_ROWS,
    FileRefused,
    Listed,
    Listing,
    candidate_of,
    in_force,
    parse_scan,
    parse_symbols,
    parse_watchlist,
)
from services.state.model import Candidate
from shared.contracts.rules import CandidateRules
from tests.unit.state_rules.books import CLOSES, DAY, OPENS, at

RULES = CandidateRules()
HEADER = "Symbol,Entry_Level,Stop_Loss,Target_R2,Entry_DistPct,Price"
GOOD = "ACME,50,48,54,1.5,49.80"


def scan(*lines: str, header: str = HEADER, age_s: float | None = None) -> Listing | FileRefused:
    return parse_scan("\n".join((header, *lines)).encode(), "boh", RULES, age_s)


def refusals(listing: Listing | FileRefused) -> list[tuple[int, str]]:
    assert isinstance(listing, Listing), listing
    return [(row.line, row.reason) for row in listing.refused]


def symbols(listing: Listing | FileRefused) -> list[str]:
    assert isinstance(listing, Listing), listing
    return [row.symbol for row in listing.rows]


def reason(listing: Listing | FileRefused) -> str:
    assert isinstance(listing, FileRefused), listing
    return listing.reason


# Watchlist


def test_a_watchlist_is_symbols_by_line_or_comma_with_comments() -> None:
    listing = parse_watchlist(b"# mine\nACME, bolt\n\nBRK.B  # Berkshire\n", "boh")
    assert listing == Listing(
        rows=(
            Listed(line=2, symbol="ACME", strategy="boh"),
            Listed(line=2, symbol="BOLT", strategy="boh"),
            Listed(line=4, symbol="BRK.B", strategy="boh"),
        ),
        refused=(),
    )


def test_bad_rows_of_a_watchlist_are_refused_by_line_and_the_good_ones_count() -> None:
    listing = parse_watchlist(b"ACME\nAC*ME\nevil:key\nACME\n" + b"X" * 1000 + b"\nBOLT", "boh")
    assert symbols(listing) == ["ACME", "BOLT"]
    assert refusals(listing) == [
        (2, "not a symbol: AC*ME"),
        (3, "not a symbol: EVIL:KEY"),
        (4, "listed before, in line 1"),
        (5, f"not a symbol: {'X' * 57}..."),
    ]


def test_an_empty_watchlist_is_no_error() -> None:
    assert parse_watchlist(b"", "boh") == Listing(rows=(), refused=())


def test_the_watchlist_of_the_configuration_is_checked_alike() -> None:
    listing = parse_symbols(("ACME", "", "no good"), "boh")
    assert symbols(listing) == ["ACME"]
    assert refusals(listing) == [(2, "no symbol"), (3, "not a symbol: NO GOOD")]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"ACME\n\xff\xfe", "not UTF-8 at byte 5"),
        (b"AC\0ME", "holds a zero byte: not a text file"),
        (b"A" * (MAX_BYTES + 1), "5000001 bytes; at most 5000000"),
        (b"A\n" * (MAX_ROWS + 1), "20001 symbols; at most 20000"),
    ],
)
def test_an_unreadable_watchlist_is_refused_whole(data: bytes, why: str) -> None:
    assert reason(parse_watchlist(data, "boh")) == why


# Scan file: rows


def test_a_scan_row_gives_levels_and_r1_is_the_midpoint_unless_it_is_given() -> None:
    assert scan(GOOD) == Listing(
        rows=(
            Listed(
                line=2,
                symbol="ACME",
                strategy="boh",
                pivot=50.0,
                stop=48.0,
                r1=52.0,
                r2=54.0,
                note="Entry_DistPct 1.5, Price 49.8",
            ),
        ),
        refused=(),
    )


def test_optional_columns_are_taken_where_they_stand() -> None:
    header = f"{HEADER},Target_R1,Strategy_ID,Direction,Anchor,AVWAP_Slope,Sector,Unheard_Of"
    listing = scan(
        f"{GOOD},51.5,abc,LONG,2025-12-01,-0.01,Energy,x", f"{GOOD.replace('ACME', 'BOLT')},,,,,,,", header=header
    )
    assert isinstance(listing, Listing)
    first, second = listing.rows
    assert (first.r1, first.strategy, first.sector) == (51.5, "abc", "Energy")
    assert first.note == "Entry_DistPct 1.5, Price 49.8, AVWAP_Slope -0.01, Anchor 2025-12-01"
    assert (second.r1, second.strategy, second.sector) == (52.0, "boh", "")


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (",50,48,54,1.5,49.8", "no symbol"),
        ("A:B,50,48,54,1.5,49.8", "not a symbol: A:B"),
        ("ACME,0,48,54,1.5,49.8", "Entry_Level is 0; it must be above 0"),
        ("ACME,50,-1,54,1.5,49.8", "Stop_Loss is -1; it must be above 0"),
        ("ACME,50,48,0.0,1.5,49.8", "Target_R2 is 0.0; it must be above 0"),
        ("ACME,50,54,54,1.5,49.8", "Stop_Loss 54.0 is not below Target_R2 54.0"),
        ("ACME,fifty,48,54,1.5,49.8", "Entry_Level is no number: fifty"),
        ("ACME,50,48,54,nan,49.8", "Entry_DistPct is no number: nan"),
        ("ACME,1_000,48,54,1.5,49.8", "Entry_Level is no number: 1_000"),
        ('ACME,"1,000",48,54,1.5,49.8', "Entry_Level is no number: 1,000"),
        ("ACME,50,48,54,1.5,inf", "Price is no number: inf"),
        ("ACME,50,,54,1.5,49.8", "Stop_Loss is empty"),
        ("ACME,50,48", "Target_R2 is empty"),  # half written
        ("ACME,50,48,54,1.5,49.8,extra", "7 cells for 6 columns"),
    ],
)
def test_a_bad_scan_row_is_refused_with_its_line_and_the_good_rows_count(row: str, why: str) -> None:
    listing = scan(GOOD, row, GOOD.replace("ACME", "BOLT"))
    assert symbols(listing) == ["ACME", "BOLT"]
    assert refusals(listing) == [(3, why)]


@pytest.mark.parametrize(
    ("column", "cell", "why"),
    [
        ("Direction", "Short", "Direction is Short; only Long is traded"),
        ("Target_R1", "0", "Target_R1 is 0; it must be above 0"),
        ("AVWAP_Slope", "flat", "AVWAP_Slope is no number: flat"),
        ("Strategy_ID", "a b", "Strategy_ID a b is none: letters, digits, _ . - and at most 32"),
    ],
)
def test_a_bad_optional_cell_refuses_its_row(column: str, cell: str, why: str) -> None:
    assert refusals(scan(f"{GOOD},{cell}", header=f"{HEADER},{column}")) == [(2, why)]


def test_lines_are_counted_with_blank_ones_and_quoted_line_breaks() -> None:
    listing = scan("", '"AC\nME",50,48,54,1.5,49.8', "BOLT,0,48,54,1.5,49.8")
    assert refusals(listing) == [(4, "not a symbol: AC?ME"), (5, "Entry_Level is 0; it must be above 0")]


def test_one_symbol_may_be_listed_by_two_strategies_but_once_by_each() -> None:
    header = f"{HEADER},Strategy_ID"
    listing = scan(f"{GOOD},b", f"{GOOD},a", f"{GOOD},b", header=header)
    assert isinstance(listing, Listing)
    assert [row.strategy for row in listing.rows] == ["b", "a"]
    assert refusals(listing) == [(4, "listed before, in line 2")]


def test_markup_and_control_characters_stay_on_one_line_and_short() -> None:
    listing = scan(f"<script>\x1b[31m{'x' * 200},1,1,1,1,1")
    assert isinstance(listing, Listing)
    assert "\x1b" not in listing.refused[0].text
    assert len(listing.refused[0].text) == 60


# Scan file: whole


def test_a_byte_order_mark_and_spaces_in_the_header_do_no_harm() -> None:
    data = ("\ufeff" + HEADER.replace(",", " , ") + "\r\n" + GOOD + "\r\n").encode()
    assert symbols(parse_scan(data, "boh", RULES)) == ["ACME"]


def test_missing_columns_are_named() -> None:
    assert reason(scan("ACME,50", header="Symbol,Entry_Level")) == (
        "column Stop_Loss, Target_R2, Entry_DistPct, Price is missing"
    )


def test_a_column_that_stands_twice_refuses_the_file() -> None:
    assert reason(scan(f"{GOOD},1", header=f"{HEADER},Price")) == "column Price stands twice"


def test_a_file_older_than_a_day_is_refused_and_in_a_replay_its_age_is_not_asked() -> None:
    assert symbols(scan(GOOD, age_s=86_400)) == ["ACME"]
    assert reason(scan(GOOD, age_s=90_000)) == "25.0 hours old; at most 24.0"
    assert symbols(scan(GOOD, age_s=None)) == ["ACME"]
    ageless = parse_scan(f"{HEADER}\n{GOOD}".encode(), "boh", CandidateRules(max_age=None), 1e9)
    assert symbols(ageless) == ["ACME"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty file"),
        (b"\n\n", "empty file"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        (f"{HEADER}\nAC\0ME".encode(), "holds a zero byte: not a text file"),
        (b"x" * (MAX_BYTES + 1), "5000001 bytes; at most 5000000"),
        (f'{HEADER}\nACME,"50'.encode(), "line 2: unexpected end of data"),
        (f"{HEADER}\n".encode() + b"A,1,1,2,1,1\n" * (MAX_ROWS + 1), "20001 rows; at most 20000"),
    ],
)
def test_an_unreadable_scan_file_is_refused_whole(data: bytes, why: str) -> None:
    assert reason(parse_scan(data, "boh", RULES)) == why


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: f"{HEADER}\n{text}".encode())))
def test_no_bytes_break_the_readers_and_all_that_passes_is_a_symbol_with_ordered_levels(data: bytes) -> None:
    for listing in (parse_watchlist(data, "boh"), parse_scan(data, "boh", RULES)):
        if isinstance(listing, Listing):
            assert all(row.symbol == row.symbol.upper() for row in listing.rows)
            assert all(row.stop is None or (row.r2 is not None and 0 < row.stop < row.r2) for row in listing.rows)


# Expiry, and two strategies


def ingested(listing: Listing | FileRefused, since: dt.datetime, rules: CandidateRules = RULES) -> Candidate:
    assert isinstance(listing, Listing)
    return candidate_of(
        listing.rows[0],
        "scan.csv",
        since=since,
        session=DAY,
        opens_at=OPENS,
        closes_at=CLOSES,
        rules=rules,
    )


@pytest.mark.parametrize(
    ("since", "expires_at"),
    [
        ("8:00", "15:30"),  # six hours from the opening
        ("9:45", "15:45"),  # six hours from the ingest
        ("12:00", "16:00"),  # the close is earlier
    ],
)
def test_a_scan_candidate_expires_at_the_close_or_six_hours_after_ingest_or_opening(
    since: str, expires_at: str
) -> None:
    assert ingested(scan(GOOD), at(since)).expires_at == at(expires_at)


def test_a_watchlist_candidate_never_expires() -> None:
    assert ingested(parse_watchlist(b"ACME", "boh"), at("8:00")).expires_at is None


def test_of_two_strategies_on_one_symbol_the_lower_id_counts_while_it_is_in_force() -> None:
    first = ingested(scan(GOOD), at("8:00"))
    lower = replace(first, strategy="abc", expires_at=at("12:00"))
    assert in_force([first, lower], at("11:59")) == {"ACME": lower}
    assert in_force([lower, first], at("12:00")) == {"ACME": first}
    assert in_force([replace(first, active=False)], at("11:00")) == {}
