"""What to ask of the broker next, for one symbol: `plan` compares what should rest there with what does.

Level-triggered: the answer depends on the book alone, never on what was planned before, so that a crash between any two
steps converges. At most one request is on its way for a symbol; the next step is planned when its outcome is known.

The order of the questions (docs/strategy.md sections 7, 8 and 10):
    1. something is on its way               wait
    2. an order given up for absent turned up   cancel it
    3. an entry is open                      cancel it if its time is over; nothing else beside it (wash trade)
    4. nothing is held                       cancel what would sell
    5. all is to be sold                     end the trim, end the stop, sell; if that is refused, the stop returns
    6. hold                                  one stop for what no trim sells, then the trim

Foreign shares and orders are not in the book, so nothing here can touch them.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from services.state.model import (
    ExitRow,
    IntentStatus,
    Market,
    Order,
    Planned,
    PlannedCancel,
    PlannedEnd,
    PlannedOrder,
    SymbolBook,
)
from services.state.pricing import exit_limit, resting_stop, trim_limit, trim_slip
from services.state.scene import BESIDE_THE_STOP, Scene, is_leg
from services.state.session_rules import entries_may_rest, stops_may_be_replaced, trims_may_go
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import HaltLevel, OrderKind, OrderType, Side, Status, TimeInForce

Step = PlannedOrder | PlannedCancel


def plan(book: SymbolBook, market: Market, rules: Rules, salt: str) -> tuple[Planned, ...]:
    """Intents that are over, then at most one request to the broker. salt: of the drawn slips."""
    scene = Scene(book, market, rules)
    step = _next_step(scene, salt)
    return (*_ends(scene), *(() if step is None else (step,)))


def _next_step(scene: Scene, salt: str) -> Step | None:
    if scene.busy:
        return None
    for order in scene.live:
        if order.client_order_id in scene.book.turned_up:
            return _cancel(scene, order, "turned up after it was given up for absent", alert=True)
    if scene.entry is not None:
        return _end_entry(scene, scene.entry)
    if scene.qty == 0:
        return _clear(scene)
    if len(scene.stops) > 1 and _too_many_stops(scene):
        return _cancel(scene, scene.stops[-1], "one stop for all shares")
    if scene.leaving or scene.sale is not None:
        return _leave(scene)
    return _hold(scene, salt)


# 3. An entry is open


def _end_entry(scene: Scene, entry: Order) -> Step | None:
    """While any of it is open no stop may be sent: the broker would see a wash trade. So it is cancelled early."""
    why = _entry_is_over(scene, entry)
    return _cancel(scene, entry, why) if why else None


def _entry_is_over(scene: Scene, entry: Order) -> str:
    market, rules = scene.market, scene.rules.entry
    if entry.session != market.session:
        return "entry of an earlier session"
    if market.halt in (HaltLevel.HALT, HaltLevel.FLATTEN):
        return f"entries end at {market.halt}"
    if not entries_may_rest(market, scene.rules):
        return "entries end before the close"
    if scene.leaving:
        return f"leaving: {scene.leaving}"
    if entry.filled_qty > 0 and _passed(scene, _filled_since(scene, entry), rules.partial_for):
        return "partly filled: what was bought needs its stop"
    if _passed(scene, entry.accepted_at or entry.planned_at, rules.fill_for):
        return "not filled in time"
    return ""


def _filled_since(scene: Scene, entry: Order) -> dt.datetime:
    if entry.first_fill_at is not None:
        return entry.first_fill_at
    return scene.position.entered_at if scene.position is not None else entry.planned_at


# 4. Nothing is held


def _clear(scene: Scene) -> Step | None:
    for order in (*scene.stops, *(one for one in (scene.trim_order, scene.sale) if one is not None)):
        if not _fill_may_be_on_its_way(scene, order):
            return _cancel(scene, order, "nothing is held that it could sell", alert=True)
    return None


def _fill_may_be_on_its_way(scene: Scene, stop: Order) -> bool:
    """The broker activates a leg when its entry is filled, and that word may overtake the fill."""
    entry = scene.parent_of(stop) if is_leg(stop) else None
    return (
        entry is not None
        and entry.status is Status.FILLED
        and entry.ended_at is not None
        and scene.now < entry.ended_at + scene.max_gap
    )


# 5. All is to be sold


def _leave(scene: Scene) -> Step | None:
    if scene.trim_order is not None:
        return _cancel(scene, scene.trim_order, f"leaving: {scene.leaving}") if scene.tradable else None
    if scene.sale is not None:
        return _hurry(scene, scene.sale)
    if not scene.tradable or scene.sale_must_wait:
        return _fit_stop(scene, scene.qty)
    stop = scene.stop
    if stop is not None and (stop.filled_qty > 0 or scene.leaving == BESIDE_THE_STOP):
        # It was triggered, or is about to be: the broker sells by it. What it does not cover is sold beside it.
        return _sell_rest(scene)
    if stop is None:
        return _sell_rest(scene)
    if scene.qty <= scene.book.missing:
        return None  # there would be nothing to sell in its place
    return _cancel(scene, stop, f"leaving: {scene.leaving}")


def _hurry(scene: Scene, sale: Order) -> Step | None:
    """A limit that waited long enough, or whose price is no longer the point, makes way for the next."""
    if sale.type is OrderType.MARKET or not scene.tradable:
        return None
    if scene.urgent:
        return _cancel(scene, sale, "to be sold at the market")
    if _passed(scene, sale.accepted_at or sale.planned_at, scene.rules.exit.fill_for):
        return _cancel(scene, sale, "not filled in time")
    return None


def _sell_rest(scene: Scene) -> PlannedOrder | None:
    """Everything that no order of ours offers yet, as far as the broker has it."""
    if scene.sellable == 0:
        return None
    row = scene.exit_row
    price = None if scene.urgent else scene.book.last_close
    limit = None if price is None else exit_limit(price, scene.rules.exit)
    return _sell(
        scene,
        OrderKind.EXIT,
        scene.sellable,
        limit,
        intent="" if row is None else row.id,
        cause=_cause(scene) if row is None else row.cause,
        why=scene.leaving,
        alert=row is None,
    )


# 6. Hold


def _hold(scene: Scene, salt: str) -> Step | None:
    working = scene.trim_order
    if working is not None:
        why = _trim_is_over(scene, working)
        return _cancel(scene, working, why) if why else _fit_stop(scene, scene.qty - working.remaining)
    row = _trim_to_work(scene)
    rest = scene.qty - (0 if row is None else scene.trim_shares(row))
    step = _fit_stop(scene, rest, cause="" if row is None else row.cause)
    if step is not None or row is None or not _stop_fits(scene, rest):
        return step
    return _trim(scene, row, salt)


def _trim_is_over(scene: Scene, trim: Order) -> str:
    if not scene.tradable:
        return ""  # it cannot trade, so it does no harm, and a day order ends with the day
    if not trims_may_go(scene.market):
        return "trims end before the close"
    if _passed(scene, trim.accepted_at or trim.planned_at, scene.rules.trim.fill_for):
        return "not filled in time"
    if scene.on_offer > scene.qty:
        return "more would be sold than is held"
    return ""


def _trim_to_work(scene: Scene) -> ExitRow | None:
    return next((row for row in scene.rows("trim") if not _trim_ended(scene, row)), None)


def _trim(scene: Scene, row: ExitRow, salt: str) -> PlannedOrder:
    assert scene.position is not None
    slip = trim_slip(
        scene.rules.trim,
        salt=salt,
        strategy=scene.position.strategy,
        session=scene.market.session,
        symbol=scene.book.symbol,
        level=row.level,
    )
    price = row.price if scene.book.last_close is None else scene.book.last_close
    return _sell(
        scene,
        OrderKind.TRIM,
        scene.trim_shares(row),
        trim_limit(price, slip),
        intent=row.id,
        cause=row.cause,
        why=f"trim at {row.level}",
    )


def _fit_stop(scene: Scene, shares: int, cause: str = "") -> Step | None:
    """The next step towards one stop for `shares` at the wanted price; None: it stands, or nothing can be done now.

    cause: of the trim for which it makes room.
    """
    stop = scene.stop
    if stop is None:
        return _new_stop(scene, shares, cause)
    if shares == 0:
        return _cancel(scene, stop, "the trim sells all")
    if scene.book.missing:
        # A reading may be wrong, so what rests stays as large as it is; it never grows into what is not there.
        shares = min(shares, stop.remaining + scene.sellable)
    if not stop.resting:
        return _cancel(scene, stop, "does not come to rest", alert=True) if _overdue(scene, stop) else None
    if stop.filled_qty > 0:
        # Triggered, and selling; nothing is re-priced once it has a fill.
        return _new_stop(scene, scene.sellable, cause)
    if _expires_soon(scene, stop):
        return _cancel(scene, stop, "renewed before it expires")
    price = _stop_price(scene, stop)
    if stop.remaining == shares and stop.stop_price == price:
        return None
    if not _stops_may_change(scene):
        return _new_stop(scene, scene.sellable, cause)
    if not _may_replace(scene, stop, price):
        return None
    if scene.replace_refused(stop):
        return _cancel(scene, stop, "the broker refused to replace it")
    why = _stop_change(stop, shares, price)
    return _stop_order(scene, shares, price, replaces=stop.client_order_id, why=why, cause=cause)


def _too_many_stops(scene: Scene) -> bool:
    """Two stand where one could not be replaced. They become one when it can, or where they would sell too much."""
    triggered = scene.through or any(stop.filled_qty for stop in scene.stops)
    return (_stops_may_change(scene) and not triggered) or scene.on_offer > scene.qty


def _new_stop(scene: Scene, shares: int, cause: str) -> Step | None:
    shares = min(shares, scene.sellable)
    if shares == 0 or scene.wanted_stop is None:
        return None
    if scene.through or scene.stop_must_wait or scene.leg_to_come:
        return None
    return _stop_order(scene, shares, scene.wanted_stop, replaces="", why="shares without a stop", cause=cause)


def _stop_fits(scene: Scene, shares: int) -> bool:
    stop = scene.stop
    if stop is None:
        return shares == 0
    return stop.resting and stop.remaining == shares and stop.stop_price == _stop_price(scene, stop)


def _stop_price(scene: Scene, stop: Order) -> Decimal:
    """Stops only rise, except where a split made the broker's price one of the past."""
    assert stop.stop_price is not None
    if scene.wanted_stop is None:
        return stop.stop_price
    return scene.wanted_stop if scene.book.rescaled else max(scene.wanted_stop, stop.stop_price)


