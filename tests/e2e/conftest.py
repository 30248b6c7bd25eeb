"""A real browser, and a desk in the middle of a session."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.day import DEADLINE_S, TOKEN, Desk, Played, desk_of, play

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
    )
    if not path:
        pytest.skip("no Chromium on PATH: the page is tested in a real browser only")
    with sync_playwright() as playwright:
        expect.set_options(timeout=DEADLINE_S * 1000)
        made = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield made
        made.close()


@pytest.fixture(scope="package")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go: `SCREENSHOTS`, else a folder of the test run."""
    given = os.environ.get("SCREENSHOTS")
    folder = Path(given) if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="package")
def played(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Played:
    del browser  # without one there is nothing to play for
    return play(tmp_path_factory.mktemp("played") / "home")


@pytest.fixture(scope="package")
def desk(played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """With a bus and state; tests leave it trading."""
    with desk_of(played, tmp_path_factory.mktemp("desk") / "home", "server", "state") as made:
        yield made


class Visit:
    """One page, and everything that the browser complained of."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda fault: self.complaints.append(str(fault)))
        self.page.on("console", lambda said: self._take(said.type, said.text))

    def _take(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(f"{kind}: {text}")

    def log_in(self, desk: Desk, token: str = TOKEN) -> Page:
        self.page.goto(f"{desk.url}/login")
        self.page.fill("#token", token)
        self.page.click("button[type=submit]")
        return self.page

    def open(self, desk: Desk) -> Page:
        """Logged in, with the page alive: it shows the account."""
        self.page.goto(desk.url)
        if self.page.url.endswith("/login"):
            self.log_in(desk)
        self.page.wait_for_selector(".tile-value")
        return self.page


class Visits:
    """Without options: a page of the browser that all tests share, logged in once. With some: a browser of its own."""

    def __init__(self, browser: Browser, shared: BrowserContext) -> None:
        self._browser = browser
        self._shared = shared
        self._own: list[BrowserContext] = []
        self._pages: list[Page] = []

    def __call__(self, **options: Any) -> Visit:
        context = self._shared
        if options:
            context = _context(self._browser, **options)
            self._own.append(context)
        made = Visit(context)
        self._pages.append(made.page)
        return made

    def close(self) -> None:
        for page in self._pages:
            page.close()
        for context in self._own:
            context.close()


def _context(browser: Browser, **options: Any) -> BrowserContext:
    context = browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **options})
    context.set_default_timeout(DEADLINE_S * 1000)
    return context


@pytest.fixture(scope="package")
def shared(browser: Browser) -> Iterator[BrowserContext]:
    context = _context(browser)
    yield context
    context.close()


@pytest.fixture
def visit(browser: Browser, shared: BrowserContext) -> Iterator[Visits]:
    made = Visits(browser, shared)
    yield made
    made.close()
