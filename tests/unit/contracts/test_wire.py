"""Messages as stream entries: what is written is read again, and what is damaged is refused with a reason."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contracts.commands import Adopt, Pause
from shared.contracts.market import Bar, Bars
from shared.contracts.message import Message
from shared.contracts.streams import MESSAGE_TYPES
from shared.contracts.wire import MAX_BYTES, VERSION, Unreadable, decode, decode_reply, encode
from tests.unit.contracts.samples import messages

AT = datetime(2026, 1, 9, 14, 31, tzinfo=UTC)
KINDS = sorted(MESSAGE_TYPES)


def entry(message: Message) -> dict[bytes, bytes]:
    """The fields as the client gives them back: bytes."""
    return {
        name.encode(): value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        for name, value in encode(message).items()
    }


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_message_comes_back_as_it_was_sent(kind: str, data: st.DataObject) -> None:
    message = data.draw(messages(MESSAGE_TYPES[kind]))
    assert decode(entry(message)) == message


@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_entry_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    fields = entry(data.draw(messages(MESSAGE_TYPES[data.draw(st.sampled_from(KINDS))])))
    name = data.draw(st.sampled_from(sorted(fields)))
    value = bytearray(fields[name])
    for _ in range(data.draw(st.integers(min_value=1, max_value=4))):
        place = data.draw(st.integers(min_value=0, max_value=len(value)))
        removed = data.draw(st.integers(min_value=0, max_value=3))
        value[place : place + removed] = data.draw(st.binary(max_size=3))
    fields[name] = bytes(value)
    with suppress(Unreadable):
        assert isinstance(decode(fields), Message)


@given(st.dictionaries(st.sampled_from([b"type", b"v", b"id", b"at", b"cause", b"data", b"x"]), st.binary(max_size=40)))
@settings(max_examples=200, deadline=None)
def test_an_entry_of_somebody_else_is_refused(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(Unreadable):
        decode(fields)


def test_people_with_redis_cli_see_type_version_id_time_and_cause_beside_the_json() -> None:
    fields = encode(Adopt(id="cmd-1", at=AT, cause="me", by="ann", symbol="AAPL", stop=Decimal("101.50")))
    assert list(fields) == ["type", "v", "id", "at", "cause", "data"]
    assert (fields["type"], fields["v"], fields["id"], fields["cause"]) == ("Adopt", str(VERSION), "cmd-1", "me")
    assert fields["at"] == "2026-01-09T14:31:00+00:00"
    body = json.loads(fields["data"])
    assert body["stop"] == "101.50"


def test_money_travels_as_text_and_keeps_its_digits() -> None:
    for text in ("0.0001", "101.50", "123456789.99"):
        message = Adopt(id="c", at=AT, by="ann", symbol="A", stop=Decimal(text))
        read = decode(entry(message))
        assert isinstance(read, Adopt)
        assert str(read.stop) == text


def test_a_price_that_is_no_number_cannot_travel() -> None:
    row = Bar("AAPL", float("nan"), 1.0, 1.0, 1.0, 1.0)
    bars = Bars(id="b", at=AT, partition=0, minute=AT, rows=(row,))
    with pytest.raises(Unreadable, match="rows"):
        decode(entry(bars))


def test_a_newer_version_is_refused_by_name_and_an_unknown_field_is_ignored() -> None:
    fields = entry(Pause(id="c", at=AT, by="ann"))
    with pytest.raises(Unreadable, match="newer than this program"):
        decode({**fields, b"v": b"2"})
    body = json.loads(fields[b"data"])
    assert decode({**fields, b"data": json.dumps({**body, "mood": "good"}).encode()}) == Pause(id="c", at=AT, by="ann")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({b"type": b"Nonsense"}, "unknown type"),
        ({b"type": b"\xff\xfe"}, "without a readable type"),
        ({b"v": b"one"}, "without a readable type"),
        ({b"data": b"{"}, "Pause"),
        ({b"data": b"[" * 100_000}, "Pause"),
        ({b"data": b'{"type":"Halt","id":"c","at":"2026-01-09T14:31:00Z","by":"ann"}'}, "Pause"),
        ({b"data": b'{"type":"Pause","id":"c","at":"2026-01-09T14:31:00","by":"ann"}'}, "has no zone"),
        ({b"data": b'{"type":"Pause","id":"c","at":"2026-01-09T14:31:00Z"}'}, "by"),
        ({b"data": b'{"type":"Pause","id":"\xff"}'}, "Pause"),
        ({b"data": b" " * (MAX_BYTES + 1)}, "at most"),
    ],
)
def test_what_cannot_be_read_says_why(change: dict[bytes, bytes], reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        decode({**entry(Pause(id="c", at=AT, by="ann")), **change})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("stop", '"NaN"', "stop: NaN is no amount"),
        ("stop", '"-Infinity"', "stop: -Infinity is no amount"),
        ("stop", '"1E+999999999"', "stop: an amount of too many digits"),
        ("stop", '"0E-999999"', "stop: an amount of too many digits"),
        ("at", '"2026-01-09T14:31:00"', "at: a time that has no zone"),
        ("at", '"2026-01-09T14:31:00-05:00"', "at: a time that is not UTC"),
        ("at", '"9999-12-31T23:59:59Z"', "at: the year 9999"),
        ("by", f'"{"x" * 20_001}"', "by: 20001 characters; at most 20000"),
        ("symbol", '"A\\u0000"', "symbol: holds a NUL"),
    ],
)
def test_what_is_of_its_type_and_no_value_of_ours_is_refused(field: str, value: str, reason: str) -> None:
    good = entry(Adopt(id="cmd-1", at=AT, by="ann", symbol="AAPL", stop=Decimal("101.50")))
    body = json.loads(good[b"data"]) | {field: "HERE"}
    with pytest.raises(Unreadable, match=reason):
        decode({**good, b"data": json.dumps(body).replace('"HERE"', value).encode()})


def test_a_time_without_a_zone_is_refused_wherever_it_stands() -> None:
    bars = Bars(id="b", at=AT, partition=0, minute=AT.replace(tzinfo=None), rows=())
    with pytest.raises(Unreadable, match="minute: a time that has no zone"):
        decode(entry(bars))


def test_an_average_price_with_all_its_digits_is_none_of_those() -> None:
    price = Decimal(100) / Decimal(3)
    read = decode(entry(Adopt(id="c", at=AT, by="ann", symbol="A", stop=price)))
    assert isinstance(read, Adopt)
    assert read.stop == price


def test_who_may_write_to_one_stream_may_not_say_there_what_belongs_on_another() -> None:
    halt = entry(Pause(id="c", at=AT, by="ann"))
    assert decode(halt, "commands") == Pause(id="c", at=AT, by="ann")
    with pytest.raises(Unreadable, match="Pause does not belong on orders; commands carries it"):
        decode(halt, "orders")
    bars = entry(Bars(id="b", at=AT, partition=0, minute=AT, rows=()))
    with pytest.raises(Unreadable, match="Bars does not belong on bars:1; bars:0 carries it"):
        decode(bars, "bars:1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"request":"r","granted":"yes"}',
        b'{"request":"r","granted":true,"at":"2026-01-09T14:31:00"}',
    ],
)
def test_an_answer_to_a_claim_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable, match="answer to a claim"):
        decode_reply(body)


@pytest.mark.parametrize("missing", [b"type", b"v", b"data"])
def test_an_entry_needs_its_type_its_version_and_its_data(missing: bytes) -> None:
    fields = entry(Pause(id="c", at=AT, by="ann"))
    del fields[missing]
    with pytest.raises(Unreadable, match="without a readable type, v and data"):
        decode(fields)
