"""One action: claim it, perform it, report it.

Nothing is sent without a granted claim in hand, and nothing after its lease. What came of it goes to state as one
report; where that is lost, the lease runs out there and the next attempt looks the order up first. Sending the same
submit twice is harmless by its client order id, which is unique at the broker for life; a replace by the new order's
id; a cancel by nature.
"""

from __future__ import annotations

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, assert_never

from msgspec import Struct, structs

from services.executor import fate
from services.executor.broker import Answer, Broker, Fault, Replied, Silent
from services.executor.broker_words import OVER, Dropped, Unreadable, raw_text, read_order
from services.executor.budget import Budget
from services.executor.fate import Happened, Verb
from services.executor.snapshot import Reader
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.message import Message
from shared.contracts.orders import (
    Action,
    BrokerOrder,
    ClaimReply,
    ClaimRequest,
    OrderReport,
    OrderTerms,
)
from shared.contracts.outgoing import Outgoing
from shared.contracts.vocabulary import ActionKind, OrderClass, Outcome
from shared.runtime.bus import BusDown
from shared.runtime.crash import crash_here

ANSWER_WITHIN_S: Final = 5
"""Whole seconds for which a claim is asked; a wake-up that is not answered is dropped, state sends another."""
PUBLISH_TRIES: Final = 40
_PUBLISH_PAUSE_S: Final = 0.25
_ASK_S: Final = 1.0
_REMEMBERED: Final = 10_000
_ENDING: Final = OVER | {"pending_cancel"}


class Desk(Protocol):
    """Where claims are asked for and reports are told."""

    def ask(self, requests: Sequence[ClaimRequest], deadline_s: float) -> Mapping[str, ClaimReply]:
        """The answers that came in time, by request id."""

    def publish(self, outgoing: Iterable[Outgoing]) -> None: ...


class Clock(Struct, frozen=True):
    """monotonic: seconds. wait: for so many seconds. now: UTC."""

    monotonic: Callable[[], float]
    wait: Callable[[float], None]
    now: Callable[[], dt.datetime]


class Result(Struct, frozen=True, kw_only=True):
    """What is known about an action."""

    outcome: Outcome
    order: BrokerOrder | None = None
    http_status: int | None = None
    code: int | None = None
    text: str = ""
    events_seen: int | None = None
    dropped: tuple[Dropped, ...] = ()
    alert: str = ""


class Claimed(Struct, frozen=True):
    """An action in hand. until: monotonic seconds; afterwards nothing of it may be sent."""

    action: Action
    reply: ClaimReply
    until: float