def _stops_may_change(scene: Scene) -> bool:
    return stops_may_be_replaced(scene.market, scene.rules) and not scene.book.halted


def _may_replace(scene: Scene, stop: Order, price: Decimal) -> bool:
    if scene.price is not None and price >= scene.price:
        return False  # it would be refused: the stop that rests sells, or else the shares are sold
    # `accepted` turns into `new` in a moment, and is not replaced before; over night it is what a stop rests as.
    if stop.broker_status != "accepted" or scene.market.conducted or not scene.market.open:
        return True
    return _passed(scene, stop.accepted_at or stop.planned_at, scene.max_gap)


def _overdue(scene: Scene, stop: Order) -> bool:
    """It should rest by now. A leg is counted from its entry's last fill, a night's stop from the opening."""
    since = max(stop.accepted_at or stop.planned_at, scene.market.opens_at)
    if is_leg(stop) and scene.position is not None:
        since = max(since, scene.position.last_entry_fill_at)
    return scene.market.open and _passed(scene, since, scene.max_gap)


def _expires_soon(scene: Scene, stop: Order) -> bool:
    """Asked in the session, once a session: a stop that is new today has the life that the broker gives it."""
    left = dt.timedelta(days=scene.rules.protection.renew_before_days)
    return (
        stop.expires_at is not None
        and stop.expires_at - scene.now <= left
        and stop.session != scene.market.session
        and scene.tradable
        and trims_may_go(scene.market)
        and not scene.through
    )


