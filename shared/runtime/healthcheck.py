"""`python -m shared.runtime.healthcheck SERVICE`: does this host's process of SERVICE beat? For containers' health.

Every loop writes its beat under `health:SERVICE:INSTANCE` about once a second (shared/runtime/loop.py, `Health`). A
process that hangs, or that cannot reach the bus, has an old one. Exit code 0, or 1 with the reason in one line.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from shared.runtime.bus import BusDown
from shared.runtime.process import connect
from shared.runtime.settings import BadSettings, load_settings

WITHIN_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.runtime.healthcheck", description=__doc__)
    parser.add_argument("service")
    parser.add_argument("--within", type=float, default=WITHIN_S, metavar="SECONDS", help="how old the beat may be")
    asked = parser.parse_args()
    try:
        views = connect(load_settings(), asked.service).views(f"health:{asked.service}:{instance_pattern()}")
    except (BadSettings, BusDown) as fault:
        sys.exit(f"{asked.service}: {fault}")
    reason = trouble(asked.service, views, datetime.now(UTC), asked.within)
    if reason:
        sys.exit(reason)


def instance_pattern() -> str:
    """Matches the names under which processes of this host show their health."""
    return os.environ.get("EV2_INSTANCE") or f"{socket.gethostname()}-*"


def trouble(service: str, views: Mapping[str, Mapping[str, str]], now: datetime, within_s: float) -> str:
    """Why the service is not well, empty where its newest beat is at most `within_s` seconds old."""
    beats = [datetime.fromisoformat(fields["beat"]) for fields in views.values() if "beat" in fields]
    if not beats:
        return f"{service}: no beat of this host's process"
    age_s = (now - max(beats)).total_seconds()
    return "" if age_s <= within_s else f"{service}: last beat {age_s:.0f} s ago; at most {within_s:.0f}"


if __name__ == "__main__":
    main()
