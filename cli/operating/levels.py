"""`pause`, `halt` and `flatten`: the file first, then state, and where state is dead the broker itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import typer
from msgspec import Struct
from msgspec.structs import replace

from cli.ledger import reading, rows
from cli.operating.asking import Told, answered, bus_in_haste, made, state_silent_s
from cli.operating.direct import CLOCK, Direct, Done, Unreachable
from cli.operating.ledger_books import LedgerBooks
from cli.operating.standing import Standing, remaining
from cli.options import settings_of_home
from cli.place import broker_of, kept_place, other_account
from cli.show import NEW_YORK, print_json
from cli.trouble import DONE, NOT_CONFIRMED, NOT_WELL, Trouble
from services.executor.budget import Budget
from services.state import store
from services.state.store import LedgerRefused
from services.state.views import level_text
from shared.contracts.commands import Command, Flatten, Halt, Pause
from shared.contracts.vocabulary import HaltLevel
from shared.runtime.bus import BusDown
from shared.runtime.commands import give
from shared.runtime.halt import HaltFile
from shared.runtime.health import SILENT_AFTER
from shared.runtime.settings import Settings

ANSWER_S: Final = 3.0
SETTLE_S: Final = 3.0
LOOK_S: Final = 0.05
DIRECT_S: Final = 20.0
SLACK_S: Final = 0.5
COMMANDS: Final[dict[HaltLevel, type[Command]]] = {
    HaltLevel.PAUSE: Pause,
    HaltLevel.HALT: Halt,
    HaltLevel.FLATTEN: Flatten,
}


class Left(Struct, frozen=True):
    """An order that goes on working. price: its limit or stop, dollars."""

    order: str
    kind: str
    symbol: str
    side: str
    qty: int
    price: Decimal | None


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of it. file: the level stands in the halt file. by: who made it so, `state`, `broker` or nobody.

    ended, sent: orders, where the broker was asked directly; last_s: seconds until the last of them. left: what goes
    on working; held: shares by symbol. trouble: what a person should look at.
    """

    level: HaltLevel
    file: bool
    by: str
    text: str
    ended: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    held: dict[str, int] = {}
    trouble: tuple[str, ...] = ()
    last_s: float | None = None


def set_level(level: HaltLevel, as_json: bool) -> int:
    """Make `level` hold and say what it leaves working; the exit code."""
    settings = settings_of_home()
    say = _quiet if as_json else typer.echo
    unwritten = _write(settings, level)
    told, silent_s = _ask_state(settings, level)
    if told is not None:
        outcome = _by_state(settings, level, told)
    elif level is HaltLevel.PAUSE:
        text = "not confirmed: state does not answer"
        outcome = Outcome(level=level, file=not unwritten, by="", text=text)
    else:
        say(f"state does not answer; asking the broker directly to {level}")
        outcome = _by_broker(settings, level, silent_s, say)
    if unwritten:
        outcome = replace(outcome, file=False, trouble=(*outcome.trouble, unwritten))
    if as_json:
        print_json(outcome)
    else:
        _print(outcome)
    if not outcome.by:
        return NOT_CONFIRMED
    return NOT_WELL if outcome.trouble else DONE


def _quiet(line: str) -> None: ...


def _write(settings: Settings, level: HaltLevel) -> str:
    """The level holds from here on, whoever lives; a stricter one stays. Why it could not be written, else nothing."""
    try:
        HaltFile(settings.halt_file).raise_to(level)
    except OSError as fault:
        return f"{settings.halt_file} could not be written ({fault.strerror}): after a restart the level does not hold"
    return ""


def _ask_state(settings: Settings, level: HaltLevel) -> tuple[Told | None, float]:
    """State's answer, if any, and for how long nothing was heard of it, seconds; 0: it is not known."""
    command = made(COMMANDS[level])
    silent_s: float | None = None
    answer = None
    try:
        with bus_in_haste(settings) as bus:
            silent_s = state_silent_s(bus)
            lives = silent_s is not None and silent_s < SILENT_AFTER.total_seconds()
            answer = give(bus, command, ANSWER_S if lives else LOOK_S)
    except BusDown:
        pass
    return (answered(level.value, answer) if answer is not None else None), silent_s or 0.0


def _by_state(settings: Settings, level: HaltLevel, told: Told) -> Outcome:
    """State has the level; what follows from it at the broker is waited for, for a moment."""
    give_up = CLOCK.monotonic() + SETTLE_S
    left, held = _in_ledger(settings)
    while CLOCK.monotonic() < give_up and not _holds(level, left, held):
        CLOCK.wait(LOOK_S)
        left, held = _in_ledger(settings)
    trouble = () if told.done else (told.text,)
    return Outcome(level=level, file=True, by="state", text=told.text, left=left, held=held, trouble=trouble)


