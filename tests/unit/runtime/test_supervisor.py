"""The supervisor keeps its children running, gives up with a reason, and takes them with it when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.runtime import supervisor as module
from shared.runtime.supervisor import AlreadyRunning, ChildGaveUp, ChildSpec, HomeLock, Supervisor
from tests.unit.runtime.child import ME
from tests.unit.runtime.waiting import is_running, wait_until

ROOT = Path(__file__).parents[3]
ENVIRONMENT = {"PYTHONPATH": str(ROOT)}
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")


@contextmanager
def supervised(folder: Path, *what: str, vital: bool = True) -> Iterator[Supervisor]:
    """One started child."""
    made = Supervisor([ChildSpec(name="child-1", module=ME, arguments=what, vital=vital)], ENVIRONMENT, folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def tend_until_given_up(supervisor: Supervisor) -> str:
    """The reason, once the supervisor gives up."""
    reasons: list[str] = []

    def gave_up() -> bool:
        try:
            supervisor.tend()
        except ChildGaveUp as fault:
            reasons.append(str(fault))
        return bool(reasons)

    wait_until(gave_up, deadline_s=20)
    return reasons[0]


def test_a_killed_child_is_started_again_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path, "waits") as supervisor:
        first = supervisor.pids()["child-1"]
        os.kill(first, signal.SIGKILL)

        def is_back() -> bool:
            supervisor.tend()
            return supervisor.pids().get("child-1", first) != first

        wait_until(is_back, deadline_s=2)
        assert supervisor.restarts() == 1


def test_a_child_that_says_it_was_badly_started_stops_everything_with_its_last_line(tmp_path: Path) -> None:
    with supervised(tmp_path, "ends", "2") as supervisor:
        assert tend_until_given_up(supervisor) == "child-1 cannot start: the reason for 2"
        assert supervisor.restarts() == 0


def test_a_child_that_ends_five_times_in_a_minute_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.01)
    with supervised(tmp_path, "ends", "3") as supervisor:
        reason = tend_until_given_up(supervisor)
        assert reason == "child-1 ended 5 times within 60 s (last code 3): the reason for 3"


def test_a_child_that_is_not_vital_is_started_for_ever_and_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.01)
    with supervised(tmp_path, "ends", "3", vital=False) as supervisor:

        def was_started_often() -> bool:
            supervisor.tend()
            return supervisor.restarts() > 2 * module.GIVE_UP_AFTER

        wait_until(was_started_often, deadline_s=20)


def test_the_pause_before_a_restart_doubles(tmp_path: Path) -> None:
    with supervised(tmp_path, "ends", "3") as supervisor:
        began = time.monotonic()

        def twice() -> bool:
            supervisor.tend()
            return supervisor.restarts() == 2

        wait_until(twice)
        assert time.monotonic() - began >= 1.0  # the first is started again at once, the second after a pause


def test_a_deaf_child_is_killed_in_time(tmp_path: Path) -> None:
    with supervised(tmp_path, "is-deaf") as supervisor:
        pid = supervisor.pids()["child-1"]
        wait_until(lambda: "deaf" in (tmp_path / "logs" / "child-1.log").read_text())
        began = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - began < 2.0
        assert not is_running(pid)


@on_linux
def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", ME, "supervises", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    assert parent.stdout is not None
    with parent, parent.stdout as told:
        pids = [int(pid) for pid in told.readline().split()]
        assert [is_running(pid) for pid in pids] == [True, True]
        parent.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids), deadline_s=2)


def test_a_home_has_one_supervisor_and_the_second_is_told_who_it_is(tmp_path: Path) -> None:
    first = HomeLock(tmp_path / "data")
    with pytest.raises(AlreadyRunning, match=f"already in use by process {os.getpid()}; stop it first"):
        HomeLock(tmp_path / "data")
    first.release()
    HomeLock(tmp_path / "data").release()


def test_a_home_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(AlreadyRunning, match=r"cannot be written .*; choose another --home"):
        HomeLock(tmp_path / "data")