class Executor:
    """Works wake-ups of one queue. name: this process, unlike any other that ever ran."""

    def __init__(
        self, name: str, desk: Desk, broker: Broker, budget: Budget, clock: Clock, stop: Callable[[], bool]
    ) -> None:
        self._name = name
        self._desk = desk
        self._broker = broker
        self._budget = budget
        self._clock = clock
        self._stop = stop
        self._reader = Reader(broker, clock.now, self._pace)
        self._worked: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.dropped = 0

    def perform(self, actions: list[str], attempts: list[int]) -> None:
        """Claim these actions together, then work what was granted, in order.

        Raises the first fault, after all were worked: ours, or the bus's where a report could not be told.
        """
        # The same wake-up may come twice. Asked again, state would answer the same grant, and it would be done twice.
        wanted = [key for key in dict.fromkeys(zip(actions, attempts, strict=True)) if key not in self._worked]
        granted = self._claim(wanted)
        self.dropped += len(actions) - len(granted)
        faults: list[Exception] = []
        for claimed in granted:
            try:
                self._work(claimed)
            except Exception as fault:  # noqa: BLE001 - one action that we get wrong must not take a stop with it
                faults.append(fault)
        if faults:
            raise faults[0]

    def _work(self, claimed: Claimed) -> None:
        self._worked[claimed.action.id, claimed.reply.attempt] = None
        if len(self._worked) > _REMEMBERED:
            self._worked.popitem(last=False)
        crash_here("executor.after_claim")
        messages = self._act(claimed)
        crash_here("executor.before_report")
        self._publish(messages)
        crash_here("executor.after_report")

    def _publish(self, messages: list[Message]) -> None:
        """Tell state; a bus that is down is waited for a few seconds. Raises BusDown: then the lease runs out there."""
        for _ in range(PUBLISH_TRIES - 1):
            try:
                self._desk.publish(messages)
            except BusDown:
                self._clock.wait(_PUBLISH_PAUSE_S)
            else:
                return
        self._desk.publish(messages)

    def _claim(self, wanted: list[tuple[str, int]]) -> list[Claimed]:
        """The granted claims. What is refused, or not answered, is dropped. Asks no more once asked to stop."""
        left = {request.id: request for request in (self._request(*key) for key in wanted)}
        claims: dict[str, Claimed] = {}
        crash_here("executor.before_claim")
        for _ in range(ANSWER_WITHIN_S):
            if not left or self._stop():
                break
            # Counted from the asking: a process frozen while it waits must not wake up with a whole lease in hand.
            asked = self._clock.monotonic()
            for request_id, reply in self._desk.ask(list(left.values()), _ASK_S).items():
                request = left.pop(request_id)
                if reply.granted and reply.action is not None:
                    assert (reply.action.id, reply.attempt) == (request.action, request.attempt), (reply, request)
                    claims[request.action] = Claimed(reply.action, reply, asked + reply.lease_s)
        return [claims[action] for action, _ in wanted if action in claims]

    def _request(self, action: str, attempt: int) -> ClaimRequest:
        return ClaimRequest(
            id=f"claim-{action}-{attempt}-{self._name}",
            at=self._clock.now(),
            cause=action,
            action=action,
            attempt=attempt,
            executor=self._name,
        )

    def _act(self, claimed: Claimed) -> list[Message]:
        match claimed.action.kind:
            case ActionKind.RECONCILE:
                return self._reconcile(claimed)
            case ActionKind.SUBMIT:
                result = self._submit(claimed)
            case ActionKind.REPLACE:
                result = self._replace(claimed)
            case ActionKind.CANCEL:
                result = self._cancel(claimed)
            case _:
                assert_never(claimed.action.kind)
        return self._told(claimed, result)

    def _submit(self, claimed: Claimed) -> Result:
        terms = claimed.action.terms
        assert terms is not None, claimed.action
        if claimed.reply.look_up_first:
            found = self._find(terms)
            if found.outcome is not Outcome.MISSING:
                return found
        answer = self._send(claimed, lambda: self._broker.submit(terms))
        return self._created(Verb.SUBMIT, terms, answer)

    def _replace(self, claimed: Claimed) -> Result:
        terms = claimed.action.terms
        assert terms is not None, claimed.action
        if claimed.reply.look_up_first:
            found = self._find(terms)
            if found.outcome is not Outcome.MISSING:
                return found
        target = self._target(claimed.action)
        if isinstance(target, Result):
            return target
        answer = self._send(claimed, lambda: self._broker.replace(target, terms))
        result = self._created(Verb.REPLACE, terms, answer)
        if result.outcome is Outcome.REFUSED and claimed.reply.look_up_first:
            # Refused, perhaps because an earlier attempt has just done it.
            found = self._find(terms)
            return found if found.outcome is Outcome.FOUND else result
        return result

    def _created(self, verb: Verb, terms: OrderTerms, answer: Answer) -> Result:
        """What came of asking for the order `terms`."""
        seen = _order_in(answer, terms.client_order_id)
        happened = fate.what_happened(verb, answer, readable=seen.order is not None)
        result = _result(fate.FATE[verb, happened], answer, seen)
        match happened:
            case Happened.TAKEN:
                return self._with_legs(result, terms)
            case Happened.DUPLICATE:
                return self._duplicate(terms, result)
            case Happened.GARBLED | Happened.BROKEN | Happened.READ_TIMEOUT | Happened.CUT if not self._stop():
                found = self._find(terms)
                found = structs.replace(found, dropped=result.dropped + found.dropped)
                return found if found.outcome is Outcome.FOUND else result
            case _:
                return result

    def _duplicate(self, terms: OrderTerms, refusal: Result) -> Result:
        """The broker says that the id is taken, or something else under the same code."""
        found = self._find(terms)
        if found.outcome is Outcome.MISSING and "unique" not in refusal.text:
            return structs.replace(refusal, outcome=Outcome.REFUSED)
        return found if found.outcome is Outcome.FOUND else refusal

    def _cancel(self, claimed: Claimed) -> Result:
        target = self._target(claimed.action)
        if isinstance(target, Result):
            return target
        if claimed.reply.look_up_first:
            found = self._read(target)
            if found.order is not None and found.order.status in _ENDING:
                return found
        answer = self._send(claimed, lambda: self._broker.cancel(target))
        happened = fate.what_happened(Verb.CANCEL, answer, readable=True)
        result = _result(fate.FATE[Verb.CANCEL, happened], answer, _NOTHING)
        if result.outcome in (Outcome.NOT_SENT, Outcome.MISSING):
            return result
        return _settled(result, self._read(target))

    def _reconcile(self, claimed: Claimed) -> list[Message]:
        action = claimed.action
        message_id = f"snapshot-{action.id}-{claimed.reply.attempt}-{self._name}"
        taken = self._reader.snapshot(action.id, message_id, action.symbols, action.orders)
        return [taken.snapshot, *letters(taken.dropped, taken.snapshot)]

    def _target(self, action: Action) -> str | Result:
        """The broker's id of the order that `action` is about, looked up by our id where state does not know it."""
        if action.target_broker_id:
            return action.target_broker_id
        found = self._looked_up(lambda: self._broker.by_client_order_id(action.target), action.target)
        return found if found.order is None else found.order.broker_id

    def _find(self, terms: OrderTerms) -> Result:
        """The order with the id of `terms`, with its legs, and whether it is what `terms` say."""
        our_id = terms.client_order_id
        result = self._looked_up(lambda: self._broker.by_client_order_id(our_id), our_id)
        if result.outcome is not Outcome.FOUND:
            return result
        result = self._with_legs(result, terms)
        assert result.order is not None
        differs = differences(terms, result.order)
        if not differs:
            return result
        text = f"{terms.client_order_id} exists at the broker with other terms: {differs}"
        return structs.replace(result, text=text, alert=text)

    def _read(self, broker_id: str) -> Result:
        """The order `broker_id` with its legs."""
        return self._looked_up(lambda: self._broker.by_id(broker_id), None)

    def _with_legs(self, result: Result, terms: OrderTerms) -> Result:
        """`result` with the order's legs, read by its id where the reply has none."""
        order = result.order
        if order is None or terms.order_class is OrderClass.SIMPLE or order.legs:
            return result
        read = self._read(order.broker_id)
        if read.order is None:
            return result
        return structs.replace(
            result,
            order=read.order,
            events_seen=_latest(result.events_seen, read.events_seen),
            dropped=result.dropped + read.dropped,
        )

    def _send(self, claimed: Claimed, call: Callable[[], Answer]) -> Answer:
        """Ask for something to be done, if there is still time: the rate limit may make it wait past its lease."""
        if self._stop():
            return Silent(fault=Fault.LATE, text="this process was asked to end")
        now = self._clock.monotonic()
        while (wait := self._budget.wait_s(now)) > 0:
            if now + wait >= claimed.until:
                return Silent(fault=Fault.LATE, text="the rate limit has no room before the lease ends")
            self._clock.wait(wait)
            now = self._clock.monotonic()
        crash_here("executor.before_send")
        if self._clock.monotonic() >= claimed.until:
            return Silent(fault=Fault.LATE, text="the lease was over before the request")
        answer = call()
        crash_here("executor.after_send")
        return self._heard(answer)

    def _looked_up(self, call: Callable[[], Answer], our_id: str | None) -> Result:
        """What a read of one order shows. our_id: the id it must have, where that was asked for."""
        self._pace()
        answer = self._heard(call())
        seen = _order_in(answer, our_id)
        return _result(fate.outcome(Verb.LOOK_UP, answer, readable=seen.order is not None), answer, seen)

    def _pace(self) -> None:
        """Wait until the rate limit lets a read through."""
        while (wait := self._budget.wait_s(self._clock.monotonic())) > 0 and not self._stop():
            self._clock.wait(min(wait, 1.0))

    def _heard(self, answer: Answer) -> Answer:
        if isinstance(answer, Replied) and answer.remaining is not None:
            self._budget.told(self._clock.monotonic(), answer.remaining, answer.reset_s or 1.0)
        return answer

    def _told(self, claimed: Claimed, result: Result) -> list[Message]:
        """The report, and what goes to people."""
        action, order = claimed.action, result.order
        at = (order and (order.updated_at or order.submitted_at)) or claimed.reply.at or self._clock.now()
        report = OrderReport(
            id=f"report-{action.id}-{claimed.reply.attempt}-{self._name}",
            at=at,
            cause=action.id,
            action=action.id,
            attempt=claimed.reply.attempt,
            executor=self._name,
            outcome=result.outcome,
            order=order,
            http_status=result.http_status,
            code=result.code,
            text=result.text,
            events_seen=result.events_seen,
        )
        alerts: list[Message] = []
        if result.alert:
            alerts.append(
                Alert(
                    id=f"alert-{report.id}", at=at, cause=action.id, level="critical", key=action.id, text=result.alert
                )
            )
        if result.http_status == 401:
            alerts.append(unauthorized(report))
        return [report, *alerts, *letters(result.dropped, report)]


