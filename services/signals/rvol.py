"""Relative volume: the session's volume so far against the usual volume by this minute (docs/strategy.md section 5)."""

from __future__ import annotations

from shared.contracts.market import VolumeProfile
from shared.contracts.money import figure


def relative_volume(volume: float, minute: int, profile: VolumeProfile | None, sessions: int) -> float | None:
    """`volume` (shares since the opening) over the mean by the end of the `minute`-th minute, counted from 1.

    None, which passes, where the profile is of fewer than `sessions` sessions, does not reach so far, or is zero.
    """
    if profile is None or profile.sessions < sessions or not 0 < minute <= len(profile.cumulative):
        return None
    usual = profile.cumulative[minute - 1]
    return figure(volume / usual) if usual > 0 else None
