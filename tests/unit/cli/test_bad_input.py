"""Bad input: one line that says what, where and what to do; exit code 2; nothing is started."""

from __future__ import annotations

import fcntl
import resource
import socket
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from services.state.store import newest_version
from tests.unit.cli.conftest import Execute
from tests.unit.cli.ledgers import make_ledger

READERS = ("status", "candidates", "intents", "orders", "positions", "why AAPL")
STARTERS = ("demo", "up", "run --once")

Refused = Callable[[str], str]


@pytest.fixture
def refused(execute: Execute, capsys: pytest.CaptureFixture[str], home: Path) -> Refused:
    """Runs a command line that must be refused, and returns the line that it said."""

    def run(line: str) -> str:
        assert execute(*line.split()) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("execution: ")
        assert err.count("\n") == 1, err
        assert not (home / "data" / "redis").exists()
        return err.removeprefix("execution: ").rstrip()

    return run


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Two symbols, one session, five minutes."""
    minutes = pl.datetime_range(
        pl.datetime(2015, 2, 11, 14, 30, time_zone="UTC"),
        pl.datetime(2015, 2, 11, 14, 34, time_zone="UTC"),
        "1m",
        eager=True,
    )
    frame = pl.concat(
        pl.DataFrame({"symbol": symbol, "timestamp": minutes}).with_columns(
            open=10.0, high=10.1, low=9.9, close=10.0, volume=100.0
        )
        for symbol in ("AAPL", "SPY")
    )
    frame.write_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


@pytest.mark.parametrize("command", READERS)
def test_without_a_ledger_every_view_names_the_command_that_makes_one(command: str, refused: Refused) -> None:
    assert "run `execution demo` or `execution up` first" in refused(command)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--bars nope.parquet --session 2015-02-11", "nope.parquet does not exist"),
        ("--bars bars.parquet", "--bars needs --session DATE"),
        ("--daily bars.parquet", "--daily needs --bars FILE"),
        ("--bars bars.parquet --session 2015-02-16", "2015-02-16 (Monday) is no session of the exchange"),
        ("--bars bars.parquet --session 2015-02-12", "bars.parquet has no bars of 2015-02-12; it has 2015-02-11 to"),
        ("--bars bars.parquet --session 2015-02-11 --to 2015-02-10", "the last session 2015-02-10 lies before"),
        ("--bars bars.parquet --session 20150211", "--session '20150211' is no date"),
        ("--bars bars.parquet --session 11.2.2015", "--session '11.2.2015' is no date"),
        (
            "--bars bars.parquet --session 2015-02-11 --watchlist AAPL,ZZZ",
            "--watchlist: bars.parquet has no symbol ZZZ",
        ),
        ("--bars bars.parquet --session 2015-02-11 --watchlist a*b", "--watchlist: 'A*B' is no symbol"),
        ("--bars bars.parquet --session 2015-02-11 --watchlist ,", "--watchlist names no symbol"),
        ("--bars bars.parquet --session 2015-02-11 --speed fast", "--speed 'fast': write market seconds a second"),
        ("--bars bars.parquet --session 2015-02-11 --speed -1", "--speed '-1'"),
        ("--bars bars.parquet --daily bars.parquet --session 2015-02-11", "bars.parquet lacks the column date"),
        ("--bars damaged.parquet --session 2015-02-11", "damaged.parquet is no readable Parquet"),
        ("--bars empty.parquet --session 2015-02-11", "empty.parquet is empty"),
        ("--bars columns.csv --session 2015-02-11", "columns.csv lacks the columns timestamp"),
        ("--signals 0", "Invalid value for '--signals'"),
        ("--nonsense", "No such option: --nonsense"),
    ],
)
def test_a_demo_refuses_what_it_cannot_play(options: str, said: str, bars: Path, refused: Refused) -> None:
    folder = bars.parent
    (folder / "damaged.parquet").write_bytes(bars.read_bytes()[:200])
    (folder / "empty.parquet").touch()
    (folder / "columns.csv").write_text("symbol,price\nAAPL,10\n")
    assert refused(f"demo {options}").startswith(said)


@pytest.mark.parametrize("command", ["backtest", "replay", "demo"])
@pytest.mark.parametrize("names", [("aapl", "spy"), (None, None)])
def test_a_file_without_any_usable_symbol_is_refused(
    command: str, names: tuple[str | None, ...], bars: Path, refused: Refused
) -> None:
    frame = pl.read_parquet(bars)
    symbols = pl.Series("symbol", [names[0], names[1]], dtype=pl.String).repeat_by(5).explode()
    frame.with_columns(symbols).write_parquet(bars)
    assert "has no symbol" in refused(f"{command} --bars {bars} --session 2015-02-11")


def test_what_cannot_be_traded_of_a_file_is_told(
    bars: Path, execute: Execute, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.read_parquet(bars)
    frame.with_columns(symbol=pl.col("symbol").replace({"SPY": "spy"})).write_parquet(bars)
    assert execute("backtest", "--bars", str(bars), "--session", "2015-02-11") == 0
    unusable, no_index = capsys.readouterr().err.splitlines()
    assert unusable == "no symbols, and their bars do not count: 'spy'; write them as in AAPL or BRK.B"
    assert no_index.startswith("no bars of SPY: without them the market counts as DEFENSIVE and nothing is bought")


def test_a_disk_without_room_is_named_with_the_home(refused: Refused, bars: Path, home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file takes a byte, as on a disk that is full
    try:
        assert refused(f"backtest --bars {bars} --session 2015-02-11").startswith(f"{home / 'data'}: cannot be written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("command", STARTERS)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = [", "execution.toml: not valid TOML"),
        ("[entry]\nmax_drif = 1\n", "execution.toml: unknown key entry.max_drif; did you mean max_drift?"),
        ("[risk]\nmax_pct = -1\n", "execution.toml: risk.max_pct: Input should be greater than 0"),
    ],
)
def test_a_wrong_configuration_is_named_with_its_place(
    command: str, text: str, said: str, home: Path, refused: Refused
) -> None:
    (home / "execution.toml").write_text(text)
    assert said in refused(command)


@pytest.mark.parametrize("command", STARTERS)
def test_a_second_one_in_the_same_home_is_refused(command: str, home: Path, refused: Refused) -> None:
    (home / "data").mkdir()
    with (home / "data" / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        assert refused(command).endswith("already in use by process 4711; stop it first")


@pytest.mark.parametrize("command", STARTERS)
def test_a_port_in_use_is_named_with_the_setting(
    command: str, home: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("EV2_EXCHANGE__PORT", str(port))
        assert refused(command) == (
            f"exchange.port {port} on 127.0.0.1 cannot be used (Address already in use); "
            "set EV2_EXCHANGE__PORT to a free one"
        )


@pytest.mark.parametrize("command", STARTERS)
def test_a_home_that_cannot_be_written_is_named(command: str, home: Path, refused: Refused) -> None:
    (home / "data").touch()
    assert refused(command) == f"{home / 'data'}: cannot be written (File exists); choose another --home"


@pytest.mark.parametrize("command", [*READERS, "up", "run --once"])
def test_a_ledger_of_a_newer_version_is_left_untouched(command: str, home: Path, refused: Refused) -> None:
    ledger = home / "data" / "execution_v2.sqlite"
    make_ledger(ledger)
    with sqlite3.connect(ledger) as database:
        database.execute(f"PRAGMA user_version = {newest_version() + 1}")
    database.close()
    before = ledger.read_bytes()
    assert "is newer than this program's" in refused(command)
    assert ledger.read_bytes() == before


@pytest.mark.parametrize("command", [*READERS, "up", "run --once"])
def test_a_file_that_is_no_ledger_is_one_line(command: str, home: Path, refused: Refused) -> None:
    (home / "data").mkdir()
    (home / "data" / "execution_v2.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    assert "execution_v2.sqlite" in refused(command)


def test_orders_never_go_to_a_broker_that_is_not_named(refused: Refused) -> None:
    assert refused("run --no-dry-run").startswith("run --no-dry-run needs broker.kind paper or live")


@pytest.mark.parametrize("address", ["http://localhost", "redis://127.0.0.1:many"])
@pytest.mark.parametrize("command", STARTERS)
def test_an_address_that_no_server_can_have_is_one_line(
    command: str, address: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EV2_REDIS_URL", address)
    assert refused(command).endswith("look at bus.url or EV2_REDIS_URL")


def test_a_server_that_speaks_another_protocol_is_one_line(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_as_web_server, args=(server,), daemon=True).start()
        monkeypatch.setenv("EV2_REDIS_URL", f"redis://127.0.0.1:{server.getsockname()[1]}")
        assert refused("up").endswith("look at bus.url or EV2_REDIS_URL")


def _answer_as_web_server(server: socket.socket) -> None:
    taken, _ = server.accept()
    with taken:
        taken.recv(4096)
        taken.sendall(b"<html>400 Bad Request</html>\r\n")


@pytest.mark.parametrize("kind", ["paper", "live"])
def test_no_broker_is_traded_at_on_prices_of_a_played_market(
    kind: str, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EV2_BROKER__KIND", kind)
    assert refused("up").startswith(f"broker.kind {kind} would trade at Alpaca on the prices of a synthetic market")


def test_the_server_alone_needs_something_to_serve(refused: Refused) -> None:
    assert refused("server").endswith("run `execution demo` or `execution up` first")


def test_an_unknown_command_and_no_argument_are_told(refused: Refused) -> None:
    assert refused("nonsense").startswith("No such command 'nonsense'")
    assert refused("why").startswith("Missing argument 'symbol'")


@pytest.mark.parametrize("date", ["2015-13-01", "20150226", "LAST"])
def test_a_date_to_audit_is_looked_at_before_anyone_is_asked(refused: Refused, date: str) -> None:
    assert f"DATE '{date}' is no date" in refused(f"audit {date}")
