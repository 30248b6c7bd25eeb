"""One transaction's worth of work: everything that state says, notes down and wants done goes through it."""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from services.state.records import JournalRow
from services.state.store import LedgerFault, Store
from shared.contracts.clock import Answer
from shared.contracts.decisions import Figure
from shared.contracts.journal import Alert, JournalEntry
from shared.contracts.outgoing import Job, Outgoing
from shared.contracts.vocabulary import Queue

LONG_AGO: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
JOB_ACTIONS: Final = 10

Result = TypeVar("Result")


class Unit:
    """The transaction in hand. `out` is what will be published after it is committed, in order."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.out: list[Outgoing] = []
        self.touched: set[str] = set()
        self.relisted: set[str] = set()
        self.wake: list[tuple[Queue, str, int]] = []
        self.reconcile_wanted = ""
        self._said = int(store.note("said") or 0)
        self._said_before = self._said
        now = store.note("now")
        self.now = dt.datetime.fromisoformat(now) if now else LONG_AGO
        self._now_before = self.now
        self.as_of = self.now
        """The latest time known of: the broker's word on a minute comes before the tick that makes it now."""

    def advance(self, at: dt.datetime) -> None:
        """Trading time goes on to `at`; it never falls."""
        self.now = max(self.now, at)
        self.heard_at(self.now)

    def heard_at(self, at: dt.datetime) -> None:
        """Something that happened at `at` is folded."""
        self.as_of = max(self.as_of, at)

    def at_least(self, at: dt.datetime) -> dt.datetime:
        """The time to write down for what is true since `at`, where no tick was taken yet."""
        return self.now if self.now > LONG_AGO else at

    def next_id(self, kind: str) -> str:
        """The id of a message of ours that is none of another's; the same again where its transaction is repeated."""
        self._said += 1
        return f"{kind}-{self.store.installation}-{self._said}"

    def say(self, item: Outgoing) -> None:
        self.out.append(item)

    def attempt(
        self, work: Callable[[], Result], failed: Callable[[Exception], None], *, writes: bool = True
    ) -> Result | None:
        """Do `work` in a savepoint of its own: if it raises, it alone is undone, `failed` is told, the rest goes on.

        A fault of the ledger itself is no fault of `work`: it passes, and ends the whole transaction.
        writes: whether it writes into the ledger; otherwise there is nothing in it to undo.
        """
        mark = self.mark()
        try:
            with self.store.savepoint() if writes else self.store.reading():
                return work()
        except LedgerFault:
            raise
        except Exception as fault:  # noqa: BLE001 - the one broad except: poison must not stop the rest
            self.back_to(mark)
            failed(fault)
            return None

    def mark(self) -> tuple[int, int]:
        """Where saying and waking stand, for `back_to`."""
        return len(self.out), len(self.wake)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Unsay what was said since: its savepoint was rolled back."""
        del self.out[mark[0] :]
        del self.wake[mark[1] :]

    def touch(self, symbol: str) -> None:
        """Something changed for `symbol`: it is planned, and its views are told, before the transaction ends."""
        self.touched.add(symbol)

    def relist(self, symbol: str) -> None:
        """The candidate of `symbol` changed: that is told before the transaction ends."""
        self.relisted.add(symbol)

    def want_reconciliation(self, why: str) -> None:
        """Ledger and broker must be compared; the first reason given is the one shown."""
        self.reconcile_wanted = self.reconcile_wanted or why

    def journal(
        self,
        kind: str,
        text: str,
        *,
        symbol: str = "",
        order: str = "",
        cause: str = "",
        figures: Mapping[str, Figure] | None = None,
        at: dt.datetime | None = None,
    ) -> None:
        """Write down one decision, for people, and say it. at: when it happened, where that is later than now."""
        row = JournalRow(
            seq=0,
            at=max(self.at_least(self.as_of), at or self.now),
            kind=kind,
            symbol=symbol,
            order_id=order,
            cause=cause,
            text=text,
            figures=dict(figures or {}),
        )
        seq = self.store.append_journal(row)
        self.say(
            JournalEntry(
                id=f"journal-{self.store.installation}-{seq}",
                at=row.at,
                cause=cause,
                seq=seq,
                kind=kind,
                symbol=symbol,
                order=order,
                text=text,
                figures=row.figures,
            )
        )

    def alert(self, level: str, key: str, text: str, *, symbol: str = "", cause: str = "") -> None:
        """Tell a person. key: the same for the same trouble. It stands in the journal, too."""
        self.journal(f"alert_{level}", text, symbol=symbol, cause=cause)
        self.say(
            Alert(id=self.next_id("alert"), at=self.now, cause=cause, level=level, key=key, text=text, symbol=symbol)
        )

    def alerts(self) -> list[Alert]:
        """Those told so far in this transaction."""
        return [item for item in self.out if isinstance(item, Alert)]

    def alert_once(self, level: str, key: str, text: str, *, symbol: str = "") -> None:
        """`alert`, unless the last one with this key said the same."""
        if self.store.note(f"alert-{key}") != text:
            self.store.set_note(f"alert-{key}", text)
            self.alert(level, key, text, symbol=symbol)

    def all_clear(self, key: str) -> None:
        """The trouble named `key` is over: should it come again, it is told again."""
        if self.store.note(f"alert-{key}"):
            self.store.set_note(f"alert-{key}", "")

    def wake_for(self, queue: Queue, action: str, attempt: int) -> None:
        """Wake executors for this attempt at `action` when the transaction is committed."""
        self.wake.append((queue, action, attempt))

    def seal(self) -> None:
        """Turn what is left into messages and notes; nothing may be added afterwards.

        Answers to ticks go last: whoever hears one finds all that belongs to it on the bus.
        """
        for queue in Queue:
            ready = [(action, attempt) for wanted, action, attempt in self.wake if wanted is queue]
            for start in range(0, len(ready), JOB_ACTIONS):
                self.say(job(queue, ready[start : start + JOB_ACTIONS]))
        self.out.sort(key=lambda item: isinstance(item, Answer))
        if self.now != self._now_before:
            self.store.set_note("now", self.now.isoformat())
        if self._said != self._said_before:
            self.store.set_note("said", str(self._said))


def job(queue: Queue, ready: Iterable[tuple[str, int]]) -> Job:
    """One wake-up for at most ten actions; its id names the first and holds every attempt."""
    actions, attempts = zip(*ready, strict=True)
    assert len(actions) <= JOB_ACTIONS
    digest = msgspec.json.encode([actions, attempts])
    return Job(
        id=f"{queue}-{actions[0]}-{attempts[0]}-{_short(digest)}", queue=queue, actions=actions, attempts=attempts
    )


def _short(content: bytes) -> str:
    return f"{zlib.crc32(content):08x}"
