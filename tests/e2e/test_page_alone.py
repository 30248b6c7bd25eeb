"""The page when others are dead: it says so, and what it can do it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Visits
from tests.e2e.day import Desk, Played, desk_of


@pytest.fixture
def without_bus(played: Played, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(played, tmp_path / "home") as made:
        yield made


@pytest.fixture
def with_state(played: Played, tmp_path: Path) -> Iterator[Desk]:
    with desk_of(played, tmp_path / "home", "server", "state") as made:
        yield made


def halt(page: Page) -> None:
    page.click("[data-order=halt]")
    expect(page.get_by_role("dialog")).to_contain_text("State is not heard.")
    page.click("[data-confirm]")
    expect(page.get_by_role("alert").filter(has_text="halt is NOT confirmed by state")).to_be_visible()
    expect(page.locator(".brand .chip")).to_have_text("halted")


def test_with_state_and_bus_dead_the_page_shows_the_ledger_and_halts_by_the_file(
    without_bus: Desk, visit: Visits, pictures: Path
) -> None:
    page = visit().open(without_bus)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("the bus does not answer")
    expect(page.locator("[data-symbol=CYNT]")).to_contain_text("no price yet")
    halt(page)
    page.screenshot(path=pictures / "no-bus.png")
    assert without_bus.halt_file() == "halt"
    page.click("[data-order=resume]")
    page.click("[data-confirm]")
    expect(page.get_by_role("alert").filter(has_text="resume was not sent")).to_be_visible()
    assert without_bus.halt_file() == "halt"


def test_when_state_is_killed_the_page_says_so_within_seconds_and_halts_all_the_same(
    with_state: Desk, visit: Visits, pictures: Path
) -> None:
    page = visit().open(with_state)
    expect(page.locator(".banner")).to_be_hidden()
    with_state.kill("state")
    expect(page.locator(".banner")).to_contain_text(re.compile("State is not heard: nothing new is sent"))
    expect(page.locator("[data-symbol=CYNT]")).to_contain_text("33.46")
    halt(page)
    page.screenshot(path=pictures / "state-killed.png")
    assert with_state.halt_file() == "halt"
    with_state.kill("server")
    expect(page.locator(".banner")).to_contain_text("the bus does not answer")
    expect(page.locator(".tile").first).to_contain_text("100,015.00")
