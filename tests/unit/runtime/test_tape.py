"""The tape's file: whole up to its last record, whatever is torn off its end."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from shared.runtime.tape import CUT, FRAME, MAGIC, NoTape, TapeWriter, read_tape, unread

RECORDS = [b"first", b"second " * 200, b"", b"a third one, which is like the second " * 50]


def written(path: Path, records: list[bytes]) -> Path:
    writer = TapeWriter(path)
    for record in records:
        writer.append(record)
    writer.close()
    return path


def test_records_come_back_in_order_from_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    path = written(tmp_path / "folder" / "day.tape", RECORDS)
    assert list(read_tape(path)) == RECORDS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_can_be_read_before_the_file_is_closed(tmp_path: Path) -> None:
    writer = TapeWriter(tmp_path / "day.tape")
    writer.append(b"just now")
    assert list(read_tape(tmp_path / "day.tape")) == [b"just now"]
    writer.close()


def test_a_file_torn_anywhere_has_the_records_before_and_is_gone_on_with(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole.tape", RECORDS).read_bytes()
    torn = tmp_path / "torn.tape"
    for size in range(len(MAGIC), len(whole)):
        torn.write_bytes(whole[:size])
        left = list(read_tape(torn))
        assert left == RECORDS[: len(left)]
        written(torn, [b"after the restart"])
        assert list(read_tape(torn)) == [*left, b"after the restart"]


def test_a_damaged_record_ends_the_tape_before_it(tmp_path: Path) -> None:
    path = written(tmp_path / "day.tape", RECORDS)
    data = bytearray(path.read_bytes())
    data[-5] ^= 0xFF
    path.write_bytes(data)
    assert list(read_tape(path)) == RECORDS[:-1]


def test_a_file_that_is_no_tape_is_refused_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("something else entirely")
    with pytest.raises(NoTape, match="is no tape"):
        list(read_tape(path))
    with pytest.raises(NoTape, match="is no tape"):
        TapeWriter(path)
    assert path.read_text() == "something else entirely"


def test_the_zeros_that_a_power_cut_leaves_are_no_records(tmp_path: Path) -> None:
    path = written(tmp_path / "day.tape", RECORDS)
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert list(read_tape(path)) == RECORDS
    written(path, [b"after the restart"])
    assert list(read_tape(path)) == [*RECORDS, b"after the restart"]


def test_what_stands_behind_a_damaged_record_is_counted_and_kept_beside_the_tape(tmp_path: Path) -> None:
    path = written(tmp_path / "day.tape", RECORDS)
    assert unread(path) == 0
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + FRAME.size] ^= 0xFF
    path.write_bytes(data)
    assert unread(path) == len(data) - len(MAGIC)
    written(path, [b"after the restart"])
    assert list(read_tape(path)) == [b"after the restart"]
    kept = tmp_path / f"day.tape{CUT}"
    assert (kept.read_bytes(), kept.stat().st_mode & 0o777) == (bytes(data[len(MAGIC) :]), 0o600)
