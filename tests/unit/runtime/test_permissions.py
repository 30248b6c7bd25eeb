"""Permissions on a real server: what a service's work needs passes, everything else is refused by the server itself."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import redis
from pydantic import SecretStr

from bench.server import admin
from shared.contracts.keys import KEYS, OWN
from shared.contracts.outgoing import Job
from shared.contracts.streams import ANY, STREAMS
from shared.contracts.vocabulary import Queue
from shared.runtime import jobs
from shared.runtime.bus import Bus, BusDown, BusRefuses, connect_redis
from shared.runtime.embedded import embedded_url, passwords_of, start_server
from shared.runtime.leases import Lease, Partitions
from shared.runtime.permissions import LOOKERS, SERVICES, acl_file, drawn, password_in, user_of, users
from shared.runtime.process import client_of
from shared.runtime.settings import BusSettings, load_settings

PREFIX: Final = "ev2:"
LOOK: Final = "default"
STREAM_KEYS: Final = {stream.name: f"{PREFIX}{stream.name}{':3' if stream.partitioned else ''}" for stream in STREAMS}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose server runs, with an entry on every stream and something under every other key."""
    folder: Path = tmp_path_factory.mktemp("home")
    server = start_server(folder / "data")
    client = admin(folder / "data")
    for key in STREAM_KEYS.values():
        client.xadd(key, {"type": "none"})
    yield folder
    client.close()
    server.terminate()
    server.wait(5)


@pytest.fixture(scope="module")
def clients(home: Path) -> Iterator[dict[str, redis.Redis]]:
    """A connection of each service, as its process makes it, and of a person without a password."""
    settings = load_settings({"EV2_HOME": str(home)})
    made = {service: client_of(settings, service) for service in SERVICES}
    made[LOOK] = connect_redis(embedded_url(home / "data"))
    yield made
    for client in made.values():
        client.close()


def is_refused(client: redis.Redis, *command: object) -> bool:
    """Whether the server refuses it for want of permission; any other answer, and any other fault, is a pass."""
    try:
        client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError:
        return False
    return False


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_a_service_appends_to_the_streams_that_it_writes_and_to_no_other(
    clients: dict[str, redis.Redis], service: str
) -> None:
    for stream in STREAMS:
        may = service != LOOK and (service in stream.writers or ANY in stream.writers)
        key = STREAM_KEYS[stream.name]
        appended = not is_refused(clients[service], "XADD", key, "MAXLEN", "~", stream.keep, "*", "type", "none")
        assert appended is may, stream.name


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_a_service_reads_the_streams_that_it_reads_and_no_other(clients: dict[str, redis.Redis], service: str) -> None:
    for stream in STREAMS:
        may = service in (*stream.readers, *LOOKERS, LOOK) or ANY in stream.readers
        key = STREAM_KEYS[stream.name]
        for command in (("XREAD", "STREAMS", key, "0"), ("XRANGE", key, "-", "+"), ("XREVRANGE", key, "+", "-")):
            assert is_refused(clients[service], *command) is not may, (command, stream.name)


CLEARS: Final = {("state", "UNLINK"): {one.name for one in STREAMS if one.of_one_life}} | {
    ("dashboard", "XDEL"): {"commands"},
    ("cli", "XDEL"): {"commands"},
    ("cli", "DEL"): {one.name for one in STREAMS},
}
"""The few who take something off a stream; shared/runtime/permissions.py says why."""


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_nobody_shortens_overwrites_renames_or_removes_a_stream_not_even_its_writer(
    clients: dict[str, redis.Redis], service: str
) -> None:
    harms: tuple[tuple[str, tuple[object, ...]], ...] = (
        ("XDEL", ("0-1",)),
        ("XTRIM", ("MAXLEN", "0")),
        ("XSETID", ("99999999999999-0",)),
        ("XGROUP", ()),
        ("SET", ("x",)),
        ("HSET", ("a", "b")),
        ("LPUSH", ("a",)),
        ("EXPIRE", ("1",)),
        ("RENAME", ("elsewhere",)),
        ("COPY", ("elsewhere",)),
        ("RESTORE", ("0", "x")),
        ("MOVE", ("1",)),
        ("UNLINK", ()),
        ("DEL", ()),
    )
    for stream in STREAMS:
        key = STREAM_KEYS[stream.name]
        for command, rest in harms:
            may = stream.name in CLEARS.get((service, command), ())
            words = ("XGROUP", "CREATE", key, "g", "$") if command == "XGROUP" else (command, key, *rest)
            if may and command in ("DEL", "UNLINK"):
                continue  # proven below, on a bus of its own
            assert is_refused(clients[service], *words) is not may, (command, stream.name)


