"""A file of records that only grows: compressed, whole up to its last record whatever is killed, and small.

    8 bytes     EV2TAPE1
    then frames: length (4 bytes, big endian), CRC-32 of the payload (4), flags (1), payload

A payload is one piece of a zlib stream, flushed so that it can be read by itself after those before it; flag 1: a new
stream begins here (a process opened the file again). A record is handed to the operating system when it is written, so
a killed process loses none; the disk has it a second later. What a power cut tore at the end is cut off, and kept
beside the file (`.cut`): should it have been damage in the middle, what comes after it is not lost.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

MAGIC: Final = b"EV2TAPE1"
FRAME: Final = struct.Struct(">IIB")
NEW_STREAM: Final = 1
SYNC_EVERY_S: Final = 1.0
CUT: Final = ".cut"
"""Added to the name of a tape: what was cut off its end."""
LEVEL: Final = 1
"""Of zlib: the fastest. Nobody trades while it works."""


class NoTape(ValueError):
    """Not a file of records; the text is one line."""


class TapeWriter:
    """Appends to the file at `path`, made if there is none, readable by its owner alone. Raises OSError and NoTape.

    Any method may raise OSError; the file is then whole up to the record before.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115 - held open
        try:
            os.chmod(path, 0o600)
            self._end = self._whole_part(path)
            _keep_what_follows(self._file, self._end, path)
            self._file.truncate(self._end)
            self._file.seek(self._end)
        except (OSError, NoTape):
            self._file.close()
            raise
        self._packer = zlib.compressobj(LEVEL)
        self._flags = NEW_STREAM
        self._is_dirty = True
        self._is_closed = threading.Event()
        self._syncing = threading.Thread(target=self._sync_for_ever, name="tape", daemon=True)
        self._syncing.start()

    def append(self, record: bytes) -> None:
        """Write one record."""
        payload = self._packer.compress(record) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        frame = FRAME.pack(len(payload), zlib.crc32(payload), self._flags) + payload
        try:
            written = self._file.write(frame)
            if written != len(frame):
                raise OSError(f"{written} of {len(frame)} bytes were written")
        except OSError:
            self._file.truncate(self._end)
            raise
        self._end += len(frame)
        self._flags = 0
        self._is_dirty = True

    def close(self) -> None:
        """The disk has everything afterwards."""
        self._is_closed.set()
        self._syncing.join()
        self._file.close()

    def _whole_part(self, path: Path) -> int:
        """Bytes up to the end of the last whole frame; a new file gets its first bytes."""
        if os.fstat(self._file.fileno()).st_size == 0:
            self._file.write(MAGIC)
            return len(MAGIC)
        return _whole_part(self._file, path)

    def _sync_for_ever(self) -> None:
        """On a thread of its own: whoever appends does not wait for the disk."""
        is_last = False
        while not is_last:
            is_last = self._is_closed.wait(SYNC_EVERY_S)
            if self._is_dirty:
                self._is_dirty = False
                with contextlib.suppress(OSError):  # whoever appends next meets it, and says so
                    os.fdatasync(self._file.fileno())


def read_tape(path: Path) -> Iterator[bytes]:
    """Its records, up to the last whole one. Raises NoTape and OSError."""
    with open(path, "rb") as file:
        unpacker = zlib.decompressobj()
        for flags, payload in _frames(file, path):
            if flags & NEW_STREAM:
                unpacker = zlib.decompressobj()
            try:
                yield unpacker.decompress(payload)
            except zlib.error as fault:
                raise NoTape(f"{path} is damaged ({fault}): it can be read up to there alone") from None


def unread(path: Path) -> int:
    """Bytes behind its last whole record: torn, or damaged. Raises NoTape and OSError."""
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size - _whole_part(file, path)


def _whole_part(file: BinaryIO, path: Path) -> int:
    return len(MAGIC) + sum(FRAME.size + len(payload) for _, payload in _frames(file, path))


def _keep_what_follows(file: BinaryIO, end: int, path: Path) -> None:
    """Append what stands behind `end` to the file beside; zeros alone are nothing."""
    file.seek(end)
    rest = file.read()
    if not rest.strip(b"\0"):
        return
    with open(path.with_name(path.name + CUT), "ab", opener=_for_the_owner) as kept:
        kept.write(rest)
        kept.flush()
        os.fsync(kept.fileno())


def _for_the_owner(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _frames(file: BinaryIO, path: Path) -> Iterator[tuple[int, bytes]]:
    """Flags and payload of every whole frame."""
    if file.read(len(MAGIC)) != MAGIC:
        raise NoTape(f"{path} is no tape: it does not begin with {MAGIC.decode()}")
    while len(head := file.read(FRAME.size)) == FRAME.size:
        length, checksum, flags = FRAME.unpack(head)
        payload = file.read(length)
        if not length or len(payload) != length or zlib.crc32(payload) != checksum or flags > NEW_STREAM:
            return  # torn, or the zeros that a power cut leaves, which their checksum would let pass
        yield flags, payload
