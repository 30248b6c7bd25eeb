"""What holds for every test: the machine's own settings of the engine are out of sight, and none outlive a test."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def an_environment_of_its_own() -> Iterator[None]:
    """Commands run inside a test write `EV2_*` for their children; the next test must not find them."""
    kept = {name: value for name, value in os.environ.items() if _is_ours(name)}
    for name in kept:
        del os.environ[name]
    yield
    for name in filter(_is_ours, list(os.environ)):
        del os.environ[name]
    os.environ.update(kept)


def _is_ours(name: str) -> bool:
    return name.startswith("EV2_") and not name.startswith("EV2_TEST_")
