"""The page about the digest lists what the digest is made of."""

from __future__ import annotations

from pathlib import Path

from services.state.digest import DIGESTED

PAGE = Path(__file__).parents[3] / "docs" / "replay.md"


def test_the_page_names_every_table_and_column_of_the_digest_in_order() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    told = [tuple(name.strip("` ") for name in row.strip("|").replace("|", ",").split(",")) for row in rows]
    listed = {table: columns for table, *columns in told if table in DIGESTED}
    assert {table: tuple(columns) for table, columns in listed.items()} == DIGESTED
