"""Wake-ups over RQ on a real server: what ours carry, and what a hostile one cannot do."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Repeat, Retry
from rq import Queue as RqQueue

from shared.contracts.outgoing import Job
from shared.contracts.vocabulary import Queue
from shared.runtime import jobs
from shared.runtime.bus import Bus, connect_redis
from tests.integration.executor_room import DEADLINE_S, PROMPTLY_S

PREFIX = "ev2:"


class Seen:
    """What a worker was given, until it was given enough."""

    def __init__(self, enough: int) -> None:
        self.performed: list[tuple[list[str], list[int]]] = []
        self.refused: list[tuple[str, str, str]] = []
        self._enough = enough
        self._end = time.monotonic() + DEADLINE_S

    def hands(self, perform: jobs.Perform | None = None) -> jobs.Hands:
        def note(actions: list[str], attempts: list[int]) -> None:
            self.performed.append((actions, attempts))
            if perform is not None:
                perform(actions, attempts)

        def refuse(job_id: str, reason: str, raw: str) -> None:
            self.refused.append((job_id, reason, raw))

        return jobs.Hands(perform=note, refuse=refuse, stop=self._stop)

    def _stop(self) -> bool:
        return len(self.performed) + len(self.refused) >= self._enough or time.monotonic() > self._end


def wake_up(number: int, *actions: str) -> Job:
    return Job(id=f"job-{number}", queue=Queue.PROTECT, actions=actions, attempts=tuple(1 for _ in actions))


def push(client: Redis, job_id: str, data: bytes, **fields: bytes | str) -> None:
    """Put a job of any kind on the queue, as somebody with access to the server could."""
    stamp = datetime.now(UTC).isoformat()
    hash_of_it: dict[Any, Any] = {"data": data, "created_at": stamp, "origin": "protect", "status": "queued"} | fields
    client.hset(f"{PREFIX}rq:job:{job_id}", mapping=hash_of_it)
    client.rpush(f"{PREFIX}rq:queue:protect", job_id)


def packed(*call: object) -> bytes:
    return zlib.compress(json.dumps(call).encode())


def test_a_wake_up_brings_its_actions_in_order_and_leaves_nothing_behind(bus: Bus) -> None:
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "e7f3-260109-BRK.B-entry-1", "e7f3-260109-AAPL-entry-1"))
    jobs.enqueue(bus.client, PREFIX, wake_up(2, "cancel-1"))
    seen = Seen(2)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [
        (["e7f3-260109-BRK.B-entry-1", "e7f3-260109-AAPL-entry-1"], [1, 1]),
        (["cancel-1"], [1]),
    ]
    left = set(bus.client.keys("*")) - {b"ev2:epoch", b"ev2:opened"}
    assert left == {b"ev2:rq:queues"}


def test_the_same_wake_up_sent_again_before_it_was_taken_is_worked_once(bus: Bus) -> None:
    for _ in range(2):
        jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    jobs.enqueue(bus.client, PREFIX, wake_up(2, "b"))
    seen = Seen(2)
    jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert [actions for actions, _ in seen.performed] == [["a"], ["b"]]


def test_a_worker_takes_only_from_its_own_queue(bus: Bus) -> None:
    jobs.enqueue(bus.client, PREFIX, Job(id="other", queue=Queue.ENTRY, actions=("a",), attempts=(1,)))
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "b"))
    seen = Seen(1)
    jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert [actions for actions, _ in seen.performed] == [["b"]]
    assert bus.client.llen(f"{PREFIX}rq:queue:entry") == 1


class Bomb:
    """Unpickling this would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, ...]]:
        return os.system, (f"touch {self.path}",)


