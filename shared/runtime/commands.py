"""Giving state a command and waiting for its answer in the journal.

A command that nobody answers is taken back, so that it does not surprise anybody when state comes back hours later.
"""

from __future__ import annotations

import time
from typing import Final

from shared.contracts.commands import DONE, REFUSED, Command
from shared.contracts.journal import JournalEntry
from shared.runtime.bus import Bus

LOOK_MS: Final = 200


def give(bus: Bus, command: Command, within_s: float) -> JournalEntry | None:
    """State's answer to `command`; None where none came within `within_s` seconds, and the command was taken back.

    Raises BusDown: then it may stand on the stream or not.
    """
    ends = bus.last_ids(["journal", "commands"])
    bus.publish([command])
    answer = _answer(bus, command, ends.get("journal", "0"), within_s)
    if answer is None:
        _take_back(bus, command, ends.get("commands", "0"))
    return answer


def _answer(bus: Bus, command: Command, after: str, within_s: float) -> JournalEntry | None:
    give_up = time.monotonic() + within_s
    while (left := give_up - time.monotonic()) > 0:
        for entry in bus.read({"journal": after}, block_ms=max(1, min(LOOK_MS, int(left * 1000)))):
            after = entry.entry_id
            said = entry.message
            if isinstance(said, JournalEntry) and said.cause == command.id and said.kind in (DONE, REFUSED):
                return said
    return None


def _take_back(bus: Bus, command: Command, after: str) -> None:
    for entry in bus.read_up_to("commands", after, "+"):
        if entry.message is not None and entry.message.id == command.id:
            bus.withdraw("commands", entry.entry_id)
