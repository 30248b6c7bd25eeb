"""Takes lists of candidates into the ledger (docs/strategy.md section 1).

A list that cannot be read, or whose columns are wrong, changes nothing: the candidates that stand stay. A bad row is
named with its line; the good ones count.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from services.state.model import Candidate
from services.state.records import SessionRow
from services.state.unit import Unit

WATCHLIST: Final = "watchlist"
SCAN: Final = "scan"
REFUSALS_TOLD: Final = 20


class Listed(Struct, frozen=True, kw_only=True):
    """One good row. Levels in dollars, None on a watchlist. note: its other figures, for people."""

    symbol: str
    strategy: str
    pivot: float | None = None
    stop: float | None = None
    r1: float | None = None
    r2: float | None = None
    sector: str = ""
    note: str = ""


class Listing(Struct, frozen=True, kw_only=True):
    """What one source says. fault: why all of it is refused. refused: bad rows, each as `line 7: reason`."""

    source: str
    rows: tuple[Listed, ...] = ()
    refused: tuple[str, ...] = ()
    fault: str = ""


def take(unit: Unit, listings: Sequence[Listing], ttl_s: float) -> str:
    """Make the active candidates what `listings` say; returns it in words. ttl_s: life of a scan row, seconds."""
    session = unit.store.last_session()
    if session is None:
        return "no session has begun; the lists are read at its opening"
    told = [_take_one(unit, listing, session, ttl_s) for listing in listings]
    return "; ".join(told) or "no list of candidates is configured"


def _take_one(unit: Unit, listing: Listing, session: SessionRow, ttl_s: float) -> str:
    if listing.fault:
        text = f"{listing.source} refused: {listing.fault}; the candidates that stand stay"
        unit.alert_once("critical", f"candidates-{listing.source}", text)
        return text
    if listing.refused:
        more = len(listing.refused) - REFUSALS_TOLD
        told = "; ".join(listing.refused[:REFUSALS_TOLD]) + (f"; and {more} more" if more > 0 else "")
        unit.alert_once("warning", f"candidates-{listing.source}", f"{listing.source}: rows refused: {told}")
    elif unit.store.note(f"alert-candidates-{listing.source}"):
        unit.store.set_note(f"alert-candidates-{listing.source}", "")
    known = {(row.symbol, row.strategy): row for row in unit.store.all_candidates()}
    for listed in listing.rows:
        _list(unit, listed, listing.source, session, ttl_s, known.get((listed.symbol, listed.strategy)))
    names = {(listed.symbol, listed.strategy) for listed in listing.rows}
    for key, row in known.items():
        if row.active and row.source == listing.source and key not in names:
            unit.store.upsert_candidate(replace(row, active=False, note=f"no longer in the {listing.source}"))
            unit.touch(row.symbol)
    return f"{listing.source}: {len(listing.rows)} candidates, {len(listing.refused)} rows refused"


def _list(unit: Unit, listed: Listed, source: str, session: SessionRow, ttl_s: float, before: Candidate | None) -> None:
    """One row; what it was used for this session stays used, and one that stood already counts from when it did."""
    standing = before is not None and before.session == session.session
    if before is not None and standing and before.active and before.source == SCAN and source == WATCHLIST:
        return  # the scan's row has levels of its own
    since = before.since if before is not None and standing and before.active else unit.now
    row = Candidate(
        symbol=listed.symbol,
        strategy=listed.strategy,
        source=source,
        session=session.session,
        active=True,
        since=since,
        expires_at=None if source == WATCHLIST else _expiry(unit.now, session, ttl_s, before if standing else None),
        pivot=listed.pivot,
        stop=listed.stop,
        r1=listed.r1,
        r2=listed.r2,
        sector=listed.sector,
        spent=before.spent if before is not None and standing else False,
        released_at=before.released_at if before is not None and standing else None,
        note=listed.note,
    )
    if row != before:
        unit.store.upsert_candidate(row)
        unit.touch(row.symbol)


def _expiry(now: dt.datetime, session: SessionRow, ttl_s: float, before: Candidate | None) -> dt.datetime:
    """The close, or its time to live after the later of ingest and opening, whichever is first."""
    if before is not None and before.active and before.expires_at is not None:
        return before.expires_at
    return min(session.closes_at, max(now, session.opens_at) + dt.timedelta(seconds=ttl_s))