def differences(terms: OrderTerms, order: BrokerOrder) -> str:
    """Where `order` is not what `terms` say; empty where it is."""
    wanted: dict[str, object] = {
        "symbol": terms.symbol,
        "side": terms.side.value,
        "type": terms.type.value,
        "time_in_force": terms.time_in_force.value,
        "qty": terms.qty,
        "limit_price": terms.limit_price,
        "stop_price": terms.stop_price,
    }
    differ = [
        f"{name} is {getattr(order, name)}, not {value}"
        for name, value in wanted.items()
        if getattr(order, name) != value
    ]
    stops = [leg.stop_price for leg in order.legs if leg.stop_price is not None]
    if terms.leg_stop_price is not None and stops and terms.leg_stop_price not in stops:
        differ.append(f"its leg's stop is {stops[0]}, not {terms.leg_stop_price}")
    return ", ".join(differ)


def letters(dropped: tuple[Dropped, ...], about: Message) -> list[Message]:
    """A dead letter for each element that could not be read, and one alert for all of them."""
    if not dropped:
        return []
    dead: list[Message] = [
        DeadLetter(
            id=f"dead-{about.id}-{place}",
            at=about.at,
            cause=about.id,
            stream="broker",
            entry=about.id,
            reason=element.reason,
            service="executor",
            raw=element.raw,
        )
        for place, element in enumerate(dropped)
    ]
    text = f"{len(dropped)} of the broker's elements could not be read; the first: {dropped[0].reason}"
    alert = Alert(
        id=f"alert-{about.id}-unreadable", at=about.at, cause=about.id, level="critical", key="unreadable", text=text
    )
    return [*dead, alert]