WRITES: Final[dict[str, tuple[tuple[object, ...], ...]]] = {
    "hash": (("HSET", "{}", "a", "b"), ("EXPIRE", "{}", "100"), ("DEL", "{}")),
    "string": (("SET", "{}", "1"), ("MSET", "{}", "1"), ("INCR", "{}"), ("DEL", "{}")),
    "list": (("LPUSH", "{}", "x"), ("RPUSH", "{}", "x"), ("LTRIM", "{}", "0", "1"), ("DEL", "{}")),
    "set": (("SADD", "{}", "x"), ("DEL", "{}")),
}


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_a_service_writes_only_the_keys_that_are_its_own_by_the_commands_it_uses(
    clients: dict[str, redis.Redis], service: str
) -> None:
    for keys in KEYS:
        owners = {service} if OWN in keys.name else {""}
        for owner in sorted(owners | ({*SERVICES} if OWN in keys.name else set())):
            name = PREFIX + keys.name.replace(OWN, owner).replace("*", "x1")
            for command in WRITES[keys.kind]:
                verb = str(command[0]).lower()
                may = any(
                    use.writes
                    and verb in use.commands
                    and (service in use.who or (ANY in use.who and owner == service))
                    for use in keys.uses
                )
                may = (may and service != LOOK) or (service == "cli" and verb == "del")
                words = [name if word == "{}" else word for word in command]
                assert is_refused(clients[service], *words) is not may, words


DANGEROUS: Final[tuple[tuple[object, ...], ...]] = (
    ("FLUSHALL",),
    ("FLUSHDB",),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "dir", "/tmp"),
    ("KEYS", "*"),
    ("SHUTDOWN", "NOSAVE"),
    ("MONITOR",),
    ("SAVE",),
    ("BGREWRITEAOF",),
    ("REPLICAOF", "127.0.0.1", "9"),
    ("MODULE", "LIST"),
    ("FUNCTION", "LIST"),
    ("SCRIPT", "FLUSH"),
    ("ACL", "LIST"),
    ("ACL", "SETUSER", "ev2-mallory", "on", "nopass", "+@all", "~*"),
    ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1"),
    ("PUBLISH", "rq:pubsub:x", "stop"),
    ("SUBSCRIBE", "x"),
    ("MIGRATE", "127.0.0.1", "9", "x", "0", "1"),
    ("SORT", "ev2:wake:x"),
    ("EVALSHA", "x", "0"),
    ("FCALL", "x", "0"),
    ("SWAPDB", "0", "1"),
    ("WAIT", "0", "0"),
    ("SET", "elsewhere", "x"),
    ("GET", "elsewhere"),
    ("HGETALL", "other:account"),
    ("XADD", "other:intents", "*", "a", "b"),
)


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_nobody_has_commands_that_rule_the_server_or_keys_of_another_installation(
    clients: dict[str, redis.Redis], service: str
) -> None:
    allowed = [command for command in DANGEROUS if not is_refused(clients[service], *command)]
    assert allowed == []


@pytest.mark.parametrize("service", [*SERVICES, LOOK])
def test_a_script_is_run_by_holders_of_leases_alone_and_can_do_no_more_than_they(
    clients: dict[str, redis.Redis], service: str
) -> None:
    holds = service in {"market_data", "signals", "executor"}
    client = clients[service]
    assert is_refused(client, "EVAL", "return 1", "0") is not holds
    for call in ("'SET', 'ev2:account', '1'", "'SET', 'ev2:epoch', '1'", "'XADD', 'ev2:commands', '*', 'a', 'b'"):
        with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
            client.eval(f"return redis.call({call})", 0)
    assert is_refused(client, "EVAL", "return 1", "1", "ev2:account")


def bus_of(home: Path, service: str) -> Bus:
    return Bus(client_of(load_settings({"EV2_HOME": str(home)}), service), BusSettings(), service)


