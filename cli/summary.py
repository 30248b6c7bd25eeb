"""What a session came to: counted from the ledger's rows alone."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from cli.picture import Picture
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, OrderKind, Reason, Side, Status


class Bought(Struct, frozen=True, kw_only=True):
    """An entry that was filled, wholly or in part. price: average, dollars. at: first fill, UTC."""

    symbol: str
    at: dt.datetime | None
    qty: int
    price: Decimal
    client_order_id: str


class Summary(Struct, frozen=True, kw_only=True):
    """One session. Money in dollars.

    waiting: closed 10-minute bars that confirmed nothing, by reason. refused: confirmations that were not bought, by
    reason, of signals and of the account. trims, stopped, exits: orders that sold; stops_raised: intents.
    realized: of shares sold this session. held, equity: at its end. open: of shares held, at the last closes; None of a
    session that is not the latest. unresolved: orders whose fate at the broker is not known.
    """

    session: dt.date
    candidates: int
    verdicts: int
    confirmed: int
    entries: tuple[Bought, ...]
    waiting: dict[str, int]
    refused: dict[str, int]
    trims: int
    stops_raised: int
    stopped: int
    exits: int
    held: int
    realized: Decimal
    open: Decimal | None
    equity: Decimal
    unresolved: int


def summary(picture: Picture) -> Summary:
    """Count `picture`."""
    of_signals = [verdict for verdict in picture.verdicts if verdict.stage == "signals"]
    bought = {Reason.CONFIRMED.value, Reason.ADMITTED.value}
    not_confirmed = {reason.value for reason in NOT_A_CONFIRMATION}
    today = {fill.client_order_id for fill in picture.fills}
    filled = [order for order in picture.orders if order.client_order_id in today]
    sold = Counter(order.kind for order in filled if order.side is Side.SELL)
    return Summary(
        session=picture.session,
        candidates=len({candidate.symbol for candidate in picture.candidates}),
        verdicts=len(of_signals),
        confirmed=sum(verdict.reason == Reason.CONFIRMED for verdict in of_signals),
        entries=tuple(
            Bought(
                symbol=order.symbol,
                at=order.first_fill_at,
                qty=order.filled_qty,
                price=(order.filled_value / order.filled_qty).quantize(Decimal("0.0001")),
                client_order_id=order.client_order_id,
            )
            for order in filled
            if order.kind is OrderKind.ENTRY
        ),
        waiting=_counted(verdict.reason for verdict in of_signals if verdict.reason in not_confirmed),
        refused=_counted(
            verdict.reason
            for verdict in picture.verdicts
            if verdict.reason not in bought and verdict.reason not in not_confirmed
        ),
        trims=sold[OrderKind.TRIM],
        stops_raised=sum(intent.kind == "stop" for intent in picture.exits),
        stopped=sold[OrderKind.STOP],
        exits=sold[OrderKind.EXIT] + sold[OrderKind.FLAT],
        held=len(picture.over_night),
        realized=_realized(picture),
        open=_open(picture) if picture.latest else None,
        equity=picture.equity,
        unresolved=sum(order.status is Status.UNRESOLVED for order in picture.orders),
    )


def _counted(reasons: Iterable[str]) -> dict[str, int]:
    """Most frequent first; equally frequent ones by name."""
    counted = Counter(reasons)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _realized(picture: Picture) -> Decimal:
    average = {position.position_id: position.avg_price for position in picture.positions}
    return sum(
        (
            fill.qty * (fill.price - average[fill.position_id])
            for fill in picture.fills
            if fill.side is Side.SELL and fill.position_id in average
        ),
        Decimal(0),
    )


def _open(picture: Picture) -> Decimal:
    """The ledger's own mark of what is held, less what it cost."""
    if picture.account is None:
        return Decimal(0)
    worth = picture.account.equity - picture.account.cash
    return worth - sum((position.qty * position.avg_price for position in picture.held), Decimal(0))
