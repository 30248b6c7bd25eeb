"""The page's own HTML: figures, words, and nothing that a message could smuggle in."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser

import pytest

from services.dashboard import fragments
from services.dashboard.rows import Closed
from services.dashboard.standing import standing
from services.dashboard.tape import Price
from shared.contracts.vocabulary import HaltLevel, StopMode, TrimState
from tests.unit.dashboard.samples import CLOSE, MINUTE, OPEN, held, money, view

HOSTILE = "<script>alert(1)</script>\"'&"


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def text(html: str) -> str:
    parser = Text()
    parser.feed(html)
    return " ".join(parser.text.split())


def test_tiles_give_the_account_in_figures() -> None:
    shown = text(fragments.tiles(view(held=(held(),)), {"AAPL": Price(10.5, OPEN)}))
    assert "Equity 100,100.00 cash 99,000.00" in shown
    assert "Today +100.00 +0.10 % since the opening" in shown
    assert "Open profit +50.00 realized +0.00" in shown
    assert "Exposure 1 % 1,100.00" in shown


def test_trouble_has_its_colour_in_the_tiles() -> None:
    shown = fragments.tiles(view(held=(held(unprotected_since=OPEN),), unresolved=("x",)), {})
    assert shown.count('class="tile bad"') == 2
    assert "now: AAPL" in shown


def test_without_a_ledger_the_tiles_say_so() -> None:
    assert "unknown" in fragments.tiles(None, {})


def test_a_card_says_price_gain_stop_and_how_long() -> None:
    one = held(r1_state=TrimState.DONE, stop_mode=StopMode.CAUTION)
    card = text(fragments.position(one, standing(one, Price(10.25, OPEN)), OPEN + 95 * MINUTE))
    for said in ("10.25", "+25.00 +2.50 % · +0.50 R", "100 at 10.00", "for 1 h 35 min", "stop 9.50 rests", "R1 done"):
        assert said in card
    assert "caution" in card


def test_a_card_of_shares_without_their_stop_says_how_many_are_covered() -> None:
    one = held(resting=40)
    assert "stop 9.50: rests for 40 of 100" in fragments.position(one, standing(one, None), None)


def test_the_bar_can_be_read_by_those_who_do_not_see_it() -> None:
    bar = fragments.bar(held(), standing(held(), Price(10.25, OPEN)))
    assert 'aria-label="AAPL: price 10.25; stop 9.50, entry 10.00, R1 10.50, R2 11.00"' in bar


def test_names_of_levels_that_lie_together_stand_together() -> None:
    one = held(stop=Decimal("10.00"))
    assert "stop, entry</b>" in fragments.bar(one, standing(one, None))
    apart = fragments.bar(held(), standing(held(), None))
    assert ">stop</b>" in apart
    assert ">entry</b>" in apart


def test_whatever_a_text_says_it_stays_text() -> None:
    shown = fragments.banner([HOSTILE]) + fragments.closed(
        [Closed(symbol=HOSTILE, bought=1, avg_price=Decimal(1), realized=Decimal(0), closed_at=CLOSE)]
    )
    assert "<script" not in shown
    assert HOSTILE in text(shown)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"alive": False}, "State is not heard: nothing new is sent to the broker; stops there rest."),
        ({"bus_trouble": "the bus does not answer: no"}, "the bus does not answer: no. No prices and no health"),
        ({"ledger_trouble": "no ledger"}, "no ledger. What is shown is of 10:30."),
        ({"level": HaltLevel.HALT}, "The halt file says halt; state has not taken that over yet."),
        ({"view": view(money=money(blocked=True))}, "The broker blocks the account"),
        ({"view": view(money=money(stopped="drawdown"))}, "Stopped by drawdown: no entries."),
        ({"view": view(unresolved=("e7f3-1",))}, "Fate unknown: e7f3-1."),
        ({"view": view(foreign=("shares: TSLA",))}, "no record explains it: shares: TSLA."),
    ],
)
def test_every_trouble_is_named(trouble: dict[str, object], said: str) -> None:
    given = {
        "view": view(),
        "ledger_trouble": "",
        "bus_trouble": "",
        "alive": True,
        "level": HaltLevel.NONE,
    }
    found = fragments.troubles(**{**given, **trouble})  # type: ignore[arg-type]
    assert any(said in one for one in found), found


def test_all_is_well_has_no_banner() -> None:
    assert fragments.troubles(view(), "", "", alive=True, level=HaltLevel.NONE) == []


def test_the_clock_is_new_yorks_and_ends_with_the_session() -> None:
    assert text(fragments.session_clock(view())) == "Tue 13 Jan 2026 10:30 New York"
    assert text(fragments.session_clock(view(now=CLOSE))) == "Tue 13 Jan 2026 session is over"
    assert text(fragments.session_clock(None)) == "no session yet"


def test_every_level_has_a_word_and_a_colour() -> None:
    shown = [fragments.level(level) for level in HaltLevel]
    assert [re.sub("<[^>]+>", "", one) for one in shown] == ["trading", "paused", "halted", "flatten"]
