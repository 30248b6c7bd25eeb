"""Asking state for several claims at once: it answers what arrives together in one transaction, so ten cost one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import redis

from shared.contracts import wire
from shared.contracts.orders import ClaimReply, ClaimRequest
from shared.runtime.bus import Bus, BusDown

_PAUSE_S: Final = 0.2


def ask_all(bus: Bus, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
    """State's answers by request id; a request without one within `deadline_s` seconds is not in it.

    Published once. Asked again with the same ids, state gives the same answers. Never raises for a bus that is down.
    """
    end = time.monotonic() + deadline_s
    found: dict[str, ClaimReply] = {}
    try:
        bus.publish(requests)
        while len(found) < len(requests) and (left := end - time.monotonic()) > 0:
            open_ids = [request.id for request in requests if request.id not in found]
            bus.client.blpop([bus.key(f"wake:{request}") for request in open_ids], timeout=min(1.0, left))
            bodies: Any = bus.client.mget([bus.key(f"reply:{request}") for request in open_ids])
            for request, body in zip(open_ids, bodies, strict=True):
                if body is not None:
                    found[request] = _read(request, body)
    except (BusDown, redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
        time.sleep(min(_PAUSE_S, max(0.0, end - time.monotonic())))
    return found


def _read(request: str, body: bytes) -> ClaimReply:
    """An answer that cannot be read, or is to another question, grants nothing."""
    try:
        reply = wire.decode_reply(body)
    except wire.Unreadable as fault:
        return ClaimReply(request=request, granted=False, reason=str(fault)[:300])
    if reply.request != request:
        return ClaimReply(request=request, granted=False, reason=f"an answer to {reply.request[:100]!r}")
    return reply
