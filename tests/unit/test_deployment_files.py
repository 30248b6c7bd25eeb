"""Dockerfile and docker-compose.yml: one process a container, nothing more than it needs, and settings that exist."""

from __future__ import annotations

import configparser
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from pydantic import SecretStr

from shared.runtime.permissions import SERVICES as PERMITTED
from shared.runtime.settings import OUTSIDE, Settings, load_settings
from shared.runtime.supervisor import BAD_START

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
METRICS = {"prometheus", "grafana"}
OURS = {name: service for name, service in SERVICES.items() if name not in {"redis", "permissions", *METRICS}}
DOCKERFILE = (ROOT / "Dockerfile").read_text()

PROCESSES = {
    "state": ["services.state"],
    "market_data": ["services.market_data"],
    "signals": ["services.signals"],
    "executor": ["services.executor", "--role", "entry"],
    "executor-protect": ["services.executor", "--role", "protect"],
    "listener": ["services.executor", "--role", "listener"],
    "exchange": ["services.exchange"],
    "conductor": ["services.conductor"],
    "alerts": ["services.alerts"],
    "dashboard": ["services.dashboard"],
}
PUBLISHED = {"dashboard": "8080", "prometheus": "9090", "grafana": "3000"}


def test_each_process_is_a_service_of_its_own() -> None:
    assert {name: service["command"] for name, service in OURS.items()} == {
        name: ["python", "-m", *arguments] for name, arguments in PROCESSES.items()
    }


def test_signals_and_executors_can_be_scaled() -> None:
    for name in ("signals", "executor", "executor-protect"):
        assert not {"container_name", "ports"} & set(SERVICES[name]), name
        assert all(volume.endswith(":ro") for volume in SERVICES[name]["volumes"]), name
        assert "EV2_INSTANCE" not in SERVICES[name]["environment"], name


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_can_write_only_where_it_must_and_has_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "user", "network_mode", "pid", "devices"} & set(service)


def test_only_what_keeps_a_file_has_the_data_volume() -> None:
    data = "data:/var/lib/execution/data"
    assert {name for name, service in OURS.items() if data in service["volumes"]} == {
        "state",
        "exchange",
        "conductor",
        "dashboard",
    }
    assert SERVICES["redis"]["volumes"] == ["redis:/data", "keys-redis:/keys:ro"]


def test_each_container_has_the_password_of_its_own_user_and_no_other() -> None:
    users = {name: arguments[0].removeprefix("services.") for name, arguments in PROCESSES.items()}
    for name, service in OURS.items():
        keys = [volume for volume in service["volumes"] if volume.startswith("keys")]
        assert keys == [f"keys-{users[name]}:/run/keys:ro"], name
    assert set(users.values()) | {"cli"} == set(PERMITTED)
    draws = SERVICES["permissions"]
    volumes = {volume.partition(":")[0] for volume in draws["volumes"]}
    assert volumes == {"keys", "keys-redis", *(f"keys-{user}" for user in users.values())}
    assert set(COMPOSE["volumes"]) == {"data", "redis", *METRICS} | volumes
    for user in users.values():
        assert re.search(rf"for of in [a-z_ ]*\b{user}\b", draws["command"][2]), user
        assert re.search(rf"for of in [a-z_ ]*\b{user}\b", DOCKERFILE), user
    assert "ev2-admin" not in str(COMPOSE)


def test_redis_starts_with_the_users_file_once_it_is_made() -> None:
    assert SERVICES["redis"]["depends_on"] == {"permissions": {"condition": "service_completed_successfully"}}
    assert (SERVICES["permissions"]["restart"], SERVICES["permissions"]["depends_on"]) == ("no", {})


def test_only_what_a_person_looks_at_is_published_and_only_on_this_machines_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == set(PUBLISHED)
    for name, ports in published.items():
        assert len(ports) == 1
        assert re.fullmatch(rf"127\.0\.0\.1:\$\{{[A-Z]+_PORT:-{PUBLISHED[name]}\}}:{PUBLISHED[name]}", ports[0]), ports
    assert {name for name, service in SERVICES.items() if "published" in service["networks"]} == set(PUBLISHED)


