"""What a replay or backtest came to: the ledger's digest, counts, profit and loss, and every trade."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from msgspec import Struct

from cli.ledger import reading, rows
from cli.play import Play
from cli.show import cell, dollars
from services.state import store
from services.state.digest import DIGESTED, digest
from services.state.model import Position
from shared.runtime.settings import Settings

CENTS: Final = Decimal("0.0001")

COUNTS: Final[Mapping[str, str]] = {
    **{table: f"SELECT count(*) FROM {table}" for table in DIGESTED},  # noqa: S608 - names of ours
    "sessions": "SELECT count(*) FROM sessions",
    "confirmed": "SELECT count(*) FROM entry_intents",
    "entries": "SELECT count(*) FROM order_ledger WHERE kind = 'entry' AND filled_qty > 0",
    "trims": "SELECT count(*) FROM order_ledger WHERE kind = 'trim' AND filled_qty > 0",
    "stopped": "SELECT count(*) FROM order_ledger WHERE kind = 'stop' AND filled_qty > 0",
    "exits": "SELECT count(*) FROM order_ledger WHERE kind IN ('exit', 'flat') AND filled_qty > 0",
    "unresolved": "SELECT count(*) FROM order_ledger WHERE status = 'unresolved'",
    "nights": (
        "SELECT count(*) FROM positions JOIN sessions ON entered_at < closes_at"
        " AND (closed_at IS NULL OR closed_at > closes_at)"
    ),
}
"""Name → what is counted in the ledger. nights: positions held over a close, each night once."""


class Trade(Struct, frozen=True, kw_only=True):
    """One position. Dollars, shares, UTC. held: shares still open; sold_at: average of what was sold, None: nothing."""

    position: str
    symbol: str
    entered_at: dt.datetime
    closed_at: dt.datetime | None
    qty: int
    bought_at: Decimal
    sold_at: Decimal | None
    held: int
    realized: Decimal


class Outcome(Struct, frozen=True, kw_only=True):
    """realized, open, equity: dollars, open by the last closes. seconds: of the play alone. restarts: of processes.

    bar_by_bar: why every bar went through the services; empty: quiet sessions were judged on columns.
    """

    digest: str
    first: dt.date
    last: dt.date
    seed: int
    installation: str
    counts: dict[str, int]
    realized: Decimal
    open: Decimal
    equity: Decimal
    trades: tuple[Trade, ...]
    seconds: float
    home: str
    ledger: str
    restarts: int = 0
    bar_by_bar: str = ""


def outcome_of(settings: Settings, play: Play, seconds: float) -> Outcome:
    """Read the ledger of a play that is over. Raises Trouble or LedgerRefused."""
    with reading(settings.ledger) as database:
        positions = rows(database, store.POSITIONS, "ORDER BY entered_at, position_id")
        [account] = rows(database, store.ACCOUNT)
        cost = sum((position.qty * position.avg_price for position in positions), Decimal(0))
        return Outcome(
            digest=digest(database),
            first=play.first,
            last=play.last,
            seed=play.market.seed,
            installation=play.installation,
            counts=counted(database),
            realized=sum((position.realized for position in positions), Decimal(0)),
            open=account.equity - account.cash - cost,
            equity=account.equity,
            trades=tuple(_trade(database, position) for position in positions),
            seconds=round(seconds, 3),
            home=str(settings.home.resolve()),
            ledger=str(settings.ledger.resolve()),
        )


def counted(database: sqlite3.Connection) -> dict[str, int]:
    """COUNTS, counted."""
    return {name: int(database.execute(question).fetchone()[0]) for name, question in COUNTS.items()}


def in_words(outcome: Outcome) -> str:
    """The outcome for people."""
    count = outcome.counts
    ending = "s"[: count["sessions"] != 1]
    way = f", bar by bar ({outcome.bar_by_bar})" if outcome.bar_by_bar else ""
    return "\n".join(
        [
            f"{count['sessions']} session{ending}, {outcome.first} to {outcome.last}, seed {outcome.seed}",
            f"  verdicts {count['verdicts']:,}, confirmed {count['confirmed']}, entries {count['entries']}, "
            f"trims {count['trims']}, stopped {count['stopped']}, exits {count['exits']}, nights {count['nights']}",
            *(_line(trade) for trade in outcome.trades),
            f"  P&L realized {dollars(outcome.realized)}, open {dollars(outcome.open)}; equity {outcome.equity:,.2f}",
            f"Took {outcome.seconds:.1f} s{way}. The ledger is {outcome.ledger}",
            f"digest {outcome.digest}",
        ]
    )


def _line(trade: Trade) -> str:
    sold = f"sold at {trade.sold_at:,.2f}" if trade.sold_at is not None else "nothing sold"
    held = f", {trade.held} still held" if trade.held else ""
    return (
        f"  {cell(trade.entered_at)} {trade.symbol} {trade.qty} at {trade.bought_at:,.2f}, {sold}{held}, "
        f"{dollars(trade.realized)}"
    )


def _trade(database: sqlite3.Connection, position: Position) -> Trade:
    fills = rows(database, store.FILLS, "WHERE position_id = ? AND side = 'sell'", position.position_id)
    shares = sum(fill.qty for fill in fills)
    earned = sum((fill.qty * fill.price for fill in fills), Decimal(0))
    return Trade(
        position=position.position_id,
        symbol=position.symbol,
        entered_at=position.entered_at,
        closed_at=position.closed_at,
        qty=position.bought,
        bought_at=position.avg_price,
        sold_at=(earned / shares).quantize(CENTS) if shares else None,
        held=position.qty,
        realized=position.realized,
    )
