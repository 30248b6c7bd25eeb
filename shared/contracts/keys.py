"""The one table of what stands on the bus beside streams: views, leases, replies, wake-ups. Permissions follow it."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shared.contracts.streams import ANY


class Use(Struct, frozen=True):
    """Who does what with keys. commands: of Redis, in small letters. writes: they change what stands there."""

    who: tuple[str, ...]
    commands: tuple[str, ...]
    writes: bool = True


class Keys(Struct, frozen=True, kw_only=True):
    """Keys of one kind. name: without the prefix; `*` is any text, OWN the name of the process's service."""

    name: str
    kind: str
    uses: tuple[Use, ...]
    about: str

    @property
    def writers(self) -> tuple[str, ...]:
        return tuple(who for use in self.uses if use.writes for who in use.who)


OWN: Final = "{service}"
SHOW: Final = ("hset", "del")
BEAT: Final = ("hset", "expire")
SEE: Final = ("hgetall", "hget")
HOLD: Final = ("eval", "get", "set", "incr", "pexpire", "del")
"""shared/runtime/leases.py: one script, and what it calls."""


def _view(name: str, writer: str, about: str, *readers: str) -> Keys:
    see = (Use(readers, SEE, writes=False),) if readers else ()
    return Keys(name=name, kind="hash", uses=(Use((writer,), SHOW), *see), about=about)


def _lease(name: str, *holders: str) -> Keys:
    return Keys(name=name, kind="string", uses=(Use(holders, HOLD),), about="holder|number, while the lease is held")


KEYS: Final[tuple[Keys, ...]] = (
    Keys(
        name="epoch",
        kind="string",
        uses=(Use(("state",), ("mset",)), Use((ANY,), ("get", "mget", "exists"), writes=False)),
        about="number of this life of the bus, by the ledger's count",
    ),
    Keys(
        name="opened",
        kind="string",
        uses=(Use(("state",), ("mset",)), Use((ANY,), ("get", "mget", "exists"), writes=False)),
        about="run id of the server that state opened last",
    ),
    _view("account", "state", "the account as the ledger has it"),
    _view("position:*", "state", "an open position, by symbol"),
    _view("candidate:*", "state", "what may be bought, by symbol"),
    _view("order:*", "state", "an order at work, by client order id"),
    _view("feed", "market_data", "how a live feed is"),
    _view("conductor", "conductor", "how far a conducted session is", "cli", "dashboard"),
    _view("alerts:positions", "alerts", "how far alerts has read", "alerts"),
    _view("alerts:memory", "alerts", "what alerts has told and still has to tell", "alerts"),
    Keys(
        name=f"health:{OWN}:*",
        kind="hash",
        uses=(Use((ANY,), (*BEAT, *SEE)), Use(("cli", "dashboard", "alerts"), SEE, writes=False)),
        about="beat, lag and memory of one process; goes away an hour after its last beat",
    ),
    _lease("lease:counter", "market_data", "signals", "executor"),
    _lease("lease:market_data", "market_data"),
    _lease("lease:signals:*", "signals"),
    _lease("lease:listener", "executor"),
    Keys(
        name="replica:signals:*",
        kind="string",
        uses=(Use(("signals",), ("set", "del")),),
        about="a living replica",
    ),
    Keys(
        name="reply:*",
        kind="string",
        uses=(Use(("state",), ("set",)), Use(("executor",), ("mget",), writes=False)),
        about="state's answer to a claim, JSON, for a minute",
    ),
    Keys(
        name="wake:*",
        kind="list",
        uses=(Use(("state",), ("lpush", "expire")), Use(("executor",), ("blpop",))),
        about="rings when the answer is there",
    ),
    Keys(
        name="rq:queues",
        kind="set",
        uses=(Use(("state",), ("sadd",)),),
        about="names of RQ's queues",
    ),
    Keys(
        name="rq:queue:*",
        kind="list",
        uses=(Use(("state",), ("rpush",)), Use(("executor",), ("blmove", "lmove", "lrem", "ltrim"))),
        about="ids of wake-ups that wait, by queue; `...:intermediate`: being taken",
    ),
    Keys(
        name="rq:job:*",
        kind="hash",
        uses=(Use(("state",), ("hset", "expire", "persist")), Use(("executor",), ("hstrlen", "hget", "del"))),
        about="a wake-up; its `description` says which",
    ),
)
