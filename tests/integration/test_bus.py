"""The bus on a real server: what is published is read, in order, once, by whoever keeps a position."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts.clock import Tick, TickPhase
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.market import Bar, Bars
from shared.contracts.message import Message
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.outgoing import Latest, Outgoing, Reply
from shared.contracts.wire import encode_json
from shared.runtime.bus import Bus, BusDown
from shared.runtime.claims import ask_all
from shared.runtime.leases import Lease, Partitions
from shared.runtime.loop import ConductedPace, FreePace, Plain, Reads, Stop, run
from shared.runtime.settings import BusSettings

OPEN = datetime(2026, 1, 9, 14, 30, tzinfo=UTC)


def bars(minute: int, partition: int = 0) -> Bars:
    start = OPEN + timedelta(minutes=minute)
    row = Bar("AAPL", 1.0, 2.0, 0.5, 1.5, 100.0)
    return Bars(
        id=f"bars-{partition}-{minute}", at=start + timedelta(minutes=1), partition=partition, minute=start, rows=(row,)
    )


def alert(name: str) -> Alert:
    return Alert(id=name, at=OPEN, level="info", key="k", text="t")


@pytest.fixture
def other(bus: Bus) -> Bus:
    """Another process's connection to the same server."""
    return Bus(bus.client, BusSettings(), "other")


def tick(minute: int, upto: dict[str, str]) -> Tick:
    return Tick(
        id=f"tick-{minute}",
        at=OPEN + timedelta(minutes=minute + 1),
        session=OPEN.date(),
        phase=TickPhase.DECIDE,
        upto=upto,
    )


class Collects:
    """A service that remembers what it was given, and stops the loop at `until` messages."""

    def __init__(self, stop: Stop, until: int) -> None:
        self.seen: list[str] = []
        self._stop = stop
        self._until = until

    def handle(self, message: Message) -> Sequence[Outgoing]:
        self.seen.append(message.id)
        self._stop.asked = len(self.seen) >= self._until
        if message.id == "bars-0-1":
            raise ValueError("poison")
        return []


def test_what_is_published_is_read_in_the_order_of_the_table_and_of_each_stream(bus: Bus) -> None:
    bus.publish([bars(0), Alert(id="a", at=OPEN, level="info", key="k", text="t"), bars(1)])
    read = bus.read({"alerts": "0", "bars:0": "0"}, block_ms=0)
    assert [entry.message for entry in read] == [
        bars(0),
        bars(1),
        Alert(id="a", at=OPEN, level="info", key="k", text="t"),
    ]
    assert bus.read({"bars:0": read[1].entry_id}, block_ms=1) == []


def test_entries_are_readable_with_redis_cli(bus: Bus) -> None:
    bus.publish([bars(0), Latest(key="account", fields={"cash": "5"})])
    found: Any = bus.client.xrange("ev2:bars:0")
    [(_, fields)] = found
    assert fields[b"type"] == b"Bars"
    assert fields[b"id"] == b"bars-0-0"
    assert bus.client.hgetall("ev2:account") == {b"cash": b"5"}


def test_an_entry_that_is_no_message_comes_with_its_reason(bus: Bus) -> None:
    bus.client.xadd("ev2:bars:0", {"type": "Bars", "v": "1", "data": "{"})
    bus.client.xadd("ev2:bars:0", {"type": "Bars", "v": "9", "data": "{}"})
    bus.client.xadd("ev2:bars:0", {"hello": "x"})
    read = bus.read({"bars:0": "0"}, block_ms=0)
    assert [entry.message for entry in read] == [None, None, None]
    assert "newer than this program" in read[1].fault


def test_a_poisoned_message_goes_to_dead_and_the_rest_goes_on_and_repeats_are_dropped(bus: Bus) -> None:
    bus.publish([bars(0), bars(1), bars(1), bars(2)])
    stop = Stop()
    service = Collects(stop, until=3)
    run(lambda: Plain(service, "test"), bus, FreePace(), lambda: Reads(covered=("bars:0",)), stop=stop)
    assert service.seen == ["bars-0-0", "bars-0-1", "bars-0-2"]
    [entry] = bus.read({"dead": "0"}, block_ms=0)
    assert isinstance(entry.message, DeadLetter)
    assert entry.message.reason == "ValueError: poison"


def test_in_a_conducted_run_a_tick_comes_after_what_it_covers_and_before_what_it_does_not(bus: Bus) -> None:
    bus.publish([bars(0), bars(0, 1)])
    first = bus.last_ids(["bars:0", "bars:1"])
    bus.publish([bars(5)])
    bus.publish([tick(0, first), tick(1, bus.last_ids(["bars:0", "bars:1"]))])
    stop = Stop()
    service = Collects(stop, until=5)
    run(lambda: Plain(service, "test"), bus, ConductedPace(), lambda: Reads(covered=("bars:0", "bars:1")), stop=stop)
    assert service.seen == ["bars-0-0", "bars-1-0", "tick-0", "bars-0-5", "tick-1"]


