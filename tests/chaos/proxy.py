"""A TCP proxy between the executors and the broker, which can be told to misbehave.

PASS     everything goes through
REFUSE   connections are closed as soon as they are made
STALL    connections stand, nothing goes through, in either direction (half-open)
DELAY    every piece waits a little
CUT      the broker is asked, and the connection cut before the first byte of its answer: done, but not heard
HALVE    the connection is cut in the middle of the first piece of an answer
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from enum import Enum, auto
from typing import Final

PIECE: Final = 65_536
DELAY_S: Final = 0.15
POLL_S: Final = 0.05


class Mode(Enum):
    PASS = auto()
    REFUSE = auto()
    STALL = auto()
    DELAY = auto()
    CUT = auto()
    HALVE = auto()


class Proxy:
    """Listens on a port of its own, and forwards to `host`:`port`."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listening = socket.create_server((host, 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port: int = self._listening.getsockname()[1]
        self.mode = Mode.PASS

    def start(self) -> None:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def close(self) -> None:
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End every connection now."""
        with self._lock:
            open_ones, self._open = self._open, set()
        for one in open_ones:
            _shut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self.mode is Mode.REFUSE:
            _shut(client)
            return
        try:
            broker = socket.create_connection(self._target, timeout=5)
        except OSError:
            _shut(client)
            return
        broker.settimeout(None)
        with self._lock:
            self._open |= {client, broker}
        threading.Thread(target=self._pump, args=(client, broker, False), daemon=True).start()
        self._pump(broker, client, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                while self.mode is Mode.STALL:
                    time.sleep(POLL_S)
                if self.mode is Mode.DELAY:
                    time.sleep(DELAY_S)
                if is_answer and self.mode is Mode.CUT:
                    break
                if is_answer and self.mode is Mode.HALVE:
                    sink.sendall(piece[: len(piece) // 2])
                    break
                sink.sendall(piece)
        for one in (source, sink):
            with self._lock:
                self._open.discard(one)
            _shut(one)


def _shut(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