def hostile(path: Path) -> dict[str, tuple[bytes, dict[str, str]]]:
    """Jobs that must not run; each would make the file at `path` if it did."""
    command = f"touch {path}"
    good = packed(jobs.WORK, None, [["a"], [1]], {})
    return {
        "a pickle": (zlib.compress(pickle.dumps(Bomb(path))), {}),
        "a pickle that is not packed": (pickle.dumps(Bomb(path)), {}),
        "os.system": (packed("os.system", None, [command], {}), {}),
        "os.system with our arguments": (packed("os.system", None, [["a"], [1]], {}), {}),
        "a function of ours, by its full name": (packed("shared.runtime.jobs.enqueue", None, [["a"], [1]], {}), {}),
        "a method of an instance": (packed("__class__", "os", [["a"], [1]], {}), {}),
        "named arguments": (packed(jobs.WORK, None, [["a"], [1]], {"stop": True}), {}),
        "eleven actions": (packed(jobs.WORK, None, [["a"] * 11, [1] * 11], {}), {}),
        "no action": (packed(jobs.WORK, None, [[], []], {}), {}),
        "one attempt too few": (packed(jobs.WORK, None, [["a", "b"], [1]], {}), {}),
        "an attempt that is true": (packed(jobs.WORK, None, [["a"], [True]], {}), {}),
        "an attempt below one": (packed(jobs.WORK, None, [["a"], [0]], {}), {}),
        "an id with a line break": (packed(jobs.WORK, None, [["a\nb"], [1]], {}), {}),
        "an id of 1,000 characters": (packed(jobs.WORK, None, [["a" * 1000], [1]], {}), {}),
        "an id that is a list": (packed(jobs.WORK, None, [[["a"]], [1]], {}), {}),
        "too large": (json.dumps([jobs.WORK, None, [["a"], [1]], {}, "x" * 5000]).encode(), {}),
        "too large when unpacked": (zlib.compress(b"[" + b" " * 1_000_000 + b"]"), {}),
        "too deep": (b"[" * 4000, {}),
        "not UTF-8": (b"\xff\xfe\x00", {}),
        "cut off": (good[:-4], {}),
        "a string": (packed("work"), {}),
    }


@pytest.mark.parametrize("name", hostile(Path("x")))
def test_a_hostile_job_is_refused_and_the_next_one_is_worked(bus: Bus, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "done"
    data, fields = hostile(mark)[name]
    push(bus.client, "hostile", data, **fields)
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    seen = Seen(2)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert [job_id for job_id, _, _ in seen.refused] == ["hostile"]
    assert seen.refused[0][1]
    assert seen.performed == [(["a"], [1])]
    assert not mark.exists()
    assert not bus.client.exists(f"{PREFIX}rq:job:hostile")


def test_what_else_a_job_holds_is_never_read(bus: Bus, tmp_path: Path) -> None:
    """Callbacks, webhooks, repeats, dependents, retries and time-outs of a job are a stock worker's to follow."""
    mark = tmp_path / "done"
    push(
        bus.client,
        "mixed",
        packed(jobs.WORK, None, [["a"], [1]], {}),
        success_callback_name="os.system",
        failure_callback_name="os.system",
        stopped_callback_name="os.system",
        webhooks=json.dumps([{"url": "http://127.0.0.1:1/", "job_status": "finished", "method": "GET", "timeout": 1}]),
        repeats_left="5",
        repeat_intervals="[0]",
        retries_left="5",
        timeout="1",
        meta=pickle.dumps(Bomb(mark)),
        result=pickle.dumps(Bomb(mark)),
    )
    bus.client.sadd(f"{PREFIX}rq:job:mixed:dependents", "other")
    seen = Seen(1)
    jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [(["a"], [1])]
    assert seen.refused == []
    assert not mark.exists()
    assert bus.client.llen(f"{PREFIX}rq:queue:protect") == 0


def rq_job(mark: Path, client: Redis, **options: Any) -> None:
    """A job as RQ's own client would put it there, whoever held the right to write: pickled, with all it offers."""
    queue = RqQueue("protect", connection=client)
    call = {"f": os.system, "args": (f"touch {mark}",), **options}
    job = queue.create_job(call.pop("f"), args=call.pop("args"), **call)
    fields: dict[Any, Any] = job.to_dict()
    client.hset(f"{PREFIX}rq:job:{job.id}", mapping=fields)
    client.rpush(f"{PREFIX}rq:queue:protect", job.id)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"on_success": Callback(os.system), "on_failure": Callback(os.system), "on_stopped": Callback(os.system)},
        {"retry": Retry(max=5, interval=0)},
        {"repeat": Repeat(times=5, interval=0)},
        {"result_ttl": -1, "failure_ttl": -1, "ttl": 1_000_000, "timeout": -1},
        {"depends_on": ["other", "another"]},
        {"meta": {"x": "y" * 100_000}, "description": "x" * 100_000},
        {"args": (["[" * 2_000],)},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
def test_a_job_of_rqs_own_client_runs_nothing_and_is_put_aside(
    bus: Bus, tmp_path: Path, options: dict[str, Any]
) -> None:
    mark = tmp_path / "done"
    rq_job(mark, bus.client, **options)
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    seen = Seen(2)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert len(seen.refused) == 1
    assert seen.performed == [(["a"], [1])]
    assert not mark.exists()
    assert set(bus.client.keys("*")) <= {b"ev2:epoch", b"ev2:opened", b"ev2:rq:queues"}