def test_a_reply_is_found_by_whoever_asks_again(bus: Bus) -> None:
    request = ClaimRequest(id="claim-1", at=OPEN, action="o-1", attempt=1, executor="x")
    reply = ClaimReply(request="claim-1", granted=False, reason="paused")
    bus.publish([Reply(request="claim-1", body=encode_json(reply).decode())])
    assert ask_all(bus, [request], deadline_s=2.0) == {"claim-1": reply}
    assert ask_all(bus, [request], deadline_s=2.0) == {"claim-1": reply}


def test_a_request_that_state_does_not_answer_is_missing_at_the_deadline(bus: Bus) -> None:
    request = ClaimRequest(id="claim-2", at=OPEN, action="o-1", attempt=1, executor="x")
    assert ask_all(bus, [request], deadline_s=0.05) == {}


def test_a_lease_has_one_holder_and_its_number_rises_with_each_and_with_the_epoch(bus: Bus) -> None:
    first, second = Lease(bus, "listener", "a"), Lease(bus, "listener", "b")
    assert first.keep()
    assert not second.keep()
    first_number = first.number
    first.give_back()
    assert Lease(bus, "listener", "b").keep()
    bus.client.flushall()
    bus.set_epoch(2)
    third = Lease(bus, "listener", "c")
    assert third.keep()
    assert third.number > first_number


def test_a_holder_counts_itself_out_before_its_lease_ends_at_the_server(bus: Bus) -> None:
    now = 100.0
    lease = Lease(bus, "listener", "a", ttl_s=6.0, clock=lambda: now)
    assert lease.keep()
    now = 104.1
    assert not lease.held


def test_two_replicas_share_the_partitions_and_one_alone_takes_all(bus: Bus) -> None:
    now = 100.0
    one = Partitions(bus, "signals", "one", clock=lambda: now)
    assert one.owned() == (0, 1, 2, 3)
    two = Partitions(bus, "signals", "two", clock=lambda: now)
    assert two.owned() == ()
    now = 101.5
    assert one.owned() == (0, 1)
    assert two.owned() == (2, 3)
    two.give_back()
    now = 103.0
    assert one.owned() == (0, 1, 2, 3)


def test_three_replicas_share_four_partitions_and_none_goes_without(bus: Bus) -> None:
    now = 100.0
    replicas = [Partitions(bus, "signals", name, clock=lambda: now) for name in ("one", "three", "two")]
    for _ in range(2):
        for replica in replicas:
            replica.owned()
        now += 1.5
    owned = [replica.owned() for replica in replicas]
    assert sorted(map(len, owned)) == [1, 1, 2]
    assert sorted(number for numbers in owned for number in numbers) == [0, 1, 2, 3]


def test_what_a_process_writes_that_has_not_noticed_the_new_life_is_left_out(bus: Bus, other: Bus) -> None:
    bus.epoch, other.epoch = 1, 2
    bus.set_epoch(2)
    bus.publish([bars(0), alert("of any life")])
    other.publish([bars(2)])
    stop = Stop()
    service = Collects(stop, until=2)
    reads = Reads(free=("bars:0", "alerts"))
    run(lambda: Plain(service, "test"), other, FreePace(), lambda: reads, stop=stop)
    assert service.seen == ["bars-0-2", "of any life"]


def test_a_tick_of_another_life_is_left_out_and_so_is_what_it_covers(bus: Bus, other: Bus) -> None:
    bus.epoch, other.epoch = 1, 2
    bus.set_epoch(2)
    bus.publish([bars(0), tick(0, {"bars:0": "9999999999999-0"})])
    other.publish([bars(2), tick(1, {"bars:0": "9999999999999-0"})])
    stop = Stop()
    service = Collects(stop, until=2)
    run(lambda: Plain(service, "test"), other, ConductedPace(), lambda: Reads(covered=("bars:0",)), stop=stop)
    assert service.seen == ["bars-0-2", "tick-1"]


def test_a_server_that_was_started_again_is_not_in_use_before_state_opens_it(bus: Bus) -> None:
    assert bus.life().epoch == 1
    bus.client.set(bus.key("opened"), "the server before")
    assert bus.life().epoch == 0
    assert bus.was_opened()


def test_a_new_life_begins_without_what_only_counted_in_the_last(bus: Bus) -> None:
    bus.publish([bars(0), tick(0, {}), alert("of any life")])
    bus.clear()
    assert bus.read({"bars:0": "0", "clock": "0"}, 0) == []
    assert [entry.entry_id for entry in bus.read({"alerts": "0"}, 0)] != []


def test_a_tick_whose_bars_were_lost_with_the_life_of_the_bus_is_not_handled(bus: Bus) -> None:
    bus.epoch = 1
    bus.publish([bars(0)])
    bus.publish([tick(0, bus.last_ids(["bars:0"]))])
    bus.client.delete(bus.key("bars:0"), bus.key("epoch"))
    with pytest.raises(BusDown, match="which a tick covers, is gone"):
        next(ConductedPace().batches(bus, Reads(covered=("bars:0",)), {}))


def test_a_tick_whose_bars_were_trimmed_long_ago_is_handled_without_them(bus: Bus) -> None:
    bus.epoch = 1
    bus.publish([bars(0)])
    bus.publish([tick(0, bus.last_ids(["bars:0"]))])
    bus.client.delete(bus.key("bars:0"))
    [given] = next(ConductedPace().batches(bus, Reads(covered=("bars:0",)), {}))
    assert given.message is not None
    assert given.message.id == "tick-0"
