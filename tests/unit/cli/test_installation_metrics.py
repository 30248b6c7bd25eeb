"""Each process of an installation serves its metrics on a port of its own."""

from __future__ import annotations

from pathlib import Path

from cli.installation import children_of
from shared.runtime.settings import load_settings


def test_processes_count_up_from_the_configured_port(tmp_path: Path) -> None:
    specs = children_of(load_settings({"EV2_HOME": str(tmp_path), "EV2_METRICS__PORT": "9100"}))
    ports = [int(dict(spec.environment)["EV2_METRICS__PORT"]) for spec in specs]
    assert ports == list(range(9100, 9100 + len(specs)))


def test_without_a_port_no_process_serves_any(tmp_path: Path) -> None:
    assert all(spec.environment == () for spec in children_of(load_settings({"EV2_HOME": str(tmp_path)})))
