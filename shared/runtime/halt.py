"""The halt level in a file of the home folder, so that it holds with state or the bus dead.

State reads it before it plans and before it grants a claim; whoever may halt writes it (docs/operating.md).
"""

from __future__ import annotations

import os
from pathlib import Path

from shared.contracts.vocabulary import HaltLevel


class HaltFile:
    """One word in a file: none, pause, halt or flatten."""

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
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")  # state and a page may write at one instant
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{level.value}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def raise_to(self, level: HaltLevel) -> None:
        """`write`, unless a stricter level stands there. Raises OSError."""
        stands = self.read()
        if stands is None or is_stricter(level, stands):
            self.write(level)


def is_stricter(level: HaltLevel, than: HaltLevel) -> bool:
    """Whether `level` lets less go on; only `resume` goes back to a weaker one."""
    return _STRICTNESS[level] > _STRICTNESS[than]


_STRICTNESS = {level: place for place, level in enumerate(HaltLevel)}
