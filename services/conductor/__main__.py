"""The conductor gives time in a conducted run (demo, replay): tick by tick, on positive proof, never on silence."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Final

from services.conductor.schedule import Awaited, Step, steps_of
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.outgoing import Latest
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.bus import Bus, BusDown, Life
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import RECONNECT_S, Stop
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import BadSettings, RecordedFeed, Settings, SyntheticFeed

PATIENCE_S: Final = 10.0
BLOCK_MS: Final = 200
COVERED: Final = ("daily", "candidates", "positions", "bars", "intents")


class NewLife(Exception):
    """The bus is another one: the session is given again from its opening, which every service takes idempotently."""


class Done:
    """The last session that is over, in a small file: it must outlive the bus."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> dt.date | None:
        text = self._path.read_text().strip() if self._path.exists() else ""
        return dt.date.fromisoformat(text) if text else None

    def set(self, session: dt.date) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(session.isoformat())
        fresh.replace(self._path)


class Conductor:
    """speed: market seconds a second, 0 for as fast as the answers come."""

    def __init__(self, bus: Bus, sessions: tuple[Session, ...], speed: float, done: Done, stop: Stop) -> None:
        self._bus = bus
        self._sessions = sessions
        self._speed = speed
        self._done = done
        self._stop = stop
        self._covered = streams.names(COVERED, range(bus.partitions))
        self._position = {"intents": "0", "progress": "0"}
        self._events: int | None = None
        self._life = Life("", 0)

    def run(self) -> None:
        """Play every session that is not over yet, then wait to be stopped."""
        while not self._stop.asked:
            try:
                self._life = self._await_life()
                self._position = {**dict.fromkeys(self._position, "0"), **self._bus.last_ids(tuple(self._position))}
                for session in self._sessions:
                    over = self._done.last()
                    if over is None or session.session > over:
                        self._play(session)
                if not self._stop.asked:
                    self._show(self._sessions[-1], None)
                    self._idle()
            except NewLife:
                logger().warning("the bus is a new one; giving the session again from its opening")
            except BusDown as fault:
                logger().warning("bus does not answer", reason=str(fault))
                time.sleep(RECONNECT_S)

    def _play(self, session: Session) -> None:
        steps = list(steps_of(session))
        steps = steps[self._resume_at(session, steps) :]
        began, first = time.monotonic(), steps[0].at
        for step in steps:
            if step.phase is TickPhase.FEED:
                self._wait_for(step.at, first, began)
            if self._stop.asked:
                return
            self._give(session, step)
        if self._stop.asked:  # perhaps while the last answer was awaited
            return
        self._done.set(session.session)
        logger().info("session over", session=str(session.session))

    def _resume_at(self, session: Session, steps: list[Step]) -> int:
        """Place of the last tick that stands on the bus, which is given again; 0 where there is none of `session`."""
        last = self._bus.last_ids(["clock"])
        if not last:
            return 0
        [entry] = self._bus.read_up_to("clock", _before(last["clock"]), last["clock"])
        tick = entry.message
        if not isinstance(tick, Tick) or tick.session != session.session:
            return 0
        self._events = tick.events
        place = next(place for place, step in enumerate(steps) if step.tick_id == tick.id)
        while place and steps[place].phase not in (TickPhase.OPEN, TickPhase.FEED, TickPhase.CLOSE):
            place -= 1  # its earlier phases give again what this one needs, such as the number of trade updates
        return place

    def _wait_for(self, at: dt.datetime, first: dt.datetime, began: float) -> None:
        if self._speed <= 0:
            return
        due = began + (at - first).total_seconds() / self._speed
        while not self._stop.asked and (left := due - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))

    def _give(self, session: Session, step: Step) -> None:
        tick = Tick(
            id=step.tick_id,
            at=step.at,
            session=session.session,
            phase=step.phase,
            upto=self._bus.last_ids(self._covered),
            events=self._events,
        )
        self._bus.publish([tick])
        self._show(session, step)
        awaited = Awaited(tick, set(range(self._bus.partitions)))
        asked = said = time.monotonic()
        while not awaited.done and not self._stop.asked:
            for entry in self._bus.read(self._position, BLOCK_MS):
                self._position[entry.stream] = entry.entry_id
                if entry.message is not None:
                    awaited.take(entry.message)
            now = time.monotonic()
            if now - asked > 1.0 and not awaited.done:
                asked = now
                if self._bus.life() != self._life:
                    raise NewLife
            if now - said > PATIENCE_S and not awaited.done:
                said = now
                logger().warning("still waiting", missing=awaited.missing())
        if awaited.events is not None:
            self._events = awaited.events

    def _await_life(self) -> Life:
        while not self._stop.asked:
            life = self._bus.life()
            if life.epoch:
                return life
            time.sleep(0.05)
        return Life("", 0)

    def _show(self, session: Session, step: Step | None) -> None:
        if step is not None and step.phase not in (TickPhase.OPEN, TickPhase.FEED, TickPhase.SETTLE):
            return
        at = step.at if step else session.closes_at
        fields = {
            "session": str(session.session),
            "at": at.isoformat(),
            "minute": str((at - session.opens_at) // dt.timedelta(minutes=1)),
            "minutes": str(session.minutes),
            "sessions": str(len(self._sessions)),
            "over": str(self._done.last() or ""),
            "finished": "no" if step else "yes",
        }
        self._bus.publish([Latest(key="conductor", fields=fields)])

    def _idle(self) -> None:
        while not self._stop.asked:
            time.sleep(0.1)
            if self._bus.life() != self._life:
                raise NewLife


def _before(entry_id: str) -> str:
    milliseconds, _, number = entry_id.partition("-")
    return f"{milliseconds}-{int(number) - 1}" if int(number) else f"{int(milliseconds) - 1}-{2**63}"


def sessions_to_play(settings: Settings) -> tuple[Session, ...]:
    """The sessions that the feed is asked for. Raises BadSettings where there is none."""
    feed = settings.feed
    if not isinstance(feed, RecordedFeed | SyntheticFeed):
        raise BadSettings("run.pace conducted needs a recorded or synthetic feed; a live feed has its own time")
    if feed.first is None:
        raise BadSettings("feed.first is missing: name the first session to play, such as 2015-02-11")
    last = feed.last or feed.first
    found = tuple(calendar.sessions(feed.first, last))
    if not found:
        raise BadSettings(f"no session of the exchange from {feed.first} to {last}; choose another feed.first")
    return found


def main() -> None:
    settings = start("conductor")
    configure_logs(settings.logs, "conductor")
    bus = connect(settings, "conductor")
    try:
        sessions = sessions_to_play(settings)
    except BadSettings as fault:
        refuse("conductor", str(fault))
    done = Done(settings.data_folder / "conductor.txt")
    Conductor(bus, sessions, settings.run.speed, done, Stop().on_signals()).run()


if __name__ == "__main__":
    main()
