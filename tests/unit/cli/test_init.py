"""`execution init`: a configuration that is read as it was meant, asks what it must, and keeps keys from other eyes."""

from __future__ import annotations

import os
import pty
import re
import stat
import sys
from pathlib import Path

import pytest

from cli.configuring import text_of
from shared.runtime.settings import AlpacaFeed, Settings, load_settings
from tests.unit.cli.conftest import Execute

ROOT = Path(__file__).parents[3]


def written(home: Path) -> Settings:
    return load_settings({"EV2_HOME": str(home)})


def test_without_wishes_every_setting_is_as_by_default(home: Path, execute: Execute) -> None:
    assert execute("init", "--yes") == 0
    assert written(home) == Settings(home=home)


def test_what_stands_in_comments_is_what_holds_without_them(tmp_path: Path) -> None:
    shown = re.sub(r"^# (\[\w+\]|\w+ = \S.*)$", r"\1", text_of({}), flags=re.MULTILINE)
    assert shown.count("\n[") > 20
    (tmp_path / "execution.toml").write_text(shown)
    assert written(tmp_path) == Settings(home=tmp_path)


def test_paper_is_alpaca_with_the_symbols_that_were_given(home: Path, execute: Execute) -> None:
    assert execute("init", "--yes", "--mode", "paper", "--watchlist", "msft,AAPL") == 0
    settings = written(home)
    assert (settings.broker.kind, settings.candidates.watchlist) == ("paper", ("AAPL", "MSFT"))
    assert isinstance(settings.feed, AlpacaFeed)
    assert settings.contradiction == ""


def test_a_recorded_market_is_played_from_wherever_one_is(home: Path, execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "bars.parquet").touch()
    assert execute("init", "--yes", "--bars", str(tmp_path / "bars.parquet")) == 0
    assert written(home).feed.model_dump()["bars"] == (tmp_path / "bars.parquet").resolve()


def test_the_file_is_its_owners_alone(home: Path, execute: Execute) -> None:
    old = os.umask(0)
    try:
        assert execute("init", "--yes") == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE((home / "execution.toml").stat().st_mode) == 0o600


REFUSED = [
    (["--mode", "real"], "write dry, paper or live"),
    (["--mode", "paper"], "needs --watchlist"),
    (["--mode", "live", "--watchlist", "AAPL"], "needs --account"),
    (["--mode", "paper", "--watchlist", "AAPL", "--bars", "x.parquet"], "played in a dry run"),
    (["--bars", "nowhere.parquet"], "no such file"),
    (["--daily", "x.parquet"], "--daily needs --bars"),
    (["--watchlist", "AAPL,no symbol"], "is no symbol"),
    (["--watchlist", "lists/none.csv"], "no such file"),
]


@pytest.mark.parametrize(("words", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_does_not_go_together_writes_nothing(
    words: list[str], why: str, home: Path, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("init", "--yes", *words) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (home / "execution.toml").exists()


def test_a_configuration_that_is_there_is_kept_unless_forced(
    home: Path, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "execution.toml").write_text("[run]\nsignals = 3\n")
    assert execute("init", "--yes") == 2
    assert "--force" in capsys.readouterr().err
    assert written(home).run.signals == 3
    assert execute("init", "--yes", "--force") == 0
    assert written(home).run.signals == 1


def test_nobody_to_ask_is_said(home: Path, execute: Execute, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("init") == 2
    assert "give --yes" in capsys.readouterr().err


def test_a_person_is_asked_and_the_keys_are_not_shown(tmp_path: Path) -> None:
    secret = "the-hidden-secret"
    answers = {
        "[dry]:": "live",
        "[none]:": "AAPL",
        "broker:": "412345678",
        "environment):": "PKTESTKEY",
        "secret:": secret,
    }
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "cli.main", "init", "--home", str(tmp_path)])
    said = b""
    for prompt, answer in answers.items():
        while not said.endswith(f"{prompt} ".encode()):  # what is typed before the space may be thrown away
            said += os.read(terminal, 1024)
        os.write(terminal, answer.encode() + b"\n")
        said += b"\n"
    while chunk := _rest(terminal):
        said += chunk
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, said.decode()
    assert secret.encode() not in said
    settings = written(tmp_path)
    assert (settings.broker.kind, settings.broker.account) == ("live", "412345678")
    assert settings.broker.secret.get_secret_value() == secret


def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1024)
    except OSError:  # the other side is closed
        return b""