def test_a_class_of_somebody_elses_is_no_class_of_ours(bus: Bus, tmp_path: Path) -> None:
    """RQ lets a queue and a worker name their job class; ours is not read from the server."""
    mark = tmp_path / "done"
    good = packed(jobs.WORK, None, [["a"], [1]], {})
    push(bus.client, "foreign", good, job_class="os.system", serializer="pickle", func_name=f"touch {mark}")
    seen = Seen(1)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [(["a"], [1])]
    assert not mark.exists()


@pytest.mark.parametrize("job_id", [b"with blank", b"\xff\xfe", b"../../x", b""])
def test_a_job_id_that_rq_does_not_take_is_refused(bus: Bus, job_id: bytes) -> None:
    bus.client.rpush(f"{PREFIX}rq:queue:protect", job_id)
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    seen = Seen(1) if job_id == b"" else Seen(2)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [(["a"], [1])]


def test_an_id_without_a_job_and_a_key_of_another_kind_stop_nothing(bus: Bus) -> None:
    bus.client.rpush(f"{PREFIX}rq:queue:protect", "nobody", "text")
    bus.client.set(f"{PREFIX}rq:job:text", "not a hash")
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    seen = Seen(2)
    assert jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [(["a"], [1])]
    assert [job_id for job_id, _, _ in seen.refused] == ["text"]


def test_neither_suspending_nor_commanding_workers_stops_ours(bus: Bus) -> None:
    bus.client.set("rq:suspended", 1)
    bus.client.set(f"{PREFIX}rq:suspended", 1)
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    seen = Seen(1)
    jobs.work(bus.client, PREFIX, "protect", seen.hands())
    assert seen.performed == [(["a"], [1])]
    assert bus.client.pubsub_channels() == []


def test_a_job_whose_work_fails_is_told_and_the_next_one_is_worked(bus: Bus) -> None:
    def fail_at_a(actions: list[str], attempts: list[int]) -> None:
        if actions == ["a"]:
            raise AssertionError("books do not balance")

    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    jobs.enqueue(bus.client, PREFIX, wake_up(2, "b"))
    seen = Seen(3)
    jobs.work(bus.client, PREFIX, "protect", seen.hands(fail_at_a))
    assert [actions for actions, _ in seen.performed] == [["a"], ["b"]]
    assert [reason for _, reason, _ in seen.refused] == ["AssertionError: books do not balance"]


def test_ids_left_by_killed_workers_are_bounded(bus: Bus) -> None:
    queue = f"{PREFIX}rq:queue:protect"
    bus.client.rpush(f"{queue}:intermediate", *[f"left-{number}" for number in range(300)])
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
    jobs.work(bus.client, PREFIX, "protect", Seen(1).hands())
    assert bus.client.llen(f"{queue}:intermediate") <= 100


def test_a_server_that_loses_all_connections_is_found_again(bus: Bus, server_url: str) -> None:
    worker = connect_redis(server_url)
    jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))

    def cut(actions: list[str], attempts: list[int]) -> None:
        if actions == ["a"]:
            bus.client.client_kill_filter(_type="normal", skipme=True)
            jobs.enqueue(bus.client, PREFIX, wake_up(2, "b"))

    seen = Seen(2)
    assert jobs.work(worker, PREFIX, "protect", seen.hands(cut))
    assert [actions for actions, _ in seen.performed] == [["a"], ["b"]]


def test_a_server_that_does_not_come_back_ends_the_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(jobs, "GIVE_UP_S", 0.3)
    nobody = connect_redis(f"unix://{tmp_path}/none.sock")
    assert jobs.work(nobody, PREFIX, "protect", Seen(1).hands()) is False


IDLE_WORKER = """
import sys
from shared.runtime import jobs
from shared.runtime.bus import connect_redis
from shared.runtime.loop import Stop

stop = Stop().on_signals()
print("ready", flush=True)
hands = jobs.Hands(perform=lambda a, b: print(a, flush=True), refuse=print, stop=lambda: stop.asked)
sys.exit(0 if jobs.work(connect_redis(sys.argv[1]), "ev2:", "protect", hands) else 1)
"""


def test_an_idle_worker_takes_a_wake_up_at_once_and_ends_promptly_at_sigterm(bus: Bus, server_url: str) -> None:
    command = [sys.executable, "-c", IDLE_WORKER, server_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        watchdog = threading.Timer(DEADLINE_S, child.kill)
        watchdog.start()
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        jobs.enqueue(bus.client, PREFIX, wake_up(1, "a"))
        assert child.stdout.readline() == "['a']\n"
        asked = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 0
        assert time.monotonic() - asked < PROMPTLY_S
        watchdog.cancel()
