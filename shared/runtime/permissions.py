"""Who may do what on the server: a user for each service, as an ACL file, from the tables of streams and keys.

A service may read the streams that it reads, append to those that it writes, and touch the keys that are its own, by
the commands that it uses; nothing else. It cannot shorten, overwrite or delete a stream, not even its own. Besides:

    default     looks, and changes nothing: for people with redis-cli
    PREFIX-admin   may do anything: for a person who has to mend something; no process uses it

Passwords are drawn, each in a file of its own; the ACL file has their hashes alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from shared.contracts.keys import KEYS, OWN
from shared.contracts.streams import ANY, STREAMS, Stream

SERVICES: Final = tuple(
    sorted({who for stream in STREAMS for who in (*stream.writers, *stream.readers)} - {ANY}),
)
ADMIN: Final = "admin"
LOOKERS: Final = ("cli", "conductor", "dashboard")
"""Read every stream: they measure how far the others are behind."""
WITHDRAWERS: Final = ("cli", "dashboard")
"""Take a command back that nobody answered (shared/runtime/commands.py)."""
_HELLO: Final = ("ping", "hello", "auth", "info", "scan", "multi", "exec", "discard")
"""For everybody. None of them reads or writes a key; SCAN and INFO tell names and figures."""
_READ_STREAMS: Final = ("xread", "xrange", "xrevrange")
_LOOK: Final = (
    *_READ_STREAMS,
    "xlen",
    "xinfo|stream",
    "xinfo|groups",
    "get",
    "mget",
    "exists",
    "type",
    "ttl",
    "hgetall",
    "hget",
    "hmget",
    "hkeys",
    "hlen",
    "llen",
    "lrange",
    "smembers",
    "scard",
    "dbsize",
    "time",
    "quit",
    "select",
    "acl|whoami",
    "command",
)


def user_of(prefix: str, service: str) -> str:
    """The server's user of `service`: `ev2-state`."""
    return f"{prefix.rstrip(':')}-{service}"


def acl_file(prefix: str, passwords: Mapping[str, SecretStr], *, open_look: bool) -> str:
    """The whole ACL file for one prefix. passwords: by user; all of `users(prefix)`.

    open_look: `default` needs no password: for a server that only its owner can reach. Otherwise it is off.
    """
    lines = [_line("default", "nopass" if open_look else None, _look(prefix))]
    for service in SERVICES:
        name = user_of(prefix, service)
        lines.append(_line(name, _hash(passwords[name]), _rules(prefix, service)))
    admin = user_of(prefix, ADMIN)
    lines.append(_line(admin, _hash(passwords[admin]), ["~*", "&*", "+@all"]))
    return "\n".join(lines) + "\n"


def users(prefix: str) -> tuple[str, ...]:
    """Everybody who has a password."""
    return tuple(user_of(prefix, name) for name in (*SERVICES, ADMIN))


def may_write(service: str) -> tuple[str, ...]:
    """Streams to which `service` may append, in the order of the table."""
    return tuple(stream.name for stream in STREAMS if service in stream.writers or ANY in stream.writers)


def may_read(service: str) -> tuple[str, ...]:
    """Streams that `service` may read, in the order of the table."""
    return tuple(
        stream.name for stream in STREAMS if service in stream.readers or ANY in stream.readers or service in LOOKERS
    )


def _line(user: str, password: str | None, rules: Iterable[str]) -> str:
    state = "off" if password is None else f"on {password}"
    return f"user {user} reset {state} {' '.join(rules)}"


def _rules(prefix: str, service: str) -> Iterator[str]:
    readable = set(may_read(service))
    yield from ("-@all", *(f"+{command}" for command in _HELLO))
    yield _selector(_READ_STREAMS, [_pattern(prefix, one) for one in STREAMS if one.name in readable], "%R~")
    written = set(may_write(service))
    yield _selector(("xadd",), [_pattern(prefix, one) for one in STREAMS if one.name in written], "%W~")
    if service == "state":  # clears what only counted in another life of the bus
        yield _selector(("unlink",), [_pattern(prefix, one) for one in STREAMS if one.of_one_life], "%W~")
    if service in WITHDRAWERS:
        yield _selector(("xdel",), [f"{prefix}commands"], "%W~")
    if service == "cli":  # empties a bus that is to be used anew; the operator's tool, which no process of a day is
        yield _selector(("del",), [f"{prefix}*"], "%W~")
    together: dict[tuple[tuple[str, ...], str], list[str]] = {}  # one command may name several of them
    for keys in KEYS:
        for use in keys.uses:
            if service in use.who or ANY in use.who:
                name = keys.name if service in use.who and not use.writes else keys.name.replace(OWN, service)
                how = "~" if use.writes else "%R~"
                together.setdefault((use.commands, how), []).append(f"{prefix}{name.replace(OWN, '*')}")
    for (commands, how), names in together.items():
        yield _selector(commands, names, how)
    if any(service in use.who and "eval" in use.commands for keys in KEYS for use in keys.uses):
        # A script names its keys, and is taken to write all of them; what it may do with `epoch` is said above.
        yield _selector(("eval",), [f"{prefix}epoch", f"{prefix}lease:*"], "~")


def _look(prefix: str) -> list[str]:
    return ["-@all", *(f"+{command}" for command in (*_HELLO, *_LOOK)), f"%R~{prefix}*"]


def _selector(commands: Iterable[str], keys: Iterable[str], how: str) -> str:
    return f"({' '.join([*(f'+{command}' for command in commands), *(f'{how}{key}' for key in keys)])})"


def _pattern(prefix: str, stream: Stream) -> str:
    return f"{prefix}{stream.name}{':*' if stream.partitioned else ''}"


def _hash(password: SecretStr) -> str:
    return f"#{hashlib.sha256(password.get_secret_value().encode()).hexdigest()}"


# Passwords


def password_in(folder: Path, user: str) -> SecretStr | None:
    """The password of `user`, from its file in `folder`; None where there is none. Raises OSError."""
    try:
        text = (folder / user).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return SecretStr(text) if text else None


def drawn(folder: Path, names: Iterable[str]) -> dict[str, SecretStr]:
    """The passwords of `names`: those that stand in `folder`, and new ones, written there, for the others.

    Only their owner may read the files. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = {}
    for name in names:
        password = password_in(folder, name)
        if password is None:
            password = SecretStr(secrets.token_urlsafe(32))
            write_private(folder / name, password.get_secret_value() + "\n")
        found[name] = password
    return found


def write_private(path: Path, text: str) -> None:
    """A file that only its owner reads, whole or not at all. Raises OSError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
