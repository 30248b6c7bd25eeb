"""The page in a real browser, over a ledger and a bus in the middle of a session."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from shared.contracts.commands import Pause, Resume
from tests.e2e.conftest import Visits
from tests.e2e.day import HOSTILE, ROWS, TOKEN, UNTIL, Desk

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
SOON_S = 3.0
"""Measured below 0.4 s on an idle machine; tests share theirs."""
TABS = ("Money", "Candidates", "Chart", "Journal", "Health")


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def level(page: Page, word: str) -> None:
    expect(page.locator(".brand .chip")).to_have_text(word)


def order(page: Page, name: str) -> None:
    """Give an order and confirm it."""
    page.click(f"[data-order={name}]")
    page.click("[data-confirm]")


def test_a_wrong_token_lets_nobody_in_and_the_right_one_does(desk: Desk, visit: Visits, pictures: Path) -> None:
    visitor = visit(locale="en-US")
    page = visitor.log_in(desk, "not it")
    expect(page.get_by_role("alert")).to_have_text("That is not the token.")
    page.screenshot(path=pictures / "login.png")
    visitor.log_in(desk)
    expect(page.locator(".tile").first).to_contain_text("100,015.00")
    [cookie] = visitor.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    page.get_by_role("button", name="log out").click()
    expect(page.locator("#token")).to_be_visible()
    page.goto(desk.url)
    expect(page.locator("#token")).to_be_visible()


def test_positions_show_price_stop_and_targets_and_where_the_price_stands(
    desk: Desk, visit: Visits, pictures: Path
) -> None:
    visitor = visit()
    page = visitor.open(desk)
    card = page.locator("[data-symbol=CYNT]")
    expect(card.get_by_role("img")).to_have_attribute(
        "aria-label", "CYNT: price 33.46; stop 33.25, entry 33.25, R1 33.45, R2 33.72"
    )
    expect(card).to_contain_text("stop 33.25 rests")
    expect(card).to_contain_text("R1 done")
    expect(page.locator("[data-symbol=HAVN]")).to_be_visible()
    expect(page.locator(".orders")).to_contain_text("demo-260113-CYNT-stop-1")
    expect(page.locator("section[aria-label=Positions]")).to_contain_text(re.compile(r"JUNO 11 at 44\.03\s+-1\.76"))
    expect(page.locator("#equity-chart canvas")).to_be_visible()
    page.screenshot(path=pictures / "money.png", full_page=True)
    assert visitor.complaints == []


def test_candidates_say_why_not_in_words(desk: Desk, visit: Visits, pictures: Path) -> None:
    page = visit().open(desk)
    tab(page, "Candidates")
    row = page.locator(".candidates tr", has_text="FJRD")
    expect(row).to_contain_text("was above the pivot before")
    expect(row).to_contain_text("10:50: broke out, its stop is too far away")
    page.screenshot(path=pictures / "candidates.png")
    page.get_by_label("Find").fill("kelp")
    expect(page.locator(".candidates tbody tr")).to_have_count(1)


def test_a_symbol_leads_to_its_chart_with_what_was_done_and_why(desk: Desk, visit: Visits, pictures: Path) -> None:
    visitor = visit()
    page = visitor.open(desk)
    page.locator("[data-symbol=CYNT]").get_by_role("button", name="chart of CYNT").click()
    expect(page.locator("#symbol-chart canvas")).to_be_visible()
    expect(page.locator("#symbol-chart")).to_have_attribute("aria-label", re.compile("CYNT, session 2026-01-13"))
    section = page.locator("section[aria-label=Chart]")
    expect(section).to_contain_text("10:53  bought 42 at 33.25: broke out and held: 33.23 above 33.17")
    expect(section).to_contain_text("11:17  sold 21 at 33.48: reached R1")
    hover_over_the_purchase(page)
    page.screenshot(path=pictures / "chart.png")
    assert visitor.complaints == []


def hover_over_the_purchase(page: Page) -> None:
    """The mark stands in the ninth of 39 spans, above the middle; what it says is drawn on the canvas."""
    chart = page.locator("#symbol-chart")
    before = chart.screenshot()
    box = chart.bounding_box()
    assert box is not None
    for step in range(20):
        page.mouse.move(box["x"] + 16 + (box["width"] - 58) * 8.5 / 39, box["y"] + box["height"] * (0.30 + step / 100))
        if chart.screenshot() != before:
            return
    pytest.fail("hovering over a mark shows nothing")


def test_ten_thousand_rows_of_the_journal_are_searched_and_turned_without_lag(
    desk: Desk, visit: Visits, pictures: Path
) -> None:
    visitor = visit()
    page = visitor.open(desk)
    tab(page, "Journal")
    place = page.locator(".pager .muted")
    expect(place).to_have_text(re.compile(r"^1 to 50 of 10,0\d\d$"))
    started = time.monotonic()
    page.get_by_label("Search").fill("check 7777")
    expect(place).to_have_text("1 to 1 of 1")
    assert time.monotonic() - started < SOON_S
    page.get_by_label("Search").fill("")
    expect(place).to_have_text(re.compile(r"^1 to 50 of"))
    started = time.monotonic()
    for first in (51, 101, 151):
        page.get_by_role("button", name="Older").click()
        expect(place).to_have_text(re.compile(f"^{first} to {first + 49} of"))
    assert time.monotonic() - started < 3 * SOON_S
    expect(page.locator(".journal tbody tr")).to_have_count(50)
    page.get_by_role("button", name="Trades", exact=True).click()
    expect(place).to_have_text(re.compile(r"^1 to \d+ of \d+$"))
    expect(page.locator(".journal")).to_contain_text("demo-260113-CYNT-entry-1: buy 42 at 33.25; 42 of 42 filled")
    page.screenshot(path=pictures / "journal.png")
    assert ROWS >= 10_000
    assert visitor.complaints == []


def test_what_the_ledger_says_is_shown_letter_by_letter_and_never_becomes_page(desk: Desk, visit: Visits) -> None:
    visitor = visit()
    page = visitor.open(desk)
    page.keyboard.press("/")
    page.keyboard.type("onerror")
    expect(page.locator(".journal td.text").first).to_have_text(HOSTILE)
    assert page.title() == "execution"
    assert page.locator("img").count() == 0


def test_no_secret_stands_in_the_page(desk: Desk, visit: Visits) -> None:
    visitor = visit()
    page = visitor.open(desk)
    [cookie] = visitor.context.cookies()
    source = page.request.get(desk.url).text() + page.content()
    assert TOKEN not in source
    assert cookie["value"] not in source


def test_a_halt_names_what_will_happen_and_shows_what_state_answered(desk: Desk, visit: Visits, pictures: Path) -> None:
    page = visit().open(desk)
    page.click("[data-order=halt]")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Halt and cancel entries?")
    expect(dialog).to_contain_text("No entry is working, so none is cancelled.")
    expect(dialog).to_contain_text("2 positions are kept; 2 stops rest on.")
    expect(dialog).to_contain_text("Dry run: no real money.")
    page.screenshot(path=pictures / "halt.png")
    page.click("[data-confirm]")
    expect(page.get_by_role("alert").filter(has_text="halt by the page: halted: no entries")).to_be_visible()
    level(page, "halted")
    assert desk.halt_file() == "halt"
    order(page, "resume")
    expect(page.get_by_role("alert").filter(has_text="resume by the page: trading")).to_be_visible()
    level(page, "trading")
    assert desk.halt_file() == "none"


def test_flatten_names_every_position_and_can_be_left(desk: Desk, visit: Visits) -> None:
    page = visit().open(desk)
    page.click("[data-order=flatten]")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("21 CYNT are sold at the market, about 703 dollars.")
    expect(dialog).to_contain_text("4 HAVN are sold at the market, about 428 dollars.")
    page.click("[data-leave]")
    expect(dialog).to_be_hidden()
    level(page, "trading")


def test_the_page_follows_the_ledger_within_a_second(desk: Desk, visit: Visits) -> None:
    assert desk.bus is not None
    page = visit().open(desk)
    lags_s = []
    for number in range(3):
        for kind, word in ((Pause, "paused"), (Resume, "trading")):
            end = desk.journal_end()
            desk.bus.publish([kind(id=f"follow-{number}-{word}", at=UNTIL, by="the test")])
            while desk.journal_end() == end:
                page.wait_for_timeout(5)
            committed = time.monotonic()
            level(page, word)
            lags_s.append(time.monotonic() - committed)
    assert sorted(lags_s)[1] < 1.0, lags_s


def test_everything_is_reached_by_keyboard(desk: Desk, visit: Visits) -> None:
    page = visit().open(desk)
    for number, panel in enumerate(("Positions", "Candidates", "Chart", "Journal", "Processes"), start=1):
        page.keyboard.press(str(number))
        expect(page.locator(f"section[aria-label='{panel}']")).to_be_visible()
    page.keyboard.press("1")
    reached: list[str] = []
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.innerText.trim()"
            )
        )
    names = " | ".join(reached)
    for name in ("Pause", "Halt", "Flatten", "dark or light", "log out", "Money", "chart of CYNT"):
        assert name in names, names
    page.locator("[data-order=pause]").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.locator("[data-leave]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    level(page, "trading")


def test_a_phone_shows_all_of_it_with_the_stop_under_the_thumb(desk: Desk, visit: Visits, pictures: Path) -> None:
    visitor = visit(**PHONE)
    page = visitor.open(desk)
    for name in TABS:
        tab(page, name)
        page.wait_for_timeout(300)
        page.screenshot(path=pictures / f"phone-{name.lower()}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == 390, name
        for button in page.locator(".control").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 44
            assert box["y"] + box["height"] <= 844
    assert visitor.complaints == []


CONTRAST = """(wanted) => {
  const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c) && c !== 'transparent') return c; } return 'rgb(255, 255, 255)'; };
  return [...document.querySelectorAll(wanted)].filter(e => e.offsetParent && !e.closest('[disabled]')).map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
    return [(e.className + ' ' + e.innerText).slice(0, 60), (a + 0.05) / (b + 0.05)]; });
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(desk: Desk, visit: Visits, pictures: Path, theme: str) -> None:
    page = visit(color_scheme=theme).open(desk)
    expect(page.locator("body")).to_have_class(re.compile(f"body--{theme}"))
    expect(page.locator(".pos").first).to_be_visible()
    wanted = (
        ".tile-name, .tile-value, .tile-below, .pos-price, .pos-gain, .chip, .link, .muted, td, th, .control, .name"
    )
    pale = [(text, round(ratio, 2)) for text, ratio in page.evaluate(CONTRAST, wanted) if ratio < 4.5]
    page.screenshot(path=pictures / f"{theme}.png", full_page=True)
    assert pale == []


def test_the_theme_is_turned_by_hand_and_kept(desk: Desk, visit: Visits) -> None:
    page = visit(color_scheme="light").open(desk)
    page.get_by_role("button", name="dark or light").click()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))
    page.reload()
    expect(page.locator("body")).to_have_class(re.compile("body--dark"))


def test_health_names_every_process(desk: Desk, visit: Visits, pictures: Path) -> None:
    page = visit().open(desk)
    tab(page, "Health")
    for name in ("state:1", "dashboard:1"):
        row = page.locator("tr", has_text=name)
        expect(row).to_contain_text("well")
        expect(row).to_contain_text("0 ms")
    page.screenshot(path=pictures / "health.png")


def test_two_visitors_do_not_share_what_they_look_at(desk: Desk, visit: Visits) -> None:
    tab(visit().open(desk), "Journal")
    page = visit().open(desk)
    expect(page.locator("section[aria-label=Positions]")).to_be_visible()
