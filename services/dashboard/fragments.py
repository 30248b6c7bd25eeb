"""Pieces of the page as HTML. Every text that is not of this file is escaped; numbers are formatted here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from html import escape
from typing import Final
from zoneinfo import ZoneInfo

from services.dashboard.chart import trade_in_words
from services.dashboard.rows import Closed, Held, LedgerView, Story
from services.dashboard.standing import Mark, Standing, standing
from services.dashboard.tape import Price
from shared.contracts.vocabulary import HaltLevel, OrderKind, TrimState
from shared.domain.words import ORDER_WORDS, why_in_words

NEW_YORK: Final = ZoneInfo("America/New_York")
TOO_CLOSE: Final = 16.0
"""Percent of the bar's width: names of levels that are nearer would lie over each other."""
LEVEL_WORDS: Final[Mapping[HaltLevel, str]] = {
    HaltLevel.NONE: "trading",
    HaltLevel.PAUSE: "paused: no entries",
    HaltLevel.HALT: "halted: no entries, working ones cancelled",
    HaltLevel.FLATTEN: "flatten: everything is sold",
}
LEVEL_WORD: Final[Mapping[HaltLevel, str]] = {
    HaltLevel.NONE: "trading",
    HaltLevel.PAUSE: "paused",
    HaltLevel.HALT: "halted",
    HaltLevel.FLATTEN: "flatten",
}


def tiles(view: LedgerView | None, prices: Mapping[str, Price]) -> str:
    """The account at a glance."""
    if view is None or view.money is None:
        return _tile("Equity", "unknown", "the ledger has no account yet", "")
    money = view.money
    day = money.equity - money.opening_equity if money.opening_equity else Decimal(0)
    day_pct = float(day / money.opening_equity) * 100 if money.opening_equity else 0.0
    open_gain = sum((standing(held, prices.get(held.symbol)).gain or Decimal(0) for held in view.held), Decimal(0))
    realized = sum([row.realized for row in view.closed] + [row.realized for row in view.held], Decimal(0))
    exposed_pct = float(money.exposure / money.equity) * 100 if money.equity else 0.0
    entries = sum(1 for order in view.orders if order.kind is OrderKind.ENTRY)
    uncovered = [held.symbol for held in view.held if held.unprotected_since is not None]
    return "".join(
        [
            _tile("Equity", dollars(money.equity), f"cash {dollars(money.cash)}", ""),
            _tile("Today", signed(day), f"{day_pct:+.2f} % since the opening", tone(day)),
            _tile("Open profit", signed(open_gain), f"realized {signed(realized)}", tone(open_gain)),
            _tile("Exposure", f"{exposed_pct:.0f} %", dollars(money.exposure), ""),
            _tile("Positions", str(len(view.held)), f"{entries} entries at work, {money.entry_orders} sent today", ""),
            _tile(
                "Unresolved",
                str(len(view.unresolved)),
                "orders whose fate is unknown",
                "bad" if view.unresolved else "",
            ),
            _tile(
                "Unprotected",
                f"{view.unprotected_share_seconds:,.0f}",
                f"now: {', '.join(uncovered)}" if uncovered else "share-seconds without a stop",
                "bad" if uncovered else "",
            ),
        ]
    )


def position(held: Held, at: Standing, now: dt.datetime | None) -> str:
    """The body of one position's card: price, gain, and the bar of where it stands."""
    cost = f"{held.qty} at {dollars(held.avg_price)}"
    if at.price is None or at.gain is None:
        head = f'<div class="pos-price muted">no price yet</div><div class="muted">{cost}</div>'
    else:
        r = f" &middot; {at.r:+.2f} R" if at.r is not None else ""
        head = (
            f'<div class="pos-price">{at.price:,.2f}</div>'
            f'<div class="pos-gain {tone(at.gain)}">{signed(at.gain)} <span>{at.gain_pct:+.2f} %{r}</span></div>'
        )
    stop = f"stop {dollars(held.stop)}" if held.stop is not None else "no stop"
    guard = (
        f'<span class="chip ok">{stop} rests</span>'
        if at.covered
        else f'<span class="chip bad">{stop}: rests for {held.resting} of {held.qty}</span>'
    )
    trims = [
        f'<span class="chip {"ok" if state is TrimState.DONE else ""}">{name} {state.value}</span>'
        for name, state in (("R1", held.r1_state), ("R2", held.r2_state))
        if state is not TrimState.OPEN
    ]
    held_for = f'<span class="muted">{_lasted(held.entered_at, now)}</span>' if now is not None else ""
    return (
        f'<div class="pos-head"><div>{head}</div><div class="pos-cost muted">{cost}<br>{held_for}</div></div>'
        f'{bar(held, at)}<div class="chips">{guard}{"".join(trims)}{_mode(held)}</div>'
    )


