"""What `redis-cli -s SOCKET COMMAND` shows of an answer, for machines that have none.

Quotes and escapes are those of redis-cli on a terminal, so that what is not readable there is not readable here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from shared.runtime.bus import connect_redis


def ask(client: redis.Redis, words: Sequence[str]) -> str:
    """The answer to one command, as lines. Raises redis' errors."""
    return "\n".join(lines(client.execute_command(*words)))  # type: ignore[no-untyped-call]


def lines(answer: Any) -> Iterator[str]:
    """One line a value; an empty list and nothing say so."""
    match answer:
        case None:
            yield "(nil)"
        case list() | tuple() if not answer:
            yield "(empty array)"
        case dict() if not answer:
            yield "(empty array)"
        case dict():
            for key, value in answer.items():
                yield from lines(key)
                yield from lines(value)
        case list() | tuple():
            for value in answer:
                yield from lines(value)
        case bytes():
            yield shown(answer) or '""'
        case _:
            yield str(answer)


def shown(value: bytes) -> str:
    """Printable ASCII as it is, and everything else as an escape, like redis-cli."""
    return "".join(chr(one) if 32 <= one < 127 else f"\\x{one:02x}" for one in value)


def main() -> None:
    option, address, *words = sys.argv[1:]
    client = connect_redis(address if option == "-u" else f"unix://{Path(address).resolve()}")
    print(ask(client, words))  # noqa: T201
    client.close()


if __name__ == "__main__":
    main()
