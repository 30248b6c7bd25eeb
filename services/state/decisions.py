"""Takes what signals decided: once for each partition and minute, in the order (exit, trim, stop, entry; symbol)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from services.state import assets, working
from services.state.admission import on_arrival
from services.state.model import Candidate, EntryRow, ExitRow, IntentStatus, Position
from services.state.pricing import due_at
from services.state.records import VerdictRow
from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts.decisions import (
    Decided,
    EntryIntent,
    ExitIntent,
    Mark,
    StopIntent,
    TrimIntent,
    Verdict,
)
from shared.contracts.views import PartitionDecided
from shared.contracts.vocabulary import NOT_A_CONFIRMATION, Reason, StopMode, TrimState

Candidates = dict[tuple[str, str], Candidate]
"""By symbol and strategy, as they are while a minute is taken."""


def arrive(unit: Unit, decided: Decided) -> None:
    """Keep decisions until they are taken. What is decided again about a minute that was taken is dropped."""
    through = unit.store.decided_through(decided.partition)
    if through is None or decided.minute > through:
        unit.store.put_decision(decided)


def take(unit: Unit, setup: Setup, through: dt.datetime | None = None) -> None:
    """Take all decisions of minutes up to `through` (None: all that are here), minute by minute."""
    taken = unit.store.take_decisions(through)
    for minute in sorted({decided.minute for decided in taken}):
        _take_minute(unit, setup, [decided for decided in taken if decided.minute == minute])
    for decided in taken:
        unit.say(
            PartitionDecided(
                id=unit.next_id("partition"),
                at=unit.at_least(decided.minute),
                cause=decided.id,
                partition=decided.partition,
                through=decided.minute,
            )
        )


def _take_minute(unit: Unit, setup: Setup, taken: Sequence[Decided]) -> None:
    candidates = {(one.symbol, one.strategy): one for one in unit.store.all_candidates()}
    spent = {key for key, candidate in candidates.items() if candidate.spent}
    for decided in taken:
        unit.store.put_verdicts(_verdict_row(verdict, decided) for verdict in decided.verdicts)
        for verdict in decided.verdicts:
            _spend(unit, candidates, verdict, decided)
        for mark in decided.marks:
            _mark(unit, mark, decided)
    for leave in _by_symbol(leave for decided in taken for leave in decided.exits):
        _exit(unit, leave, taken[0].minute)
    for trim in _by_symbol(trim for decided in taken for trim in decided.trims):
        _trim(unit, trim, taken[0].minute)
    for stop in _by_symbol(stop for decided in taken for stop in decided.stops):
        _stop(unit, stop, taken[0].minute)
    for entry in _by_symbol(entry for decided in taken for entry in decided.entries):
        _entry(unit, setup, candidates, entry, spent=(entry.symbol, entry.strategy) in spent)


Intent = TypeVar("Intent", ExitIntent, TrimIntent, StopIntent, EntryIntent)


def _by_symbol(intents: Iterable[Intent]) -> list[Intent]:
    return sorted(intents, key=lambda intent: (intent.symbol, intent.id))


def _verdict_row(verdict: Verdict, decided: Decided) -> VerdictRow:
    return VerdictRow(
        session=decided.session,
        symbol=verdict.symbol,
        at=decided.minute,
        strategy=verdict.strategy,
        stage="signals",
        outcome=verdict.outcome,
        reason=verdict.reason,
        figures=verdict.figures,
        cause=decided.id,
    )


def _spend(unit: Unit, candidates: Candidates, verdict: Verdict, decided: Decided) -> None:
    """A confirmation, taken or refused, uses up the symbol's session, unless its refusal says that it does not."""
    candidate = candidates.get((verdict.symbol, verdict.strategy))
    if verdict.reason in NOT_A_CONFIRMATION or candidate is None or candidate.spent:
        return
    if verdict.spends:
        _change(unit, candidates, replace(candidate, spent=True))
    elif verdict.reason is not Reason.CONFIRMED:
        _change(unit, candidates, replace(candidate, released_at=decided.minute))


def _change(unit: Unit, candidates: Candidates, changed: Candidate) -> None:
    candidates[changed.symbol, changed.strategy] = changed
    unit.store.upsert_candidate(changed)
    unit.relist(changed.symbol)


def _mark(unit: Unit, mark: Mark, decided: Decided) -> None:
    position = unit.store.position(mark.position_id)
    if position is None or position.qty == 0:
        return
    if position.decided_through is not None and position.decided_through >= decided.minute:
        return
    unit.store.upsert_position(
        replace(
            position,
            high_water=mark.high_water,
            invalidations=mark.invalidations,
            stop_mode=StopMode.EXITING if position.stop_mode is StopMode.EXITING else mark.stop_mode,
            r1_state=TrimState.DONE if mark.r1_marked else position.r1_state,
            r2_state=TrimState.DONE if mark.r2_marked else position.r2_state,
            decided_through=decided.minute,
        )
    )
    unit.touch(mark.symbol)


