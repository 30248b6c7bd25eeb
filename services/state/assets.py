"""Which symbols the broker trades: asked once a session for each candidate and for what is held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from services.state.store import Store
from services.state.unit import Unit
from shared.contracts.orders import BrokerAsset

MOST_AT_ONCE: Final = 20
"""Each is a request of its own, and the broker's limit is shared with orders; the next look asks for the rest."""
_NOTE: Final = "assets"


class Known(Struct, frozen=True):
    """What the broker said in `session`, by symbol."""

    session: str
    traded: dict[str, bool]


_KNOWN: Final = msgspec.json.Decoder(Known)


def to_ask(store: Store) -> tuple[str, ...]:
    """Symbols of which the broker has not said in this session whether it trades them."""
    known = _known(store)
    wanted = {candidate.symbol for candidate in store.list_active_candidates()}
    wanted |= {position.symbol for position in store.list_positions()}
    return tuple(sorted(wanted - known.traded.keys())[:MOST_AT_ONCE])


def is_traded(store: Store, symbol: str) -> bool:
    """Whether the broker trades `symbol`; as long as it has not said so, an order will tell."""
    return _known(store).traded.get(symbol, True)


def learn(unit: Unit, assets: Iterable[BrokerAsset]) -> None:
    """Keep what the broker said. A symbol that is held and no longer traded keeps its stop, and a person is told."""
    said = {asset.symbol: asset.tradable for asset in assets}
    if not said:
        return
    known = _known(unit.store)
    for symbol in sorted(said):
        if said[symbol]:
            continue
        held = unit.store.open_position(symbol) is not None
        text = f"the broker does not trade {symbol}" + ("; what is held keeps its stop" if held else "")
        if held:
            unit.alert("critical", f"not-traded-{symbol}-{known.session}", text, symbol=symbol)
        else:
            unit.journal("not_traded", f"{text}: it is not bought", symbol=symbol)
    kept = msgspec.json.encode(Known(known.session, {**known.traded, **said}), order="sorted").decode()
    unit.store.set_note(_NOTE, kept)
    if to_ask(unit.store):
        unit.want_reconciliation("which symbols the broker trades")


def _known(store: Store) -> Known:
    """What is known of the last session; nothing of those before."""
    session = store.last_session()
    today = "" if session is None else str(session.session)
    note = store.note(_NOTE)
    known = _KNOWN.decode(note) if note else Known(today, {})
    return known if known.session == today else Known(today, {})