def test_only_who_speaks_to_a_broker_a_feed_or_people_reaches_out() -> None:
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "outside" in service["networks"]} == {
        "market_data",
        "executor",
        "executor-protect",
        "listener",
        "alerts",
    }
    assert all("inside" in service["networks"] for service in SERVICES.values())


def test_redis_is_a_seven_with_an_append_only_file_and_no_snapshots() -> None:
    redis = SERVICES["redis"]
    assert redis["image"] == "redis:7"
    assert " ".join(redis["command"]) == (
        "redis-server --appendonly yes --appendfsync everysec --aof-use-rdb-preamble no --save  "
        "--aclfile /keys/users.acl --proto-max-bulk-len 16mb"
    )


def test_every_process_is_asked_for_its_beat_and_starts_after_redis() -> None:
    for name, service in OURS.items():
        assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}, name
        check = service["healthcheck"]
        module = PROCESSES[name][0].removeprefix("services.")
        assert check["test"] == ["CMD", "python", "-m", "shared.runtime.healthcheck", module], name
    assert importlib.util.find_spec("shared.runtime.healthcheck") is not None


def variables(service: str, overrides: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The environment of one service, with defaults for what a person may set, and SET for what one must."""
    found = {**SERVICES[service]["environment"], **(overrides or {})}
    with_defaults = {name: re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", str(value)) for name, value in found.items()}
    return {name: re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "SET", value) for name, value in with_defaults.items()}


def settings_of(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    with monkeypatch.context() as patch:
        for name, value in environment.items():
            known = name in OUTSIDE or name.removeprefix("EV2_").partition("__")[0].lower() in Settings.model_fields
            assert known or name.startswith("APCA_"), name
            patch.setenv(name, value)
        return load_settings()


def test_the_variables_are_settings_and_make_a_dry_run_on_the_synthetic_market(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({tuple(variables(name).items()) for name in OURS}) == 1, "one environment for all"
    settings = settings_of(variables("state"), monkeypatch)
    assert (settings.broker.kind, settings.feed.kind, settings.run.pace) == ("exchange", "synthetic", "conducted")
    assert settings.bus.url == SecretStr("redis://redis:6379/0")
    assert settings.broker.rest_address == f"http://exchange:{settings.exchange.port}"
    assert settings.broker.stream_address == f"ws://exchange:{settings.exchange.port}/stream"
    assert len(settings.candidates.watchlist) == 12


ALPACA = {
    "paper": ("https://paper-api.alpaca.markets", "wss://paper-api.alpaca.markets/stream"),
    "live": ("https://api.alpaca.markets", "wss://api.alpaca.markets/stream"),
}


@pytest.mark.parametrize("mode", ALPACA)
def test_with_alpaca_nothing_of_the_synthetic_market_is_left(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = yaml.safe_load((ROOT / "deploy" / "alpaca.yml").read_text())["services"]
    assert set(overrides) == set(OURS)
    for name, service in overrides.items():
        if name in ("exchange", "conductor"):
            assert service == {"profiles": ["synthetic"]}
            continue
        environment = variables(name, service["environment"])
        environment |= {"EV2_CANDIDATES__WATCHLIST": '["AAPL"]', "EV2_BROKER__KIND": mode}
        settings = settings_of(environment, monkeypatch)
        assert (settings.broker.kind, settings.feed.kind, settings.run.pace) == (mode, "alpaca", "free")
        assert (settings.broker.rest_address, settings.broker.stream_address) == ALPACA[mode]
        assert settings.contradiction == ""
        has_keys = settings.broker.key.get_secret_value() == "SET"
        assert has_keys == (name in {"market_data", "executor", "executor-protect", "listener"}), name


def test_alpaca_is_paper_unless_told_otherwise() -> None:
    overrides = yaml.safe_load((ROOT / "deploy" / "alpaca.yml").read_text())["services"]
    assert overrides["executor"]["environment"]["EV2_BROKER__KIND"] == "${MODE:-paper}"


def test_the_image_is_built_once_for_all() -> None:
    assert [name for name, service in OURS.items() if "build" in service] == ["state"]
    assert {service["image"] for service in OURS.values()} == {"execution-v2"}
    assert all(service["pull_policy"] == ("build" if name == "state" else "never") for name, service in OURS.items())


def test_no_key_and_no_password_stands_in_a_file() -> None:
    for name, value in variables("state").items():
        assert name == "EV2_BUS__PASSWORDS" or not re.search(r"KEY|SECRET|TOKEN|PASSWORD", name), name
        assert "@" not in value, name
    assert variables("state")["EV2_BUS__PASSWORDS"] == "/run/keys", "a folder, not a password"
    for path in (ROOT / "deploy").glob("*.yml"):
        for line in re.findall(
            r"^ *(?:APCA|EV2)\w*(?:KEY|SECRET|TOKEN|PASSWORD)\w*: *(.*)$", path.read_text(), re.MULTILINE
        ):
            assert line.startswith("${"), path.name


def test_the_image_is_made_in_two_stages_from_pinned_packages_and_runs_as_nobody_special() -> None:
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?$", DOCKERFILE, re.MULTILINE)
    assert stages == [("python:3.11-slim", "build"), ("python:3.11-slim", "")]
    final = DOCKERFILE.rpartition("FROM ")[2]
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
    assert "USER 10001:10001" in final
    assert "apt-get" not in DOCKERFILE
    assert "pip install" not in final
    assert "COPY --from=build /opt/execution /opt/execution" in final


def test_what_only_builds_and_tests_is_taken_out_of_the_image() -> None:
    """The same words as in the Dockerfile, worked on requirements.in by the same tools."""
    command = DOCKERFILE.partition("RUN sed ")[2].partition("| xargs")[0].replace("\\\n", " ")
    found = subprocess.run(["sh", "-c", f"sed {command}"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"pytest", "mypy", "ruff", "hypothesis", "testcontainers", "setuptools"} <= set(found.stdout.split())
    assert not {"redis", "polars", "alpaca-py", "tzdata"} & set(found.stdout.split())


def test_the_image_is_given_what_the_dockerfile_copies_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert let_in == copied
    assert all((ROOT / name).exists() for name in copied)


def composer() -> list[str] | None:
    """A Compose that answers here."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    return None


@pytest.mark.parametrize("files", [["docker-compose.yml"], ["docker-compose.yml", "deploy/alpaca.yml"]])
def test_compose_itself_reads_the_files(files: list[str]) -> None:
    command = composer()
    if command is None:
        pytest.skip("no docker-compose here, and docker has no compose")
    named = [word for file in files for word in ("-f", file)]
    must_be_set = {"APCA_API_KEY_ID": "x", "APCA_API_SECRET_KEY": "x", "SALT": "x", "WATCHLIST": '["AAPL"]'}
    done = subprocess.run(
        [*command, *named, "config", "--quiet"], cwd=ROOT, env={**os.environ, **must_be_set}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


UNIT = ROOT / "deploy" / "systemd" / "execution.service"


def test_the_systemd_unit_starts_the_engine_and_does_not_try_bad_settings_again() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    assert service["ExecStart"].split()[1:] == ["up", "--json"]
    assert service["RestartPreventExitStatus"] == str(BAD_START)
    assert (service["User"], service["NoNewPrivileges"], service["ProtectSystem"]) == ("execution", "yes", "strict")
    assert service["Environment"] == f"EV2_HOME=/var/lib/{service['StateDirectory']}"


def test_systemd_itself_reads_the_unit() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here")
    said = subprocess.run([analyze, "verify", str(UNIT)], capture_output=True, text=True).stderr.splitlines()
    assert [line for line in said if "execution.service" in line and "is not executable" not in line] == []
