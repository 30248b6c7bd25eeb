"""Named points at which a test may kill the process. Free, and without any effect, unless asked for."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final

_WANTED: Final = os.environ.get("EV2_CRASH_AT", "")
_passed: Counter[str] = Counter()


def crash_here(point: str) -> None:
    """Kill this process (SIGKILL) if `EV2_CRASH_AT` is `point` or `point:n`, n counting passes from 1.

    For tests alone: the environment variable is never set in operation.
    """
    if not _WANTED:
        return
    name, _, number = _WANTED.partition(":")
    if name != point:
        return
    _passed[point] += 1
    if _passed[point] == int(number or "1"):
        os.kill(os.getpid(), signal.SIGKILL)
