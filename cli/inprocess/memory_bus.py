"""The bus without a server: streams as lists in this process. Same ids, same order, same routing table."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from shared.contracts import streams
from shared.contracts.message import Message
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.runtime.bus import Entry

_REPLY = msgspec.json.Decoder(ClaimReply)


class MemoryBus:
    """What shared/runtime/bus.py does for one process, for all of them at once.

    answer: lets state take the claims that stand on the bus; called while an executor waits for its reply.
    jobs: wake-ups that no executor took yet. views: the latest ones, by key.
    """

    def __init__(self, partitions: int, answer: Callable[[], None]) -> None:
        self.partitions = partitions
        self.jobs: deque[Job] = deque()
        self.views: dict[str, dict[str, str]] = {}
        self._answer = answer
        self._streams: dict[str, list[Entry]] = {}
        self._dropped: dict[str, int] = {}
        self._replies: dict[str, str] = {}

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        """Put everything where its readers find it, in order."""
        for item in outgoing:
            match item:
                case Message():
                    name = streams.stream_for(item)
                    entries = self._streams.setdefault(name, [])
                    number = self._dropped.get(name, 0) + len(entries) + 1
                    entries.append(Entry(name, f"{number}-0", item))
                case Latest():
                    if item.fields:
                        self.views.setdefault(item.key, {}).update(item.fields)
                    else:
                        self.views.pop(item.key, None)
                case Reply():
                    self._replies[item.request] = item.body
                case Job():
                    self.jobs.append(item)

    def after(self, name: str, position: str) -> Sequence[Entry]:
        """Entries of a stream behind an entry id."""
        number = int(position.partition("-")[0]) - self._dropped.get(name, 0)
        return self._streams.get(name, [])[max(number, 0) :]

    def read(self, positions: Mapping[str, str], block_ms: int = 0, count: int = 0) -> list[Entry]:
        """New entries behind `positions`, in the order of the stream table."""
        names = sorted(positions, key=lambda name: streams.ORDER[name.partition(":")[0]])
        return [entry for name in names for entry in self.after(name, positions[name])]

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> dict[str, ClaimReply]:
        """State's answers by request id, which are there at once or not at all."""
        self.publish(requests)
        self._answer()
        return {
            request.id: _REPLY.decode(self._replies[request.id]) for request in requests if request.id in self._replies
        }

    def forget(self) -> None:
        """Drop what every reader has read; ids go on."""
        for name, entries in self._streams.items():
            self._dropped[name] = self._dropped.get(name, 0) + len(entries)
            entries.clear()
        self._replies.clear()
