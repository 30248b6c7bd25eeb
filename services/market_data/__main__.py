"""`python -m services.market_data`: one feed in, checked bars out. One process is active, the others stand by."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from services.market_data.bar_files import BadFile
from services.market_data.sources import Parts, build_parts
from shared.contracts import streams
from shared.contracts.message import Message
from shared.contracts.outgoing import Outgoing
from shared.runtime.bus import Bus
from shared.runtime.leases import Lease
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import Plain, Reads, Stop, instance, run
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import BadSettings

SERVICE: Final = "market_data"
READS: Final = ("candidates", "positions")
STANDBY_S: Final = 0.2


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    bus = connect(settings, SERVICE)
    try:
        parts = build_parts(settings)
    except (BadFile, BadSettings) as fault:
        refuse(SERVICE, str(fault))
    stop = Stop().on_signals()
    active = Active(bus, parts, stop)
    covered = streams.names(READS, range(bus.partitions))
    run(active.build, bus, parts.pace, lambda: Reads(covered=covered), stop=stop, stale=active.is_over)
    active.leave()


class Active:
    """This process's turn to feed: it holds the lease, and what runs beside the loop runs only then."""

    def __init__(self, bus: Bus, parts: Parts, stop: Stop) -> None:
        self._parts = parts
        self._stop = stop
        self._lease = Lease(bus, SERVICE, instance(SERVICE))
        self._started = False

    def build(self) -> Plain:
        """The service, once it is this process's turn. Raises BusDown."""
        said = False
        while not self._lease.keep():
            self._rest()
            if self._stop.asked:
                return Plain(_Nobody(), SERVICE)
            if not said:
                logger().info("standing by: another process feeds")
                said = True
            time.sleep(STANDBY_S)
        if not self._started:
            logger().info("feeding")
            self._parts.start()
            self._started = True
        return Plain(self._parts.build(), SERVICE)

    def is_over(self) -> bool:
        """Whether another process may be feeding. Raises BusDown."""
        return not self._lease.keep()

    def leave(self) -> None:
        """Let another take over at once."""
        self._rest()
        self._lease.give_back()

    def _rest(self) -> None:
        if self._started:
            self._parts.stop()
            self._started = False


class _Nobody:
    """What a process runs that was asked to end while it stood by."""

    def handle(self, message: Message) -> Sequence[Outgoing]:
        return []


if __name__ == "__main__":
    main()
