"""deploy/metrics and deploy/grafana: every figure they ask for is one that a process gives; each alert is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import Counter, Gauge, Histogram

from shared.runtime import metrics

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SCRAPE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/metrics/prometheus.yml").read_text())
RULES: Final[list[dict[str, Any]]] = [
    rule
    for group in yaml.safe_load((ROOT / "deploy/metrics/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
BOARD: Final[dict[str, Any]] = json.loads((ROOT / "deploy/grafana/boards/execution.json").read_text())
GIVEN: Final = {one._name: one for one in vars(metrics).values() if isinstance(one, Counter | Gauge | Histogram)}
ASKED: Final = [
    *((rule["alert"], rule["expr"]) for rule in RULES),
    *((panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel["targets"]),
]


@pytest.mark.parametrize(("name", "expr"), ASKED, ids=[name for name, _ in ASKED])
def test_what_is_asked_for_is_given_with_these_labels(name: str, expr: str) -> None:
    for series in re.findall(r"\bev2_\w+", expr):
        metric = GIVEN.get(re.sub(r"_(total|bucket|sum|count)$", "", series))
        assert metric is not None, series
        asked = set(re.findall(r"(\w+)=\"", expr)) | set(
            re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", expr)))
        )
        assert asked <= {*metric._labelnames, "le"}, series


def test_every_process_is_scraped_where_it_serves_its_metrics() -> None:
    [job] = SCRAPE["scrape_configs"]
    [found] = job["dns_sd_configs"]
    ours = {
        name
        for name, service in COMPOSE["services"].items()
        if service["image"] == "execution-v2" and service["restart"] != "no"  # what ends at once has nothing to tell
    }
    assert set(found["names"]) == ours
    assert {str(found["port"])} == {COMPOSE["services"][name]["environment"]["EV2_METRICS__PORT"] for name in ours}
    assert SCRAPE["rule_files"] == ["alerts.yml"]


def test_each_rule_says_how_bad_it_is_and_the_runbook_what_to_do() -> None:
    runbook = (ROOT / "docs" / "operating.md").read_text()
    assert len({rule["alert"] for rule in RULES}) == len(RULES) > 5
    for rule in RULES:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]
        assert f"| `{rule['alert']}` |" in runbook, rule["alert"]


def test_each_figure_is_set_somewhere() -> None:
    """A gauge that nothing sets would read 0 for ever, and an alert on it could not come."""
    code = "\n".join(path.read_text() for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py"))
    for name, metric in vars(metrics).items():
        if isinstance(metric, Counter | Gauge | Histogram):
            assert re.search(rf"metrics\.{name}\b", code), f"{name} is never set"


def test_the_board_shows_each_figure_once_and_its_source_is_provisioned() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]]
    assert len(set(places)) == len(places)
    sources = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    [source] = sources["datasources"]
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {source["uid"]}
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/boards.yml").read_text())["providers"]
    assert f"./deploy/grafana/boards:{provider['options']['path']}:ro" in COMPOSE["services"]["grafana"]["volumes"]


def test_promtool_itself_reads_the_files() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH")
    done = subprocess.run(
        [promtool, "check", "config", str(ROOT / "deploy/metrics/prometheus.yml")], capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode()
