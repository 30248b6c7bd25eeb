"""The questions of docs/redis.md, and what makes an answer readable."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any, Final, NamedTuple

PAGE: Final = Path(__file__).parents[2] / "docs" / "redis.md"
ASKED: Final = re.compile(
    r"^## (?P<number>\d+)\. (?P<question>.+)\n```sh\nredis-cli -s \S+ (?P<command>.+)\n```\n(?P<about>(?:.+\n?)+)", re.M
)
AT_MOST: Final = 6
"""Lists within lists of JSON: a row of prices within rows within a message, and figures within a verdict."""


class Question(NamedTuple):
    number: int
    question: str
    words: tuple[str, ...]
    may_be_empty: bool


def questions() -> list[Question]:
    """In the order of the page."""
    return [
        Question(
            int(found["number"]), found["question"], tuple(shlex.split(found["command"])), "Empty" in found["about"]
        )
        for found in ASKED.finditer(PAGE.read_text(encoding="utf-8"))
    ]


def is_empty(answer: str) -> bool:
    return set(answer.splitlines()) <= {"(nil)", "(empty array)"}


def unreadable(answer: str) -> list[str]:
    """Lines that nobody reads without a decoder: escapes, numbers of floats as bytes, JSON that is none, deep JSON."""
    return [line[:200] for line in answer.splitlines() if not _is_readable(line)]


def _is_readable(line: str) -> bool:
    if "\\x" in line:
        return False
    if line.startswith(("{", "[")):
        try:
            return _depth(json.loads(line)) <= AT_MOST
        except ValueError:
            return False
    return True


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(part) for part in inner), default=0) if isinstance(value, dict | list) else 0
