"""A backtest on columns: quiet sessions of symbols as a whole, eventful ones through the services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cli.columns import verdicts
from cli.columns.market import Columns, Unfit
from cli.columns.sparse import Sparse
from cli.columns.verdicts import Eventful, VerdictText
from cli.inprocess.engine import Engine
from services.market_data import batches
from services.state.records import SessionRow
from services.state.store import Store
from shared.contracts.vocabulary import PivotSource
from shared.domain import calendar
from shared.domain.calendar import Session
from shared.runtime.settings import RecordedFeed, Settings

NO_DELAY: Final = ("acknowledge_delay", "cancel_delay", "replace_delay")


def columns_of(settings: Settings, sessions: list[Session]) -> Columns:
    """The market of `sessions` in columns. Raises BadFile, and Unfit with the reason why it is played bar by bar."""
    feed, wanted = settings.feed, settings.candidates
    if not isinstance(feed, RecordedFeed):
        raise Unfit("the market is no file")
    if wanted.scan_file is not None or wanted.watchlist_file is not None or settings.levels.pivot is PivotSource.SCAN:
        raise Unfit("candidates come from a file, which may change")
    if any(getattr(settings.exchange, name) for name in NO_DELAY) or settings.exchange.faults is not None:
        raise Unfit("the exchange is told to be late or at fault")
    return Columns(
        feed.bars,
        feed.daily,
        sessions,
        span=settings.breakout.minutes,
        max_jump=settings.data.max_jump,
    )


def play(
    settings: Settings,
    store: Store,
    engine: Engine,
    columns: Columns,
    sessions: list[Session],
    heed: Callable[[], None],
) -> None:
    """Every session in turn. heed: asked before each; may raise to end it all."""
    rules, parts = settings.rules, settings.bus.partitions
    candidates = sorted(settings.candidates.watchlist)
    sparse = Sparse(engine, store, columns, rules, parts)
    rows: list[VerdictText] = []
    for day in sessions:
        heed()
        known = verdicts.before(columns, day, calendar.previous(day.session).session, rules)
        eventful = dict.fromkeys(sparse.active(), 0)
        for symbol in candidates:
            if symbol not in eventful:
                found = verdicts.verdicts_of(columns, known, symbol, rules, parts)
                if isinstance(found, Eventful):
                    eventful[symbol] = found.first
                    found = found.rows
                rows += found
        if eventful or day is sessions[-1]:  # the last one also leaves account and candidates as of its close
            rows += sparse.play(day, eventful, candidates)
        else:
            _pass(store, settings, day)
    with store.transaction():
        store.put_verdict_texts(rows)


def _pass(store: Store, settings: Settings, day: Session) -> None:
    """A session in which nothing happens leaves its row alone."""
    opened = batches.opened(day)
    account = store.account()
    row = SessionRow(
        session=day.session,
        opens_at=day.opens_at,
        closes_at=day.closes_at,
        early=day.early,
        previous=opened.previous,
        following=opened.following,
        following_opens_at=opened.following_opens_at,
        opening_equity=account.equity if account.session is not None else settings.exchange.cash,
    )
    with store.transaction():
        store.upsert_session(row)
