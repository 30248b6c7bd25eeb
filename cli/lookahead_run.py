"""The look-ahead check: the same session with its end cut off must have been decided the same up to the cut.

What is cut is the file itself: later bars, and daily bars of that session and after, are not in what the second run
reads. So no part of the program can have seen them, whatever it keeps in memory.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import typer
from msgspec import Struct

from cli import backtest
from cli.ledger import copied
from cli.options import settings_of_home
from cli.playback import play_tape
from cli.replay_run import Asked as Replayed
from cli.replay_run import play_of
from cli.show import as_json as in_json
from cli.show import clock, compact_json, print_json, tracked
from cli.trouble import DONE, NOT_WELL, Trouble
from services.market_data.bar_files import collect, scan_daily, scan_minutes
from services.state.store import Store
from shared.domain import calendar
from shared.domain.calendar import MINUTE, Session
from shared.runtime.loop import Stop
from shared.runtime.settings import load_settings

WITHIN: Final = 10
"""A cut leaves at least so many minutes before and after it."""

DECIDED: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "verdicts": (
        "verdicts",
        "at",
        ("session", "symbol", "at", "strategy", "stage", "outcome", "reason", "figures"),
    ),
    "entry intents": (
        "entry_intents",
        "confirmed_at",
        ("id", "confirmed_at", "confirm_close", "pivot", "r1", "r2", "first_stop", "due"),
    ),
    "entries judged": (
        "entry_intents",
        "judged_at",
        ("id", "judged_at", "reference", "limit_price", "stop_price", "shares"),
    ),
    "exit intents": (
        "exit_intents",
        "at",
        ("id", "position_id", "kind", "at", "reason", "level", "fraction", "price", "market"),
    ),
    "orders": (
        "order_ledger",
        "planned_at",
        ("client_order_id", "kind", "side", "type", "qty", "limit_price", "stop_price", "leg_stop_price", "planned_at"),
    ),
    "fills": ("fills", "at", ("execution_id", "client_order_id", "side", "qty", "price", "at")),
}
"""What is compared → its table, the column that says when it was decided, and what no later event changes."""


class Asked(Struct, frozen=True, kw_only=True):
    """The options of the command, as they were written."""

    bars: Path | None
    daily: Path | None
    session: str | None
    watchlist: str | None
    tape: Path | None
    cuts: int
    seed: int
    bar_by_bar: bool


class Cut(Struct, frozen=True, kw_only=True):
    """One cut. at: UTC, end of the last minute that was left. compared: rows up to it. differs: the first that do."""

    at: dt.datetime
    compared: dict[str, int]
    differs: tuple[str, ...]


class Checked(Struct, frozen=True, kw_only=True):
    session: dt.date
    cuts: tuple[Cut, ...]
    seconds: float


Decide = Callable[[dt.datetime | None], Store]
"""The session decided on what there is up to a time, on all of it where None; the ledger that comes of it."""


def run(asked: Asked, as_json: bool) -> int:
    """Check and print; returns the exit code. Raises Trouble, BadFile, NotASession and NoTape."""
    began = time.monotonic()
    if (asked.tape is None) == (asked.bars is None):
        raise Trouble("name what is to be cut: --bars FILE with --session DATE, or --tape FILE")
    with tempfile.TemporaryDirectory(prefix="lookahead-") as folder:
        session, last, decide = _on_tape(asked.tape) if asked.tape is not None else _on_file(asked, Path(folder))
        whole = decide(None)
        minutes = minutes_to_cut(session, last, asked.cuts, asked.seed)
        cuts = tuple(check(whole, decide(at), at) for at in tracked(minutes, "cutting"))
    checked = Checked(session=session.session, cuts=cuts, seconds=round(time.monotonic() - began, 1))
    if as_json:
        print_json(checked)
    else:
        typer.echo(in_words(checked))
    return NOT_WELL if any(cut.differs for cut in cuts) else DONE


def minutes_to_cut(session: Session, last: dt.datetime, cuts: int, seed: int) -> list[dt.datetime]:
    """Seeded, each once, in order; none after `last` (UTC), where what is known of the session ends."""
    possible = range(WITHIN, (min(last, session.closes_at) - session.opens_at) // MINUTE - WITHIN)
    if not possible:
        raise Trouble(f"what is known of {session.session} ends at {clock(last)}: too early to be cut")
    chosen = random.Random(seed).sample(possible, min(cuts, len(possible)))  # noqa: S311 - no secret
    return [session.opens_at + minute * MINUTE for minute in sorted(chosen)]


def check(whole: Store, cut: Store, at: dt.datetime) -> Cut:
    """Compare what both say was decided up to `at`."""
    with copied(whole) as one, copied(cut) as other:
        compared: dict[str, int] = {}
        differs: list[str] = []
        for name in DECIDED:
            left, right = rows_until(one, name, at), rows_until(other, name, at)
            compared[name] = len(left)
            if left != right:
                differs.append(f"{name}: {_first_difference(left, right)}")
    cut.close()
    return Cut(at=at, compared=compared, differs=tuple(differs))


def rows_until(ledger: sqlite3.Connection, name: str, at: dt.datetime) -> list[tuple[object, ...]]:
    """Rows of `DECIDED[name]` that were decided at or before `at`, sorted."""
    table, when, columns = DECIDED[name]
    names = ", ".join(columns)
    asked = f"SELECT {names} FROM {table} WHERE {when} <= ? ORDER BY {names}"  # noqa: S608 - names of ours
    return list(ledger.execute(asked, (at.isoformat(),)))


def _first_difference(left: Sequence[tuple[object, ...]], right: Sequence[tuple[object, ...]]) -> str:
    only_whole = [row for row in left if row not in right]
    only_cut = [row for row in right if row not in left]
    with_all = in_json(only_whole[0]) if only_whole else "nothing"
    without = in_json(only_cut[0]) if only_cut else "nothing"
    return " ".join(f"knowing the rest {with_all}, without it {without}".split())


def _on_tape(tape: Path) -> tuple[Session, dt.datetime, Decide]:
    try:
        played = play_tape(tape)
    except OSError as fault:
        raise Trouble(f"{tape} cannot be read ({fault.strerror}); tapes are in data/tape of a home") from None
    return calendar.session(played.session), played.last, lambda at: play_tape(tape, at).store


def _on_file(asked: Asked, folder: Path) -> tuple[Session, dt.datetime, Decide]:
    if asked.bars is None or asked.session is None:
        raise Trouble("--bars needs --session DATE: which session of the file is to be cut")
    replayed = Replayed(
        bars=asked.bars,
        daily=asked.daily,
        session=asked.session,
        to=None,
        watchlist=asked.watchlist,
        seed=asked.seed,
    )
    play = play_of(replayed, settings_of_home())
    session, whole = calendar.session(play.first), asked.bars
    daily = _cut_daily(asked.daily, play.first, folder / "daily.parquet") if asked.daily is not None else None
    variables = backtest.variables_of(play)

    def decide(at: dt.datetime | None) -> Store:
        bars = whole if at is None else _cut_minutes(whole, at, folder / "minutes.parquet")
        feed = {"kind": "recorded", "bars": str(bars), "first": str(play.first), "last": str(play.first)}
        daily_of = asked.daily if at is None else daily
        if daily_of is not None:
            feed["daily"] = str(daily_of)
        settings = load_settings({**os.environ, **variables, "EV2_FEED": compact_json(feed)})
        store = Store.in_memory()
        backtest.play_all(settings, store, [session], Stop(), bar_by_bar=asked.bar_by_bar)
        return store

    return session, session.closes_at, decide


def _cut_minutes(bars: Path, at: dt.datetime, target: Path) -> Path:
    """The file without bars that end after `at`."""
    collect(scan_minutes(bars, before=at).rename({"start": "timestamp"}), bars).write_parquet(target)
    return target


def _cut_daily(daily: Path, session: dt.date, target: Path) -> Path:
    """The file without `session` and what comes after it."""
    before = scan_daily(daily).filter(pl.col("session") < session).rename({"session": "date"})
    collect(before, daily).write_parquet(target)
    return target


def in_words(checked: Checked) -> str:
    """The result for people."""
    lines = [f"Session {checked.session}, cut at {len(checked.cuts)} minutes"]
    for cut in checked.cuts:
        counts = ", ".join(f"{name} {count}" for name, count in cut.compared.items() if count)
        lines.append(f"  {clock(cut.at)}  {'LOOKED AHEAD' if cut.differs else 'the same'}: {counts or 'nothing yet'}")
        lines += [f"    {text[:400]}" for text in cut.differs]
    wrong = sum(bool(cut.differs) for cut in checked.cuts)
    lines.append(f"{'No decision looked ahead' if not wrong else f'{wrong} cuts differ'}. Took {checked.seconds:.1f} s")
    return "\n".join(lines)
