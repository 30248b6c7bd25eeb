"""The page of `execution report` as a browser shows it: it asks for nothing, and fits where it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.ledger import reading
from cli.reporting.command import wanted
from cli.reporting.minutes import market_of
from cli.reporting.page import page
from cli.reporting.reading import rows_of
from cli.reporting.report import report_of
from shared.runtime.settings import load_settings
from tests.e2e.conftest import Visits
from tests.e2e.day import SESSION, Played, variables


@pytest.fixture(scope="module")
def file(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the session that is under way, at 14:00."""
    settings = load_settings(variables(played.home))
    with reading(settings.ledger) as database:
        rows = rows_of(database, SESSION, SESSION)
    assert rows is not None
    made = tmp_path_factory.mktemp("report") / "report.html"
    made.write_text(page(report_of(rows, market_of(settings, wanted(rows)), settings.stop)), encoding="utf-8")
    return made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 980])
def test_it_fits_asks_for_nothing_and_has_nothing_to_complain_of(
    width: int, scheme: str, file: Path, visit: Visits, pictures: Path
) -> None:
    visited = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    visited.page.on("request", lambda request: asked.append(request.url))
    visited.page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert visited.complaints == []
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= width
    assert visited.page.locator("svg").count() >= 4
    assert visited.page.get_by_role("img", name="Equity, dollars").is_visible()
    paper = visited.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    visited.page.screenshot(path=pictures / f"report-{width}-{scheme}.png", full_page=True)


def test_on_paper_it_is_light_and_its_tables_are_tables(file: Path, visit: Visits, pictures: Path) -> None:
    visited = visit(viewport={"width": 700, "height": 900}, color_scheme="dark")
    visited.page.emulate_media(media="print")
    visited.page.goto(file.as_uri())
    assert visited.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert visited.page.evaluate("getComputedStyle(document.querySelector('tbody tr')).display") == "table-row"
    assert visited.page.evaluate("document.documentElement.scrollWidth") <= 700  # A4 with its margins
    visited.page.screenshot(path=pictures / "report-print.png", full_page=True)
