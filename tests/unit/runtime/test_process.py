"""How a process starts: with its settings, or with one line and the exit code that tells nobody to try again."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from shared.contracts.commands import Sell
from shared.runtime.logs import about

ROOT = Path(__file__).parents[3]
STARTS = """
from shared.runtime.logs import configure_logs, logger
from shared.runtime.process import start
settings = start("signals")
configure_logs(settings.logs, "signals")
logger().info("started", symbol="AAPL", cause="bars-0-260109T1431", api_key="PK-do-not-show", page_token="hush")
"""


def start(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EV2_")}
    return subprocess.run(
        [sys.executable, "-c", STARTS],
        cwd=ROOT,
        env={**clean, "EV2_HOME": str(home), **environment},
        capture_output=True,
        text=True,
    )


def test_a_mistyped_setting_is_one_line_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "execution.toml").write_text("[entry]\nmax_drfit = 1\n")
    done = start(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("signals: ")
    assert done.stderr.endswith("did you mean max_drift?\n")
    assert done.stderr.count("\n") == 1


def test_a_taken_metrics_port_is_one_line_and_code_2(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        done = start(tmp_path, EV2_METRICS__PORT=str(port))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"metrics.port {port} is taken" in done.stderr


def test_a_log_line_names_service_symbol_and_cause_and_masks_what_looks_like_a_secret(tmp_path: Path) -> None:
    done = start(tmp_path)
    [line] = [json.loads(text) for text in done.stderr.splitlines()]
    assert done.returncode == 0
    assert {name: line[name] for name in ("event", "level", "service", "symbol", "cause")} == {
        "event": "started",
        "level": "info",
        "service": "signals",
        "symbol": "AAPL",
        "cause": "bars-0-260109T1431",
    }
    assert line["api_key"] == line["page_token"] == "***"


def test_a_message_is_identified_by_its_id_its_cause_and_its_symbol() -> None:
    from datetime import UTC, datetime

    at = datetime(2026, 1, 9, 14, 31, tzinfo=UTC)
    assert about(Sell(id="cmd-1", at=at, by="ann", symbol="AAPL")) == {"id": "cmd-1", "symbol": "AAPL"}
