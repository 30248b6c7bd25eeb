"""Alerts over addresses that work, fail or hang, on a real bus and real sockets."""

from __future__ import annotations

import datetime as dt
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from bench.server import admin
from services.alerts.desk import Delivery
from services.alerts.notes import Level
from services.alerts.service import MEMORY, POSITIONS, Alerts, memory_of
from services.alerts.sources import Address, Apart, ApprisePost, addresses, name_of
from shared.contracts.outgoing import Latest
from shared.runtime.bus import Bus, Entry
from shared.runtime.embedded import start_server
from shared.runtime.settings import AlertSettings, BadSettings, BusSettings, load_settings
from tests.unit.alerts.messages import NOON, SECOND, alert, desk

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # one of apprise's own
DEADLINE_S = 10.0


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "did not happen in time"
        threading.Event().wait(0.01)


class Inbox(http.server.BaseHTTPRequestHandler):
    """What is posted or asked for."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append({"path": self.path})  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def inbox() -> Iterator[tuple[int, list[dict[str, str]]]]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Inbox)
    server.got = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1], server.got  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silence() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class Slot:
    """A post that the test answers for."""

    def __init__(self) -> None:
        self.offered: list[Delivery] = []
        self.answer: bool | None = None

    def offer(self, delivery: Delivery) -> bool:
        self.offered.append(delivery)
        return True

    def outcome(self) -> bool | None:
        answer, self.answer = self.answer, None
        return answer


def entry(number: int, key: str) -> Entry:
    arrived = int(NOON.timestamp() * 1000) + number
    return Entry("alerts", f"{arrived}-0", alert("critical", key=key, text=key))


def latest(out: object) -> dict[str, dict[str, str]]:
    assert isinstance(out, list)
    return {item.key: item.fields for item in out if isinstance(item, Latest)}


def test_what_was_not_delivered_before_a_restart_is_delivered_after_it() -> None:
    before = Alerts(desk(), {"a": Slot()}, {}, lambda: NOON)
    kept = latest(before.step([entry(1, "one")]))
    post = Slot()
    after = Alerts(desk(memory=memory_of(kept[MEMORY])), {"a": post}, kept[POSITIONS], lambda: NOON)
    assert after.positions() == {"alerts": f"{int(NOON.timestamp() * 1000) + 1}-0"}
    after.step([])
    assert [delivery.body for delivery in post.offered] == ["12:00 CRITICAL: one"]


def test_an_entry_that_is_read_twice_is_told_once() -> None:
    post = Slot()
    alerts = Alerts(desk(), {"a": post}, {}, lambda: NOON)
    alerts.step([entry(1, "one")])
    post.answer = True
    alerts.step([entry(1, "one")])
    alerts.step([])
    assert len(post.offered) == 1


def test_an_address_on_its_way_gets_no_second_message_and_a_failed_one_comes_again() -> None:
    post, now = Slot(), [NOON]
    alerts = Alerts(desk(), {"a": post}, {}, lambda: now[0])
    alerts.step([entry(1, "one")])
    alerts.step([entry(2, "two")])
    assert len(post.offered) == 1
    post.answer = False
    alerts.step([])
    now[0] += 60 * SECOND
    alerts.step([])
    assert [delivery.body.count("\n") + 1 for delivery in post.offered] == [1, 2]


def test_an_unreadable_entry_is_passed_by_and_makes_no_dead_letter() -> None:
    alerts = Alerts(desk(), {"a": Slot()}, {}, lambda: NOON)
    out = alerts.step([Entry("dead", "5-0", None, "entry without a type")])
    assert set(latest(out)) == {POSITIONS, MEMORY}
    assert alerts.positions() == {"dead": "5-0"}


def test_memory_of_another_program_is_no_reason_to_stop() -> None:
    assert memory_of({"json": '{"said": 7}'}).said == {}


def test_a_call_that_hangs_is_left_to_itself_and_costs_its_caller_nothing() -> None:
    never, clock = threading.Event(), [0.0]
    apart = Apart("slow", 5.0, lambda: clock[0])

    def hang() -> bool:
        return never.wait()

    started = time.monotonic()
    for _ in range(3):
        assert apart.start(hang)
        assert apart.outcome() is None
        clock[0] += 6.0
        assert apart.outcome() is False
    assert not apart.start(hang), "more threads than are allowed to hang"
    assert time.monotonic() - started < 1.0
    never.set()
    until(lambda: apart.start(lambda: True))
    until(lambda: apart.outcome() is True)


def test_a_plug_in_that_raises_has_failed_and_its_words_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    apart = Apart("mail-1", 5.0)

    def broken() -> bool:
        raise RuntimeError("mailto://me:hunter2@example")

    assert apart.start(broken)
    until(lambda: apart.outcome() is False)
    assert "hunter2" not in "".join(capsys.readouterr())


def test_a_message_goes_through_apprise_as_plain_text() -> None:
    with inbox() as (port, got):
        post = ApprisePost(address(f"json://127.0.0.1:{port}"), 5.0)
        body = "<b>AAPL</b> & *stop*"
        assert post.offer(Delivery(title="t", body=body, level=Level.CRITICAL, numbers=()))
        until(lambda: post.outcome() is True)
        assert [(one["title"], one["message"], one["type"]) for one in got] == [("t", body, "failure")]


def test_names_of_addresses_hold_no_secret_and_bad_ones_are_refused_without_it() -> None:
    assert name_of(SecretStr("slack://hunter2/b/c")).startswith("slack-")
    assert "hunter2" not in name_of(SecretStr("hunter2://x"))[-6:]
    with pytest.raises(BadSettings, match=r"alerts\.warning: address 1 is none that apprise knows") as refused:
        addresses(AlertSettings(warning=(SecretStr("nosuch://hunter2"),)))
    assert "hunter2" not in str(refused.value)


def test_an_address_listed_twice_gets_the_lower_level_once() -> None:
    url = SecretStr("json://127.0.0.1")
    found = addresses(AlertSettings(info=(url,), critical=(url,)))
    assert [one.target.level for one in found] == [Level.INFO]


def test_addresses_are_masked_in_the_settings() -> None:
    found = load_settings(
        {"EV2_ALERTS__CRITICAL": '["json://hunter2@host"]', "EV2_ALERTS__HEARTBEAT": "http://hunter2"}
    )
    assert "hunter2" not in repr(found)
    assert found.alerts.critical[0].get_secret_value() == "json://hunter2@host"


def address(url: str) -> Address:
    [found] = addresses(AlertSettings(info=(SecretStr(url),)))
    return found


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bus]:
    folder: Path = tmp_path_factory.mktemp("alerts")
    server = start_server(folder)
    client = admin(folder)
    made = Bus(client, BusSettings(), "state")
    made.set_epoch(1)
    yield made
    client.close()
    server.terminate()
    server.wait(5)


def test_the_process_tells_one_address_while_another_hangs_and_pings_the_heartbeat(bus: Bus, tmp_path: Path) -> None:
    socket = Path(bus.client.connection_pool.connection_kwargs["path"])
    with inbox() as (port, got), silence() as dumb:
        variables = {
            "EV2_HOME": str(tmp_path),
            "EV2_BUS__URL": f"unix://{socket}",
            "EV2_BUS__PASSWORDS": str(socket.parent / "passwords"),
            "EV2_ALERTS__WARNING": json.dumps([f"json://127.0.0.1:{dumb}", f"json://127.0.0.1:{port}/?rto=30"]),
            "EV2_ALERTS__HEARTBEAT": f"http://127.0.0.1:{port}/alive",
            "EV2_ALERTS__PAUSE": "0",
        }
        process = subprocess.Popen([sys.executable, "-m", "services.alerts"], env={**os.environ, **variables})
        try:
            bus.show_health("state:1", {"beat": dt.datetime.now(dt.UTC).isoformat()}, 60)

            bus.publish([alert("critical", key="one", text="the first")])
            until(lambda: any("the first" in one.get("message", "") for one in got))
            bus.publish([alert("critical", key="two", text="the second")])
            until(lambda: any("the second" in one.get("message", "") for one in got))
            until(lambda: {"path": "/alive"} in got)
            until(lambda: set(bus.view(POSITIONS)) == {"alerts"})
            assert bus.views("health:alerts:*")
        finally:
            process.terminate()
            assert process.wait(5) == 0
