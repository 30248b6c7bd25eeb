"""The audit: recomputes the books from the broker's side and compares the ledger with them, invariant by invariant.

It shares no code with the engine, so that an error of the engine is not made twice. A pure function of two plain
views: `audit(broker, ledger, terms)` gives what is off, nothing where all is well. SAFETY holds at every instant,
whatever is being killed; SETTLED holds where nothing is under way. docs/reliability.md says what each name stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cli.auditor import books, explained, limits, protection
from cli.auditor.views import BrokerView, Finding, LedgerView, Terms

Check = Callable[[BrokerView, LedgerView, Terms], Iterable[Finding]]

SAFETY: Final[Sequence[Check]] = (
    books.one_order_an_id,
    books.sent_only_after_a_claim,
    books.fills_are_the_brokers,
    books.orders_add_up,
    books.positions_fold_from_fills,
    books.never_short,
    books.never_offered_more_than_held,
    limits.stops_only_rise,
    limits.positions_and_orders,
)
"""At every instant. Needs orders, fills and positions alone."""

SETTLED: Final[Sequence[Check]] = (
    *SAFETY,
    books.orders_agree,
    books.all_fills_are_booked,
    books.shares_agree,
    books.cash_agrees,
    books.foreign_is_left_alone,
    protection.every_share_is_covered,
    limits.entries_in_time,
    limits.entries_small_enough,
    limits.nothing_bought_while_stopped,
    explained.orders_lead_to_a_bar,
    explained.every_candidate_has_a_verdict,
    explained.every_intent_ends_with_a_reason,
    explained.journal_is_whole,
    explained.no_alarm_is_ours,
    explained.nothing_is_under_way,
)
"""Where nothing is under way: after a tick is settled, at the day's end, over night."""


def audit(
    broker: BrokerView, ledger: LedgerView, terms: Terms, checks: Sequence[Check] = SETTLED
) -> tuple[Finding, ...]:
    """What is off, sorted; each thing once."""
    return tuple(sorted({finding for check in checks for finding in check(broker, ledger, terms)}))
