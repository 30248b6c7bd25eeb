"""Wait for a thing, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def wait_until(happened: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Return once `happened()` is true; fail when it is not within `deadline_s` seconds."""
    end = time.monotonic() + deadline_s
    while not happened():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        time.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
