"""The pages say what the code does: made pages are current, the rules are complete, what is named exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate import pages
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import KEEPS_THE_SESSION, NOT_A_CONFIRMATION, Reason
from shared.runtime.settings import Settings

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STRATEGY = (DOCS / "strategy.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
SOURCES = sorted(
    path for folder in ("shared", "services", "cli", "tests", "bench") for path in (ROOT / folder).rglob("*.py")
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_made_from_a_table_is_as_the_table_is_now(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run: python -m docs.generate"


def setting_names(model: type[Rules] | type[Settings]) -> Iterator[str]:
    for section, field in model.model_fields.items():
        yield from (f"{section}.{key}" for key in getattr(field.annotation, "model_fields", {}))


def test_every_setting_of_the_rules_is_named_where_the_rule_stands() -> None:
    unnamed = [name for name in setting_names(Rules) if not re.search(rf"`{name}\b", STRATEGY)]
    assert unnamed == []


def test_the_rules_name_no_setting_that_does_not_exist() -> None:
    sections = "|".join(Settings.model_fields)
    named = set(re.findall(rf"`((?:{sections})\.[a-z0-9_]+)", STRATEGY))
    assert named - set(setting_names(Settings)) == set()


NAME = r"`(?P<name>[a-z_]+\.[a-z0-9_]+)`"
VALUE = r"(?<![:\d.])(?P<value>[+-]?\d+(?:\.\d+)?)(?P<unit> %| h| min| s|)"
DEFAULTS = (re.compile(rf"{NAME}(?: = | \(){VALUE}(?![a-z])"), re.compile(rf"{VALUE}(?: \(| \| ){NAME}"))
SECONDS = {"": 1, " s": 1, " min": 60, " h": 3600}


def test_every_default_that_the_rules_give_is_the_default_of_the_code() -> None:
    rules = Rules().model_dump()
    checked = 0
    for found in (match for pattern in DEFAULTS for match in pattern.finditer(STRATEGY)):
        section, key = found["name"].split(".")
        if section not in rules:
            continue
        written, real = float(found["value"]), rules[section][key]
        if found["unit"] == " %":
            written = written if key.endswith("_pct") else written / 100
        else:
            written *= SECONDS[found["unit"]]
        assert real == pytest.approx(written), found["name"]
        checked += 1
    assert checked > 50


def reason_tables() -> tuple[list[tuple[Reason, str]], list[tuple[Reason, str]]]:
    """(reason, spends) of the two tables of section 5, row by row."""
    section = STRATEGY.partition("\n## 5. ")[2].partition("\n## 6. ")[0]
    tables: list[list[tuple[Reason, str]]] = []
    for line in section.splitlines():
        if line.startswith("| reason"):
            tables.append([])
        elif line.startswith("| `") and tables:
            first, _, spends = (cell.strip() for cell in line.strip("|").split("|"))
            tables[-1] += [(Reason(name), spends) for name in re.findall(r"`(\w+)`", first)]
    signals, state = tables
    return signals, state


def test_reasons_stand_in_the_order_in_which_they_are_asked() -> None:
    signals, state = reason_tables()
    members = list(Reason)
    asked_by_signals = members[: members.index(Reason.CONFIRMED) + 1]
    assert [reason for reason, _ in signals] == asked_by_signals
    shared = {Reason.STALE_DATA, Reason.HALTED, Reason.EXTENDED, Reason.NO_STOP, Reason.RISK_TOO_WIDE}
    own = [reason for reason, _ in state if reason not in shared]
    arriving = [Reason.SPENT, Reason.NOT_TRADABLE]
    assert [*arriving, *own] == members[members.index(Reason.CONFIRMED) + 1 :]
    assert shared <= {reason for reason, _ in state}


def test_what_a_refusal_spends_is_what_the_code_says() -> None:
    signals, state = reason_tables()
    for reason, spends in [*signals, *state]:
        if reason in (Reason.CONFIRMED, Reason.ADMITTED):
            assert spends == "", reason
        elif reason in NOT_A_CONFIRMATION:
            assert spends == "-", reason
        else:
            assert spends == ("no" if reason in KEEPS_THE_SESSION else "yes"), reason


def test_the_rules_have_their_eleven_sections() -> None:
    assert [int(number) for number in re.findall(r"^## (\d+)\. ", STRATEGY, re.MULTILINE)] == list(range(1, 12))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_code_cites_only_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for number in re.findall(r"strategy\.md,? sections? (\d+)", text):
        assert 1 <= int(number) <= 11, f"section {number}"
    for page in re.findall(r"\bdocs/[\w./-]+\.md\b", text):
        assert (ROOT / page).exists(), page


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_links_or_names_by_its_path_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
    outside_code = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    for path in re.findall(
        r"\b(?:shared|services|cli|tests|bench|docs|deploy)/[\w./-]+\.(?:py|md|sql|toml|yml|conf)\b", outside_code
    ):
        assert (ROOT / path).exists(), path


def test_every_decision_says_why_what_else_and_at_what_price() -> None:
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# {int(path.name[:4])}\. \S", text), path.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE)[:3] == ["Why", "What else was weighed", "The price"], (
            path.name
        )
        assert len(text.splitlines()) <= 60, f"{path.name} is longer than a page"


def alert_keys() -> set[str]:
    """The keys of all alerts in the code, by their fixed beginning: `foreign-...`, `clock`."""
    found: set[str] = set()
    for path in SOURCES:
        if path.parts[-3:-2] != ("services",):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                found.update(_keys_of(node, path.parent.name))
    return found


def _keys_of(call: ast.Call, service: str) -> Iterator[str]:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    key: ast.expr | None = None
    if name in ("alert", "alert_once", "_alert") and len(call.args) > 1:
        key = call.args[2] if service == "market_data" and len(call.args) > 2 else call.args[1]
    elif name == "Alert":
        key = next((word.value for word in call.keywords if word.arg == "key"), None)
    while isinstance(key, ast.Subscript):
        key = key.value
    prefix = "market_data-" if service == "market_data" and name == "_alert" else ""
    if isinstance(key, ast.JoinedStr):
        key, prefix = key.values[0], ""
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        yield prefix + key.value


def test_the_runbook_has_every_alert() -> None:
    runbook = (DOCS / "operating.md").read_text(encoding="utf-8")
    keys = alert_keys()
    assert len(keys) > 25
    missing = [key for key in keys if f"`{key}" not in runbook]
    assert missing == []
