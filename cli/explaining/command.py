"""`execution explain`: the explanation as JSON, or as a tree that a person reads from the bar to the trade."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from cli.explaining.explanation import Admission, Explanation, Intent, OrderStory, Request, Size, explain
from cli.explaining.lookup import look_up, names
from cli.explaining.reading import evidence
from cli.ledger import reading
from cli.options import settings_of_home
from cli.reporting import words
from cli.reporting.trades import Trade
from cli.show import NEW_YORK, WIDE, print_json
from shared.contracts.vocabulary import OrderKind
from shared.domain.words import ORDER_WORDS, figures_in_words, reason_in_words, why_in_words

NEXT_TO: Final = 2
FIRST_STOPS: Final = 4
LAST_STOPS: Final = 6
ROLES: Final = {
    "asked": "order",
    "leg": "its stop leg",
    "its entry": "leg of",
    "replaces": "in place of",
    "replaced by": "then replaced by",
    "same intent": "for the same intent",
}


def run(order: str, as_json: bool) -> None:
    """Raises Trouble for an id that is not there or not enough of one, and LedgerRefused."""
    settings = settings_of_home()
    with reading(settings.ledger) as database:
        found = explain(evidence(database, look_up(names(database), order.strip())), settings.size)
    if as_json:
        print_json(found)
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
        console.print(tree(found))


def tree(of: Explanation) -> Tree:
    """Each thing hangs on what led to it."""
    root = Tree(Text(_bar(of), style="bold"))
    place = root
    for verdict in of.verdicts:
        place = _add(place, f"verdict {_time(verdict.at)}: {reason_in_words(verdict.reason)} ({verdict.reason})")
        _add(place, figures_in_words(verdict.figures), "dim")
    if of.intent is not None:
        place = _add(place, _intent(of.intent))
    for admission in of.admissions:
        place = _admission(place, admission)
    for story in shown(of.orders):
        if isinstance(story, int):
            _add(place, f"... {story} more stops in between: the stop path says when and why", "dim")
        else:
            _story(place, story)
    if not of.orders:
        _add(place, "no order was made for it")
    if of.trade is not None:
        _trade(place, of, of.trade)
    return root


def shown(orders: Sequence[OrderStory]) -> list[OrderStory | int]:
    """Of a long row of replacements those next to the order that was asked for, and how many are left out."""
    asked = next((place for place, story in enumerate(orders) if story.role == "asked"), 0)
    found: list[OrderStory | int] = []
    for place, story in enumerate(orders):
        if story.role not in ("replaces", "replaced by") or abs(place - asked) <= NEXT_TO:
            found.append(story)
        elif found and isinstance(found[-1], int):
            found[-1] += 1
        else:
            found.append(1)
    return found


def _bar(of: Explanation) -> str:
    if of.bar.ends_at is not None:
        return f"{of.symbol}: bar of the minute that ended {_time(of.bar.ends_at)} New York ({of.bar.cause})"
    return f"{of.symbol}: no bar led to it, but {of.bar.cause or 'nothing that is known'}"


def _intent(intent: Intent) -> str:
    if intent.kind == "entry":
        levels = f"pivot {words.price(intent.pivot)}, R1 {words.price(intent.r1)}, R2 {words.price(intent.r2)}"
        return (
            f"intent {intent.id}: buy, confirmed {_time(intent.at)} at {words.price(intent.price)}; {levels}, "
            f"first stop {words.price(intent.stop)}; due {_time(intent.due)}; {intent.status}"
            f"{f' ({intent.reason})' if intent.reason else ''}"
        )
    what = {"trim": f"trim at {intent.level.upper()}", "stop": f"stop to {words.price(intent.stop)}"}
    why = f", {why_in_words(intent.reason)}" if intent.kind != "trim" else ""
    price = f", last close {words.price(intent.price)}" if intent.price else ""
    wanted = f"{what.get(intent.kind, 'sell all')}{why}, decided {_time(intent.at)}{price}"
    return f"intent {intent.id}: {wanted}; {intent.status}"


def _admission(place: Tree, admission: Admission) -> Tree:
    if admission.outcome != "admitted":
        word = f"refused {_time(admission.at)}: {reason_in_words(admission.reason)} ({admission.reason})"
        place = _add(place, word, "red")
        _add(place, figures_in_words(admission.figures), "dim")
        return place
    place = _add(place, f"admitted {_time(admission.at)}: no limit of the account objected")
    _add(place, figures_in_words(admission.figures), "dim")
    if admission.size is not None:
        _add(place, size_in_words(admission.size))
    return place


def size_in_words(size: Size) -> str:
    """The formula of docs/strategy.md section 6 with its figures."""
    capped = f", capped at {size.most:,.2f}" if size.wanted > size.most else ""
    dollars = min(size.wanted, size.most)
    changed = "" if size.as_configured else "; by the configuration of now it would be another number"
    return (
        f"{size.shares:,} shares: {size.equity:,.2f} x {words.percent(size.base_fraction, 2)} x {size.scale:.4f} for "
        f"its volatility x (1 - {size.penalty:.4f} for what moves like it) = {size.wanted:,.2f} dollars{capped}, "
        f"/ limit {words.price(size.limit)} = "
        f"{dollars / size.limit:,.2f}, whole shares; at risk {size.risk:,.2f} down to the stop {words.price(size.stop)}"
        f"{changed}"
    )


def _story(place: Tree, story: OrderStory) -> None:
    order = story.order
    prices = [("limit", order.limit_price), ("stop", order.stop_price), ("its leg's stop", story.leg_stop_price)]
    told = "".join(f", {name} {words.price(price)}" for name, price in prices if price is not None)
    style = "bold" if story.role == "asked" else ""
    node = _add(
        place,
        f"{ROLES[story.role]} {order.client_order_id} ({ORDER_WORDS[OrderKind(story.kind)]}): {order.side} "
        f"{order.qty:,} {order.type}{told}, {story.time_in_force}; {order.status}",
        style,
    )
    _add(node, _times(story), "dim")
    if order.broker_id is not None:
        _add(node, f"at the broker {order.broker_id}, last word {story.broker_status or '-'}", "dim")
    if story.note:
        _add(node, f"the broker said: {story.note}", "red")
    if story.role != "asked":
        _fills(node, story)
        return
    for request in story.requests:
        _add(node, _request(request))
    _fills(node, story)
    if story.journal:
        journal = _add(node, "journal")
        for said in story.journal:
            _add(journal, f"{_time(said.at)} {said.kind}: {said.text}", "dim")


def _fills(node: Tree, story: OrderStory) -> None:
    for fill in story.fills:
        verb = "bought" if fill.side == "buy" else "sold"
        _add(node, f"{verb} {fill.shares:,} at {words.price(fill.price)}, {_time(fill.at)} ({fill.execution})", "green")
    if not story.fills and story.ended_at is not None:
        _add(node, "no fill", "dim")


def _times(story: OrderStory) -> str:
    times = [
        ("planned", story.planned_at),
        ("at the broker", story.order.submitted_at),
        ("first fill", story.first_fill_at),
        ("ended", story.ended_at),
    ]
    return ", ".join(f"{name} {_time(at)}" for name, at in times if at is not None)


def _request(request: Request) -> str:
    tries = f"attempt {request.attempts}, {request.grants} grant{'' if request.grants == 1 else 's'}"
    missed = f", {request.misses} look-ups in vain" if request.misses else ""
    by = f" by {request.executor}" if request.executor else ""
    why = f": {request.reason}" if request.reason else ""
    until = f" to {_time(request.ended_at)}" if request.ended_at is not None else ""
    when = f"{_time(request.planned_at)}{until}"
    return f"request {request.kind} ({request.id}): {request.status}, {tries}{missed}{by}, {when}{why}"


def _trade(place: Tree, of: Explanation, trade: Trade) -> None:
    held = f", {trade.held:,} still held" if trade.held else f", left by {words.left_by(trade.left_by)}"
    node = _add(
        place,
        f"trade {trade.position}: {trade.bought:,} at {words.price(trade.bought_at)}, {words.money(trade.realized)}, "
        f"{words.in_r(trade.r_multiple)}{held}, {words.lasted(trade.held_s)}",
        "bold",
    )
    if trade.risk is not None:
        first_stop = words.price(trade.first_stop)
        _add(node, f"1 R = {words.price(trade.risk)} dollars, from what was paid down to the first stop {first_stop}")
    stops = _add(node, "stop path")
    left_out = len(of.stops) - FIRST_STOPS - LAST_STOPS
    for number, stop in enumerate(of.stops):
        if left_out <= 0 or not FIRST_STOPS <= number < FIRST_STOPS + left_out:
            _add(stops, f"{_time(stop.at)} {words.price(stop.price)}: {why_in_words(stop.basis)}")
        elif number == FIRST_STOPS:
            _add(stops, f"... {left_out} more: --json has them all", "dim")
    for sale in trade.sales:
        reason = words.left_by(sale.reason)
        _add(
            node,
            f"{_time(sale.at)} {sale.kind} sold {sale.shares:,} at {words.price(sale.price)}, "
            f"{words.money(sale.profit)}: {reason} ({sale.order})",
        )


def _add(place: Tree, text: str, style: str = "") -> Tree:
    """Text of outside is never markup."""
    return place.add(Text(text, style=style))


def _time(at: dt.datetime | None) -> str:
    return f"{at.astimezone(NEW_YORK):%m-%d %H:%M:%S}" if at is not None else words.UNKNOWN