def _holds(level: HaltLevel, left: tuple[Left, ...], held: dict[str, int]) -> bool:
    if level is HaltLevel.PAUSE:
        return True
    return not any(one.side == "buy" for one in left) and (level is HaltLevel.HALT or not held)


def _in_ledger(settings: Settings) -> tuple[tuple[Left, ...], dict[str, int]]:
    with reading(settings.ledger) as ledger:
        orders = rows(ledger, store.ORDERS, "WHERE status IN ('submitted', 'accepted', 'partially_filled')")
        held = dict(ledger.execute("SELECT symbol, qty FROM positions WHERE qty > 0"))
    at_work = [order for order in orders if order.resting or order.side == "buy"]
    return tuple(
        Left(
            order.client_order_id,
            order.kind,
            order.symbol,
            order.side,
            order.remaining,
            order.limit_price or order.stop_price,
        )
        for order in at_work
    ), held


def _by_broker(settings: Settings, level: HaltLevel, silent_s: float, say: Callable[[str], None]) -> Outcome:
    started = CLOCK.monotonic()
    direct = Direct(
        broker_of(settings, kept_place(settings)),
        LedgerBooks(settings.ledger, settings.run.installation),
        Budget(settings.broker.request_limit, 0.0, started),
        CLOCK,
        say,
    )
    try:
        _refuse_wrong_account(settings, direct)
        done = direct.work(level, DIRECT_S)
        # An order that was granted before the level stood may still be sent until its lease ends.
        rest_s = settings.broker.lease + SLACK_S - silent_s - (CLOCK.monotonic() - started)
        if rest_s > 0:
            say(f"looking once more in {rest_s:.0f} s: an order may have been on its way")
            CLOCK.wait(rest_s)
            done = direct.work(level, DIRECT_S)
    except (Unreachable, LedgerRefused, Trouble) as fault:
        text = f"not confirmed: {fault}"
        return Outcome(level=level, file=True, by="", text=text)
    return _told(level, done)


def _refuse_wrong_account(settings: Settings, direct: Direct) -> None:
    """Raises Trouble: whatever stands there is not ours to end. Raises Unreachable."""
    why = other_account(settings, direct.account().account_number)
    if why:
        raise Trouble(why)


def _told(level: HaltLevel, done: Done) -> Outcome:
    trouble = list(done.refused)
    trouble += [f"not readable and left alone: {reason}" for reason in done.unread]
    if not done.settled:
        trouble.append("not everything has ended yet: give the command again")
    if level is HaltLevel.FLATTEN and not done.open:
        opens = _clock(done.opens)
        text = f"the market is closed: entries end, stops stay; state sells when it opens ({opens}) and must run then"
    else:
        text = level_text(level)
    trouble += [
        f"{one.uncovered} {one.symbol} without a stop: state did not say where it should rest"
        for one in done.standing
        if one.uncovered and not (level is HaltLevel.FLATTEN and done.open)
    ]
    return Outcome(
        level=level,
        file=True,
        by="broker",
        text=text,
        ended=done.ended,
        sent=tuple(f"{sent.order}: {sent.what}" for sent in done.sent),
        left=tuple(left for one in done.standing for left in _left_of(one)),
        held={one.symbol: one.shares for one in done.standing if one.shares},
        trouble=tuple(trouble),
        last_s=done.last_s,
    )


def _left_of(standing: Standing) -> list[Left]:
    return [
        Left(
            order.client_order_id,
            "entry" if order.side == "buy" else order.type,
            order.symbol,
            order.side,
            remaining(order),
            order.limit_price or order.stop_price,
        )
        for order in standing.orders
    ]


def _clock(moment: dt.datetime | None) -> str:
    return "unknown" if moment is None else f"{moment.astimezone(NEW_YORK):%a %m-%d %H:%M} New York"


def _print(outcome: Outcome) -> None:
    typer.echo(f"{outcome.level}: {outcome.text}")
    for line in outcome.ended:
        typer.echo(f"  ended {line}")
    for line in outcome.sent:
        typer.echo(f"  sent  {line}")
    if outcome.by:
        typer.echo(f"leaves working: {_orders(outcome.left)}")
        typer.echo(f"holds: {', '.join(f'{qty} {symbol}' for symbol, qty in outcome.held.items()) or 'nothing'}")
    if outcome.file:
        typer.echo("the level stands in data/halt; `execution resume` ends it")
    for line in outcome.trouble:
        typer.echo(f"NOT WELL: {line}")


def _orders(left: tuple[Left, ...]) -> str:
    def one(order: Left) -> str:
        price = "at the market" if order.price is None else f"at {order.price}"
        return f"{order.kind} {order.side} {order.qty} {order.symbol} {price} ({order.order})"

    return "; ".join(map(one, left)) or "nothing"
