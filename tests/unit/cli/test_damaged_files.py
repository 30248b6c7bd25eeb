"""A file that is damaged: what can be read is shown, or one line says which file and what to do; it stays as it is."""

from __future__ import annotations

import contextlib
import random
import shutil
from pathlib import Path

import pytest

from services.exchange.__main__ import build_venue
from services.exchange.store import BookUnusable
from shared.runtime.settings import load_settings
from shared.runtime.tape import NoTape, TapeWriter, read_tape
from tests.unit.cli.conftest import Execute
from tests.unit.cli.damage import damaged
from tests.unit.cli.ledgers import make_ledger

COMMANDS = ("orders --json", "positions --json", "candidates --json", "why AAPL --json", "digest", "backup", "check")
SEEDS = range(25)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger, an exchange's book and a tape as they were written."""
    folder: Path = tmp_path_factory.mktemp("whole")
    make_ledger(folder / "execution_v2.sqlite")
    settings = load_settings({"EV2_HOME": str(folder), "EV2_RUN__PACE": "conducted"})
    _, file = build_venue(settings, folder / "exchange.sqlite")
    file.close()
    tape = TapeWriter(folder / "2026-01-09.tape")
    for number in range(200):
        tape.append(f'{{"number":{number},"text":"{"x" * (number % 50)}"}}'.encode())
    tape.close()
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_ledger_is_one_line_and_is_left_as_it_is(
    seed: int, whole: Path, home: Path, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = home / "data" / "execution_v2.sqlite"
    ledger.parent.mkdir()
    ledger.write_bytes(damaged((whole / ledger.name).read_bytes(), random.Random(seed)))
    before = ledger.read_bytes()
    for command in COMMANDS:
        code = execute(*command.split())
        said = capsys.readouterr().err
        assert code in (0, 1, 2), command
        if code == 2:
            assert said.startswith("execution: "), command
            assert said.count("\n") == 1, command
        assert ledger.read_bytes() == before, command


def test_damage_to_a_ledger_is_found_out(
    whole: Path, home: Path, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = home / "data" / "execution_v2.sqlite"
    ledger.parent.mkdir()
    text = (whole / ledger.name).read_bytes()
    ledger.write_bytes(text.replace(b"2015-02-1", b"2015-X2-1"))
    assert execute("orders") == 2
    assert "restore a backup, or move the file away" in capsys.readouterr().err


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_book_of_the_exchange_is_one_line_and_is_left_as_it_is(
    seed: int, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "exchange.sqlite"
    path.write_bytes(damaged((whole / path.name).read_bytes(), random.Random(seed)))
    before = path.read_bytes()
    settings = load_settings({"EV2_HOME": str(tmp_path), "EV2_RUN__PACE": "conducted"})
    said = ""
    try:
        _, file = build_venue(settings, path)
        file.close()
    except BookUnusable as fault:
        said = str(fault)
    assert said.count(str(path)) == (1 if said else 0)
    assert said.count("\n") == 0
    assert not said or path.read_bytes() == before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_tape_is_read_up_to_the_damage_or_is_none(seed: int, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "2026-01-09.tape"
    path.write_bytes(damaged((whole / path.name).read_bytes(), random.Random(seed)))
    before = path.read_bytes()
    written = list(read_tape(whole / path.name))
    read = []
    with contextlib.suppress(NoTape):
        for record in read_tape(path):
            read.append(record)  # noqa: PERF402 - what came before the fault counts
    assert read == written[: len(read)]
    assert path.read_bytes() == before


def test_no_name_from_outside_leads_out_of_its_folder(
    home: Path, execute: Execute, capsys: pytest.CaptureFixture[str], whole: Path
) -> None:
    (home / "data").mkdir()
    shutil.copy(whole / "execution_v2.sqlite", home / "data" / "execution_v2.sqlite")
    before = sorted(path for path in home.parent.rglob("*") if "redis" not in path.parts)
    for command in (
        "report ../../etc/passwd",
        "report --from ../x",
        "why ../../x",
        "demo --session ../../x",
        "demo --watchlist ../../etc/passwd",
        "block ../../x",
        "sell /etc/passwd",
        "adopt ../x --stop 1",
        "tail ../../x --no-follow",
        "audit ../../x",
    ):
        assert execute(*command.split()) in (1, 2), command
        assert capsys.readouterr().err.count("\n") == 1, command
    assert sorted(path for path in home.parent.rglob("*") if "redis" not in path.parts) == before
