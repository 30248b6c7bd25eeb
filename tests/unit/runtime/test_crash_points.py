"""Crash points kill the process where a test asked for it, and are nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PASSES = """
from shared.runtime.crash import crash_here
for number in (1, 2, 3):
    crash_here("state.after_commit")
    crash_here("state.between_publishes")
    print(number, flush=True)
"""


@pytest.mark.parametrize(
    ("wanted", "printed", "code"),
    [
        ("", "123", 0),
        ("state.after_commit", "", -signal.SIGKILL),
        ("state.after_commit:1", "", -signal.SIGKILL),
        ("state.between_publishes:3", "12", -signal.SIGKILL),
        ("state.after_commit:4", "123", 0),
        ("elsewhere", "123", 0),
    ],
)
def test_the_process_dies_at_the_wanted_pass_of_the_wanted_point(wanted: str, printed: str, code: int) -> None:
    environment = {**os.environ, "EV2_CRASH_AT": wanted}
    done = subprocess.run([sys.executable, "-c", PASSES], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.stdout.replace("\n", ""), done.returncode) == (printed, code)
