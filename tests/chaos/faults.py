"""What is done to a running day, as one table: each fault by name, how long it lasts, and how it ends.

All but those named in CHANGES_THE_MARKET leave the market as it is: the same bars are matched against the same orders
at the same trading time, so the ledger's digest must be that of the undisturbed run.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import redis

from shared.runtime.crash import LEDGER_FULL
from tests.chaos.proxy import Mode
from tests.chaos.yard import Yard

Fault = Callable[[Yard, random.Random], Iterator[float]]
"""Does its harm, then gives the seconds after which it wants to be called again, until it ends: all is whole again."""

LEASE_S: Final = 6.0
GARBAGE: Final[tuple[Mapping[bytes, bytes], ...]] = (
    {b"type": b"Bars", b"v": b"1", b"id": b"torn", b"data": b'{"id":"torn","at":"2024-07-03T14:0'},
    {b"type": b"Order\xff\xfe", b"v": b"1", b"data": b"{}"},
    {b"type": b"Decided", b"v": b"999", b"data": b"{}"},
    {b"type": b"Tick", b"v": b"1", b"id": b"deep", b"data": b"[" * 50_000},
    {b"nothing": b"of ours"},
)


def kill(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL of one process; it is started again at once."""
    yard.kill(rng.choice(yard.services))
    yield from ()


def kill_many(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL of several processes in one instant."""
    for name in rng.sample(yard.services, rng.randint(2, len(yard.services))):
        yard.kill(name)
    yield from ()


def kill_on_the_way_up(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL, and again while it starts."""
    name = rng.choice(yard.services)
    for _ in range(2):
        yard.kill(name)
        yield rng.uniform(0.1, 1.5)
    yard.kill(name)


def freeze_shortly(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGSTOP of one process, for less than any lease."""
    yield from _frozen(yard, rng.choice(yard.services), rng.uniform(0.2, 2.0))


def freeze_beyond_leases(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGSTOP of one process until all its leases are over; then it goes on where it was."""
    yield from _frozen(yard, rng.choice(yard.services), LEASE_S + 1)


def freeze_server(yard: Yard, rng: random.Random) -> Iterator[float]:
    """The server stands still for longer than any client waits; what was asked is done when it goes on."""
    yard.freeze_server()
    yield LEASE_S + 1
    yard.thaw_server()


def flush(yard: Yard, rng: random.Random) -> Iterator[float]:
    """FLUSHALL: the bus is empty, the server is the same."""
    yard.client.flushall()
    yield from ()


def flush_twice(yard: Yard, rng: random.Random) -> Iterator[float]:
    """FLUSHALL, and again while everyone begins anew."""
    yard.client.flushall()
    yield rng.uniform(0.2, 2.0)
    yard.client.flushall()


def restart_server(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL of the server; it comes back with everything, as another run."""
    yard.stop_server()
    yield rng.choice((0.0, 0.5, 3.0))
    yard.start_server()


def lose_tail(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL of the server; the end of its file is lost, in the middle of an entry."""
    yard.stop_server()
    for part in (yard.data / "redis" / "appendonlydir").glob("*.incr.aof"):
        size = part.stat().st_size
        with part.open("r+b") as file:
            file.truncate(max(0, size - rng.randint(1, 200_000)))
    yard.start_server()
    yield from ()


def lose_everything(yard: Yard, rng: random.Random) -> Iterator[float]:
    """SIGKILL of the server; it comes back empty."""
    yard.stop_server()
    shutil.rmtree(yard.data / "redis")
    yard.start_server()
    yield from ()


def fill_ledger(yard: Yard, rng: random.Random) -> Iterator[float]:
    """The disk has no room for the ledger for a while."""
    switch = yard.switches / LEDGER_FULL
    switch.touch()
    yield rng.uniform(0.5, 3.0)
    switch.unlink()


def fill_ledger_on_a_new_bus(yard: Yard, rng: random.Random) -> Iterator[float]:
    """No room for the ledger, and a new bus must be opened and state be started meanwhile."""
    switch = yard.switches / LEDGER_FULL
    switch.touch()
    yard.stop_server()
    yard.start_server()
    yield 1.0
    yard.kill("state-1")
    yield rng.uniform(0.5, 3.0)
    switch.unlink()


def misbehave(mode: Mode) -> Fault:
    """The network between the executors and the broker does as `mode` says for a while."""

    def fault(yard: Yard, rng: random.Random) -> Iterator[float]:
        yard.proxy.mode = mode
        if mode is not Mode.STALL:
            yard.proxy.cut()
        yield rng.uniform(0.3, 2.5)
        yard.proxy.mode = Mode.PASS
        if mode is Mode.STALL:
            yard.proxy.cut()

    fault.__doc__ = mode.name
    return fault


def cut(yard: Yard, rng: random.Random) -> Iterator[float]:
    """Every connection to the broker is cut, three times."""
    for _ in range(3):
        yard.proxy.cut()
        yield rng.uniform(0.05, 0.5)


def confuse(yard: Yard, rng: random.Random) -> Iterator[float]:
    """Entries that are no messages of ours, on every stream."""
    for name in streams_of(yard):
        yard.client.xadd(name, dict(rng.choice(GARBAGE)))  # type: ignore[arg-type]
    yield from ()


def repeat(yard: Yard, rng: random.Random) -> Iterator[float]:
    """The last entry of every stream once more, as a client's silent retry would write it."""
    for name in streams_of(yard):
        last: Any = yard.client.xrevrange(name, count=1)
        for _, fields in last:
            yard.client.xadd(name, fields)
    yield from ()


def streams_of(yard: Yard) -> list[Any]:
    """Keys of all streams that there are."""
    return list(yard.client.scan_iter(match="ev2:*", _type="stream"))


def _frozen(yard: Yard, name: str, seconds: float) -> Iterator[float]:
    yard.freeze(name)
    yield seconds
    yard.thaw(name)


KILLS: Final = ("kill", "kill_many", "kill_on_the_way_up")
FAULTS: Final[Mapping[str, Fault]] = {
    "kill": kill,
    "kill_many": kill_many,
    "kill_on_the_way_up": kill_on_the_way_up,
    "freeze_shortly": freeze_shortly,
    "freeze_beyond_leases": freeze_beyond_leases,
    "freeze_server": freeze_server,
    "flush": flush,
    "flush_twice": flush_twice,
    "restart_server": restart_server,
    "lose_tail": lose_tail,
    "lose_everything": lose_everything,
    "fill_ledger": fill_ledger,
    "fill_ledger_on_a_new_bus": fill_ledger_on_a_new_bus,
    "refuse": misbehave(Mode.REFUSE),
    "stall": misbehave(Mode.STALL),
    "delay": misbehave(Mode.DELAY),
    "cut_answers": misbehave(Mode.CUT),
    "halve_answers": misbehave(Mode.HALVE),
    "cut": cut,
    "confuse": confuse,
    "repeat": repeat,
}
CHANGES_THE_MARKET: Final = frozenset[str]()
"""Faults after which the market may have filled something else: then the auditor's invariants must hold instead."""

UNREACHABLE: Final = (redis.RedisError,)
"""What a fault that is done by asking the server may meet while another one holds it: then it is not done."""
