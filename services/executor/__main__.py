"""An executor process: `--role protect` and `--role entry` work wake-ups of one queue, `--role listener` hears updates.

Any number of workers of each kind may run. Stops, exits, cancels and trims have workers of their own, so that a stop
never waits behind an entry.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from services.executor.alpaca_broker import AlpacaBroker
from services.executor.alpaca_listener import TradeUpdates
from services.executor.budget import Budget
from services.executor.gate import Gate
from services.executor.heard import Heard
from services.executor.listener import Aside, Listener
from services.executor.work import Clock, Executor
from shared.contracts.journal import DeadLetter
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.vocabulary import Queue
from shared.runtime import jobs
from shared.runtime.bus import Bus, BusDown
from shared.runtime.claims import ask_all
from shared.runtime.leases import Lease
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import Health, Stop, instance
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import BrokerSettings

SERVICE: Final = "executor"
LISTENER: Final = "listener"
NO_BUS: Final = 75
"""Exit code after a minute without the bus (EX_TEMPFAIL): start again."""
RESERVE: Final = {Queue.PROTECT: 0.0, Queue.ENTRY: 0.3, LISTENER: 0.5}
"""Fraction of the broker's rate limit that a role leaves to the ones before it."""


def main() -> None:
    role = role_asked()
    settings = start(SERVICE)
    configure_logs(settings.logs, SERVICE)
    bus = connect(settings, SERVICE)
    stop = Stop().on_signals()
    pass_gate(settings.broker, Health(bus), stop)
    part = listener if role == LISTENER else worker
    sys.exit(part(bus, settings.broker, role, stop)())


CLOCK: Final = Clock(monotonic=time.monotonic, wait=time.sleep, now=lambda: datetime.now(UTC))


class Desk:
    """State, over the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.publish = bus.publish

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
        return ask_all(self._bus, requests, deadline_s)


def role_asked() -> str:
    """`protect`, `entry` or `listener`."""
    parser = argparse.ArgumentParser(prog="python -m services.executor", description=__doc__)
    parser.add_argument("--role", required=True, choices=[*Queue, LISTENER])
    role: str = parser.parse_args().role
    return role


def broker_of(settings: BrokerSettings) -> AlpacaBroker:
    """The broker at the configured address, Alpaca's own or any other that speaks its API."""
    try:
        address = settings.rest_address
    except KeyError:
        refuse(SERVICE, "broker.url is not set; give the address of the paper exchange, http://127.0.0.1:8765")
    return AlpacaBroker(settings.key, settings.secret, address, paper=settings.kind != "live")


def pass_gate(settings: BrokerSettings, health: Health, stop: Stop) -> None:
    """Wait until the broker shows the account that is meant. Ends the process, with one line, where it is another."""
    broker = broker_of(settings)

    def wait(seconds: float) -> None:
        health.after([], [], {}, 0.0)
        time.sleep(seconds)

    gate = Gate(settings.kind, settings.rest_address, settings.account or "")
    why = gate.pass_through(broker.account, wait, lambda: stop.asked)
    if why:
        logger().error("not started", reason=why)
        refuse(SERVICE, why)


def budget_of(settings: BrokerSettings, role: str) -> Budget:
    return Budget(settings.request_limit, RESERVE[role], time.monotonic())


def new_name(role: str) -> str:
    """A name that no process had before: claims and reports are told apart by it."""
    return f"{role}-{os.getpid()}-{uuid4().hex[:6]}"


def worker(bus: Bus, settings: BrokerSettings, role: str, stop: Stop) -> Callable[[], int]:
    """Works wake-ups of one queue until asked to stop, then gives the exit code."""
    budget = budget_of(settings, role)
    executor = Executor(new_name(role), Desk(bus), broker_of(settings), budget, CLOCK, lambda: stop.asked)
    health = Health(bus)

    def say_dead(job_id: str, reason: str, raw: str) -> None:
        logger().error("wake-up refused", job=job_id, reason=reason)
        letter = DeadLetter(
            id=f"dead-job-{role}-{job_id}-{uuid4().hex[:8]}",
            at=datetime.now(UTC),
            stream=f"rq:{role}",
            entry=job_id[:100],
            reason=reason[:500],
            service=SERVICE,
            raw=raw,
        )
        try:
            bus.publish([letter])
        except BusDown:
            logger().warning("dead letter not sent", job=job_id)

    hands = jobs.Hands(
        perform=executor.perform,
        refuse=say_dead,
        stop=lambda: stop.asked,
        beat=lambda: health.after([], [], {}, 0.0),
    )
    return lambda: 0 if jobs.work(bus.client, bus.prefix, role, hands) else NO_BUS


def listener(bus: Bus, settings: BrokerSettings, role: str, stop: Stop) -> Callable[[], int]:
    """Forwards trade updates until asked to stop, whenever this process has the lease; then gives the exit code."""
    budget, health = budget_of(settings, role), Health(bus)

    def pace() -> None:
        while (wait := budget.wait_s(time.monotonic())) > 0 and not stop.asked:
            time.sleep(min(wait, 0.5))

    def updates(tell: Callable[[Heard], None]) -> TradeUpdates:
        paper = settings.kind != "live"
        return TradeUpdates(settings.key, settings.secret, settings.stream_address, paper=paper, tell=tell)

    def run() -> int:
        listening.run(lambda: stop.asked, beat=lambda: health.after([], [], {}, 0.0))
        return 0

    lease = Lease(bus, LISTENER, instance(SERVICE))
    listening = Listener(new_name(role), bus, lease, broker_of(settings), updates, Aside(pace), CLOCK)
    return run


if __name__ == "__main__":
    main()
