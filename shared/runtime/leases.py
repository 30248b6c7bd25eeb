"""Leases with fencing numbers: one holder at a time, and a holder that was frozen can be told by its number.

The number is (epoch of the bus, by the ledger's count) x 1,000,000 + a counter on the bus, so that it rises also over
a wiped bus. A holder counts itself out at two thirds of the lease, by its own monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from shared.runtime.bus import Bus, BusDown

TTL_S: Final = 6.0

_TAKE: Final = """
local epoch = redis.call('GET', KEYS[3])
if not epoch then return 0 end
local held = redis.call('GET', KEYS[1])
if held then
  local owner = string.match(held, '^(.*)|')
  if owner ~= ARGV[1] then return 0 end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return tonumber(string.match(held, '|(.*)$'))
end
local number = tonumber(epoch) * 1000000 + redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1] .. '|' .. number, 'PX', ARGV[2])
return number
"""
_GIVE_BACK: Final = """
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^(.*)|') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Lease:
    """One named lease, held or not. `holder` names this process, such as `signals-4711`."""

    def __init__(
        self, bus: Bus, name: str, holder: str, ttl_s: float = TTL_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._keys = [bus.key(f"lease:{name}"), bus.key("lease:counter"), bus.key("epoch")]
        self._holder = holder
        self._ttl_s = ttl_s
        self._clock = clock
        self._good_until = 0.0
        self._asked = 0.0
        self.number = 0

    @property
    def held(self) -> bool:
        """Whether it may still be relied on, by this process's own clock."""
        return self.number > 0 and self._clock() < self._good_until

    def keep(self) -> bool:
        """Take the lease, or renew it when a third of it is over; cheap to call each turn. Raises BusDown."""
        now = self._clock()
        if self.held and now - self._asked < self._ttl_s / 3:
            return True
        if not self.held and now - self._asked < 0.1:
            return False
        self._asked = now
        was = self.number
        found = self._bus.script(_TAKE, self._keys, [self._holder, int(self._ttl_s * 1000)])
        self.number = found
        self._good_until = now + self._ttl_s * 2 / 3 if found else 0.0
        return found > 0 and (was in (0, found))

    def give_back(self) -> None:
        """Let another take over at once; a bus that does not answer lets it run out instead."""
        self.number = 0
        try:
            self._bus.script(_GIVE_BACK, self._keys[:1], [self._holder])
        except BusDown:
            return


class Partitions:
    """The partitions that this replica owns: a fair share of all, by one lease each.

    A replica announces itself under `replica:SERVICE:HOLDER`; each takes at most its share, the first by name one more
    where it does not come out even, and gives back what is above it, so that replicas that come and go are balanced
    within a lease's time.
    """

    def __init__(self, bus: Bus, service: str, holder: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._holder = holder
        self._service = service
        self._clock = clock
        self._leases = {
            number: Lease(bus, f"{service}:{number}", holder, clock=clock) for number in range(bus.partitions)
        }
        self._counted = 0.0
        self._share = bus.partitions

    def owned(self) -> tuple[int, ...]:
        """Partitions whose leases are held, ascending. Cheap to ask each turn. Raises BusDown."""
        self._look_around()
        held = [number for number, lease in self._leases.items() if lease.held and lease.keep()]
        for number in held[self._share :]:
            self._leases[number].give_back()
        held = held[: self._share]
        for number, lease in self._leases.items():
            if len(held) >= self._share:
                break
            if number not in held and lease.keep():
                held.append(number)
        return tuple(sorted(held))

    def fence(self, partition: int) -> int:
        """The fencing number under which `partition` is held."""
        return self._leases[partition].number

    def give_back(self) -> None:
        """Let others take over at once."""
        for lease in self._leases.values():
            if lease.number:
                lease.give_back()
        self._bus.forget_replica(self._service, self._holder)

    def _look_around(self) -> None:
        now = self._clock()
        if self._counted and now - self._counted < 1.0:
            return
        self._counted = now
        replicas = self._bus.replicas(self._service, self._holder, ttl_s=5)
        share, more = divmod(self._bus.partitions, len(replicas))
        self._share = share + (replicas.index(self._holder) < more)