def test_what_the_processes_do_beside_streams_is_allowed(tmp_path: Path) -> None:
    server = start_server(tmp_path / "data")
    state, executor, cli = (bus_of(tmp_path, name) for name in ("state", "executor", "cli"))
    try:
        state.clear()
        state.set_epoch(1)
        for service in SERVICES:
            bus = bus_of(tmp_path, service)
            assert bus.life().epoch == 1
            bus.show_health(f"{service}:1", {"beat": "now"}, 60)
            assert bus.view(f"health:{service}:1") == {"beat": "now"}
            bus.client.close()
        leases = (("market_data", "market_data"), ("executor", "listener"))
        for service, name in leases:
            bus = bus_of(tmp_path, service)
            lease = Lease(bus, name, "me")
            assert lease.keep()
            lease.give_back()
            bus.client.close()
        signals = bus_of(tmp_path, "signals")
        partitions = Partitions(signals, "signals", "me")
        assert partitions.owned() == (0, 1, 2, 3)
        partitions.give_back()
        state.publish([Job(id="job-1", queue=Queue.PROTECT, actions=("a",), attempts=(1,))])
        done: list[list[str]] = []
        hands = jobs.Hands(perform=lambda actions, _: done.append(actions), refuse=_fail, stop=lambda: bool(done))
        assert jobs.work(executor.client, PREFIX, "protect", hands)
        assert done == [["a"]]
        cli.forget("*")
        left = admin(tmp_path / "data")
        assert left.dbsize() == 0
        assert left.info("stats")["acl_access_denied_cmd"] == left.info("stats")["acl_access_denied_key"] == 0
        for bus in (state, executor, cli, signals):
            bus.client.close()
        left.close()
    finally:
        server.terminate()
        server.wait(5)


def _fail(job_id: str, reason: str, raw: str) -> None:
    raise AssertionError(reason)


def test_a_wrong_password_is_told_from_a_server_that_is_not_there(home: Path) -> None:
    settings = load_settings({"EV2_HOME": str(home), "EV2_BUS__PASSWORD": "hunter2"})
    with pytest.raises(BusRefuses) as refused:
        Bus(client_of(settings, "state"), settings.bus, "state").life()
    assert "hunter2" not in str(refused.value)
    nowhere = load_settings({"EV2_HOME": str(home / "none")})
    with pytest.raises(BusDown) as down:
        Bus(client_of(nowhere, "state"), nowhere.bus, "state").life()
    assert not isinstance(down.value, BusRefuses)


def test_a_password_that_was_changed_is_taken_at_the_next_connection(tmp_path: Path) -> None:
    first = start_server(tmp_path / "data")
    bus = bus_of(tmp_path, "cli")
    assert bus.life().epoch == 0
    first.kill()
    first.wait()
    for file in passwords_of(tmp_path / "data").iterdir():
        file.unlink()
    second = start_server(tmp_path / "data")
    try:
        assert bus.life().epoch == 0
    finally:
        bus.client.close()
        second.terminate()
        second.wait(5)


def test_what_the_address_says_comes_before_passwords_in_files(home: Path) -> None:
    password = password_in(passwords_of(home / "data"), user_of(PREFIX, "alerts"))
    assert password is not None
    address = f"unix://ev2-alerts:{password.get_secret_value()}@{embedded_url(home / 'data').removeprefix('unix://')}"
    settings = load_settings({"EV2_HOME": str(home), "EV2_REDIS_URL": address})
    client = client_of(settings, "state")
    with pytest.raises(redis.exceptions.NoPermissionError, match="User ev2-alerts "):
        client.flushall()
    client.close()


def test_passwords_are_their_owners_alone_and_the_acl_file_holds_none(home: Path) -> None:
    folder = passwords_of(home / "data")
    acl = home / "data" / "redis" / "users.acl"
    assert {path.name for path in folder.iterdir()} == set(users(PREFIX))
    for path in (*folder.iterdir(), acl):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    text = acl.read_text()
    found = [path.read_text().strip() for path in folder.iterdir()]
    assert len({*found}) == len(found)
    assert all(len(password) >= 40 and password not in text for password in found)


def test_passwords_stay_when_they_are_asked_for_again_and_an_empty_file_is_no_password(tmp_path: Path) -> None:
    first = drawn(tmp_path / "p", users(PREFIX))
    (tmp_path / "p" / "ev2-state").write_text("")
    again = drawn(tmp_path / "p", users(PREFIX))
    changed = [name for name in first if first[name] != again[name]]
    assert changed == ["ev2-state"]


def test_a_server_that_others_can_reach_lets_nobody_look_without_a_password() -> None:
    passwords = {name: SecretStr(name) for name in users(PREFIX)}
    lines = acl_file(PREFIX, passwords, open_look=False).splitlines()
    assert lines[0].startswith("user default reset off ")
    assert "nopass" not in "\n".join(lines)


def test_every_service_of_the_stream_table_is_a_user() -> None:
    assert set(SERVICES) == {
        "alerts",
        "cli",
        "conductor",
        "dashboard",
        "exchange",
        "executor",
        "market_data",
        "signals",
        "state",
    }
