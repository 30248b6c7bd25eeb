"""The conductor gives time in a conducted run (demo, replay): tick by tick, on positive proof, never on silence."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import Final

from services.conductor.schedule import EACH_MINUTE, Awaited, Step, steps_of
from shared.contracts import streams
from shared.contracts.clock import Tick, TickPhase
from shared.contracts.outgoing import Latest
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.bus import Bus, BusDown, Life
from shared.runtime.crash import crash_here
from shared.runtime.logs import configure_logs, logger
from shared.runtime.loop import RECONNECT_S, Health, Stop
from shared.runtime.process import connect, refuse, start
from shared.runtime.settings import BadSettings, RecordedFeed, Settings, SyntheticFeed

PATIENCE_S: Final = 10.0
BLOCK_MS: Final = 200
COVERED: Final = ("daily", "candidates", "positions", "bars", "intents")


class NewLife(Exception):
    """The bus is another one: the session is opened again, and goes on with its last minute that is settled."""


class Done:
    """The last session that is over, in a small file: it must outlive the bus."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def last(self) -> dt.date | None:
        text = _read(self._path)
        return dt.date.fromisoformat(text) if text else None

    def set(self, session: dt.date) -> None:
        _write(self._path, session.isoformat())


class Reached:
    """The last minute that is settled, by its end, in a file of its own: a new bus need not be given it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = _read(path)
        self.minute = dt.datetime.fromisoformat(text) if text else None

    def set(self, minute: dt.datetime) -> None:
        self.minute = minute
        _write(self._path, minute.isoformat())


def _read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


class Conductor:
    """speed: market seconds a second, 0 for as fast as the answers come."""

    def __init__(
        self, bus: Bus, sessions: tuple[Session, ...], speed: float, done: Done, reached: Reached, stop: Stop
    ) -> None:
        self._bus = bus
        self._sessions = sessions
        self._speed = speed
        self._done = done
        self._reached = reached
        self._stop = stop
        self._covered = streams.names(COVERED, range(bus.partitions))
        self._position = {"intents": "0", "progress": "0"}
        self._events: int | None = None
        self._life = Life("", 0)
        self._health = Health(bus)

    def run(self) -> None:
        """Play every session that is not over yet, then wait to be stopped."""
        while not self._stop.asked:
            try:
                self._life = self._await_life()
                self._bus.epoch = self._life.epoch
                self._position = {**dict.fromkeys(self._position, "0"), **self._bus.last_ids(tuple(self._position))}
                for session in self._sessions:
                    over = self._done.last()
                    if over is None or session.session > over:
                        self._play(session)
                if not self._stop.asked:
                    self._show(self._sessions[-1], None)
                    self._idle()
            except NewLife:
                logger().warning("the bus is a new one; opening the session again")
            except BusDown as fault:
                logger().warning("bus does not answer", reason=str(fault))
                time.sleep(RECONNECT_S)

    def _play(self, session: Session) -> None:
        steps = self._left(session, list(steps_of(session)))
        began = time.monotonic()
        first = next((step.at for step in steps if step.phase is TickPhase.FEED), session.closes_at)
        for step in steps:
            if step.phase is TickPhase.FEED:
                self._wait_for(step.at, first, began)
            if self._stop.asked:
                return
            self._give(session, step)
            if step.phase is TickPhase.ACT and not self._stop.asked:
                self._reached.set(step.at)
                crash_here("conductor.reached")
        if self._stop.asked:  # perhaps while the last answer was awaited
            return
        crash_here("conductor.before_done")
        self._done.set(session.session)
        logger().info("session over", session=str(session.session))

    def _left(self, session: Session, steps: list[Step]) -> list[Step]:
        """What is still to be given of `session`; the last tick that stands on this bus is given again."""
        tick = self._last_tick()
        if tick is None or tick.session != session.session:
            return self._left_on_a_new_bus(steps)
        self._events = tick.events
        place = next(place for place, step in enumerate(steps) if step.tick_id == tick.id)
        while place and steps[place].phase not in (TickPhase.OPEN, TickPhase.FEED, TickPhase.CLOSE):
            place -= 1  # its earlier phases give again what this one needs, such as the number of trade updates
        return steps[place:]

    def _left_on_a_new_bus(self, steps: list[Step]) -> list[Step]:
        """The opening, then the last minute that is settled, with which market data publishes all before it, and on."""
        reached = self._reached.minute
        return [step for step in steps if step.phase not in EACH_MINUTE or reached is None or step.at >= reached]

    def _last_tick(self) -> Tick | None:
        """The last one of this life; ticks of others are dropped when it begins, or marked."""
        position = "0"
        found: Tick | None = None
        while entries := self._bus.read({"clock": position}, 0):
            position = entries[-1].entry_id
            found = next((entry.message for entry in reversed(entries) if isinstance(entry.message, Tick)), found)
        return found

    def _wait_for(self, at: dt.datetime, first: dt.datetime, began: float) -> None:
        if self._speed <= 0:
            return
        due = began + (at - first).total_seconds() / self._speed
        while not self._stop.asked and (left := due - time.monotonic()) > 0:
            self._beat()
            time.sleep(min(left, 0.2))

    def _beat(self) -> None:
        """Said wherever it waits, so that a conductor that hangs is seen to."""
        self._health.after((), (), self._position, 0.0)

    def _give(self, session: Session, step: Step) -> None:
        upto, life = self._bus.extent(self._covered)
        if life != self._life:  # an answer may have come of which the rest is lost
            raise NewLife
        tick = Tick(
            id=step.tick_id,
            at=step.at,
            session=session.session,
            phase=step.phase,
            upto=upto,
            events=self._events,
        )
        crash_here("conductor.before_tick")
        self._bus.publish([tick])
        crash_here("conductor.after_tick")
        self._show(session, step)
        awaited = Awaited(tick, set(range(self._bus.partitions)))
        asked = said = time.monotonic()
        while not awaited.done and not self._stop.asked:
            self._beat()
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
        crash_here("conductor.answered")

    def _await_life(self) -> Life:
        while not self._stop.asked:
            life = self._bus.life()
            if life.epoch:
                return life
            self._beat()
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
            self._beat()
            time.sleep(0.1)
            if self._bus.life() != self._life:
                raise NewLife


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
    reached = Reached(settings.data_folder / "conductor_minute.txt")
    Conductor(bus, sessions, settings.run.speed, done, reached, Stop().on_signals()).run()


if __name__ == "__main__":
    main()
