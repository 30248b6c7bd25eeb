"""A session in which every process is a user of its own; somebody looks on by docs/redis.md, and for secrets."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis

from bench.server import admin
from cli.demo import SEED
from cli.installation import free_port
from shared.runtime.bus import connect_redis
from shared.runtime.embedded import embedded_url
from shared.runtime.permissions import user_of
from shared.runtime.settings import load_settings
from shared.runtime.tape import read_tape
from tests.integration.redis_cli import ask
from tests.integration.redis_page import Question, is_empty, questions, unreadable

ASK_AT = 200
"""Minute of the session, in which GLYN is held under a stop."""
SERVICES = {"state", "market_data", "signals", "executor", "exchange", "conductor", "alerts", "dashboard", "cli"}
MARK = "zq7-hush"
"""Stands in every secret that is given; passwords that are drawn are known by their files."""
WRITTEN = {"page_token", "passwords"}
"""Where a secret may stand: its own file, readable by its owner alone."""


class Played(NamedTuple):
    """looks: minute and refusals at each look. answers: to the page's questions, while it was played.

    said: by command, and by address of the page, what was shown meanwhile.
    """

    home: Path
    secrets: dict[str, str]
    looks: list[tuple[int, int]]
    users: set[str]
    answers: dict[str, str]
    said: dict[str, str]


def secrets() -> dict[str, str]:
    """A secret of its own under every setting that holds one, as variables of the environment."""
    keys = ("EV2_BROKER__KEY", "EV2_BROKER__SECRET", "EV2_PAGE_TOKEN", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
    return {name: f"{MARK}-{number}" for number, name in enumerate(keys)}


def variables(home: Path, own: dict[str, str]) -> dict[str, str]:
    """The demo's day, run as an installation: with the page, with alerts to addresses where nobody answers."""
    feed = {"kind": "synthetic", "seed": SEED, "symbols": 12, "first": "2026-01-09"}
    given = {
        "EV2_HOME": str(home),
        "EV2_FEED": json.dumps(feed),
        "EV2_RUN__SALT": str(SEED),
        "EV2_RUN__INSTALLATION": "demo",
        "EV2_RUN__SIGNALS": "2",
        "EV2_DATA__GRACE": "0",
        "EV2_EXCHANGE__PORT": str(free_port("127.0.0.1")),
        "EV2_EXCHANGE__KEY": own["EV2_BROKER__KEY"],
        "EV2_EXCHANGE__SECRET": own["EV2_BROKER__SECRET"],
        "EV2_BROKER__REQUESTS_PER_MINUTE": "1000000",
        "EV2_PAGE__PORT": str(free_port("127.0.0.1")),
        "EV2_ALERTS__INFO": json.dumps([f"json://{MARK}-ann:{MARK}-pass@127.0.0.1:9/{MARK}-path"]),
        "EV2_ALERTS__HEARTBEAT": f"http://127.0.0.1:9/{MARK}-beat",
        "EV2_ALERTS__TIMEOUT": "1",
        "EV2_LOGS__LEVEL": "debug",
    }
    return {name: value for name, value in os.environ.items() if not name.startswith("EV2_")} | own | given


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    home: Path = tmp_path_factory.mktemp("home")
    own = secrets()
    environment = variables(home, own)
    found = Played(home, own, [], set(), {}, {})
    with open(home.with_suffix(".out"), "w+") as out:
        command = [sys.executable, "-m", "cli.main", "up", "--json"]
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        client, looker = admin(home / "data"), connect_redis(embedded_url(home / "data"))
        try:
            _look_on(process, found, client, looker)
            found.said.update(_shown(environment))
            found.looks.append((390, refusals(client)))
            yield found
        finally:
            client.close()
            looker.close()
            process.terminate()
            process.wait(20)


def _look_on(process: subprocess.Popen[bytes], found: Played, client: redis.Redis, looker: redis.Redis) -> None:
    """Until the session is over."""
    end = time.monotonic() + 150
    finished = False
    while not finished:
        assert process.poll() is None, found.home.with_suffix(".out").read_text()
        assert time.monotonic() < end
        with contextlib.suppress(redis.ConnectionError, redis.TimeoutError):
            shown: Any = client.hgetall("ev2:conductor")
            finished = shown.get(b"finished") == b"yes"
            found.looks.append((int(shown.get(b"minute", 0)), refusals(client)))
            clients: Any = client.client_list()
            found.users.update(one["user"] for one in clients)
            if found.looks[-1][0] >= ASK_AT and not found.answers:
                found.answers.update((asked.question, ask(looker, asked.words)) for asked in questions())
        time.sleep(0.02)


