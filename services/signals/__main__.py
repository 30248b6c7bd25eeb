"""The signals process: as many replicas as wanted share the partitions by lease."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.signals.service import Signals
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.ids import minute_id
from shared.contracts.market import Bars
from shared.contracts.message import Message
from shared.runtime import settings as configuration
from shared.runtime.bus import Bus
from shared.runtime.leases import Partitions
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import ConductedPace, FreePace, Pace, Plain, Reads, Stop, instance, run
from shared.runtime.process import connect, start
from shared.runtime.settings import Settings

SERVICE: Final = "signals"
READS: Final = ("daily", "candidates", "positions", "bars")


def main() -> None:
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    bus = connect(settings, SERVICE)
    replica = Replica(bus, settings)
    run(replica.build, bus, pace_of(settings), replica.reads, stop=Stop().on_signals(), stale=replica.is_stale)
    replica.leave()


class Replica:
    """This process's share of the partitions, and the service for it. Another share is another service."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._settings = settings
        self._leases = Partitions(bus, SERVICE, instance(SERVICE))
        self._owned: tuple[int, ...] = ()

    def build(self) -> Plain:
        """A service with empty memory. Raises BusDown."""
        self._owned = self._leases.owned()
        if self._owned:
            logger().info("deciding", partitions=list(self._owned))
        service = Signals(self._settings.bus.partitions, self._settings.rules, self._leases.fence, self._owned)
        return Plain(service, SERVICE)

    def reads(self) -> Reads:
        return Reads(covered=streams.names(READS, self._owned))

    def is_stale(self) -> bool:
        """Whether other partitions are ours than those the service was built for. Raises BusDown."""
        return self._leases.owned() != self._owned

    def leave(self) -> None:
        self._leases.give_back()


def pace_of(settings: Settings) -> Pace:
    """Conducted, the clock's ticks say what is decided; free, each complete minute does."""
    if settings.run.pace is configuration.Pace.CONDUCTED:
        return ConductedPace()
    return FreePace(after=decide)


def decide(message: Message) -> Sequence[Message]:
    """The tick that follows a partition's complete minute. Sessions lie within one UTC day, so it names theirs."""
    if not isinstance(message, Bars) or message.part < message.parts - 1:
        return []
    tick = Tick(
        id=minute_id("decide", message.partition, message.at),
        at=message.at,
        cause=message.id,
        session=message.minute.date(),
        phase=TickPhase.DECIDE,
        upto={f"bars:{message.partition}": ""},
    )
    return [tick]


if __name__ == "__main__":
    main()
