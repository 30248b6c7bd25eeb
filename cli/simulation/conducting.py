"""The conductor of a simulated run: gives time on positive proof, and may be killed like the others."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cli.simulation import people
from cli.simulation.world import IDLE_S, LIFE_CHECK_S, Killed, World
from services.conductor.schedule import EACH_MINUTE, Awaited, Step, steps_of
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.domain.calendar import Session
from shared.runtime.bus import Life

COVERED: Final = ("daily", "candidates", "positions", "bars", "intents")


class ConductorProcess:
    """Gives time. What it remembers over its death is the last session that is over and the last settled minute."""

    name = "conductor"
    over_at = TickPhase.ACT  # the phase that ends a minute

    def __init__(self, world: World, sessions: Sequence[Session]) -> None:
        self._world = world
        self._sessions = sessions
        self._over = 0
        self._reached: dt.datetime | None = None
        self.given = 0
        self._alive_from = 0.0
        self._covered = streams.names(COVERED, world.parts)
        self._forget()

    def _forget(self) -> None:
        self._steps: list[Step] = []
        self._place = 0
        self._awaited: Awaited | None = None
        self._events: int | None = None
        self._life: Life | None = None
        self._positions: dict[str, str] = {}
        self._checked = 0.0

    @property
    def finished(self) -> bool:
        return self._over == len(self._sessions)

    def missing(self) -> str:
        return self._awaited.missing() if self._awaited is not None else "nothing"

    def ready(self) -> bool:
        world = self._world
        if self.finished or world.now < self._alive_from:
            return False
        if self._life is None:
            return world.bus.epoch > 0
        if self._awaited is None or world.now - self._checked > LIFE_CHECK_S:
            return True
        return any(world.bus.has_new(name, position) for name, position in self._positions.items())

    def turn(self) -> None:
        """Read answers; where all are there, give the next tick."""
        world = self._world
        if self._life is None:
            self._begin()
            return
        if world.now - self._checked > LIFE_CHECK_S:
            self._checked = world.now
            if world.bus.life() != self._life:
                self._forget()
                return
        for entry in world.bus.read(self._positions, epoch=self._life.epoch):
            self._positions[entry.stream] = entry.entry_id
            if entry.message is not None and self._awaited is not None:
                self._awaited.take(entry.message)
        if self._awaited is not None:
            if not self._awaited.done:
                return
            if self._awaited.events is not None:
                self._events = self._awaited.events
            self._awaited = None
            if self._steps[self._place].phase is self.over_at:
                self._reached = self._steps[self._place].at
            self._place += 1
            if self._place == len(self._steps):
                self._over += 1
                self._steps = []
        if self.finished:
            return
        if not self._steps:
            self._begin_session(self._sessions[self._over])
        if self._is_due():
            self._give()

    def _begin(self) -> None:
        bus = self._world.bus
        self._life = bus.life()
        self._checked = self._world.now
        names = ("intents", "progress")
        self._positions = {**dict.fromkeys(names, "0"), **bus.last_ids(names)}
        self._steps = []

    def _begin_session(self, session: Session) -> None:
        self._steps, self._place = self._left(session), 0

    def _is_due(self) -> bool:
        """Whether the next step may be given; here time is what is given."""
        return True

    def _give(self) -> None:
        world = self._world
        session = self._sessions[self._over]
        if world.bus.life() != self._life:  # a tick must not come to a bus that lacks what it names
            self._forget()
            return
        step = self._steps[self._place]
        before = sum(one.minutes for one in self._sessions[: self._over])
        world.plan.minute = before + (step.at - session.opens_at) // dt.timedelta(minutes=1)
        world.bus_fault(world.passes(self.name, "conductor.before_tick"))
        people.obey(world, world.plan.passes("operator"), step.at)
        people.obey(world, world.plan.passes("hand"), step.at)
        tick = Tick(
            id=step.tick_id,
            at=step.at,
            session=session.session,
            phase=step.phase,
            upto=world.bus.last_ids(self._covered),
            events=self._events,
        )
        self._awaited = Awaited(tick, set(world.parts))
        self.given += 1
        world.bus.publish([tick], self._life.epoch)
        world.bus_fault(world.passes(self.name, "conductor.after_tick"))

    def _left(self, session: Session) -> list[Step]:
        """As the conductor's own: from the beginning of the last tick's minute on, or what a new bus needs."""
        assert self._life is not None
        steps = self._steps_of(session)
        tick = None
        for entry in self._world.bus.read({"clock": "0"}, epoch=self._life.epoch):
            tick = entry.message if isinstance(entry.message, Tick) else tick
        if tick is None or tick.session != session.session:
            reached = self._reached
            return [step for step in steps if step.phase not in EACH_MINUTE or reached is None or step.at >= reached]
        self._events = tick.events
        place = next(place for place, step in enumerate(steps) if step.tick_id == tick.id)
        while place and steps[place].phase not in (TickPhase.OPEN, TickPhase.FEED, TickPhase.CLOSE):
            place -= 1
        return steps[place:]

    def _steps_of(self, session: Session) -> list[Step]:
        return list(steps_of(session))

    def die(self, death: Killed) -> None:
        self._forget()
        self._alive_from = self._world.now + death.seconds

    def bus_went_down(self) -> None:
        self._forget()
        self._alive_from = self._world.now + IDLE_S
