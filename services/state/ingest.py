"""Takes lists of candidates into the ledger (docs/strategy.md section 1).

What a list names is what stands. One that cannot be read changes nothing: the candidates that it brought stay. A bad
row is named with its line; the good ones count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.state.candidates import FileRefused, Listed, Listing, candidate_of
from services.state.model import Candidate
from services.state.records import SessionRow
from services.state.unit import Unit
from shared.contracts.rules import CandidateRules

REFUSALS_TOLD: Final = 20

Key = tuple[str, str]


class Source(Struct, frozen=True):
    """One list: its name (`watchlist`, `watchlist_file`, `scan`) and what it says."""

    name: str
    says: Listing | FileRefused


def take(unit: Unit, sources: Sequence[Source], rules: CandidateRules) -> str:
    """Make the active candidates what `sources` say, and tell it in words. Where two name a symbol the later counts."""
    session = unit.store.last_session()
    if session is None:
        return "no session has begun; the lists are read at its opening"
    known = {(row.symbol, row.strategy): row for row in unit.store.all_candidates()}
    wanted: dict[Key, tuple[str, Listed | None]] = {}
    for source in sources:
        wanted.update(_wanted(source, known))
    for key, (name, listed) in wanted.items():
        if listed is not None:
            _list(unit, listed, name, session, known.get(key), rules)
    for key, row in known.items():
        if row.active and key not in wanted:
            unit.store.upsert_candidate(replace(row, active=False, note=f"no longer in the {row.source}"))
            unit.relist(row.symbol)
    told = [_told(unit, source) for source in sources]
    return "; ".join(told) or "no list of candidates is configured"


def _wanted(source: Source, known: dict[Key, Candidate]) -> dict[Key, tuple[str, Listed | None]]:
    """The candidates of one list; of one that was refused those that it brought before, as they stand."""
    if isinstance(source.says, FileRefused):
        return {key: (source.name, None) for key, row in known.items() if row.active and row.source == source.name}
    return {(listed.symbol, listed.strategy): (source.name, listed) for listed in source.says.rows}


def _list(
    unit: Unit, listed: Listed, source: str, session: SessionRow, before: Candidate | None, rules: CandidateRules
) -> None:
    """One row; what it was used for this session stays used, and one that stood already counts from when it did."""
    row = candidate_of(
        listed,
        source,
        since=unit.now,
        session=session.session,
        opens_at=session.opens_at,
        closes_at=session.closes_at,
        rules=rules,
    )
    if before is not None and before.session == session.session:
        row = replace(row, spent=before.spent, released_at=before.released_at)
        if before.active:
            row = replace(row, since=before.since, expires_at=row.expires_at and (before.expires_at or row.expires_at))
    if row != before:
        unit.store.upsert_candidate(row)
        unit.relist(row.symbol)


def _told(unit: Unit, source: Source) -> str:
    """What came of one list, in words; what a person should know of it is told once."""
    says = source.says
    if isinstance(says, FileRefused):
        text = f"{source.name} refused: {says.reason}; the candidates that stand stay"
        unit.alert_once("critical", f"candidates-{source.name}", text)
        return text
    refused = [f"line {row.line} ({row.text}): {row.reason}" for row in says.refused]
    if refused:
        more = len(refused) - REFUSALS_TOLD
        told = "; ".join(refused[:REFUSALS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        unit.alert_once("warning", f"candidates-{source.name}", f"{source.name}: rows refused: {told}")
    else:
        unit.all_clear(f"candidates-{source.name}")
    return f"{source.name}: {len(says.rows)} candidates, {len(refused)} rows refused"
