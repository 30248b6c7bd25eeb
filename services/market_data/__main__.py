"""`python -m services.market_data`: one feed in, checked bars out."""

from __future__ import annotations

from services.market_data.bar_files import BadFile
from services.market_data.service import MarketData
from services.market_data.sources import build_source
from shared.contracts import streams
from shared.runtime.logs import configure_logs
from shared.runtime.loop import ConductedPace, Plain, Reads, Stop, run
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import BadSettings

COVERED = ("candidates", "positions")


def main() -> None:
    settings = start("market_data")
    configure_logs(settings.logs, "market_data")
    bus = connect(settings, "market_data")
    try:
        source = build_source(settings.feed, settings.data, settings.regime.symbol)
    except (BadFile, BadSettings) as fault:
        refuse("market_data", str(fault))

    def build() -> Plain:
        service = MarketData(
            source,
            bus.partitions,
            max_jump=settings.data.max_jump,
            whole_market=settings.data.whole_market,
            index=settings.regime.symbol,
        )
        return Plain(service, "market_data")

    covered = streams.names(COVERED, range(bus.partitions))
    run(build, bus, ConductedPace(), lambda: Reads(covered=covered), stop=Stop().on_signals())


if __name__ == "__main__":
    main()
