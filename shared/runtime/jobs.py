"""Wake-ups for executors, over RQ.

A job carries a wake-up and nothing else: ids of actions and the attempt each is in. Who may act is asked of the
ledger when it is worked, what came of it is told by stream. So none of RQ's promises is relied on: its status,
registries, retries, uniqueness, callbacks and results are neither written nor read here, and a job is taken off the
server before it is worked. One that is lost costs delay, one that comes twice meets a refused claim.

That also closes what a stock worker leaves open to anyone who can write to the server: it imports any function name
(`os.system` is one), runs callbacks, posts to webhooks, re-queues and obeys commands sent by pub/sub. Here a job is
rebuilt from one of its fields, bounded in size, JSON only, and the one function it may name is never imported.

    Refused    a job that is not a wake-up of ours; its text is the reason for the dead letter
"""

from __future__ import annotations

import json
import logging
import re
import time
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import redis
from msgspec import Struct
from redis import Redis
from rq import Queue, SimpleWorker
from rq.exceptions import DequeueTimeout, NoSuchJobError
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException

from shared.contracts.outgoing import Job

WORK: Final = "work_actions"
ALLOWED: Final = frozenset({WORK})
MAX_ACTIONS: Final = 10
MAX_ID_LENGTH: Final = 100
MAX_ATTEMPT: Final = 10_000
MAX_DATA_BYTES: Final = 4_096
KEPT_S: Final = 3_600
"""Seconds for which a wake-up that nobody takes stays on the server."""
JOB_TIMEOUT_S: Final = 900
"""Above the sum of all time-outs of ten actions: RQ's alarm fires anywhere, also between a request and its reply."""
BLOCK_S: Final = 0.25
"""Longest wait for a wake-up, so that SIGTERM is honoured within a second. A wake-up itself ends the wait at once."""
GIVE_UP_S: Final = 60.0
_PAUSE_S: Final = 0.2
_NOT_IN_A_JOB_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
_RAW_SHOWN: Final = 400

Perform = Callable[[list[str], list[int]], None]
Refuse = Callable[[str, str, str], None]


class Refused(ValueError):
    """Not a wake-up of ours; nothing of it was imported or run."""


def enqueue(client: Redis, prefix: str, job: Job) -> None:
    """Put a wake-up on its queue. Raises redis' errors: then it was or was not put there; put it there again.

    The server's id of the job is `job.id` with characters RQ does not take (the dot of BRK.B) as `_`.
    """
    assert 0 < len(job.actions) <= MAX_ACTIONS, job
    assert len(job.actions) == len(job.attempts), job
    queue = _queue_class(prefix)(job.queue, connection=client, serializer=JSONSerializer)
    pipe = client.pipeline()
    queue.enqueue_call(
        WORK,
        args=(list(job.actions), list(job.attempts)),
        job_id=_NOT_IN_A_JOB_ID.sub("_", job.id),
        timeout=JOB_TIMEOUT_S,
        ttl=KEPT_S,
        result_ttl=0,
        failure_ttl=0,
        description=job.id,
        pipeline=pipe,
    )
    pipe.execute()


class Hands(Struct, frozen=True, kw_only=True):
    """What a worker calls.

    perform: given action ids and their attempts; if it raises, the rest of its job is lost, as by a crash, and told to
    `refuse`. refuse: given job id, reason and what the job held, cut; must not raise. stop: whether to end. beat:
    called before each wait, several times a second while idle.
    """

    perform: Perform
    refuse: Refuse
    stop: Callable[[], bool]
    beat: Callable[[], None] = lambda: None


def work(client: Redis, prefix: str, queue: str, hands: Hands) -> bool:
    """Work wake-ups of one queue in this process until `hands.stop` says so. Main thread, no fork, no scheduler.

    A server that goes away is waited for, up to a minute. Returns True when asked to stop, False when the server did
    not come back: the process should end with an exit code of its own and be started again.
    """
    down_since: float | None = None
    while not hands.stop():
        try:
            client.ping()
            down_since = None
            _Worker.on(client, prefix, queue, hands).take_until_stopped()
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            now = time.monotonic()
            down_since = now if down_since is None else down_since
            if now - down_since > GIVE_UP_S:
                return False
            time.sleep(_PAUSE_S)
    return True


class _WakeUp(RqJob):
    """A job rebuilt from its field `data` alone, whatever else its hash holds."""

    refusal: str = ""
    raw: str = ""
    perform_actions: Perform | None = None

    def refresh(self) -> None:
        """Read `data`, after its length. Never raises for what a job holds: that would end the worker, and protection.

        Raises NoSuchJobError where there is no such job, and redis' errors.
        """
        self.timeout = JOB_TIMEOUT_S
        try:
            size = int(self.connection.hstrlen(self.key, "data"))
            if size == 0:
                raise NoSuchJobError(self.key)
            if size > MAX_DATA_BYTES:
                raise Refused(f"data of {size} bytes; at most {MAX_DATA_BYTES} are allowed")
            held = bytes(self.connection.hget(self.key, "data") or b"")  # type: ignore[arg-type]
            self.raw = repr(held[:_RAW_SHOWN])
            self.data = _unpacked(held)
            self._check()
        except redis.ResponseError as fault:
            self.refusal = f"not a job: {fault}"
        except Refused as fault:
            self.refusal = str(fault)

    @property
    def func(self) -> Perform:
        """The one function a job may name. Raises Refused; nothing is ever imported by name."""
        if self.refusal:
            raise Refused(self.refusal)
        if self.func_name not in ALLOWED or self.perform_actions is None:
            raise Refused(f"function {str(self.func_name)[:80]!r} is not one of {sorted(ALLOWED)}")
        return self.perform_actions

    def _check(self) -> None:
        try:
            fields = json.loads(self.data)
        except (ValueError, RecursionError) as fault:
            raise Refused(f"data is not JSON: {type(fault).__name__}") from None
        match fields:
            case [str() as name, None, [list() as actions, list() as attempts], dict() as named] if not named:
                if name not in ALLOWED:
                    raise Refused(f"function {name[:80]!r} is not one of {sorted(ALLOWED)}")
                check_arguments(actions, attempts)
                self._func_name, self._instance, self._args, self._kwargs = name, None, (actions, attempts), {}
            case _:
                raise Refused("data is not [function, no instance, [actions, attempts], no named arguments]")


