"""Named points at which a test may kill the process, and named faults it may switch on. Free unless asked for.

    EV2_CRASH_AT    `point` or `point:n`: SIGKILL at that pass of the point, counted from 1
    EV2_SWITCHES    a folder: a file in it switches on the fault of its name, for as long as it is there; if
                    `count-passes` is there at the start, every pass is noted in the file `passed`, with `EV2_INSTANCE`

For tests alone: neither variable is ever set in operation.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Final

_WANTED: Final = os.environ.get("EV2_CRASH_AT", "")
_POINT, _, _PASS = _WANTED.partition(":")
_SWITCHES: Final = Path(os.environ["EV2_SWITCHES"]) if os.environ.get("EV2_SWITCHES") else None
COUNT_PASSES: Final = "count-passes"
PASSED: Final = "passed"
_COUNTS: Final = _SWITCHES is not None and (_SWITCHES / COUNT_PASSES).exists()
_passed: Counter[str] = Counter()

LEDGER_FULL: Final = "ledger-full"
"""The ledger may not grow."""


def crash_here(point: str) -> None:
    """Kill this process if it is to die at this pass of `point`."""
    if not _WANTED and not _COUNTS:
        return
    if _COUNTS:
        _note(point)
    if point != _POINT:
        return
    _passed[point] += 1
    if _passed[point] == int(_PASS or "1"):
        os.kill(os.getpid(), signal.SIGKILL)


def is_aimed_at(point: str) -> bool:
    """Whether passes of `point` matter: then what is usually done in one piece is done in its parts."""
    return _COUNTS or point == _POINT


def is_switched_on(fault: str) -> bool:
    """Whether a test wants `fault` now."""
    return _SWITCHES is not None and (_SWITCHES / fault).exists()


def _note(point: str) -> None:
    assert _SWITCHES is not None
    with open(_SWITCHES / PASSED, "a") as passed:  # one small write at the end of the file is never torn
        passed.write(f"{point} {os.environ.get('EV2_INSTANCE', '')}\n")
