"""The simulated server: streams in memory that can be wiped, lose their tail, be down, and begin another life."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

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

    jobs: wake-ups that no executor took yet, by queue. run: number of the server process.
    is_down: asked before every command.
    """

    def __init__(self, partitions: int, is_down: Callable[[], bool]) -> None:
        self.partitions = partitions
        self.jobs: dict[str, deque[Job]] = {queue: deque() for queue in Queue}
        self.run = 1
        self._epoch = 0
        self._opened = 0
        self._is_down = is_down
        self._number = 0
        self._streams: dict[str, list[_Kept]] = {}
        self._replies: dict[str, ClaimReply] = {}

    def publish(self, outgoing: Iterable[Outgoing], epoch: int = 0) -> None:
        """Put everything where its readers find it, in order. epoch: the sender's life. Raises BusDown."""
        self._answer()
        for item in outgoing:
            match item:
                case Message():
                    self._append(streams.stream_for(item), item, epoch)
                case Latest():
                    pass  # views are for people
                case Reply():
                    self._replies[item.request] = _REPLY.decode(item.body)
                case Job():
                    self.jobs[item.queue].append(item)

    def read(self, positions: Mapping[str, str], block_ms: int = 0, count: int = 0, epoch: int = 0) -> list[Entry]:
        """New entries behind `positions`, in the order of the stream table. epoch: the reader's. Raises BusDown."""
        self._answer()
        names = _in_order(tuple(positions))
        return [kept.seen_in(epoch) for name in names for kept in self._after(name, positions[name])]

    def read_up_to(self, name: str, after: str, upto: str, epoch: int = 0) -> list[Entry]:
        """Entries behind `after`, up to and with `upto`. Raises BusDown."""
        self._answer()
        last = _number(upto)
        return [kept.seen_in(epoch) for kept in self._after(name, after) if kept.number <= last]

    def last_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Entry id of the last entry of each stream that has one. Raises BusDown."""
        self._answer()
        return {name: kept[-1].entry.entry_id for name in names if (kept := self._streams.get(name))}

    def has_new(self, name: str, position: str) -> bool:
        """Whether a reader at `position` has something to read."""
        kept = self._streams.get(name)
        if not kept:
            return False
        last = kept[-1]
        return last.entry.entry_id != position and last.number > _number(position)

    def last(self, name: str, position: str) -> str:
        """The stream's last entry id, empty where a reader at `position` has nothing to read. Raises BusDown."""
        if not self.has_new(name, position):
            return ""
        self._answer()
        return self._streams[name][-1].entry.entry_id

    def behind(self, name: str, position: str, epoch: int) -> Iterator[Entry]:
        """New entries of one stream, as `read` gives them, of a server that was just seen to answer."""
        return (kept.seen_in(epoch) for kept in self._after(name, position))

    def reply(self, request: str) -> ClaimReply | None:
        """Raises BusDown."""
        self._answer()
        return self._replies.get(request)

    def life(self) -> Life:
        """Raises BusDown."""
        self._answer()
        return Life(f"run-{self.run}", self.epoch)

    @property
    def epoch(self) -> int:
        """0 where no state has opened this server's bus."""
        return self._epoch if self._opened == self.run else 0

    def set_epoch(self, epoch: int) -> None:
        """Raises BusDown."""
        self._answer()
        self._epoch, self._opened = epoch, self.run

    def clear(self) -> None:
        """Drop what only counted in earlier lives. Raises BusDown."""
        self._answer()
        for name in [name for name in self._streams if streams.stream_named(name).of_one_life]:
            del self._streams[name]

    def wipe(self) -> None:
        """FLUSHALL: the server is the same, everything on it is gone, the epoch too."""
        self._streams.clear()
        self._replies.clear()
        for jobs in self.jobs.values():
            jobs.clear()
        self._epoch = self._opened = 0

    def restart(self, lost: int) -> None:
        """The server is another process; of what was written the last `lost` entries are missing, and all replies."""
        self.run += 1
        for name, kept in self._streams.items():
            self._streams[name] = [one for one in kept if one.number <= self._number - lost]
        self._replies.clear()

    def _append(self, name: str, message: Message, epoch: int) -> None:
        self._number += 1
        life = epoch if streams.stream_named(name).of_one_life else 0
        entry = Entry(name, f"{self._number}-0", message)
        self._streams.setdefault(name, []).append(_Kept(self._number, life, entry))

    def _after(self, name: str, position: str) -> Sequence[_Kept]:
        kept, number = self._streams.get(name, ()), _number(position)
        place = len(kept)
        while place and kept[place - 1].number > number:  # readers are near the end
            place -= 1
        return kept[place:]

    def _answer(self) -> None:
        if self._is_down():
            raise BusDown("the server does not answer")


class _Kept(NamedTuple):
    """One entry. life: the sender's epoch, on streams that count in one life only."""

    number: int
    life: int
    entry: Entry

    def seen_in(self, epoch: int) -> Entry:
        if self.life and epoch and self.life != epoch:
            return Entry(self.entry.stream, self.entry.entry_id, None, stale=True)
        return self.entry


class OneReader:
    """The bus as one process reads it: of the clock it sees the ticks at which it acts.

    The others would be read and do nothing; leaving them out makes a simulated session several times shorter.
    """

    def __init__(self, bus: SimulatedBus, phases: frozenset[TickPhase]) -> None:
        self._bus = bus
        self._phases = phases
        self.epoch = 0
        self._nothing = "", ""  # position and last entry of the clock, of which none concerned this process

    def read(self, positions: Mapping[str, str], block_ms: int = 0, count: int = 0) -> list[Entry]:
        """As the bus gives it. Raises BusDown."""
        return [entry for entry in self._bus.read(positions, epoch=self.epoch) if self._is_mine(entry)]

    def read_up_to(self, name: str, after: str, upto: str) -> list[Entry]:
        """Raises BusDown."""
        return self._bus.read_up_to(name, after, upto, self.epoch)

    def still_lives(self) -> bool:
        """Raises BusDown."""
        return self._bus.life().epoch == self.epoch

    def has_tick(self, position: str) -> bool:
        """Whether a tick waits at which this process acts. Raises BusDown."""
        last = self._bus.last("clock", position)
        before, seen = self._nothing
        if before != position:
            seen = position
        if not last or last == seen:
            return False
        for entry in self._bus.behind("clock", seen, self.epoch):
            if self._is_mine(entry):
                return True
        self._nothing = position, last
        return False

    def _is_mine(self, entry: Entry) -> bool:
        return not isinstance(entry.message, Tick) or entry.message.phase in self._phases


@lru_cache
def _in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Streams as the table has them."""
    return tuple(sorted(names, key=lambda name: streams.ORDER[name.partition(":")[0]]))


@lru_cache(maxsize=4096)
def _number(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