# Intents that are over


def _ends(scene: Scene) -> tuple[PlannedEnd, ...]:
    return tuple(
        PlannedEnd(intent=row.id, status=status, why=why)
        for row in sorted(scene.open_rows, key=lambda row: row.id)
        for status, why in _end_of(scene, row)
    )


def _end_of(scene: Scene, row: ExitRow) -> list[tuple[IntentStatus, str]]:
    if any(order.intent == row.id for order in scene.live if order.kind is not OrderKind.STOP):
        return []
    position = scene.position
    if position is not None and position.position_id != row.position_id:
        return [(IntentStatus.EXPIRED, "of an earlier position")]
    match row.kind:
        case "exit" if scene.qty == 0:
            return [(IntentStatus.DONE, "nothing is held any more")]
        case "trim" if why := _trim_ended(scene, row):
            return [(IntentStatus.DONE if scene.sold(row) or why == ONE_SHARE else IntentStatus.EXPIRED, why)]
        case "stop" if why := _raise_ended(scene, row):
            return [(IntentStatus.DONE, why)]
        case _:
            return []


ONE_SHARE = "too few shares to sell a part"


def _trim_ended(scene: Scene, row: ExitRow) -> str:
    """Why a trim that has no order at work has no more to do; empty: it waits for its turn."""
    if scene.qty == 0:
        return "nothing is held any more"
    if scene.leaving:
        return f"leaving: {scene.leaving}"
    if scene.tries(row) > 0:
        return "its order ended"
    if not scene.tradable or not trims_may_go(scene.market):
        return "no trim can be sold now"
    return ONE_SHARE if scene.trim_shares(row) < 1 else ""