def _exit(unit: Unit, leave: ExitIntent, at: dt.datetime) -> None:
    position = _held(unit, leave.symbol, leave.id, leave.cause)
    if position is None:
        return
    row = _exit_row(leave.id, position, "exit", at, leave.reason, leave.cause)
    if unit.store.put_exit_intent(replace(row, price=leave.price, market=leave.market)):
        unit.store.upsert_position(replace(position, stop_mode=StopMode.EXITING))
        unit.journal("exit_wanted", f"{leave.id}: sell all, {leave.reason}", symbol=leave.symbol, cause=leave.cause)


def _trim(unit: Unit, trim: TrimIntent, at: dt.datetime) -> None:
    position = _held(unit, trim.symbol, trim.id, trim.cause)
    if position is None:
        return
    row = _exit_row(trim.id, position, "trim", at, trim.level, trim.cause)
    row = replace(row, level=trim.level, fraction=trim.fraction, price=trim.price)
    if unit.store.put_exit_intent(row):
        working_ = TrimState.WORKING
        unit.store.upsert_position(
            replace(position, r1_state=working_) if trim.level == "r1" else replace(position, r2_state=working_)
        )
        unit.journal("trim_wanted", f"{trim.id}: {trim.level} at {trim.price}", symbol=trim.symbol, cause=trim.cause)


def _stop(unit: Unit, stop: StopIntent, at: dt.datetime) -> None:
    position = _held(unit, stop.symbol, stop.id, stop.cause)
    if position is None or (position.stop is not None and stop.stop <= position.stop):
        return  # stops only rise
    row = _exit_row(stop.id, position, "stop", at, stop.basis, stop.cause)
    if unit.store.put_exit_intent(replace(row, stop=stop.stop)):
        unit.store.upsert_position(replace(position, stop=stop.stop))
        unit.journal(
            "stop_wanted",
            f"{stop.id}: {position.stop} to {stop.stop}, {stop.basis}",
            symbol=stop.symbol,
            cause=stop.cause,
        )


def _held(unit: Unit, symbol: str, intent: str, cause: str) -> Position | None:
    position = unit.store.open_position(symbol)
    if position is None:
        unit.journal("intent_moot", f"{intent}: nothing is held any more", symbol=symbol, cause=cause)
    else:
        unit.touch(symbol)
    return position


def _exit_row(intent: str, position: Position, kind: str, at: dt.datetime, reason: str, cause: str) -> ExitRow:
    return ExitRow(
        id=intent,
        symbol=position.symbol,
        position_id=position.position_id,
        kind=kind,
        at=at,
        reason=reason,
        cause=cause,
        status=IntentStatus.PENDING,
    )


def _entry(unit: Unit, setup: Setup, candidates: Candidates, entry: EntryIntent, *, spent: bool) -> None:
    """spent: an earlier confirmation of this symbol and session went on, or was refused for a reason that spends."""
    candidate = candidates.get((entry.symbol, entry.strategy))
    row = EntryRow(
        id=entry.id,
        symbol=entry.symbol,
        strategy=entry.strategy,
        session=entry.session,
        confirmed_at=entry.confirmed_at,
        confirm_close=entry.confirm_close,
        pivot=entry.pivot,
        r1=entry.r1,
        r2=entry.r2,
        first_stop=entry.first_stop,
        swing_low=entry.swing_low,
        scan_stop=entry.scan_stop,
        atr_pct=entry.atr_pct,
        dist_pct=entry.dist_pct,
        sector=candidate.sector if candidate is not None else "",
        cause=entry.cause,
        due=due_at(
            entry.confirmed_at,
            setup.rules.entry,
            salt=setup.salt,
            strategy=entry.strategy,
            session=entry.session,
            symbol=entry.symbol,
        ),
        status=IntentStatus.PENDING,
    )
    if not unit.store.put_entry_intent(row):
        return
    unit.journal(
        "entry_wanted",
        f"{entry.id}: confirmed at {entry.confirm_close} above {entry.pivot}, due {row.due:%H:%M:%S}",
        symbol=entry.symbol,
        cause=entry.cause,
    )
    refusal = on_arrival(spent=spent, tradable=assets.is_traded(unit.store, entry.symbol))
    if refusal is not None:
        working.refuse(unit, row, refusal, stage="arrival")
    if candidate is not None and not candidate.spent:
        _change(unit, candidates, replace(candidate, spent=True))
