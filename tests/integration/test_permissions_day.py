"""A session in which every process is a user of its own, and somebody looks on by docs/redis.md."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from bench.server import admin
from shared.runtime.bus import connect_redis
from shared.runtime.embedded import embedded_url
from shared.runtime.permissions import user_of
from tests.integration.redis_cli import ask
from tests.integration.redis_page import Question, is_empty, questions, unreadable

ASK_AT = 200
"""Minute of the session, in which GLYN is held under a stop."""
PLAYS = {"state", "market_data", "signals", "executor", "exchange", "conductor"}


class Played(NamedTuple):
    """looks: minute and refusals at each look. answers: to the page's questions, while it was played."""

    looks: list[tuple[int, int]]
    users: set[str]
    answers: dict[str, str]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    home: Path = tmp_path_factory.mktemp("home")
    looker = connect_redis(embedded_url(home / "data"))
    answers: dict[str, str] = {}
    demo = subprocess.Popen(
        [sys.executable, "-m", "cli.main", "demo", "--home", str(home), "--signals", "2", "--json"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    looks: list[tuple[int, int]] = []
    seen: set[str] = set()
    client = admin(home / "data")
    try:
        end = time.monotonic() + 120
        while demo.poll() is None:
            assert time.monotonic() < end
            with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
                looks.append((int(client.hget("ev2:conductor", "minute") or 0), refusals(client)))
                clients: Any = client.client_list()
                seen |= {one["user"] for one in clients}
                if looks[-1][0] >= ASK_AT and not answers:
                    answers = {asked.question: ask(looker, asked.words) for asked in questions()}
            time.sleep(0.02)
        _, said = demo.communicate()
    finally:
        demo.kill()
        demo.wait()
        client.close()
        looker.close()
    assert demo.returncode == 0, said
    return Played(looks, seen, answers)


def test_a_session_is_played_under_permissions_and_nothing_is_refused(played: Played) -> None:
    assert played.looks[-1] == (390, 0)
    assert played.users >= {user_of("ev2:", service) for service in PLAYS}


@pytest.mark.parametrize("asked", questions(), ids=lambda asked: str(asked.number))
def test_a_question_at_half_past_nine_is_answered_without_a_decoder(asked: Question, played: Played) -> None:
    answer = played.answers[asked.question]
    assert answer, "nothing is said"
    assert asked.may_be_empty or not is_empty(answer)
    assert unreadable(answer) == []


def test_answers_say_what_the_page_says(played: Played) -> None:
    def told(question: str) -> str:
        return next(answer for asked, answer in played.answers.items() if asked.startswith(question))

    def fields(question: str) -> dict[str, str]:
        flat = told(question).splitlines()
        return dict(zip(flat[::2], flat[1::2], strict=True))

    assert len(played.answers) == len(questions()) >= 20
    assert told("Does the server") in ("True", "PONG")
    assert fields("What do we hold")["stop_resting"] == "yes"
    assert fields("What is one order")["symbol"] == "GLYN"
    assert fields("Are we halted")["halt"] == "none"
    assert int(told("How far behind")) >= 0
    assert len(told("Who feeds").splitlines()) == 6
    assert all("|" in line for line in told("Who feeds").splitlines())
    assert "ev2:health:state:1" in told("Which processes").splitlines()
    assert told("Where are the consumer groups") == "(empty array)"
    assert told("How many wake-ups").isdigit()


def refusals(client: redis.Redis) -> int:
    """How often the server has refused somebody since it was started."""
    stats: Any = client.info("stats")
    return sum(int(stats[f"acl_access_denied_{what}"]) for what in ("auth", "cmd", "key", "channel"))