def _raise_ended(scene: Scene, row: ExitRow) -> str:
    if scene.qty == 0:
        return "nothing is held any more"
    stop = scene.stop
    if row.stop is None or stop is None or stop.stop_price is None or not stop.resting:
        return ""
    return "it rests" if stop.stop_price >= resting_stop(row.stop) else ""


# Requests


def _cancel(scene: Scene, order: Order, why: str, *, alert: bool = False) -> PlannedCancel | None:
    if scene.cancel_refused(order):
        return None
    return PlannedCancel(target=order.client_order_id, cause=order.cause, why=why, alert=alert)


def _sell(
    scene: Scene,
    kind: OrderKind,
    shares: int,
    limit: Decimal | None,
    *,
    intent: str,
    cause: str,
    why: str,
    alert: bool = False,
) -> PlannedOrder:
    assert 0 < shares <= scene.qty, (scene.book.symbol, shares, scene.qty)
    return PlannedOrder(
        kind=kind,
        side=Side.SELL,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        qty=shares,
        limit_price=limit,
        stop_price=None,
        leg_stop_price=None,
        intent=intent,
        cause=cause,
        replaces="",
        why=why,
        alert=alert,
    )


def _stop_order(scene: Scene, shares: int, price: Decimal, *, replaces: str, why: str, cause: str) -> PlannedOrder:
    assert 0 < shares <= scene.qty, (scene.book.symbol, shares, scene.qty)
    raised = next((row for row in reversed(scene.rows("stop")) if row.stop and resting_stop(row.stop) == price), None)
    reason = cause or _cause(scene)
    return PlannedOrder(
        kind=OrderKind.STOP,
        side=Side.SELL,
        type=OrderType.STOP,
        time_in_force=TimeInForce.GTC,
        qty=shares,
        limit_price=None,
        stop_price=price,
        leg_stop_price=None,
        intent="" if raised is None else raised.id,
        cause=reason if raised is None else raised.cause,
        replaces=replaces,
        why=why,
    )


def _stop_change(stop: Order, shares: int, price: Decimal) -> str:
    changes = []
    if stop.remaining != shares:
        changes.append(f"{stop.remaining} to {shares} shares")
    if stop.stop_price != price:
        changes.append(f"{stop.stop_price} to {price}")
    return f"stop from {', '.join(changes)}"


def _cause(scene: Scene) -> str:
    return scene.position.cause if scene.position is not None else ""


def _passed(scene: Scene, since: dt.datetime, limit: float | dt.timedelta) -> bool:
    """What is due acts at the first tick at or after its time, so 3, 30 and 60 seconds are one tick in a replay."""
    allowed = limit if isinstance(limit, dt.timedelta) else dt.timedelta(seconds=limit)
    return scene.now - since >= allowed