def check_arguments(actions: list[Any], attempts: list[Any]) -> None:
    """Raises Refused unless these are 1 to 10 printable ids and as many attempts, from 1."""
    if not 0 < len(actions) <= MAX_ACTIONS:
        raise Refused(f"{len(actions)} actions; 1 to {MAX_ACTIONS} are allowed")
    if len(actions) != len(attempts):
        raise Refused(f"{len(actions)} actions but {len(attempts)} attempts")
    for action in actions:
        if not (isinstance(action, str) and 0 < len(action) <= MAX_ID_LENGTH and action.isascii()):
            raise Refused(f"action {str(action)[:80]!r} is not a short ASCII id")
        if not all(33 <= ord(character) <= 126 for character in action):
            raise Refused(f"action {action!r} holds blanks or control characters")
    for attempt in attempts:
        if type(attempt) is not int or not 0 < attempt <= MAX_ATTEMPT:
            raise Refused(f"attempt {str(attempt)[:80]!r} is not a number from 1 to {MAX_ATTEMPT}")


def _unpacked(held: bytes) -> bytes:
    """RQ's zlib-packed data, bounded also when unpacked. Raises Refused."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(held, MAX_DATA_BYTES)
    except zlib.error:
        return held
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise Refused(f"data of more than {MAX_DATA_BYTES} bytes unpacked, or cut off")
    return data


class _Worker(SimpleWorker):
    """RQ's own worker without its bookkeeping (71 commands a job), and without its ears for other people's commands."""

    @classmethod
    def on(cls, client: Redis, prefix: str, queue: str, hands: Hands) -> _Worker:
        worker = cls(
            [_queue_class(prefix)(queue, connection=client, serializer=JSONSerializer)],
            connection=client,
            job_class=_job_class(prefix),
            queue_class=_queue_class(prefix),
            serializer=JSONSerializer,
            prepare_for_work=False,
        )
        worker.log = logging.getLogger("ev2.wakeups")
        worker._hands = hands
        return worker

    _hands: Hands

    @property
    def dequeue_timeout(self) -> float:  # type: ignore[override]
        return BLOCK_S

    @property
    def connection_timeout(self) -> float:  # type: ignore[override]
        return BLOCK_S + 3

    def take_until_stopped(self) -> None:
        """Take and work one job after the other. Raises redis' errors."""
        while not self._hands.stop():
            self._hands.beat()
            try:
                taken = self.queue_class.dequeue_any(
                    self.queues,
                    BLOCK_S,  # type: ignore[arg-type]  # BLMOVE takes fractions of a second
                    self.connection,
                    job_class=self.job_class,
                    serializer=JSONSerializer,
                )
            except DequeueTimeout:
                continue
            except (TypeError, ValueError):
                # An id that RQ itself refuses: it stays in the intermediate list, which is cut below.
                self._forget("")
                self._hands.refuse("", "job id with characters that RQ does not take", "")
                continue
            if taken is not None:
                self.execute_job(*taken)

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        """Take the job off the server, then work it: a crash in between loses a wake-up, which state sends again."""
        assert isinstance(job, _WakeUp)
        self._forget(job.id)
        job.perform_actions = self._hands.perform
        try:
            function = job.func
            with self.death_penalty_class(JOB_TIMEOUT_S, JobTimeoutException, job_id=job.id):
                function(*job.args)
        except Refused as fault:
            self._hands.refuse(job.id, str(fault), job.raw)
        except Exception as fault:  # noqa: BLE001  # the loop's one: this job goes to `dead`, the next is worked
            self._hands.refuse(job.id, f"{type(fault).__name__}: {fault}", job.raw)

    def _forget(self, job_id: str) -> None:
        """Remove what RQ keeps of a taken job. The list of jobs under way is cut: killed workers leave ids in it."""
        queue = self.queues[0]
        pipe = self.connection.pipeline(transaction=False)
        pipe.lrem(queue.intermediate_queue_key, 1, job_id)
        pipe.ltrim(queue.intermediate_queue_key, 0, 99)
        if job_id:
            pipe.delete(self.job_class.key_for(job_id))
        pipe.execute()


@lru_cache(maxsize=8)
def _job_class(prefix: str) -> type[_WakeUp]:
    return type("WakeUp", (_WakeUp,), {"redis_job_namespace_prefix": f"{prefix}rq:job:"})


@lru_cache(maxsize=8)
def _queue_class(prefix: str) -> type[Queue]:
    """RQ's queue under the engine's own prefix, so that one installation's permissions cover its own keys only."""
    names = {
        "redis_queue_namespace_prefix": f"{prefix}rq:queue:",
        "redis_queues_keys": f"{prefix}rq:queues",
        "job_class": _job_class(prefix),
    }
    return type("WakeUpQueue", (Queue,), names)
