"""A child process for the supervisor's tests: `python -m tests.unit.runtime.child WHAT [CODE]`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from shared.runtime.supervisor import ChildSpec, Supervisor

ME = "tests.unit.runtime.child"


def main() -> None:
    what, *rest = sys.argv[1:]
    match what:
        case "waits":
            signal.pause()
        case "is-deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            say("deaf")
            while True:
                signal.pause()
        case "ends":
            say(f"the reason for {rest[0]}")
            sys.exit(int(rest[0]))
        case "supervises":
            specs = [ChildSpec(name=f"waits-{n}", module=ME, arguments=("waits",)) for n in (1, 2)]
            supervisor = Supervisor(specs, {}, Path(rest[0]))
            supervisor.start()
            say(" ".join(str(pid) for pid in supervisor.pids().values()))
            signal.pause()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
