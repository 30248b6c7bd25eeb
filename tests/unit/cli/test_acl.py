"""`execution acl`: a server started with what it prints takes the passwords that it drew, and no other."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from shared.contracts.journal import Alert
from shared.runtime.bus import Bus, BusDown, BusRefuses
from shared.runtime.embedded import find_server
from shared.runtime.process import client_of
from shared.runtime.settings import load_settings
from tests.unit.cli.conftest import Execute
from tests.unit.contracts.test_wire import AT


def answers(bus: Bus) -> bool:
    """Whether the server takes the password; False until it is there."""
    try:
        bus.life()
    except BusRefuses:
        raise
    except BusDown:
        return False
    return True


def test_a_server_with_the_printed_file_takes_each_service_by_its_own_password(
    execute: Execute, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert execute("acl", "--home", str(tmp_path), "--passwords", str(tmp_path / "passwords")) == 0
    (tmp_path / "users.acl").write_text(capsys.readouterr().out)
    socket = tmp_path / "s"
    server = subprocess.Popen(
        [find_server(), "--port", "0", "--unixsocket", str(socket), "--aclfile", str(tmp_path / "users.acl")],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    variables = {"EV2_HOME": str(tmp_path), "EV2_BUS__URL": f"unix://{socket}"}
    settings = load_settings({**variables, "EV2_BUS__PASSWORDS": str(tmp_path / "passwords")})
    bus = Bus(client_of(settings, "alerts"), settings.bus, "alerts")
    try:
        while not answers(bus):
            assert server.poll() is None
        bus.publish([Alert(id="a", at=AT, level="info", key="a", text="b")])
        stranger = load_settings(variables)
        with pytest.raises(BusRefuses):
            Bus(client_of(stranger, "alerts"), stranger.bus, "alerts").life()
    finally:
        bus.client.close()
        server.kill()
        server.wait()


def test_it_says_the_same_each_time_and_never_a_password(
    execute: Execute, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = []
    for _ in range(2):
        assert execute("acl", "--home", str(tmp_path), "--json") == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    told = json.loads(said[0])
    for user in told["users"]:
        assert (Path(told["passwords"]) / user).read_text().strip() not in said[0]


def test_a_place_that_cannot_be_written_is_one_line(
    execute: Execute, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert execute("acl", "--home", str(tmp_path), "--passwords", str(tmp_path / "file" / "x")) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert "choose another --passwords" in line
