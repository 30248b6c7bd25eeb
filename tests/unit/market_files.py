"""Where the reference market data stands: beside the repository, never in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MARKET: Final = Path(__file__).resolve().parents[3] / "shared" / "market"