def bar(held: Held, at: Standing) -> str:
    """From the stop to R2, with the entry, R1 and the price."""
    by_name = {mark.name: mark for mark in at.marks}
    entry = by_name["entry"].place
    left = by_name["stop"].place if "stop" in by_name else entry
    right = by_name["R2"].place if "R2" in by_name else entry
    ticks = "".join(f'<i class="tick t-{mark.name.lower()}" style="left:{mark.place}%"></i>' for mark in at.marks)
    below = _names([mark for mark in at.marks if mark.name in ("stop", "entry")], "below")
    above = _names([mark for mark in at.marks if mark.name in ("R1", "R2")], "above")
    price = f'<i class="price {tone(at.gain)}" style="left:{at.place}%"></i>' if at.place is not None else ""
    said = ", ".join(f"{mark.name} {mark.price:,.2f}" for mark in at.marks)
    label = f"{held.symbol}: price {at.price:,.2f}; {said}" if at.price is not None else f"{held.symbol}: {said}"
    figures = "".join(f"<span>{mark.name}<b>{mark.price:,.2f}</b></span>" for mark in at.marks)
    return (
        f'<div class="bar" role="img" aria-label="{escape(label)}">'
        f'<i class="risk" style="left:{min(left, entry)}%;width:{abs(entry - left):.2f}%"></i>'
        f'<i class="reward" style="left:{min(entry, right)}%;width:{abs(right - entry):.2f}%"></i>'
        f'{ticks}{below}{above}{price}</div><div class="bar-figures" aria-hidden="true">{figures}</div>'
    )


def _names(marks: Sequence[Mark], where: str) -> str:
    """Names beside their ticks; those of two that lie too close stand together."""
    ordered = sorted(marks, key=lambda mark: mark.place)
    if len(ordered) == 2 and ordered[1].place - ordered[0].place < TOO_CLOSE:
        middle = min(max((ordered[0].place + ordered[1].place) / 2, TOO_CLOSE / 2), 100 - TOO_CLOSE / 2)
        return f'<b class="name {where}" style="left:{middle:.2f}%">{ordered[0].name}, {ordered[1].name}</b>'
    return "".join(f'<b class="name {where}" style="left:{mark.place}%">{mark.name}</b>' for mark in ordered)


def closed(rows: Sequence[Closed]) -> str:
    """What ended today, one line each."""
    lines = [
        f'<li><span class="mono">{clock(row.closed_at)}</span> <b>{escape(row.symbol)}</b> {row.bought} at'
        f' {dollars(row.avg_price)} <span class="{tone(row.realized)}">{signed(row.realized)}</span></li>'
        for row in rows
    ]
    return f'<ul class="plain">{"".join(lines)}</ul>' if lines else ""


def story(found: Story) -> str:
    """What happened to a symbol, in words, for those who do not see the chart."""
    lines = "".join(f"<li>{escape(text)}</li>" for _, text in sorted(_events(found)))
    return f'<ul class="plain mono">{lines}</ul>' if lines else '<p class="muted">Nothing was confirmed or traded.</p>'


