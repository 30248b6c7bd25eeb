"""The executors of a simulated run, and the line over which they ask the broker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from cli.inprocess.direct_broker import DirectBroker
from cli.simulation.broker import SimulatedBroker
from cli.simulation.faults import Fault
from cli.simulation.world import IDLE_S, Killed, World
from services.executor.broker import Answer, Broker, Silent
from services.executor.broker import Fault as Silence
from services.executor.budget import Budget
from services.executor.work import Clock, Executor
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import Queue

NO_LIMIT: Final = 1_000_000


class Line:
    """A worker's way to the exchange."""

    def __init__(self, world: World, name: Callable[[], str]) -> None:
        self._world = world
        self._name = name

    def passes(self, point: str) -> Fault | None:
        return self._world.passes(self._name(), point)

    def ask(self, call: Callable[[Broker], Answer]) -> Answer:
        """Not connected where the exchange is down; cut off where it dies over it."""
        if self._world.exchange.venue is None:
            return Silent(fault=Silence.NOT_CONNECTED, text="the exchange is down")
        answer = self._world.request(lambda venue: call(DirectBroker(venue)))
        return answer if answer is not None else Silent(fault=Silence.CUT, text="the exchange died")

    def hang(self, seconds: float) -> None:
        self._world.let_pass(seconds)


class WorkerProcess:
    """An executor of one queue."""

    def __init__(self, world: World, queue: Queue, number: int) -> None:
        self.name = f"{queue}-{number}"
        self._world = world
        self._queue = queue
        self._life = 0
        self._alive_from = 0.0
        self._executor = self._new()

    def _new(self) -> Executor:
        self._life += 1
        world = self._world
        return Executor(
            f"{self.name}.{self._life}",
            self,
            SimulatedBroker(Line(world, lambda: self.name), self._pass),
            Budget(NO_LIMIT, 0.0, 0.0),
            Clock(monotonic=lambda: world.now, wait=world.let_pass, now=world.time),
            lambda: False,
        )

    def ready(self) -> bool:
        return bool(self._world.bus.jobs[self._queue]) and self._world.now >= self._alive_from

    def turn(self) -> None:
        """One wake-up."""
        job = self._world.bus.jobs[self._queue].popleft()
        self._executor.perform(list(job.actions), list(job.attempts))

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
        """State's answers, as far as they come in time."""
        world = self._world
        self._pass("executor.before_claim")
        world.bus.publish(requests)
        until = world.now + deadline_s
        found: dict[str, ClaimReply] = {}
        while len(found) < len(requests) and world.now < until:
            if not world.give_a_turn():
                world.idle()
            for request in requests:
                reply = world.bus.reply(request.id)
                if reply is not None:
                    found[request.id] = reply
        fault = world.plan.passes("bus.reply")
        if fault is not None:
            world.note(f"{self.name}: {fault}")
            return {}
        self._pass("executor.after_claim")
        return found

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        self._pass("executor.before_report")
        self._world.publish(self.name, outgoing, "executor.between_reports")
        self._pass("executor.after_report")

    def die(self, death: Killed) -> None:
        self._executor = self._new()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        """What it had in hand is given up: its lease runs out at state."""
        self._alive_from = self._world.now + IDLE_S

    def _pass(self, point: str) -> None:
        self._world.passes(self.name, point)
