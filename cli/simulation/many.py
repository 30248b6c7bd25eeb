"""Several seeds at once, each in a process of its own."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Final

from cli.simulation import trial
from cli.simulation.trial import Outcome

AHEAD: Final = 2
"""Seeds handed out for each process: none waits for the one whose turn it is to be told."""


def outcomes(seeds: Sequence[int], play: Callable[[int], Outcome], jobs: int) -> Iterator[Outcome]:
    """What came of each seed, in their order. jobs: processes; 1: this one. play: to be sent to another process."""
    if jobs == 1:
        trial.prepare()
        yield from map(play, seeds)
        return
    left = iter(seeds)
    with ProcessPoolExecutor(jobs, get_context("spawn"), _begin) as pool:
        under_way: deque[Future[Outcome]] = deque()
        try:
            under_way.extend(pool.submit(play, seed) for seed in islice(left, AHEAD * jobs))
            while under_way:
                yield under_way.popleft().result()
                under_way.extend(pool.submit(play, seed) for seed in islice(left, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Ctrl-C is the first process's to hear: it ends the others after the seed in hand."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trial.prepare()
