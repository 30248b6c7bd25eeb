"""The bus: streams, latest views and askable replies on one Redis-compatible server.

Readers use plain XREAD from positions of their own. Writes are never repeated silently (redis-py's default is ten
silent retries, which doubles entries): a failed write raises `BusDown`, and whoever holds the outbox sends it again.

    BusDown    the server does not answer; try again
    BusRefuses a BusDown: it answers, and does not take the user and password
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import redis
from msgspec import Struct
from pydantic import SecretStr
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.credentials import CredentialProvider
from redis.retry import Retry

from shared.contracts import streams, wire
from shared.contracts.message import Message
from shared.contracts.outgoing import Job, Latest, Outgoing, Reply
from shared.runtime.crash import crash_here, is_aimed_at
from shared.runtime.settings import BusSettings

BLOCK_MS_MAX: Final = 2_000
SOCKET_TIMEOUT_S: Final = 6.0
RAW_BYTES: Final = 4_000
RAW_FIELDS: Final = 20


class BusDown(Exception):
    """The server does not answer, or lost the connection; what was asked may or may not have been done."""


class BusRefuses(BusDown):
    """The server answers, but lets this user and password do nothing."""


class Entry(Struct, frozen=True):
    """One stream entry as read. stream: without the prefix; empty for a message of this process's own.

    message: what it says, or None where it cannot be read, with the reason in `fault`. stale: written in another life
    of the bus, on a stream where that counts (`Stream.of_one_life`).
    """

    stream: str
    entry_id: str
    message: Message | None
    fault: str = ""
    raw: str = ""
    stale: bool = False


class Life(Struct, frozen=True):
    """What a bus must keep to be the same bus: the server's run id, and the epoch that state wrote on it.

    epoch 0: state has not opened this bus, or not since its server was started; it is not to be used.
    """

    run_id: str
    epoch: int


class Account(Struct, frozen=True):
    """How to sign in. password: asked at each connection, so that it may be changed; None: there is none."""

    user: str
    password: Callable[[], SecretStr | None]


class _SignIn(CredentialProvider):
    def __init__(self, account: Account) -> None:
        self._account = account

    def get_credentials(self) -> Any:
        password = self._account.password()
        return (self._account.user, password.get_secret_value()) if password is not None else ()


def connect_redis(url: str, timeout_s: float = SOCKET_TIMEOUT_S, account: Account | None = None) -> redis.Redis:
    """A client without silent retries. timeout_s: of one request. account: where `url` names no user or password.

    url: redis://, rediss:// or unix://. Raises BusDown for one that no server can have.
    """
    try:
        own: Mapping[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]
        named = "username" in own or "password" in own
        return redis.Redis.from_url(
            url,
            credential_provider=_SignIn(account) if account is not None and not named else None,
            driver_info=None,  # two requests less a connection, and two permissions
            socket_timeout=timeout_s,
            socket_connect_timeout=min(timeout_s, 3.0),
            retry=Retry(NoBackoff(), 0),
            retry_on_timeout=False,
            decode_responses=False,
        )
    except ValueError:
        # Never the fault's own text: it shows parts of the address, in which a password may stand.
        raise BusDown("bus.url is no address of a server; write redis://, rediss:// or unix://") from None


class Bus:
    """One process's connection. Not for use from several threads at once.

    epoch: the life of the bus in which this process works; 0: in none, it looks on.
    """

    def __init__(self, client: redis.Redis, settings: BusSettings, service: str) -> None:
        self.client = client
        self.prefix = settings.prefix
        self.partitions = settings.partitions
        self.service = service
        self.epoch = 0

    def key(self, name: str) -> str:
        """`name` as it stands on the server."""
        return f"{self.prefix}{name}"

    def life(self) -> Life:
        """The bus's present life. Raises BusDown."""
        with _Faults():
            pipe = self.client.pipeline(transaction=False)
            pipe.info("server")
            pipe.mget(self.key("epoch"), self.key("opened"))
            info, (epoch, opened) = pipe.execute()
        run_id = str(info["run_id"])
        return Life(run_id, int(epoch or 0) if opened is not None and _text(opened) == run_id else 0)

    def was_opened(self) -> bool:
        """Whether a state has ever used this server under this prefix. Raises BusDown."""
        with _Faults():
            return bool(self.client.exists(self.key("epoch")))

    def opened_as(self) -> str:
        """The run id of the server when a state opened it last; empty: none did. Raises BusDown."""
        with _Faults():
            return _text(self.client.get(self.key("opened")) or b"")

    def clear(self) -> None:
        """Drop what only counted in earlier lives. State alone does so, before it says everything again."""
        names = streams.names((one.name for one in streams.STREAMS if one.of_one_life), range(self.partitions))
        with _Faults():
            self.client.unlink(*(self.key(name) for name in names))

    def set_epoch(self, epoch: int) -> None:
        """Say that this bus is in use, in its `epoch`-th life by the ledger's count. State alone does so."""
        with _Faults():
            run_id = str(self.client.info("server")["run_id"])
            self.client.mset({self.key("epoch"): epoch, self.key("opened"): run_id})

    def read(self, positions: Mapping[str, str], block_ms: int, count: int = 500) -> list[Entry]:
        """New entries after `positions` (stream → entry id), in the order of the stream table; empty at time-out.

        block_ms: at most 2000; 0 returns at once. Raises BusDown.
        """
        assert block_ms <= BLOCK_MS_MAX
        if not positions:
            return []
        wanted: dict[Any, Any] = {self.key(stream): position for stream, position in positions.items()}
        with _Faults():
            found: Any = self.client.xread(wanted, count=count, block=block_ms or None)
        read = [
            self._entry(_text(key).removeprefix(self.prefix), entry_id, fields)
            for key, entries in _pairs(found)
            for entry_id, fields in entries
        ]
        read.sort(key=lambda entry: streams.ORDER[entry.stream.partition(":")[0]])  # stable: keeps each stream's order
        return read

    def read_up_to(self, stream: str, after: str, upto: str) -> list[Entry]:
        """All entries of `stream` after the entry id `after`, up to and with `upto`. Raises BusDown."""
        with _Faults():
            found: Any = self.client.xrange(self.key(stream), min=f"({after}" if after != "0" else "-", max=upto)
        return [self._entry(stream, entry_id, fields) for entry_id, fields in found]

    def last_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Entry id of the last entry of each stream that has one. Raises BusDown."""
        with _Faults():
            pipe = self.client.pipeline(transaction=False)
            for name in names:
                pipe.xrevrange(self.key(name), count=1)
            found = pipe.execute()
        return {name: _text(rows[0][0]) for name, rows in zip(names, found, strict=True) if rows}

    def extent(self, names: Sequence[str]) -> tuple[dict[str, str], Life]:
        """`last_ids`, and the life of the bus right after: if it is the one before, nothing was lost until then.

        Raises BusDown.
        """
        return self.last_ids(names), self.life()

    def still_lives(self) -> bool:
        """Whether the bus is in the life in which this process works. Raises BusDown."""
        return self.epoch in (0, self.life().epoch)

    def withdraw(self, stream: str, entry_id: str) -> None:
        """Take one entry back: who has not read it yet never will. Raises BusDown."""
        with _Faults():
            self.client.xdel(self.key(stream), entry_id)

    def publish(self, outgoing: Iterable[Outgoing]) -> None:
        """Send everything, in order. Raises BusDown: then nothing, some or all of it was sent; send all of it again."""
        between = f"{self.service}.between_publishes"
        in_parts = is_aimed_at(between)
        with _Faults():
            pipe = self.client.pipeline(transaction=False)
            for item in outgoing:
                if in_parts:
                    pipe.execute()
                    crash_here(between)
                match item:
                    case Message():
                        name = streams.stream_for(item)
                        stream = streams.stream_named(name)
                        fields = wire.encode(item)
                        if stream.of_one_life and self.epoch:
                            fields["life"] = str(self.epoch)
                        pipe.xadd(self.key(name), fields, maxlen=stream.keep, approximate=True)  # type: ignore[arg-type]
                    case Latest():
                        if item.fields:
                            pipe.hset(self.key(item.key), mapping=item.fields)  # type: ignore[arg-type]
                        else:
                            pipe.delete(self.key(item.key))
                    case Reply():
                        pipe.set(self.key(f"reply:{item.request}"), item.body, ex=item.ttl_s)
                        pipe.lpush(self.key(f"wake:{item.request}"), "1")
                        pipe.expire(self.key(f"wake:{item.request}"), item.ttl_s)
                    case Job():
                        from shared.runtime import jobs  # RQ is heavy, and state alone sends jobs

                        pipe.execute()
                        jobs.enqueue(self.client, self.prefix, item)
            pipe.execute()

    def script(self, text: str, keys: Sequence[str], arguments: Sequence[str | int]) -> int:
        """Run a Lua script that answers with a whole number. Raises BusDown."""
        with _Faults():
            answer: Any = self.client.eval(text, len(keys), *keys, *arguments)
        return int(answer)

    def show_health(self, name: str, fields: Mapping[str, str], keep_s: int) -> None:
        """Write `health:NAME`, which goes away `keep_s` seconds after its last beat. Raises BusDown."""
        with _Faults():
            pipe = self.client.pipeline(transaction=False)
            pipe.hset(self.key(f"health:{name}"), mapping=dict(fields))  # type: ignore[arg-type]
            pipe.expire(self.key(f"health:{name}"), keep_s)
            pipe.execute()

    def view(self, key: str) -> dict[str, str]:
        """The latest view under `key`, such as `conductor`; empty where there is none. Raises BusDown."""
        with _Faults():
            fields: Any = self.client.hgetall(self.key(key))
        return {_text(name): _text(value) for name, value in fields.items()}

    def views(self, pattern: str) -> dict[str, dict[str, str]]:
        """Latest views by key, without the prefix, whose keys match `pattern`, such as `health:*`. Raises BusDown."""
        with _Faults():
            keys = sorted(self.client.scan_iter(match=self.key(pattern), count=1000))
            pipe = self.client.pipeline(transaction=False)
            for key in keys:
                pipe.hgetall(key)
            found = pipe.execute()
        return {
            _text(key).removeprefix(self.prefix): {_text(name): _text(value) for name, value in fields.items()}
            for key, fields in zip(keys, found, strict=True)
        }

    def forget(self, pattern: str) -> None:
        """Delete every key that matches `pattern` behind the prefix. Raises BusDown."""
        with _Faults():
            for key in list(self.client.scan_iter(match=self.key(pattern), count=1000)):
                self.client.delete(key)

    def replicas(self, service: str, holder: str, ttl_s: int) -> list[str]:
        """Say that `holder` lives for `ttl_s` seconds; all that live, by name. Raises BusDown."""
        own = self.key(f"replica:{service}:")
        with _Faults():
            self.client.set(f"{own}{holder}", "1", ex=ttl_s)
            found = {_text(key) for key in self.client.scan_iter(match=f"{own}*", count=1000)}
        return sorted({name.removeprefix(own) for name in found} | {holder})

    def forget_replica(self, service: str, holder: str) -> None:
        """The replica ends: the others need not wait for it. A bus that does not answer lets it run out."""
        try:
            with _Faults():
                self.client.delete(self.key(f"replica:{service}:{holder}"))
        except BusDown:
            return

    def _entry(self, stream: str, entry_id: bytes | str, fields: Mapping[bytes, bytes]) -> Entry:
        life = fields.get(b"life")
        if life is not None and self.epoch and life != str(self.epoch).encode():
            return Entry(stream, _text(entry_id), None, stale=True)
        try:
            return Entry(stream, _text(entry_id), wire.decode(fields, stream))
        except wire.Unreadable as fault:
            return Entry(stream, _text(entry_id), None, str(fault), _raw(fields))


def _raw(fields: Mapping[bytes, bytes]) -> str:
    """The beginning of what an entry holds, for people; what somebody put there may be of any size."""
    shown = {name[:RAW_BYTES]: value[:RAW_BYTES] for name, value in islice(fields.items(), RAW_FIELDS)}
    return repr(shown)[:RAW_BYTES]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _pairs(found: Any) -> Iterable[tuple[bytes, Any]]:
    """XREAD's answer: a list of pairs in RESP2, a dict in RESP3, where each value holds one more list."""
    if not found:
        return []
    if isinstance(found, dict):
        return [
            (key, entries[0] if len(entries) == 1 and isinstance(entries[0], list) else entries)
            for key, entries in found.items()
        ]
    return [(key, entries) for key, entries in found]


class _Faults:
    """Translates the client's exceptions, once, at this edge."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, redis.AuthenticationError):
            raise BusRefuses("the server does not take this process's user and password") from fault
        if isinstance(fault, redis.ConnectionError | redis.TimeoutError | redis.InvalidResponse):
            raise BusDown(str(fault)) from fault
        if isinstance(fault, redis.ResponseError) and str(fault).startswith(("MISCONF", "OOM", "LOADING")):
            raise BusDown(str(fault)) from fault
