"""Running an installation until its sessions are over, with a screen that looks on."""

from __future__ import annotations

import datetime as dt
import os
import time
from collections.abc import Iterator, Mapping
from typing import Final

from cli.installation import Installation, bus_of
from cli.picture import picture
from cli.screen import Moment, Screen
from services.state.store import LedgerRefused
from shared.runtime import health
from shared.runtime.bus import Bus, BusDown
from shared.runtime.loop import Stop
from shared.runtime.settings import Settings, load_settings

TEND_S: Final = 0.05
LOOK_S: Final = 0.5
SHARE: Final = 5
"""Looking on takes one fifth of the time at most, however large the ledger is."""


def settings_with(variables: Mapping[str, str]) -> Settings:
    """The settings of this home with `variables` on top, in the environment, where children find them too."""
    os.environ.update(variables)
    return load_settings()


def play_to_the_end(settings: Settings, installation: Installation, last: dt.date, screen: Screen, stop: Stop) -> bool:
    """Look on until the session `last` is over; False where a stop was asked for before. Raises ChildGaveUp."""
    return any(session_is_over(moment.progress, last) for moment in moments(settings, installation, screen, stop))


def moments(settings: Settings, installation: Installation, screen: Screen, stop: Stop) -> Iterator[Moment]:
    """Tend the processes until a stop is asked for, and look at them twice a second. Raises ChildGaveUp."""
    with bus_of(settings) as bus:
        next_look = 0.0
        while not stop.asked:
            installation.tend()
            began = time.monotonic()
            if began >= next_look:
                moment = look(settings, bus)
                screen.show(moment)
                yield moment
                took = time.monotonic() - began
                next_look = time.monotonic() + max(LOOK_S, SHARE * took)
            time.sleep(TEND_S)


def look(settings: Settings, bus: Bus) -> Moment:
    """What ledger and bus say now; what does not answer is left out."""
    try:
        progress = health.progress(bus)
        services = health.services(bus, dt.datetime.now(dt.UTC))
    except BusDown:
        return Moment(None, None, ())
    try:
        seen = picture(settings.ledger)
    except LedgerRefused:  # state opens it in this moment; if it is really damaged, state says so and gives up
        seen = None
    return Moment(progress, seen, services)


def session_is_over(progress: health.Progress | None, last: dt.date) -> bool:
    return progress is not None and progress.over is not None and progress.over >= last
