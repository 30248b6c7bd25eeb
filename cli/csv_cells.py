"""CSV that opens as text and numbers: a spreadsheet runs a cell that begins with = + - or @ as a formula.

What we write comes in part from outside (symbols of a watchlist, a broker's words), so no cell may begin that way. The
characters are OWASP's, "CSV Injection" (https://owasp.org/www-community/attacks/CSV_Injection).
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

RUNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""The last four are the full-width forms, which some spreadsheets take for the plain ones."""
_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


def cell(value: object) -> str:
    """`value` as the text of one cell: None is empty, a number stays one, and nothing in it runs."""
    text = "" if value is None else str(value)
    starts = text.lstrip(" \0\ufeff").startswith(RUNS)
    return f"'{text}" if starts and _NUMBER.fullmatch(text) is None else text


def csv_text(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A whole file: `head`, then `rows`, with line ends as RFC 4180 has them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow([cell(name) for name in head])
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