def _events(found: Story) -> Iterator[tuple[dt.datetime, str]]:
    yield from ((trade.at, trade_in_words(trade)) for trade in found.traded)
    for breakout in found.breakouts:
        at = breakout.confirmed_at
        yield at, f"{clock(at)}  broke out above {breakout.pivot:,.2f} and held"
    for move in found.stops:
        if found.opens_at <= move.at <= found.closes_at and move.stop is not None:
            yield move.at, f"{clock(move.at)}  stop at {move.stop:,.2f}: {why_in_words(move.reason)}"


def banner(troubles: Iterable[str]) -> str:
    """What is wrong, where everybody sees it."""
    return "".join(f"<p>{escape(trouble)}</p>" for trouble in troubles)


def level(stands: HaltLevel) -> str:
    """The halt level as a chip."""
    kind = "ok" if stands is HaltLevel.NONE else "bad" if stands is HaltLevel.FLATTEN else "warn"
    return f'<span class="chip {kind}" title="{escape(LEVEL_WORDS[stands])}">{LEVEL_WORD[stands]}</span>'


def session_clock(view: LedgerView | None) -> str:
    """The session, and trading time by the ledger."""
    if view is None or view.session is None or view.now is None:
        return '<span class="muted">no session yet</span>'
    over = view.closes_at is not None and view.now >= view.closes_at
    when = "session is over" if over else f"{clock(view.now)} New York"
    return f"<b>{view.session:%a %d %b %Y}</b> <span>{when}</span>"


def troubles(
    view: LedgerView | None, ledger_trouble: str, bus_trouble: str, *, alive: bool, level: HaltLevel
) -> list[str]:
    """Everything that a person has to know at once, the gravest first."""
    found = []
    if ledger_trouble:
        as_of = f" What is shown is of {clock(view.now)}." if view is not None and view.now is not None else ""
        found.append(f"{ledger_trouble}.{as_of}")
    if bus_trouble:
        found.append(f"{bus_trouble}. No prices and no health; halting works by the halt file.")
    elif not alive:
        as_of = f" The ledger is of {clock(view.now)} New York." if view is not None and view.now is not None else ""
        found.append(f"State is not heard: nothing new is sent to the broker; stops there rest.{as_of} Halting works.")
    if view is not None:
        if view.money is not None and view.money.blocked:
            found.append("The broker blocks the account: no entry is sent.")
        if view.money is not None and view.money.stopped in ("daily_loss", "drawdown"):
            found.append(f"Stopped by {view.money.stopped.replace('_', ' ')}: no entries.")
        if view.money is not None and view.money.halt is not level:
            found.append(f"The halt file says {level}; state has not taken that over yet.")
        if view.unresolved:
            found.append(f"Fate unknown: {', '.join(view.unresolved[:4])}.")
        if view.foreign:
            found.append(f"At the broker, and no record explains it: {', '.join(view.foreign[:6])}.")
    return found


def order_words(kind: OrderKind) -> str:
    return ORDER_WORDS[kind]


def dollars(amount: Decimal | float) -> str:
    return f"{amount:,.2f}"


def signed(amount: Decimal | float) -> str:
    return f"{amount:+,.2f}"


def tone(amount: Decimal | float | None) -> str:
    """The class that colours a gain; none at zero."""
    return "" if not amount else "good" if amount > 0 else "bad"


def clock(at: dt.datetime) -> str:
    """New York's clock."""
    return f"{at.astimezone(NEW_YORK):%H:%M}"


def _tile(name: str, value: str, below: str, kind: str) -> str:
    return (
        f'<div class="tile {kind}"><div class="tile-name">{escape(name)}</div>'
        f'<div class="tile-value">{escape(value)}</div><div class="tile-below">{escape(below)}</div></div>'
    )


def _mode(held: Held) -> str:
    return f'<span class="chip warn">{held.stop_mode.value}</span>' if held.stop_mode.value != "open" else ""


def _lasted(start: dt.datetime, now: dt.datetime) -> str:
    minutes = int(max((now - start).total_seconds(), 0) // 60)
    if minutes >= 24 * 60:
        return f"for {minutes // (24 * 60)} days"
    return f"for {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"for {minutes} min"
