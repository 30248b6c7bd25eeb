"""Whether the broker's stream is silent although something happened: how a socket that is open and mute is found.

An order of ours that the broker has answered should be heard of on the stream. One that is not within three seconds
is read by its id. If it has moved on since its answer, the stream has missed it; the second such reading in a row
means that the stream is to be connected anew. An order that rests as it was answered proves nothing, and is let go.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from shared.contracts.orders import BrokerOrder

AFTER_S: Final = 3.0
READINGS: Final = 2
MOST_ASKED: Final = 5
"""An order that the broker does not show is not asked for without end; the next snapshot has it."""
HEARD_FOR_S: Final = 5.0
"""An update may come before the answer it belongs to; so long it counts for it."""
MOST: Final = 1_000


class _Awaited(Struct):
    answered: BrokerOrder
    due: float
    asked: int = 0
    readings: int = 0


class Overdue:
    """Orders answered and not yet heard of. `now` is monotonic time, seconds."""

    def __init__(self) -> None:
        self._awaited: dict[str, _Awaited] = {}
        self._heard: dict[str, float] = {}
        self._missed = 0

    def answered(self, order: BrokerOrder, now: float) -> None:
        """An executor was told of `order`."""
        heard = self._heard.get(order.broker_id)
        if heard is not None and now - heard < HEARD_FOR_S:
            return
        if len(self._awaited) < MOST:
            self._awaited[order.broker_id] = _Awaited(order, now + AFTER_S)

    def heard(self, broker_id: str, now: float) -> None:
        """The stream told of the order: it is not mute."""
        self._awaited.pop(broker_id, None)
        self._missed = 0
        self._heard.pop(broker_id, None)
        self._heard[broker_id] = now
        while len(self._heard) > MOST:
            del self._heard[next(iter(self._heard))]

    def due(self, now: float) -> list[str]:
        """Broker ids of the orders to be read now; each is due again only after another three seconds."""
        found = [broker_id for broker_id, awaited in self._awaited.items() if now >= awaited.due]
        for broker_id in found:
            awaited = self._awaited[broker_id]
            awaited.due, awaited.asked = now + AFTER_S, awaited.asked + 1
            if awaited.asked > MOST_ASKED:
                del self._awaited[broker_id]
        return found

    def was_read(self, order: BrokerOrder) -> bool:
        """An order that was due has been read. Returns whether the stream is mute."""
        awaited = self._awaited.get(order.broker_id)
        if awaited is None:
            return False
        awaited.readings += 1
        if awaited.readings >= READINGS:
            del self._awaited[order.broker_id]
        if has_moved(awaited.answered, order):
            self._missed += 1
        mute = self._missed >= READINGS
        self._missed = 0 if mute else self._missed
        return mute

    def forget(self) -> None:
        """The stream is a new one: what was missed is reconciled."""
        self._awaited.clear()
        self._missed = 0


def has_moved(answered: BrokerOrder, now: BrokerOrder) -> bool:
    """Whether something happened to the order since it was answered that the stream should have told."""
    return (answered.status, answered.filled_qty) != (now.status, now.filled_qty)
