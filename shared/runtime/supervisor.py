"""Starts the processes of one installation and keeps them running: what `up`, `run` and `demo` use.

A child that ends is started again, at once the first time, then after a pause that doubles up to ten seconds; one that
ends five times within a minute is given up and everything stops with the reason. All children end with this process,
also when it is killed (shared/runtime/children.py).
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from shared.runtime.children import die_with_parent

FIRST_PAUSE_S: Final = 0.0
LONGEST_PAUSE_S: Final = 10.0
GIVE_UP_AFTER: Final = 5
WITHIN_S: Final = 60.0
END_TIMEOUT_S: Final = 1.5
BAD_START: Final = 2
"""Exit code of a child whose settings, files or ports are wrong: starting it again would not help."""


class AlreadyRunning(Exception):
    """Another supervisor works in this home, or nobody can; the text is one line."""


class ChildGaveUp(Exception):
    """A child cannot be kept running; the text is one line with the last line of its log."""


class ChildSpec(Struct, frozen=True, kw_only=True):
    """name: unique, such as `signals-1`. module: run with `python -m`. arguments: after it.

    environment: names and values of its own, on top of what all children get. vital: trading needs it; one that is
    not is started again for ever, and never ends the others.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    vital: bool = True


class _Child:
    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.process: subprocess.Popen[bytes] | None = None
        self.ends: deque[float] = deque(maxlen=GIVE_UP_AFTER)
        self.start_at = 0.0
        self.starts = 0


class HomeLock:
    """One supervisor a home: a lock file held for life, never unlinked."""

    def __init__(self, data_folder: Path) -> None:
        try:
            data_folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[str] = open(data_folder / "up.lock", "a+")  # noqa: SIM115 - held for life
        except OSError as fault:
            raise _unwritable(data_folder, fault) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "another process"
            self._file.close()
            raise AlreadyRunning(f"{data_folder.parent}: already in use by process {holder}; stop it first") from None
        try:
            # Past the buffer of the file, which would try again when it is closed.
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), str(os.getpid()).encode())
        except OSError as fault:
            self._file.close()
            raise _unwritable(data_folder, fault) from None

    def release(self) -> None:
        """Let another one have the home."""
        self._file.close()


def _unwritable(folder: Path, fault: OSError) -> AlreadyRunning:
    return AlreadyRunning(f"{folder}: cannot be written ({fault.strerror}); choose another --home")


class Supervisor:
    """environment: added to this process's own, for every child. Logs go to `logs/NAME.log` in the data folder."""

    def __init__(self, specs: Sequence[ChildSpec], environment: Mapping[str, str], data_folder: Path) -> None:
        self._children = [_Child(spec) for spec in specs]
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._logs = data_folder / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start every child. Call it, and `tend`, from the main thread."""
        for child in self._children:
            self._start(child)

    def tend(self) -> None:
        """Start again what has ended. Raises ChildGaveUp."""
        now = time.monotonic()
        for child in self._children:
            if child.process is None:
                if now >= child.start_at:
                    self._start(child)
            elif child.process.poll() is not None:
                self._ended(child, now)

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to those that do not end in time."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.send_signal(signal.SIGCONT)
        end = time.monotonic() + END_TIMEOUT_S
        for process in running:
            try:
                process.wait(timeout=max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def pids(self) -> dict[str, int]:
        """Name → process id, of those that run."""
        return {
            child.spec.name: child.process.pid
            for child in self._children
            if child.process is not None and child.process.poll() is None
        }

    def restarts(self) -> int:
        """How many children were started again."""
        return sum(max(0, child.starts - 1) for child in self._children)

    def _start(self, child: _Child) -> None:
        spec = child.spec
        child.starts += 1
        with open(self._logs / f"{spec.name}.log", "ab") as log:
            child.process = subprocess.Popen(
                [sys.executable, "-m", spec.module, *spec.arguments],
                env={**self._environment, **dict(spec.environment), "EV2_INSTANCE": spec.name.rpartition("-")[2]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the supervisor is single-threaded
                start_new_session=True,
            )

    def _ended(self, child: _Child, now: float) -> None:
        assert child.process is not None
        code = child.process.returncode
        child.process = None
        child.ends.append(now)
        if code == BAD_START:
            raise ChildGaveUp(f"{child.spec.name} cannot start: {self._last_line(child)}")
        recent = [end for end in child.ends if now - end < WITHIN_S]
        if len(recent) >= GIVE_UP_AFTER and child.spec.vital:
            raise ChildGaveUp(
                f"{child.spec.name} ended {len(recent)} times within {WITHIN_S:.0f} s "
                f"(last code {code}): {self._last_line(child)}"
            )
        pause = FIRST_PAUSE_S if len(recent) <= 1 else min(LONGEST_PAUSE_S, 0.25 * 2 ** len(recent))
        child.start_at = now + pause

    def _last_line(self, child: _Child) -> str:
        log = self._logs / f"{child.spec.name}.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return lines[-1][:300] if lines else f"see {log}"
