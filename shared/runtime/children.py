"""Child processes that end with their parent, even when it is killed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent ends. To be called in the child, before exec.

    The signal comes when the *thread* that started the child ends, so children are started from the main thread.
    Linux only: elsewhere the supervisor's own end must be an orderly one.
    """
    if _LIBC is None:
        return
    parent = os.getppid()
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it died in between: the signal was never sent
        os._exit(1)