def unauthorized(about: Message) -> Alert:
    """The broker does not accept our keys: no order of any kind goes out until a person changes them."""
    return Alert(
        id=f"alert-{about.id}-keys",
        at=about.at,
        cause=about.id,
        level="critical",
        key="unauthorized",
        text="the broker does not accept the keys (401); check broker.key and broker.secret, then restart executors",
    )


class _Seen(Struct, frozen=True):
    """The order in a reply, or why what is in it is none."""

    order: BrokerOrder | None = None
    dropped: tuple[Dropped, ...] = ()


_NOTHING: Final = _Seen()


def _order_in(answer: Answer, our_id: str | None) -> _Seen:
    """The order in a good reply, if it is readable and has the id that was asked for."""
    if not isinstance(answer, Replied) or not 200 <= answer.status < 300 or answer.body is None:
        return _NOTHING
    try:
        read = read_order(answer.body)
    except Unreadable as fault:
        return _Seen(None, (Dropped(str(fault), raw_text(answer.body)),))
    if our_id not in (None, read.order.client_order_id):
        reason = f"the reply shows {read.order.client_order_id}; {our_id} was asked for"
        return _Seen(None, (Dropped(reason, raw_text(answer.body)),))
    return _Seen(read.order, read.dropped)


def _result(outcome: Outcome, answer: Answer, seen: _Seen) -> Result:
    match answer:
        case Silent():
            return Result(outcome=outcome, text=f"{answer.fault.value}: {answer.text}")
        case Replied():
            return Result(
                outcome=outcome,
                order=seen.order,
                http_status=answer.status,
                code=answer.code,
                text=answer.text,
                events_seen=answer.events_seen,
                dropped=seen.dropped,
            )


def _settled(result: Result, read: Result) -> Result:
    """A cancel's result with the order as it stands: one that has ended is done, whatever the broker answered."""
    order = read.order
    if order is None:
        return result
    ended = order.status in _ENDING and result.outcome is not Outcome.NOT_SENT
    return structs.replace(
        result,
        outcome=Outcome.DONE if ended else result.outcome,
        order=order,
        events_seen=_latest(result.events_seen, read.events_seen),
        dropped=result.dropped + read.dropped,
    )


def _latest(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else max(first, second)
