"""Figures of the predecessor's rules that are state's: sizing and correlation (docs/strategy.md sections 6 and 9)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.state.admission import sector_cap_exceeded
from services.state.sizing import correlation_penalty, shares
from shared.contracts.rules import SizeRules

FILE = Path(__file__).parents[4] / "shared" / "market" / "rule_vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text())["vectors"] if FILE.exists() else []

DIFFERS = {
    "sizing-050": 40,  # LIMIT there: a negative distance raised the size; section 6 takes it as 0
}
"""Cases in which docs/strategy.md says otherwise, with its answer."""

SETTING = {
    "max_position_pct": "max_fraction",
    "base_risk_pct": "base_fraction",
    "max_dist_pct": "max_dist_pct",
    "floor_scale": "floor_scale",
}


def cases(area: str, function: str) -> list[Any]:
    found = [v for v in VECTORS if v["area"] == area and v["fn"] == function]
    skip = pytest.mark.skip(reason=f"no reference figures at {FILE.parent.name}/{FILE.name}")
    return [pytest.param(v, id=v["id"]) for v in found] or [pytest.param({}, marks=skip)]


@pytest.mark.parametrize("vector", cases("sizing", "shares"))
def test_sizes(vector: dict[str, Any]) -> None:
    given = vector["in"]
    rules = SizeRules(**{SETTING[name]: value for name, value in given.get("cfg", {}).items()})

    def size() -> int:
        return shares(
            given["equity"],
            given["price"],
            rules,
            dist_pct=given["dist_pct"],
            atr_pct=given.get("atr_pct", 0.0),
            penalty=given.get("correlation_penalty", 0.0),
        )

    if "raises" in vector:
        with pytest.raises(ValueError, match="no size"):
            size()
    else:
        assert size() == DIFFERS.get(vector["id"], vector["out"])


@pytest.mark.parametrize("vector", cases("correlation", "penalty"))
def test_correlation_penalties(vector: dict[str, Any]) -> None:
    given = vector["in"]
    order = list(given["corr"])
    row = given["corr"].get(given["cand"], [])
    known = [row[order.index(held)] for held in given["open"] if row and held in order]
    assert correlation_penalty(known, SizeRules()) == vector["out"]


@pytest.mark.parametrize("vector", cases("correlation", "sector_cap"))
def test_sector_caps(vector: dict[str, Any]) -> None:
    # LIMIT: the predecessor measured the cap against what is invested plus the order (hence its 52.5 %); section 6
    # measures it against equity. Both agree on these two when equity is what they call gross.
    given = vector["in"]
    held = sum(value for symbol, value in given["pos"] if given["map"][symbol] == given["sector"])
    exceeded = sector_cap_exceeded(held, given.get("order", 0.0), given["gross"], given["max"])
    if vector["id"] == "correlation-015":
        assert not exceeded  # 5,000 of 100,000 dollars are 5 %
    else:
        assert exceeded is not vector["out"]["allowed"]
