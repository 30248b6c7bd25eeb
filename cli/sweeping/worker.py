"""Takes points from the queue and plays them. Killed, it loses its point, which is given out again."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cli.backtest import Stopped
from cli.sweeping.folder import Folder
from cli.sweeping.point import result_of
from cli.trouble import DONE, NOT_WELL
from shared.runtime import jobs
from shared.runtime.loop import Stop
from shared.runtime.process import client_of
from shared.runtime.settings import load_settings

QUEUE: Final = "sweep"


def work(path: Path) -> int:
    """Until asked to stop. A job names points by number, no more: what they are stands in the folder."""
    folder = Folder(path)
    asked, grid = folder.asked(), folder.points()
    stop = Stop().on_signals()

    def perform(actions: list[str], attempts: list[int]) -> None:
        for action in actions:
            number = int(action)
            if not 0 <= number < len(grid) or folder.result(number) is not None:
                continue
            try:
                folder.keep(result_of(asked, grid[number], path, stop))
            except Stopped:
                return
            except Exception as fault:  # noqa: BLE001 - one point that cannot be played must not end the sweep
                folder.fail(number, f"{type(fault).__name__}: {fault}")

    def refuse(job: str, reason: str, raw: str) -> None:
        """Not a point of ours: nothing was run."""

    settings = load_settings()
    hands = jobs.Hands(perform=perform, refuse=refuse, stop=lambda: stop.asked)
    came_back = jobs.work(client_of(settings, "executor"), settings.bus.prefix, QUEUE, hands)
    return DONE if came_back else NOT_WELL