def _shown(environment: dict[str, str]) -> dict[str, str]:
    """What commands and the page show of an installation that runs."""
    said = {}
    commands = ("check", "status --json", "orders --json", "backup", "report --html report.html --csv tables", "pause")
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *words.split()],
            env=environment,
            cwd=environment["EV2_HOME"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        said[words.split()[0]] = done.stdout + done.stderr
    here = f"http://127.0.0.1:{environment['EV2_PAGE__PORT']}"
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    form = urllib.parse.urlencode({"token": environment["EV2_PAGE_TOKEN"]}).encode()
    for name, body in (("/login", None), ("/login ", b"token=wrong"), ("/login  ", form), ("/", None)):
        request = urllib.request.Request(here + name.strip(), body, {"Origin": here})
        try:
            with browser.open(request, timeout=30) as reply:
                said[name] = reply.read().decode()
        except urllib.error.HTTPError as refused:
            said[name] = refused.read().decode()
            refused.close()
    return said


def test_a_session_is_played_under_permissions_and_nothing_is_refused(played: Played) -> None:
    assert played.looks[-1] == (390, 0)
    assert played.users >= {user_of("ev2:", service) for service in SERVICES - {"cli"}}
    assert played.said["pause"].startswith("pause: pause by ")


def passwords(home: Path) -> set[str]:
    return {file.read_text().strip() for file in (home / "data" / "redis" / "passwords").iterdir()}


def test_nothing_that_a_day_writes_holds_a_secret(played: Played) -> None:
    hidden = [MARK, *passwords(played.home)]
    written = {path: path.read_bytes() for path in sorted(played.home.rglob("*")) if path.is_file()}
    for tape in played.home.rglob("*.tape"):
        written[tape] = b"".join(read_tape(tape))
    kept = {path: text for path, text in written.items() if not WRITTEN & {path.name, path.parent.name}}
    assert {path.suffix for path in kept} >= {".sqlite", ".log", ".tape", ".aof", ".acl", ".html", ".csv"}
    assert all(path.stat().st_size for path in kept if path.suffix == ".tape")
    found = [str(path) for path, text in kept.items() for secret in hidden if secret.encode() in text]
    assert found == []


def test_nothing_that_is_shown_holds_a_secret(played: Played) -> None:
    hidden = [MARK, *passwords(played.home)]
    shown = {**played.said, **played.answers, "up": played.home.with_suffix(".out").read_text()}
    assert all(shown[name] for name in ("check", "report", "/login", "/", "up"))
    assert "That is not the token" in shown["/login "]
    assert "NiceGUI" in shown["/"] or "nicegui" in shown["/"]
    assert [name for name, text in shown.items() for secret in hidden if secret in text] == []


def test_no_command_line_of_a_process_holds_a_secret(played: Played) -> None:
    """Anybody on the machine may read it; the environment only its owner."""
    if not Path("/proc/self/cmdline").exists():
        pytest.skip("no /proc here")
    told = [line for line in played.home.with_suffix(".out").read_text().splitlines() if line.startswith("{")]
    pids = json.loads(told[0])["pids"].values()
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids if Path(f"/proc/{pid}").exists()]
    assert len(lines) > 8
    assert [line for line in lines for secret in [MARK, *passwords(played.home)] if secret.encode() in line] == []


def test_settings_that_are_shown_hold_no_secret(played: Played) -> None:
    own = {name: value for name, value in variables(played.home, played.secrets).items() if name.startswith("EV2_")}
    whole = load_settings({**own, "EV2_BUS__PASSWORD": MARK, "EV2_REDIS_URL": f"redis://ann:{MARK}@localhost"})
    for text in (repr(whole), str(whole), whole.model_dump_json(), repr(whole.model_dump()), repr(whole.bus)):
        assert MARK not in text


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
