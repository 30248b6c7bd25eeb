"""The leader of a simulated run in free pace: minutes come when the wall clock says that they are over."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from cli.simulation.conducting import ConductorProcess
from cli.simulation.world import World
from services.conductor.schedule import Step, steps_of
from shared.contracts.clock import TickPhase
from shared.domain.calendar import Session

FED: Final = frozenset({TickPhase.OPEN, TickPhase.HISTORY, TickPhase.FEED, TickPhase.CLOSE})
BEFORE: Final = dt.timedelta(seconds=30)
LATE: Final = dt.timedelta(seconds=1)


class FeedProcess(ConductorProcess):
    """Gives market data its minutes, each a second after its end. Nobody else is told the time, or waited for."""

    over_at = TickPhase.FEED

    def __init__(self, world: World, sessions: Sequence[Session]) -> None:
        super().__init__(world, sessions)
        assert world.wall is not None, "a run in free pace"
        self._wall = world.wall
        self._wall.go_to(sessions[0].opens_at - BEFORE)

    def ready(self) -> bool:
        waits = self._life is not None and self._awaited is None and bool(self._steps)
        return super().ready() and (not waits or self._is_due())

    def _begin_session(self, session: Session) -> None:
        super()._begin_session(session)
        self._wall.go_to(self._steps[0].at - BEFORE)

    def _is_due(self) -> bool:
        return self._wall.now() >= self._steps[self._place].at + LATE

    def _steps_of(self, session: Session) -> list[Step]:
        return [step for step in steps_of(session) if step.phase in FED]
