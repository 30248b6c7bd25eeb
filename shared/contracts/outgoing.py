"""What a service may send out besides messages. Data only: shared/runtime turns it into Redis commands."""

from __future__ import annotations

from msgspec import Struct

from shared.contracts.message import Message


class Latest(Struct, frozen=True, kw_only=True):
    """The latest view, for `HGETALL`. key: without the prefix, `position:AAPL`. fields empty: the key is removed."""

    key: str
    fields: dict[str, str]


class Reply(Struct, frozen=True, kw_only=True):
    """An answer that stands under the request's id until it expires, so that it can be asked for again."""

    request: str
    body: str  # JSON
    ttl_s: int = 60


class Job(Struct, frozen=True, kw_only=True):
    """A wake-up: work these actions. queue: of executors, a `Queue`. id holds the attempt, so it never runs twice."""

    id: str
    queue: str
    actions: tuple[str, ...]
    attempts: tuple[int, ...]


Outgoing = Message | Latest | Reply | Job
