"""The files that state reads and writes besides its ledger: the halt level, and the lists of candidates."""

from __future__ import annotations

import os
from pathlib import Path

from services.state import ingest
from services.state.ingest import Listed, Listing
from services.state.setup import Setup
from services.state.unit import Unit
from shared.contracts.vocabulary import HaltLevel


class HaltFile:
    """The halt level as one word in a file of the home folder, so that it holds with state or the bus dead."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> HaltLevel | None:
        """The level that stands there; None where there is no file. One that cannot be read means `halt`."""
        try:
            return HaltLevel(self._path.read_text(encoding="ascii").strip())
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return HaltLevel.HALT

    def write(self, level: HaltLevel) -> None:
        """Set the level, durably. Raises OSError where the folder cannot be written."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{level.value}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


class CandidateFiles:
    """The configured lists of candidates: symbols in the settings, a text file of symbols, a scan file."""

    def __init__(self, home: Path, setup: Setup) -> None:
        self._home = home
        self._setup = setup

    def ingest(self, unit: Unit) -> str:
        """Take what the lists say now into the ledger; returns what came of it."""
        rules = self._setup.rules
        rows = tuple(Listed(symbol=symbol, strategy=rules.strategy.id) for symbol in rules.candidates.watchlist)
        listings = [Listing(source=ingest.WATCHLIST, rows=rows)]
        return ingest.take(unit, listings, rules.candidates.ttl)
