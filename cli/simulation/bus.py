"""The simulated server: streams in memory that can be wiped, lose their tail, be down, and begin another life."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.message import Message
from shared.contracts.orders import ClaimReply
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.contracts.vocabulary import Queue
from shared.runtime.bus import BusDown, Entry, Life

_REPLY = msgspec.json.Decoder(ClaimReply)


class SimulatedBus:
    """What shared/runtime/bus.py is to all processes at once. Entry ids only grow, also over a wipe.

    jobs: wake-ups that no executor took yet, by queue. is_down: asked before every command.
    """

    def __init__(self, partitions: int, is_down: Callable[[], bool]) -> None:
        self.partitions = partitions
        self.jobs: dict[Queue, deque[Job]] = {queue: deque() for queue in Queue}
        self.epoch = 0
        self._run = 1
        self._is_down = is_down
        self._number = 0
        self._streams: dict[str, list[Entry]] = {}
        self._numbers: dict[str, list[int]] = {}
        self._replies: dict[str, ClaimReply] = {}

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        """Put everything where its readers find it, in order. Raises BusDown."""
        self._answer()
        for item in outgoing:
            match item:
                case Message():
                    self._append(streams.stream_for(item), item)
                case Latest():
                    pass  # views are for people
                case Reply():
                    self._replies[item.request] = _REPLY.decode(item.body)
                case Job():
                    self.jobs[item.queue].append(item)

    def read(self, positions: Mapping[str, str], block_ms: int = 0, count: int = 0) -> list[Entry]:
        """New entries behind `positions`, in the order of the stream table. Raises BusDown."""
        self._answer()
        names = sorted(positions, key=lambda name: streams.ORDER[name.partition(":")[0]])
        return [entry for name in names for entry in self._after(name, positions[name])]

    def read_up_to(self, name: str, after: str, upto: str) -> list[Entry]:
        """Entries behind `after`, up to and with `upto`. Raises BusDown."""
        self._answer()
        last = _number(upto)
        return [entry for entry in self._after(name, after) if _number(entry.entry_id) <= last]

    def last_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Entry id of the last entry of each stream that has one. Raises BusDown."""
        self._answer()
        return {name: entries[-1].entry_id for name in names if (entries := self._streams.get(name))}

    def has_new(self, name: str, position: str) -> bool:
        """Whether a reader at `position` has something to read."""
        numbers = self._numbers.get(name)
        return numbers is not None and len(numbers) > 0 and numbers[-1] > _number(position)

    def reply(self, request: str) -> ClaimReply | None:
        self._answer()
        return self._replies.get(request)

    def life(self) -> Life:
        """Raises BusDown."""
        self._answer()
        return Life(f"run-{self._run}", self.epoch)

    def set_epoch(self, epoch: int) -> None:
        self._answer()
        self.epoch = epoch

    def wipe(self) -> None:
        """FLUSHALL: the server is the same, everything on it is gone, the epoch too."""
        self._streams.clear()
        self._numbers.clear()
        self._replies.clear()
        for jobs in self.jobs.values():
            jobs.clear()
        self.epoch = 0

    def restart(self, lost: int) -> None:
        """The server is another process; of what was written the last `lost` entries are missing, and all replies."""
        self._run += 1
        for name, numbers in self._numbers.items():
            keep = bisect_right(numbers, self._number - lost)
            del numbers[keep:], self._streams[name][keep:]
        self._replies.clear()

    def _append(self, name: str, message: Message) -> None:
        self._number += 1
        self._streams.setdefault(name, []).append(Entry(name, f"{self._number}-0", message))
        self._numbers.setdefault(name, []).append(self._number)

    def _after(self, name: str, position: str) -> Sequence[Entry]:
        numbers = self._numbers.get(name)
        if not numbers:
            return ()
        return self._streams[name][bisect_right(numbers, _number(position)) :]

    def _answer(self) -> None:
        if self._is_down():
            raise BusDown("the server does not answer")


class OneReader:
    """The bus as one process reads it: of the clock it sees the ticks at which it acts.

    The others would be read and do nothing; leaving them out makes a simulated session several times shorter.
    """

    def __init__(self, bus: SimulatedBus, phases: frozenset[TickPhase]) -> None:
        self._bus = bus
        self._phases = phases
        self.read_up_to = bus.read_up_to

    def read(self, positions: Mapping[str, str], block_ms: int = 0, count: int = 0) -> list[Entry]:
        """As the bus gives it. Raises BusDown."""
        return [entry for entry in self._bus.read(positions, block_ms) if self._is_mine(entry)]

    def has_tick(self, position: str) -> bool:
        """Whether a tick waits at which this process acts."""
        return self._bus.has_new("clock", position) and any(map(self._is_mine, self._bus.read({"clock": position})))

    def _is_mine(self, entry: Entry) -> bool:
        return not isinstance(entry.message, Tick) or entry.message.phase in self._phases


def _number(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
