"""The ledger's side for whoever works without state: read-only, one instant at a time."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Final

from cli.ledger import reading
from cli.operating.standing import Booked, Books, Kept
from cli.trouble import Trouble

OPEN: Final = "status NOT IN ('filled', 'rejected', 'canceled', 'expired', 'replaced', 'denied', 'absent')"
RECENT: Final = "session >= (SELECT date(max(session), '-15 days') FROM sessions)"
"""The broker's lists go back five days."""


class LedgerBooks:
    """installation: the configured prefix of our ids; empty: the ledger's own."""

    def __init__(self, path: Path, installation: str) -> None:
        self._path = path
        self._installation = installation

    def books(self) -> Books:
        """Raises Trouble or LedgerRefused where it cannot be read: then nobody knows which shares are ours."""
        with reading(self._path) as ledger:
            notes = dict(ledger.execute("SELECT key, value FROM meta WHERE key = 'installation'"))
            held = ledger.execute("SELECT symbol, qty, stop FROM positions WHERE qty > 0").fetchall()
            orders = ledger.execute(
                f"SELECT client_order_id, broker_id, symbol, side, filled_qty, {OPEN} FROM order_ledger"  # noqa: S608
                f" WHERE {OPEN} OR {RECENT}"
            ).fetchall()
        installation = self._installation or notes.get("installation", "")
        if not installation:
            raise Trouble(f"{self._path}: state never wrote it, so no order is ours")
        return Books(
            installation=installation,
            positions={symbol: Kept(qty, Decimal(stop) if stop is not None else None) for symbol, qty, stop in held},
            orders=tuple(
                Booked(name, own, symbol, side, qty, bool(is_open)) for name, own, symbol, side, qty, is_open in orders
            ),
        )
