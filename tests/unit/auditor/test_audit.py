"""Every invariant: a day that keeps it, and the same day with one thing off."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from msgspec.structs import replace

from cli.auditor.audit import audit
from cli.auditor.explained import comparing_writes_nothing, way_to_the_bar
from cli.auditor.views import ActionRow, BrokerView, Executed, Held, LedgerView, Terms
from tests.unit.auditor import day

Sides = tuple[BrokerView, LedgerView]
Change = Callable[[BrokerView, LedgerView], Sides]


def changed_order(ledger: LedgerView, name: str, **fields: object) -> LedgerView:
    rows = tuple(replace(row, **fields) if row.client_order_id == name else row for row in ledger.orders)
    return replace(ledger, orders=rows)


def changed_sent(broker: BrokerView, number: int, **fields: object) -> BrokerView:
    return replace(
        broker, orders=tuple(replace(sent, **fields) if sent.number == number else sent for sent in broker.orders)
    )


def sold_too_much(broker: BrokerView, ledger: LedgerView) -> Sides:
    more = Executed(
        id="x3",
        number=3,
        order_id="b2",
        symbol="AAPL",
        side="sell",
        qty=Decimal(7),
        price=Decimal(98),
        at=day.at(60),
    )
    return replace(broker, executions=(*broker.executions, more)), ledger


OFF: dict[str, tuple[str, Change]] = {
    "two orders at the broker with one id": (
        "A1",
        lambda b, led: (replace(b, orders=(*b.orders, replace(b.orders[3], id="b9", number=9))), led),
    ),
    "a second entry in the session": (
        "A1",
        lambda b, led: (
            replace(
                b, orders=(*b.orders, replace(b.orders[0], id="b9", number=9, client_order_id=f"{day.ENTRY[:-1]}2"))
            ),
            led,
        ),
    ),
    "an order of ours that the ledger does not know": (
        "A2",
        lambda b, led: (replace(b, orders=(*b.orders, day.sent(9, "e7f3-190702-MSFT-stop-1", symbol="MSFT"))), led),
    ),
    "other terms at the broker": ("A2", lambda b, led: (changed_sent(b, 2, stop_price=Decimal("97.00")), led)),
    "an order of which the broker knows nothing": (
        "A2",
        lambda b, led: (b, replace(led, orders=(*led.orders, day.row("e7f3-190702-AAPL-stop-2", None)))),
    ),
    "cancelled at the broker, resting in the ledger": (
        "A2",
        lambda b, led: (changed_sent(b, 2, status="canceled", canceled_at=day.at(60)), led),
    ),
    "a leg that the ledger lacks": (
        "A2",
        lambda b, led: (b, replace(led, orders=tuple(row for row in led.orders if row.client_order_id != day.LEG))),
    ),
    "sent before it was claimed": ("A9", lambda b, led: (b, changed_order(led, day.STOP, status="planned"))),
    "a fill that nobody made": (
        "A3",
        lambda b, led: (b, replace(led, fills=(*led.fills, day.fill("x9", day.STOP, "b2", "sell", 1, "98.00", 60)))),
    ),
    "a fill at another price": (
        "A3",
        lambda b, led: (b, replace(led, fills=(replace(led.fills[0], price=Decimal("100.06")), led.fills[1]))),
    ),
    "an execution that is not booked": ("A3", lambda b, led: (b, replace(led, fills=led.fills[:1]))),
    "more filled than its fills add up to": (
        "A3",
        lambda b, led: (b, changed_order(led, day.TRIM, filled_qty=3)),
    ),
    "a cent of cash": ("A3", lambda b, led: (b, replace(led, cash=led.cash + Decimal("0.01")))),
    "the broker's own cash": ("A3", lambda b, led: (replace(b, cash=b.cash + 1), replace(led, cash=led.cash + 1))),
    "a share more at the broker": (
        "A4",
        lambda b, led: (replace(b, positions=(Held(symbol="AAPL", qty=Decimal(7), avg_price=Decimal(100)),)), led),
    ),
    "a position that does not follow from its fills": (
        "A4",
        lambda b, led: (b, replace(led, positions=(replace(led.positions[0], sold=3),))),
    ),
    "another average price": (
        "A4",
        lambda b, led: (b, replace(led, positions=(replace(led.positions[0], avg_price=Decimal("100.06")),))),
    ),
    "short": ("A5", sold_too_much),
    "more offered than held": (
        "A5",
        lambda b, led: (changed_sent(b, 2, qty=Decimal(10)), changed_order(led, day.STOP, qty=10)),
    ),
    "more to be sold than held": (
        "A5",
        lambda b, led: (
            b,
            replace(
                led, orders=(*led.orders, day.row("e7f3-190702-AAPL-exit-1", None, qty=6, status="claimed", resting=0))
            ),
        ),
    ),
    "shares without a stop": (
        "A6",
        lambda b, led: (
            changed_sent(b, 2, status="canceled", canceled_at=day.at(60)),
            changed_order(led, day.STOP, status="canceled", resting=0),
        ),
    ),
    "a stop for fewer shares than are held": (
        "A6",
        lambda b, led: (changed_sent(b, 2, qty=Decimal(5)), changed_order(led, day.STOP, qty=5)),
    ),
    "sent before it was due": (
        "A7",
        lambda b, led: (b, replace(led, entries=(replace(led.entries[0], due=day.at(23)),))),
    ),
    "sent long after it was due": (
        "A7",
        lambda b, led: (b, replace(led, entries=(replace(led.entries[0], due=day.at(10)),))),
    ),
    "sent in the last minutes": (
        "A7",
        lambda b, led: (b, replace(led, sessions=(replace(led.sessions[0], closes_at=day.at(30)),))),
    ),
    "an entry above its part of the equity": (
        "A7",
        lambda b, led: (b, replace(led, sessions=(replace(led.sessions[0], opening_equity=Decimal(10_000)),))),
    ),
    "bought while an operator had stopped it": (
        "A7",
        lambda b, led: (
            b,
            replace(
                led,
                journal=(
                    day.line(1, "command_done", 5, text="pause by me: paused", cause="c1"),
                    *(replace(row, seq=row.seq + 1) for row in led.journal),
                ),
            ),
        ),
    ),
    "a stop that fell": (
        "A8",
        lambda b, led: (
            changed_sent(b, 2, stop_price=Decimal("97.99")),
            changed_order(led, day.STOP, stop_price=Decimal("97.99")),
        ),
    ),
    "a step that the table of orders does not have": (
        "A8",
        lambda b, led: (b, replace(led, journal=(*led.journal, day.line(4, "impossible_step", 60, order=day.STOP)))),
    ),
    "an order without a cause": ("A10", lambda b, led: (b, changed_order(led, day.STOP, cause=""))),
    "an intent that is gone": ("A10", lambda b, led: (b, replace(led, exits=()))),
    "a confirmation without a bar": (
        "A10",
        lambda b, led: (b, replace(led, entries=(replace(led.entries[0], cause="because"),))),
    ),
    "a bar without a verdict": ("A10", lambda b, led: (b, replace(led, verdicts=led.verdicts[1:]))),
    "judged without a verdict": ("A10", lambda b, led: (b, replace(led, verdicts=led.verdicts[:-1]))),
    "refused without a reason": (
        "A10",
        lambda b, led: (b, replace(led, entries=(replace(led.entries[0], status="refused", reason=""),))),
    ),
    "a gap in the journal": ("A10", lambda b, led: (b, replace(led, journal=(led.journal[0], led.journal[2])))),
    "a request without an end": (
        "A12",
        lambda b, led: (b, replace(led, actions=(replace(led.actions[0], status="unresolved"),))),
    ),
    "an order that was left": ("A12", lambda b, led: (b, changed_order(led, day.STOP, status="unresolved"))),
    "a symbol that could not be planned": (
        "A12",
        lambda b, led: (
            b,
            replace(led, journal=(*led.journal, day.line(4, "alert_critical", 60, text="AAPL could not be planned"))),
        ),
    ),
    "a foreign order that was cancelled": (
        "A13",
        lambda b, led: (
            replace(
                b,
                orders=(*b.orders, day.sent(9, "somebody", symbol="MSFT", status="canceled", canceled_at=day.at(60))),
            ),
            led,
        ),
    ),
    "a foreign order that is not named": (
        "A13",
        lambda b, led: (replace(b, orders=(*b.orders, day.sent(9, "somebody", symbol="MSFT", side="buy"))), led),
    ),
}
TERMS = Terms(bars=frozenset({day.BAR, "bars-0-190702T1420"}), only_we_cancel=True)


def test_a_day_on_which_both_sides_agree_has_nothing_to_tell() -> None:
    assert audit(day.broker(), day.ledger(), TERMS) == ()


@pytest.mark.parametrize("name", OFF)
def test_one_thing_that_is_off_is_told_by_its_invariant(name: str) -> None:
    invariant, change = OFF[name]
    found = audit(*change(day.broker(), day.ledger()), TERMS)
    assert invariant in {finding.invariant for finding in found}, found


AGAIN: dict[str, tuple[Change, str]] = {
    "a line in the journal": (
        lambda b, led: (b, replace(led, journal=(*led.journal, day.line(99, "order_seen", 60)))),
        "journal",
    ),
    "another end of an order": (lambda b, led: (b, changed_order(led, day.ENTRY, ended_at=day.at(60))), "orders"),
    "a row that is gone": (lambda b, led: (b, replace(led, fills=led.fills[1:])), "fills"),
    "the broker's cash": (lambda b, led: (b, replace(led, cash=led.cash + 1)), "cash"),
}


@pytest.mark.parametrize("name", AGAIN)
def test_what_a_comparison_writes_though_both_sides_agree_is_told(name: str) -> None:
    change, subject = AGAIN[name]
    ledger = day.ledger()
    _, after = change(day.broker(), compared(ledger, 3))
    found = [*comparing_writes_nothing(ledger, after, 3)]
    assert [(finding.invariant, finding.subject) for finding in found] == [("A12", subject)]


def test_comparisons_themselves_may_be_written_down_and_must_have_been_made() -> None:
    ledger = day.ledger()
    assert [*comparing_writes_nothing(ledger, compared(ledger, 3), 3)] == []
    [finding] = comparing_writes_nothing(ledger, compared(ledger, 2), 3)
    assert (finding.invariant, finding.subject) == ("A12", "comparisons")


def compared(ledger: LedgerView, times: int) -> LedgerView:
    made = tuple(
        ActionRow(id=f"again-{number}", kind="reconcile", symbol="", order_id="", target="", status="done", grants=1)
        for number in range(times)
    )
    return replace(ledger, actions=(*ledger.actions, *made))


def test_every_invariant_that_the_auditor_checks_has_a_case() -> None:
    assert {invariant for invariant, _ in OFF.values()} == {f"A{number}" for number in range(1, 14) if number != 11}


def test_a_bar_that_was_never_published_explains_nothing() -> None:
    found = audit(day.broker(), day.ledger(), replace(TERMS, bars=frozenset()))
    assert {finding.invariant for finding in found} == {"A10"}


def test_shares_of_an_entry_that_is_still_filling_may_wait_for_their_bound_and_no_longer() -> None:
    """Four come at minute 23, the rest at 24: the leg becomes active then."""
    broker = day.broker()
    first = replace(broker.executions[0], id="x0", number=0, qty=Decimal(4))
    rest = replace(broker.executions[0], qty=Decimal(6), at=day.at(24))
    broker = changed_sent(replace(broker, executions=(first, rest, broker.executions[1])), 0, filled_at=day.at(24))
    ledger = day.ledger()
    booked = (
        replace(ledger.fills[0], execution_id="x0", qty=4),
        replace(ledger.fills[0], qty=6, at=day.at(24)),
        ledger.fills[1],
    )
    journal = (*ledger.journal, day.line(4, "fill", 24, order=day.ENTRY))
    ledger = replace(ledger, fills=booked, journal=journal)
    assert audit(broker, ledger, TERMS) == ()
    [finding] = audit(broker, ledger, replace(TERMS, pending_s=59.0))
    assert (finding.invariant, finding.subject) == ("A6", "AAPL")


def test_what_others_hold_is_theirs_to_protect() -> None:
    broker, ledger = day.broker(), day.ledger()
    bought = Executed(
        id="x9",
        number=9,
        order_id="b9",
        symbol="MSFT",
        side="buy",
        qty=Decimal(1),
        price=Decimal(50),
        at=day.at(30),
    )
    foreign = day.sent(
        9,
        "somebody",
        symbol="MSFT",
        side="buy",
        type="market",
        status="filled",
        stop_price=None,
        qty=Decimal(1),
        filled_qty=Decimal(1),
        filled_at=day.at(30),
    )
    broker = replace(
        broker,
        orders=(*broker.orders, foreign),
        executions=(*broker.executions, bought),
        positions=(*broker.positions, Held(symbol="MSFT", qty=Decimal(1), avg_price=Decimal(50))),
        cash=broker.cash - 50,
    )
    found = audit(broker, ledger, TERMS)
    assert {finding.invariant for finding in found} == {"A3", "A4"}, "cash and shares differ, and are not named"


def test_the_way_back_of_a_stop_leads_over_its_entry_to_the_bar() -> None:
    ledger = day.ledger()
    leg = next(row for row in ledger.orders if row.client_order_id == day.LEG)
    assert way_to_the_bar(leg, ledger) == (day.ENTRY, day.CONFIRMED, day.BAR)


def test_what_came_or_went_since_the_opening_counts_with_the_equity_of_an_entry() -> None:
    broker, whole = day.broker(), day.ledger()
    ledger = replace(whole, sessions=(replace(whole.sessions[0], opening_equity=Decimal(10_000)),))
    opened = day.line(1, "session_equity", 0, text="equity 10000 at the opening of 2026-01-09")
    after = tuple(replace(row, seq=row.seq + 2) for row in ledger.journal)

    def found(dollars: str) -> set[str]:
        moved = day.line(2, "money_moved", 1, text=f"{dollars} dollars came or went by no fill of ours")
        return {finding.invariant for finding in audit(broker, replace(ledger, journal=(opened, moved, *after)), TERMS)}

    assert found("+90,000.00") == set()
    assert found("-5,000.00") == {"A7"}
