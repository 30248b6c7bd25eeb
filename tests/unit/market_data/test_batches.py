"""One complete batch of each partition a minute."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.market_data.batches import MAX_ROWS, minute_batches
from shared.contracts import ids
from shared.contracts.market import Bar
from shared.contracts.wire import encode
from tests.unit.market_data.making import at, bar


def test_a_minute_without_trades_is_said_by_every_partition() -> None:
    told = minute_batches(at(0), [], 4)
    assert [(batch.id, batch.partition, batch.rows, batch.parts) for batch in told] == [
        ("bars-0-150211T1431", 0, (), 1),
        ("bars-1-150211T1431", 1, (), 1),
        ("bars-2-150211T1431", 2, (), 1),
        ("bars-3-150211T1431", 3, (), 1),
    ]
    assert {(batch.minute, batch.at) for batch in told} == {(at(0), at(1))}


SYMBOLS = st.from_regex(r"[A-Z]{1,5}", fullmatch=True)


@given(st.lists(SYMBOLS, unique=True, max_size=60), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_every_row_is_in_its_own_partition_once_by_symbol(symbols: list[str], partitions: int) -> None:
    told = minute_batches(at(5), [bar(symbol) for symbol in symbols], partitions)
    assert sorted(row.symbol for batch in told for row in batch.rows) == sorted(symbols)
    assert [batch.partition for batch in told] == list(range(partitions))
    for batch in told:
        rows = [row.symbol for row in batch.rows]
        assert rows == sorted(rows)
        assert all(ids.partition_of(symbol, partitions) == batch.partition for symbol in rows)


def test_a_batch_of_the_whole_market_is_cut_into_parts_of_a_megabyte() -> None:
    wide = 1234567.8901234567
    widest = [Bar(f"ZZZZZZ{number:04d}.ZZZZ", wide, wide, wide, wide, wide) for number in range(20_000)]
    told = minute_batches(at(0), widest, 1)
    assert [(batch.part, batch.parts, len(batch.rows)) for batch in told] == [
        (0, 3, MAX_ROWS),
        (1, 3, MAX_ROWS),
        (2, 3, 20_000 - 2 * MAX_ROWS),
    ]
    assert [batch.id for batch in told] == ["bars-0-150211T1431", "bars-0-150211T1431-1", "bars-0-150211T1431-2"]
    assert max(len(encode(batch)["data"]) for batch in told) < 1_100_000


def test_the_same_rows_in_any_order_give_the_same_bytes() -> None:
    rows = [bar(symbol) for symbol in ("AAPL", "FB", "SPY", "QQQ")]
    assert msgspec.json.encode(minute_batches(at(0), rows, 2)) == msgspec.json.encode(
        minute_batches(at(0), rows[::-1], 2)
    )
