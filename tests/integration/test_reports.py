"""`execution report` and `execution explain` on sessions that were really played, held against the exchange's book."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cli import market
from cli.backtest import NeverHalted, keep, variables_of
from cli.columns.market import Unfit
from cli.columns.play import columns_of
from cli.columns.play import play as play_on_columns
from cli.inprocess.engine import Engine
from cli.ledger import reading
from cli.main import app
from cli.picture import picture
from cli.play import Market, Play, start_of
from cli.reporting.command import wanted
from cli.reporting.minutes import market_of
from cli.reporting.page import page
from cli.reporting.reading import rows_of
from cli.reporting.report import Report, report_of
from cli.summary import summary
from services.market_data.sources import build_source
from services.state.__main__ import setup_of
from services.state.sources import CandidateFiles
from services.state.store import Store
from shared.runtime.settings import RecordedFeed, load_settings
from tests.unit.market_files import MARKET

SIX = MARKET / "bars_1m_us6_2014-11_2015-07.parquet"
FIRST, LAST = dt.date(2015, 2, 11), dt.date(2015, 2, 26)

pytestmark = pytest.mark.skipif(not SIX.exists(), reason="../shared/market is not there")


class Played(NamedTuple):
    """A home with eleven played sessions, and what the exchange's book says of its cash."""

    home: Path
    opening_cash: Decimal
    cash: Decimal


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Relative volume refuses nothing, so that more is traded; one position is held for six nights."""
    home = tmp_path_factory.mktemp("home")
    play = Play(
        market=Market(bars=str(SIX), daily="", seed=26, watchlist=("AAPL", "DIA", "FB", "IWM", "QQQ", "SPY")),
        first=FIRST,
        last=LAST,
        installation="e362",
    )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**variables_of(play), "EV2_HOME": str(home), "EV2_BREAKOUT__MIN_RVOL": "0"}.items():
            patch.setenv(name, value)
        settings = load_settings()
        assert isinstance(settings.feed, RecordedFeed)
        store, sessions = Store.in_memory(), market.sessions_from(FIRST, LAST)
        with store.transaction():
            store.set_note("installation", settings.run.installation)
        setup = setup_of(settings)
        source = build_source(settings.feed, settings.data, settings.regime.symbol)
        engine = Engine(settings, setup, source, store, NeverHalted(), CandidateFiles(settings.home, setup))
        try:
            play_on_columns(settings, store, engine, columns_of(settings, sessions), sessions, lambda: None)
        except Unfit as why:
            pytest.fail(str(why))
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        keep(settings, play, store, start_of(settings.data_folder, play))
        account = engine.venue.exchange.book.account
        yield Played(home, account.opening_cash, account.cash)


def reported(home: Path, first: dt.date = FIRST, last: dt.date = LAST) -> Report:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EV2_HOME", str(home))
        settings = load_settings()
    with reading(settings.ledger) as database:
        rows = rows_of(database, first, last)
    assert rows is not None
    return report_of(rows, market_of(settings, wanted(rows)), settings.stop)


@pytest.fixture(scope="module")
def report(played: Played) -> Report:
    return reported(played.home)


def test_the_trades_add_up_to_the_change_of_the_cash_in_the_exchanges_book(played: Played, report: Report) -> None:
    assert report.totals.held == 0
    assert len(report.trades) == 5
    assert sum(trade.realized for trade in report.trades) == played.cash - played.opening_cash
    assert sum(day.realized for day in report.days) == played.cash - played.opening_cash
    assert report.totals.change == played.cash - played.opening_cash


def test_a_position_over_nights_is_one_trade_whose_parts_add_up(report: Report) -> None:
    [long] = [trade for trade in report.trades if trade.nights]
    assert (long.symbol, long.nights, long.bought) == ("SPY", 6, 7)
    assert sum(sale.shares for sale in long.sales) == 7
    assert sum(sale.profit for sale in long.sales) == long.realized
    assert [sale.kind for sale in long.sales] == ["trim", "trim", "stop"]


def test_a_report_of_a_day_is_the_same_whatever_came_after_it(played: Played, report: Report) -> None:
    [first_day] = reported(played.home, FIRST, FIRST).days
    assert first_day == report.days[0]
    held = [trade for trade in reported(played.home, FIRST, FIRST).trades if trade.held]
    assert [(trade.symbol, trade.held, trade.closed_at) for trade in held] == [("SPY", 7, None)]


def test_days_reported_singly_add_up_to_all_of_them(played: Played, report: Report) -> None:
    singly = [reported(played.home, day.session, day.session) for day in report.days]
    assert sum(one.totals.realized for one in singly) == report.totals.realized
    assert sum(len(one.slippage) for one in singly) == len(report.slippage)
    assert sum(one.totals.closed for one in singly) == report.totals.closed
    assert tuple(refused for one in singly for refused in one.refused) == report.refused


def test_worked_backwards_from_the_close_the_equity_before_the_first_purchase_is_that_of_the_opening(
    played: Played,
) -> None:
    of = reported(played.home, FIRST, FIRST)
    entered_at = min(trade.entered_at for trade in of.trades)
    before = [point.equity for point in of.curve if point.at < entered_at]
    assert len(before) > 20
    assert set(before) == {Decimal(100_000)}
    assert len(of.curve) > 380


def test_a_sessions_summary_has_what_that_session_sold_by_a_stop_of_an_earlier_one_too(
    played: Played, report: Report
) -> None:
    seen = [picture(played.home / "data" / "execution_v2.sqlite", day.session) for day in report.days]
    told = [summary(one) for one in seen if one is not None]
    assert [one.realized for one in told] == pytest.approx([day.realized for day in report.days], abs=Decimal("0.0001"))
    assert sum(one.stopped for one in told) == 2
    assert [one.held for one in told] == [day.held for day in report.days]


def test_every_order_that_traded_has_a_price_that_was_decided_on(played: Played, report: Report) -> None:
    with reading(played.home / "data" / "execution_v2.sqlite") as database:
        traded = {name for [name] in database.execute("SELECT DISTINCT client_order_id FROM fills")}
    assert {slip.order for slip in report.slippage} == traded
    assert all(abs(slip.basis_points) < 100 for slip in report.slippage)


def test_of_every_refused_breakout_it_is_known_what_it_did(report: Report) -> None:
    assert len(report.refused) > 2
    assert all(one.afterwards is not None for one in report.refused)
    assert report.bars == str(SIX)


def test_where_the_bars_are_gone_it_says_so_and_goes_on(played: Played, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "execution_v2.sqlite").write_bytes((played.home / "data" / "execution_v2.sqlite").read_bytes())
    record = (played.home / "data" / "demo.json").read_text().replace(str(SIX), "/nowhere/bars.parquet")
    (tmp_path / "data" / "demo.json").write_text(record)
    found = reported(tmp_path)
    assert {one.unknown for one in found.refused} == {"/nowhere/bars.parquet does not exist: check the path"}
    assert all(reason.would_r is None for reason in found.reasons)


class Page(HTMLParser):
    """Names of elements, every attribute, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def test_the_page_needs_nothing_but_itself(report: Report) -> None:
    text = page(report)
    found = Page(text)
    assert set(found.names) & {"script", "link", "img", "iframe", "object", "image", "use", "a"} == set()
    assert not [name for name, _ in found.attributes if name in {"src", "href", "xlink:href", "style"}]
    assert not re.search(r"url\(|@import|https?://", text)
    assert found.names.count("svg") == 6


