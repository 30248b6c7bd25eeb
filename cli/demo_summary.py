"""The end of a demo: its sessions summed up, and the commands that look further."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from msgspec import Struct

from cli.options import typed
from cli.show import clock, dollars
from cli.summary import Summary
from shared.domain.words import reason_in_words
from shared.runtime.settings import Settings


class DemoSummary(Struct, frozen=True, kw_only=True):
    """seconds: from the first process to the last word. restarts: of processes. home, ledger: absolute paths.

    dead: reason to the number of bars and messages that were put aside for it, and never traded on.
    """

    sessions: tuple[Summary, ...]
    dead: dict[str, int]
    seconds: float
    restarts: int
    home: str
    ledger: str
    commands: tuple[str, ...]


def commands(settings: Settings, sessions: Sequence[Summary], url: str) -> tuple[str, ...]:
    """What a person would type next, exactly."""
    bought = [entry for day in sessions for entry in day.entries]
    symbol = bought[0].symbol if bought else next(iter(settings.candidates.watchlist), "SPY")
    question = "SELECT client_order_id, status, filled_qty, intent FROM order_ledger"
    look = "XRANGE " + shlex.quote(f"{settings.bus.prefix}intents") + " - + COUNT 5"
    socket = url.removeprefix("unix://")
    server = (
        [
            f"{typed('execution server')}  # keeps the streams up, until Ctrl-C, for:",
            f"redis-cli -s {shlex.quote(socket)} {look}",
        ]
        if url.startswith("unix://")
        else [f'redis-cli -u "$EV2_REDIS_URL" {look}']  # never the address itself: it may hold a password
    )
    return (
        typed(f"execution why {symbol}"),
        typed("execution orders"),
        *(typed(f"execution explain {entry.client_order_id}") for entry in bought[:1]),
        typed("execution report"),
        f'sqlite3 {shlex.quote(str(settings.ledger))} "{question}"',
        *server,
    )


def in_words(summed: DemoSummary) -> str:
    """The summary for people."""
    lines = [line for day in summed.sessions for line in _day(day)]
    restarts = f", {summed.restarts} processes started again" if summed.restarts else ""
    lines += [f"  put aside {count:>4}  {reason}" for reason, count in summed.dead.items()]
    lines += [f"Took {summed.seconds:.1f} s{restarts}. The ledger is {summed.ledger}", "", "Look further:"]
    return "\n".join([*lines, *(f"  {command}" for command in summed.commands)])


def _day(day: Summary) -> list[str]:
    entries = [
        f"{entry.symbol} {entry.qty} at {entry.price:,.2f}" + (f" ({clock(entry.at)})" if entry.at else "")
        for entry in day.entries
    ]
    opened = f", open {dollars(day.open)}" if day.open is not None else ""
    return [
        "",
        f"Session {day.session} is over: {day.candidates} candidates, {day.verdicts} verdicts, "
        f"{day.confirmed} confirmed breakout{'' if day.confirmed == 1 else 's'}",
        _line("entries", len(day.entries), ", ".join(entries)),
        _line("refused", sum(day.refused.values()), _reasons(day.refused)),
        _line("no breakout", sum(day.waiting.values()), _reasons(day.waiting)),
        _line("trims", day.trims, f"stops raised {day.stops_raised}, stopped out {day.stopped}, exits {day.exits}"),
        _line("held", day.held, "over night" if day.held else ""),
        f"  P&L           realized {dollars(day.realized)}{opened}; equity {day.equity:,.2f}",
        *([f"  {day.unresolved} orders are unresolved: see `execution status`"] if day.unresolved else []),
    ]


def _line(what: str, count: int, detail: str) -> str:
    return f"  {what:<12}{count:>3}  {detail}".rstrip()


def _reasons(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{reason_in_words(code)} {count}" for code, count in counted.items())
