"""The alerts process: tells people, by any of apprise's ways. It delays nothing and nobody waits for it."""

from __future__ import annotations

import datetime as dt
import os
from typing import Final

from services.alerts.desk import Desk, Rules
from services.alerts.service import MEMORY, POSITIONS, Alerts, memory_of
from services.alerts.sources import Address, ApprisePost, Heartbeat, Watch, addresses
from shared.contracts import streams
from shared.runtime.bus import Bus
from shared.runtime.logs import configure_logs
from shared.runtime.loop import FreePace, Reads, Stop, run
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import AlertSettings, BadSettings, Settings

SERVICE: Final = "alerts"
READS: Final = ("journal", "alerts", "dead")
TURN_MS: Final = 200
WHO: Final = {"exchange": "dry run", "paper": "paper", "live": "LIVE"}


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    stop = Stop().on_signals()
    bus = connect(settings, SERVICE)
    try:
        parts = Parts(settings, bus)
    except BadSettings as fault:
        refuse(SERVICE, str(fault))
    reads = Reads(free=streams.names(READS, ()))
    run(parts.build, bus, FreePace(inlets=[parts.watch], block_ms=TURN_MS), lambda: reads, stop=stop)
    os._exit(0)  # at once: an orderly end of the interpreter waits seconds for a thread that an address holds up


class Parts:
    """What this process is made of. Raises BadSettings."""

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self._bus = bus
        self._rules = rules_of(settings.alerts)
        self._who = f"execution, {WHO[settings.broker.kind]}"
        self._addresses: list[Address] = addresses(settings.alerts)
        self._posts = {
            address.target.name: ApprisePost(address, settings.alerts.timeout) for address in self._addresses
        }
        self.watch = Watch(bus, Heartbeat(settings.alerts))

    def build(self) -> Alerts:
        """The service as it was left on the bus. Raises BusDown."""
        memory = memory_of(self._bus.view(MEMORY))
        desk = Desk([address.target for address in self._addresses], self._rules, self._who, memory)
        return Alerts(desk, self._posts, self._bus.view(POSITIONS), lambda: dt.datetime.now(dt.UTC))


def rules_of(settings: AlertSettings) -> Rules:
    """The desk's rules. Raises BadSettings where quiet hours have one end only."""
    start, end = settings.quiet_from, settings.quiet_until
    if (start is None) != (end is None):
        raise BadSettings("alerts.quiet_from and alerts.quiet_until belong together: give both or none")
    return Rules(
        repeat_after=dt.timedelta(seconds=settings.repeat_after),
        pause=dt.timedelta(seconds=settings.pause),
        quiet=(start, end) if start is not None and end is not None else None,
        summary=settings.summary,
    )


if __name__ == "__main__":
    main()
