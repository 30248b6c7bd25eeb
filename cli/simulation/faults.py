"""What may go wrong in a simulated run, where, and when: drawn from the seed before the run begins.

A run passes named points, such as `state.after_commit` or `broker.submit`. A fault waits for one of them: from its
minute on, it lets `skip` passes go by and then hits. So a fault means the same whatever else is in the list, and a list
can be made smaller one by one until nothing is left in it that is not needed to fail.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct


class Do(StrEnum):
    """What happens to whoever passes the point."""

    KILL = "kill"  # SIGKILL; it is started again after `seconds`
    FREEZE = "freeze"  # SIGSTOP for `seconds`, then it goes on where it was
    TAKE_OVER = "take over"  # state: frozen, another writer takes the ledger, then the first one wakes up
    POWER_CUT = "power cut"  # state: killed, and what was not synced is gone
    DISK_FULL = "disk full"  # state: the transaction finds no room, `times` in a row
    STEP_CLOCK = "clock stepped"  # the executors' wall clock jumps, by up to an hour either way
    # the bus
    WIPE = "wipe"  # FLUSHALL
    LOSE_TAIL = "lose tail"  # server restarted, the last entries of some streams are gone
    BUS_DOWN = "bus down"  # the server does not answer for `seconds`
    CUT = "cut"  # a publish is cut in the middle: some of it was done
    DOUBLE = "double"  # done twice
    DROP = "drop"  # never arrives
    LATE = "late"  # arrives after the next one
    # requests to the broker, executed (after) or not (before)
    TIMEOUT_BEFORE = "time-out before"
    TIMEOUT_AFTER = "time-out after"
    ERROR_BEFORE = "504 before"
    ERROR_AFTER = "504 after"
    NOT_CONNECTED = "not connected"
    EMPTY = "empty reply after"
    HTML = "html instead of json after"
    LIMITED = "429"
    LATE_ARRIVAL = "arrives late"  # the request hangs for `seconds` on its way, and is executed then
    # reads from the broker
    NOT_FOUND = "404 for a while"
    STALE = "stale"  # what the same question was answered the time before
    UNREADABLE = "an element nobody knows"
    DISCONNECT = "trade updates lost"  # the socket is gone: what was on its way is lost
    # what changes the market's answer
    REFUSE = "refused"
    PAUSE = "operator pauses"
    RESUME = "operator resumes"
    HALT = "operator halts"
    FLATTEN = "operator flattens"
    SELL = "operator sells what is held first"
    HAND_CANCEL = "a stop of ours is cancelled at the broker"
    HAND_SELL = "a stop of ours is cancelled at the broker and one of its shares sold"
    HAND_BUY = "foreign shares are bought, and a foreign order rests"
    # an operator asks for what changes nothing
    RECONCILE = "operator reconciles"


BROKER_BEFORE: Final = (Do.TIMEOUT_BEFORE, Do.ERROR_BEFORE, Do.NOT_CONNECTED, Do.LIMITED)
BROKER_AFTER: Final = (Do.TIMEOUT_AFTER, Do.ERROR_AFTER, Do.EMPTY, Do.HTML)
REQUEST: Final = (*BROKER_BEFORE, *BROKER_AFTER, Do.LATE_ARRIVAL)
PUBLISHERS: Final = ("market_data", "exchange", "signals", "state")

CATALOGUE: Final[Mapping[str, tuple[Do, ...]]] = {
    "state.after_read": (Do.KILL, Do.FREEZE, Do.TAKE_OVER),
    "state.in_transaction": (Do.KILL, Do.POWER_CUT, Do.DISK_FULL),
    "state.after_commit": (Do.KILL, Do.POWER_CUT, Do.FREEZE),
    **{f"{name}.before_publish": (Do.KILL, Do.FREEZE) for name in PUBLISHERS},
    **{f"{name}.between_publishes": (Do.KILL, Do.CUT, Do.DOUBLE) for name in PUBLISHERS},
    **{f"{name}.after_publish": (Do.KILL,) for name in PUBLISHERS},
    "exchange.before_commit": (Do.KILL,),
    "exchange.after_commit": (Do.KILL,),
    "executor.before_claim": (Do.KILL, Do.FREEZE, Do.STEP_CLOCK),
    "executor.after_claim": (Do.KILL, Do.FREEZE, Do.STEP_CLOCK),
    "executor.before_send": (Do.KILL, Do.FREEZE),
    "executor.after_send": (Do.KILL, Do.FREEZE),
    "executor.before_report": (Do.KILL, Do.FREEZE),
    "executor.between_reports": (Do.CUT, Do.DOUBLE),
    "executor.after_report": (Do.KILL,),
    "listener.before_publish": (Do.KILL,),
    "listener.after_publish": (Do.KILL,),
    "conductor.before_tick": (Do.KILL, Do.WIPE, Do.LOSE_TAIL, Do.BUS_DOWN),
    "conductor.after_tick": (Do.KILL, Do.WIPE, Do.LOSE_TAIL, Do.BUS_DOWN),
    "turn": (Do.WIPE, Do.LOSE_TAIL, Do.BUS_DOWN),
    "bus.job": (Do.DROP, Do.DOUBLE),
    "bus.reply": (Do.DROP,),
    "wire.update": (Do.DROP, Do.DOUBLE, Do.LATE, Do.DISCONNECT),
    "broker.submit": REQUEST,
    "broker.replace": (*REQUEST, Do.REFUSE),
    "broker.cancel": REQUEST,
    "broker.look_up": (*BROKER_BEFORE, Do.EMPTY, Do.HTML, Do.NOT_FOUND),
    "broker.list": (*BROKER_BEFORE, Do.EMPTY, Do.HTML, Do.STALE, Do.UNREADABLE),
    "operator": (Do.PAUSE, Do.RESUME, Do.HALT, Do.FLATTEN, Do.SELL, Do.RECONCILE),
    "hand": (Do.HAND_CANCEL, Do.HAND_BUY, Do.HAND_SELL),
}
"""Point -> what may happen there."""

BY_PEOPLE: Final = ("operator", "hand")
MACHINES: Final = tuple(point for point in sorted(CATALOGUE) if point not in BY_PEOPLE)
CHANGES_THE_ANSWER: Final = frozenset({Do.REFUSE, *CATALOGUE["operator"], *CATALOGUE["hand"]} - {Do.RECONCILE})
"""After these the day may go another way: only its own second run must be equal to it."""
REPEATED: Final = frozenset({*BROKER_BEFORE, *BROKER_AFTER, Do.NOT_FOUND, Do.STALE, Do.DISK_FULL})
FAST: Final = frozenset({"executor", "broker", "wire", "listener", "bus"})
"""Points that are passed only where something is traded: fewer passes are let go by."""


class Fault(Struct, frozen=True, kw_only=True):
    """From `minute` of the run on, let `skip` passes of `point` go by, then do it to `times` in a row."""

    minute: int
    point: str
    do: Do
    skip: int = 0
    times: int = 1
    seconds: float = 0.0

    @property
    def keeps_the_answer(self) -> bool:
        """Whether the day must end with the same ledger as without it."""
        return self.do not in CHANGES_THE_ANSWER

    def __str__(self) -> str:
        more = f" x{self.times}" if self.times > 1 else ""
        return f"minute {self.minute}, {self.point} +{self.skip}: {self.do}{more} {self.seconds:g} s"


def draw_faults(draws: random.Random, minutes: int) -> tuple[Fault, ...]:
    """A run's faults: on some seeds few, on some many; some kinds not at all, some often.

    Three seeds in four leave the market's answer as it is, so that the day must end with the ledger of a quiet one.
    """
    count = draws.choice((1, 2, 4, 8, 16, 32))
    with_people = draws.random() < 0.25
    points = sorted(CATALOGUE) if with_people else list(MACHINES)
    favoured = draws.sample(points, draws.choice((2, 4, len(points))))
    return storm(draws, minutes, count, favoured, same_answer=not with_people)


def storm(
    draws: random.Random, minutes: int, count: int, points: Sequence[str], *, same_answer: bool
) -> tuple[Fault, ...]:
    """`count` faults at `points`, in the order of their minutes."""
    drawn = (_draw(draws, minutes, points, same_answer) for _ in range(count))
    return tuple(sorted(drawn, key=lambda fault: (fault.minute, fault.point)))


def _draw(draws: random.Random, minutes: int, points: Sequence[str], same_answer: bool) -> Fault:
    point = draws.choice(points)
    do = draws.choice([do for do in CATALOGUE[point] if not same_answer or do not in CHANGES_THE_ANSWER])
    return Fault(
        minute=draws.randrange(int(minutes * 0.9)),
        point=point,
        do=do,
        skip=draws.choice((0, 0, 1, 2, 5)) if point.partition(".")[0] in FAST else draws.choice((0, 1, 3, 12)),
        times=draws.choice((1, 1, 2, 4)) if do in REPEATED else 1,
        seconds=draws.choice((0.0, 0.3, 2.0, 7.0, 12.0)),
    )


class Plan:
    """Hands out each fault when its point is passed. minute: how far the run has come; told by the conductor."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._waiting = [_Waiting(fault, fault.skip, fault.times) for fault in faults]
        self.minute = -1
        self.hit: list[Fault] = []

    def passes(self, point: str) -> Fault | None:
        """The fault that hits this pass of `point`, if one does."""
        found = None
        for waiting in self._waiting:
            if waiting.fault.point != point or waiting.fault.minute > self.minute or waiting.times == 0:
                continue
            if waiting.skip:
                waiting.skip -= 1
            elif found is None:
                waiting.times -= 1
                found = waiting.fault
                self.hit.append(found)
        return found

    def end(self) -> None:
        """Nothing goes wrong from now on."""
        self._waiting.clear()


class _Waiting(Struct):
    fault: Fault
    skip: int
    times: int
