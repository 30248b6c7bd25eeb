"""Names are functions of named things: the same everywhere, different for different things, short enough to send."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.ids import (
    MAX_CLIENT_ORDER_ID,
    SYMBOL,
    client_order_id,
    intent_id,
    is_symbol,
    leg_id,
    minute_id,
    partition_of,
)
from shared.contracts.vocabulary import OrderKind

SYMBOLS = st.from_regex(SYMBOL, fullmatch=True)
DAYS = st.dates(min_value=dt.date(2001, 1, 1), max_value=dt.date(2099, 12, 31))
INSTALLATIONS = st.from_regex(r"[a-z0-9]{0,6}", fullmatch=True)
DAY = dt.date(2026, 1, 9)


def test_ids_read_like_what_they_name() -> None:
    entry = client_order_id("e7f3", DAY, "AAPL", OrderKind.ENTRY, 1)
    assert entry == "e7f3-260109-AAPL-entry-1"
    assert leg_id(entry) == "e7f3-260109-AAPL-entry-1-stop"
    assert minute_id("bars", 2, dt.datetime(2026, 1, 9, 14, 50, tzinfo=dt.UTC)) == "bars-2-260109T1450"
    assert intent_id(DAY, "AAPL", "entry", dt.datetime(2026, 1, 9, 14, 50, tzinfo=dt.UTC)) == "260109-AAPL-entry-091450"


@pytest.mark.parametrize("text", ["A", "AAPL", "BRK.B", "BRK-B", "X1", "ABCDEFGHIJ.ABCD", "SPY"])
def test_a_ticker_is_a_symbol(text: str) -> None:
    assert is_symbol(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "aapl",
        "1A",
        "A:B",
        "A*",
        "A B",
        "A\n",
        "AAPL\n",
        "../x",
        "<b>",
        "A.",
        "A.B.C",
        "A" * 11,
        "A" * 1000,
        "ÄÖ",
        "A\u0660",
        "A\x00",
        "-A",
    ],
)
def test_what_would_break_an_id_a_key_or_a_page_is_no_symbol(text: str) -> None:
    assert not is_symbol(text)


@given(SYMBOLS, st.integers(min_value=1, max_value=64))
@settings(max_examples=100, deadline=None)
def test_every_symbol_has_one_partition(symbol: str, partitions: int) -> None:
    assert 0 <= partition_of(symbol, partitions) < partitions
    assert partition_of(symbol, partitions) == partition_of(symbol, partitions)


def test_a_partition_is_the_crc_32_of_the_symbol_hence_the_same_on_every_machine() -> None:
    published_check_value = 0xCBF43926
    assert partition_of("123456789", 2**32) == published_check_value


@given(INSTALLATIONS, DAYS, SYMBOLS, st.sampled_from(OrderKind), st.integers(min_value=1, max_value=999_999))
@settings(max_examples=200, deadline=None)
def test_no_order_of_ours_has_an_id_that_the_broker_would_refuse(
    installation: str, session: dt.date, symbol: str, kind: OrderKind, number: int
) -> None:
    name = client_order_id(installation, session, symbol, kind, number)
    assert len(leg_id(name)) <= MAX_CLIENT_ORDER_ID
    assert name.isascii()
    assert name.isprintable()
    assert " " not in name


ORDERS = st.tuples(DAYS, SYMBOLS, st.sampled_from(OrderKind), st.integers(min_value=1, max_value=99))


@given(ORDERS, ORDERS)
@settings(max_examples=200, deadline=None)
def test_two_orders_share_an_id_only_if_they_are_the_same_one(
    one: tuple[dt.date, str, OrderKind, int], other: tuple[dt.date, str, OrderKind, int]
) -> None:
    assert (client_order_id("e7f3", *one) == client_order_id("e7f3", *other)) == (one == other)
    assert leg_id(client_order_id("e7f3", *one)) != client_order_id("e7f3", *other)


@given(DAYS, SYMBOLS, st.integers(min_value=-20_000, max_value=20_000))
@settings(max_examples=200, deadline=None)
def test_intents_of_one_session_differ_by_their_minute(session: dt.date, symbol: str, minutes: int) -> None:
    one = dt.datetime.combine(session, dt.time(14, 30), dt.UTC)
    other = one + dt.timedelta(minutes=minutes)
    same = intent_id(session, symbol, "trim", one) == intent_id(session, symbol, "trim", other)
    assert same == (minutes == 0)