@pytest.fixture
def execute(played: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("EV2_HOME", str(played.home))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as end:
            app(list(arguments), prog_name="execution")
        assert isinstance(end.value.code, int)
        return end.value.code

    return run


def test_the_command_prints_and_writes_the_same_figures(
    execute: Any, report: Report, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert execute("report", "--from", "2015-02-01", "--html", "r.html", "--csv", "r", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["totals"]["realized"] == float(report.totals.realized)
    assert len(printed["trades"]) == len((tmp_path / "r" / "trades.csv").read_text().splitlines()) - 1
    assert (tmp_path / "r.html").read_text() == page(report)
    assert execute("report", "2015-02-11") == 0
    assert "fell back below the pivot" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("2015-02-14",), "2015-02-14"),
        (("2014-01-02",), "it has 2015-02-11 to 2015-02-26"),
        (("--from", "2015-02-20", "--to", "2015-02-12"), "exchange them"),
        (("--from", "2016-02-20"), "the ledger has no session from 2016-02-20"),
        (("2015-02-11", "--to", "2015-02-12"), "not both"),
        (("--html", "."), "is a folder"),
        (("--html", "no/where.html"), "there is no folder"),
    ],
)
def test_what_cannot_be_reported_is_one_line_that_says_what_can(
    arguments: tuple[str, ...], said: str, execute: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute("report", *arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert len(told.err.splitlines()) == 1


def test_a_page_is_written_over_an_earlier_one_and_over_no_ledger(
    execute: Any, played: Played, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ledger = tmp_path / "copy.sqlite"
    ledger.write_bytes(before := (played.home / "data" / "execution_v2.sqlite").read_bytes())
    assert execute("report", "--html", str(ledger)) == 2
    assert "is no page" in capsys.readouterr().err
    assert ledger.read_bytes() == before
    (tmp_path / "empty.html").touch()
    assert execute("report", "--html", "empty.html") == 0
    assert execute("report", "--html", "empty.html") == 0


def explained(execute: Any, capsys: pytest.CaptureFixture[str], order: str) -> Any:
    assert execute("explain", order, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_every_order_that_traded_is_explained_back_to_a_bar(
    played: Played, execute: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with reading(played.home / "data" / "execution_v2.sqlite") as database:
        names = [name for [name] in database.execute("SELECT DISTINCT client_order_id FROM fills ORDER BY 1")]
        booked = dict(database.execute("SELECT client_order_id, sum(qty) FROM fills GROUP BY 1"))
    assert len(names) == 5 + 3 + 3 + 2  # entries, trims, exits, stops
    for name in names:
        of = explained(execute, capsys, name)
        [asked] = [story for story in of["orders"] if story["role"] == "asked"]
        assert of["order"] == name
        assert of["bar"]["ends_at"] is not None, name
        assert of["intent"] is not None, name
        assert sum(fill["shares"] for fill in asked["fills"]) == booked[name]
        assert asked["requests"] or asked["order"]["parent"], name
        assert of["trade"]["symbol"] == of["symbol"]


def test_an_entry_tells_its_verdict_its_size_and_how_its_trade_went_on(
    execute: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of = explained(execute, capsys, "e362-150226-FB-entry-1")
    assert [verdict["reason"] for verdict in of["verdicts"]] == ["confirmed"]
    [admission] = of["admissions"]
    assert (admission["stage"], admission["size"]["shares"], admission["size"]["as_configured"]) == ("due", 7, True)
    assert [story["role"] for story in of["orders"]] == ["asked", "leg", "replaced by"]
    assert [stop["basis"] for stop in of["stops"]] == ["first_stop", "r1_breakeven"]
    assert [sale["kind"] for sale in of["trade"]["sales"]] == ["trim", "stop"]


def test_the_tree_tells_it_from_the_bar_to_the_trade(execute: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("explain", "e362-150226-FB-entry-1") == 0
    text = capsys.readouterr().out
    places = [
        text.index(word) for word in ("bar of the minute", "verdict", "intent", "admitted", "order e362", "trade")
    ]
    assert places == sorted(places)
    assert "02-26 09:50:00" in text


def test_by_the_brokers_id_and_by_its_beginning_it_is_the_same_order(
    execute: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = explained(execute, capsys, "e362-150226-FB-trim-1")
    [asked] = [story for story in whole["orders"] if story["role"] == "asked"]
    assert explained(execute, capsys, asked["order"]["broker_id"]) == whole
    assert explained(execute, capsys, "e362-150226-FB-tr") == whole


def test_a_refused_intent_is_explained_though_no_order_was_made(
    execute: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of = explained(execute, capsys, "150213-IWM")
    assert (of["order"], of["orders"], of["admissions"][0]["reason"]) == ("", [], "extended")


def test_an_unknown_order_is_one_line_with_the_nearest(execute: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute("explain", "e362-150226-FB-entry-9") == 2
    told = capsys.readouterr().err
    assert "near it: e362-150226-FB-entry-1" in told
    assert len(told.splitlines()) == 1
