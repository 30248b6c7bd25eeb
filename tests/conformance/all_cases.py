"""All cases in the order of their numbers."""

from __future__ import annotations

from typing import Final

from tests.conformance import (  # noqa: F401 - each adds its cases when it is read
    cases_1_routes,
    cases_2_refusals,
    cases_3_fills,
    cases_4_classes,
    cases_5_reservations,
    cases_6_changes,
    cases_7_hours,
    cases_8_streams,
    cases_9_wire,
)
from tests.conformance.case import Case, numbered

CASES: Final[list[Case]] = numbered()
