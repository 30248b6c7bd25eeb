"""A small ledger for the tests of signals: what is asked for happens at once, and is told as state tells it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from msgspec.structs import replace

from shared.contracts.decisions import Decided, EntryIntent
from shared.contracts.message import Message
from shared.contracts.money import exact
from shared.contracts.views import CandidateChanged, PositionChanged
from shared.contracts.vocabulary import StopMode, TrimState
from shared.domain.levels import trim_shares
from tests.unit.signals.kit import SESSION, candidate, position, taken


class Ledger:
    """Entries fill at the confirming close, trims and exits at once, stops rest at once."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self.candidates: dict[str, CandidateChanged] = {symbol: candidate(symbol) for symbol in symbols}
        self.positions: dict[str, PositionChanged] = {}
        self.stops: dict[str, list[Decimal]] = {}
        self.through: dt.datetime | None = None

    def hold(self, told: PositionChanged) -> None:
        self.positions[told.symbol] = told
        self.stops[told.position_id] = [told.stop] if told.stop is not None else []

    def views(self) -> list[Message]:
        """Everything as it stands, in the order in which a new bus is given it."""
        return [*self.candidates.values(), *self.positions.values()]

    def take(self, decided: Decided, end: int) -> list[Message]:
        """The effects of one minute, and what is told about them."""
        self.through = decided.minute
        for verdict in decided.verdicts:
            if verdict.spends:
                self.candidates[verdict.symbol] = replace(self.candidates[verdict.symbol], spent=True)
        for entry in decided.entries:
            self._enter(entry)
        changed = {mark.symbol for mark in decided.marks} | {entry.symbol for entry in decided.entries}
        for mark in decided.marks:
            self._change(
                mark.symbol,
                high_water=mark.high_water,
                invalidations=mark.invalidations,
                stop_mode=mark.stop_mode,
                decided_through=decided.minute,
                **({"r1_state": TrimState.DONE} if mark.r1_marked else {}),
                **({"r2_state": TrimState.DONE} if mark.r2_marked else {}),
            )
        for trim in decided.trims:
            held = self.positions[trim.symbol]
            self._change(
                trim.symbol,
                qty=held.qty - trim_shares(held.qty, trim.fraction),
                **{f"{trim.level}_state": TrimState.DONE},
            )
        for stop in decided.stops:
            self._change(stop.symbol, stop=stop.stop)
            self.stops[self.positions[stop.symbol].position_id].append(stop.stop)
        for leave in decided.exits:
            self._change(leave.symbol, qty=0, stop_mode=StopMode.EXITING)
        told = [
            replace(self.positions[symbol], id=f"{symbol}-{end}") for symbol in sorted(changed & set(self.positions))
        ]
        spent = [
            replace(self.candidates[verdict.symbol], id=f"c-{verdict.symbol}-{end}") for verdict in decided.verdicts
        ]
        return [*spent, *told, taken(end)]

    def _enter(self, entry: EntryIntent) -> None:
        held = self.positions.get(entry.symbol)
        if held is not None and held.qty:
            return
        self.hold(
            position(
                entry.symbol,
                position_id=entry.id,
                session=SESSION,
                avg_price=exact(entry.confirm_close),
                pivot=entry.pivot,
                r1=entry.r1,
                r2=entry.r2,
                stop=exact(entry.first_stop).quantize(Decimal("0.01")),
                high_water=entry.confirm_close,
                entered_at=entry.confirmed_at,
                decided_through=entry.confirmed_at,
            )
        )

    def _change(self, symbol: str, **changes: object) -> None:
        self.positions[symbol] = replace(self.positions[symbol], **changes)
