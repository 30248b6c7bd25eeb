"""What all simulated days of tests have in common."""

from __future__ import annotations

import pytest

from cli.simulation import trial


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Thousands of lines about faults that were meant."""
    trial.hush()
