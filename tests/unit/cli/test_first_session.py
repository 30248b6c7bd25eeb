"""Which session a synthetic market plays where nobody says it: the last completed one, by the clock."""

from __future__ import annotations

import datetime as dt

import pytest

from cli.market import first_session
from shared.runtime.settings import SyntheticFeed


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2026-11-25T20:59:59+00:00", "2026-11-24"),  # the session is still on
        ("2026-11-25T21:00:00+00:00", "2026-11-25"),  # it closes
        ("2026-11-26T18:00:00+00:00", "2026-11-25"),  # Thanksgiving
        ("2026-11-27T18:00:00+00:00", "2026-11-27"),  # a half day closes at 13:00
    ],
)
def test_a_session_counts_as_completed_from_its_close_on(now: str, session: str) -> None:
    assert first_session(SyntheticFeed(), dt.datetime.fromisoformat(now)) == dt.date.fromisoformat(session)
