"""Sums whose result does not depend on the Python that runs them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add


def left_sum(values: Iterable[float]) -> float:
    """Plain left fold in the order given. Not `sum`: since Python 3.12 it compensates, so last digits differ."""
    return reduce(add, values, 0.0)
