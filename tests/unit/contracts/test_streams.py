"""The stream table: every message has one stream, every stream a writer, a reader and room."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from shared.contracts import clock, commands, decisions, journal, market, orders, views
from shared.contracts.clock import Answer
from shared.contracts.commands import Command
from shared.contracts.decisions import Decided
from shared.contracts.market import BarRevised, Bars, SymbolHalted
from shared.contracts.message import Message
from shared.contracts.streams import ANY, MESSAGE_TYPES, ORDER, STREAMS, names, stream_for, stream_named

AT = datetime(2026, 1, 9, 14, 31, tzinfo=UTC)
SERVICES = {"market_data", "signals", "state", "executor", "exchange", "alerts", "dashboard", "cli", "conductor", ANY}
ONLY_BASES = {Message, Command, Answer}
MODULES = (clock, commands, decisions, journal, market, orders, views)


def every_message_type() -> set[type[Message]]:
    return {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Message) and kind not in ONLY_BASES
    }


def test_every_message_is_carried_by_exactly_one_stream() -> None:
    carried = [kind for stream in STREAMS for kind in stream.carries]
    assert len(carried) == len(set(carried))
    assert set(carried) == every_message_type()
    assert set(MESSAGE_TYPES.values()) == set(carried)
    assert all(kind.__struct_config__.frozen for kind in carried)


def test_every_stream_has_a_known_writer_a_known_reader_and_a_bound() -> None:
    for stream in STREAMS:
        assert stream.writers, stream.name
        assert stream.readers, stream.name
        assert SERVICES.issuperset(stream.writers + stream.readers), stream.name
        assert stream.keep > 0, stream.name
        assert stream.about.endswith("."), stream.name


def test_state_alone_writes_what_the_ledger_says() -> None:
    assert {stream.name for stream in STREAMS if "state" in stream.writers} == {
        "candidates",
        "positions",
        "journal",
        "progress",
    }
    assert [stream.writers for stream in STREAMS if stream.name in ("candidates", "positions", "journal")] == [
        ("state",)
    ] * 3


def test_only_messages_with_a_partition_travel_on_partitioned_streams() -> None:
    for stream in STREAMS:
        if stream.partitioned:
            assert all("partition" in kind.__struct_fields__ for kind in stream.carries), stream.name


def test_a_message_finds_its_stream_by_its_type_and_its_partition() -> None:
    assert stream_for(Bars(id="b", at=AT, partition=3, minute=AT, rows=())) == "bars:3"
    halted = SymbolHalted(id="h", at=AT, partition=0, symbol="AAPL", halted=True)
    assert stream_for(halted) == "bars:0"
    decided = Decided(id="d", at=AT, partition=3, minute=AT, session=date(2026, 1, 9), fence=1)
    assert stream_for(decided) == "intents"
    assert BarRevised in stream_named("bars:3").carries


def test_a_message_that_no_stream_carries_cannot_be_sent() -> None:
    with pytest.raises(KeyError):
        stream_for(Message(id="m", at=AT))
    with pytest.raises(KeyError):
        stream_named("gossip")


def test_several_streams_are_read_in_the_order_of_the_table() -> None:
    assert names(["intents", "bars", "daily"], [1, 0]) == ("daily", "bars:0", "bars:1", "intents")
    assert list(ORDER) == [stream.name for stream in STREAMS]


def test_facts_of_the_day_come_before_bars_and_bars_before_what_was_decided_on_them() -> None:
    assert ORDER["daily"] < ORDER["candidates"] < ORDER["positions"] < ORDER["bars"] < ORDER["intents"]
