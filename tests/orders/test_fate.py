"""What became of a request: each row of the fate table, through the real alpaca-py over a real socket."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from services.executor.alpaca_broker import AlpacaBroker
from services.executor.broker import Replied
from services.executor.fate import FATE, Happened, Verb
from shared.contracts.journal import Alert, DeadLetter
from shared.contracts.vocabulary import Outcome
from tests.orders.desk import cancelling, entry, replacing, room, stop
from tests.orders.loopback_broker import Fault, LoopbackBroker, order, refusal

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.fixture
def broker() -> Iterator[LoopbackBroker]:
    with LoopbackBroker() as running:
        yield running


def test_every_request_has_a_fate_for_everything_that_can_happen() -> None:
    assert set(FATE) == {(verb, happened) for verb in Verb for happened in Happened}


def test_only_an_answer_of_the_broker_refuses_and_only_a_request_that_never_left_is_not_sent() -> None:
    said_no = {Happened.DUPLICATE, Happened.NO_SUCH, Happened.REFUSED, Happened.UNAUTHORIZED, Happened.UNSENDABLE}
    never_left = {Happened.LATE, Happened.NOT_CONNECTED, Happened.CONNECT_TIMEOUT, Happened.UNVERIFIED}
    for (_, happened), outcome in FATE.items():
        if outcome is Outcome.REFUSED:
            assert happened in said_no
        if outcome is Outcome.NOT_SENT:
            assert happened in never_left


def test_a_failed_look_up_says_nothing_about_the_order() -> None:
    known = {Happened.TAKEN: Outcome.FOUND, Happened.NO_SUCH: Outcome.MISSING}
    for happened in Happened:
        assert FATE[Verb.LOOK_UP, happened] == known.get(happened, Outcome.UNKNOWN)


# What the broker does with the POST, what is reported, and whether the order exists then.
SUBMITS: list[tuple[str, Fault | None, Outcome, bool]] = [
    ("200", None, Outcome.DONE, True),
    ("400 with a code", refusal(400, 40010000, "bad request"), Outcome.REFUSED, False),
    ("401 without a code", refusal(401, None, "unauthorized."), Outcome.REFUSED, False),
    ("401 as HTML", Fault(status=401, body=HTML), Outcome.REFUSED, False),
    ("403 buying power", refusal(403, 40310000, "insufficient buying power", buying_power="1"), Outcome.REFUSED, False),
    ("403 in JSON without a code", refusal(403, None, "forbidden."), Outcome.REFUSED, False),
    ("403 as HTML", Fault(status=403, body=HTML), Outcome.UNKNOWN, False),
    ("404 with a code", refusal(404, 40410000, "symbol not found: X"), Outcome.REFUSED, False),
    ("404 as HTML", Fault(status=404, body=HTML), Outcome.UNKNOWN, False),
    ("408", refusal(408, None, "timeout"), Outcome.UNKNOWN, False),
    ("422 sub-penny", refusal(422, 42210000, "sub-penny increment"), Outcome.REFUSED, False),
    (
        "422 of the duplicate's code, but another fault",
        refusal(422, 40010001, "qty must be > 0"),
        Outcome.REFUSED,
        False,
    ),
    ("422 not unique, and not to be found", refusal(422, 40010001, "must be unique"), Outcome.UNKNOWN, False),
    ("429", refusal(429, 42910000, "too many requests"), Outcome.UNKNOWN, False),
    ("500 before it was carried out", refusal(500, 50010000, "internal"), Outcome.UNKNOWN, False),
    ("500 after it was carried out", Fault(status=500, body=b"{}", after=True), Outcome.FOUND, True),
    ("502 as HTML", Fault(status=502, body=HTML), Outcome.UNKNOWN, False),
    ("502 after it was carried out", Fault(status=502, body=HTML, after=True), Outcome.FOUND, True),
    ("503 without a body", Fault(status=503, body=b""), Outcome.UNKNOWN, False),
    ("504 after it was carried out", Fault(status=504, body=b"", after=True), Outcome.FOUND, True),
    ("302", Fault(status=302, body=b"", headers={"Location": "http://127.0.0.1:1/"}), Outcome.UNKNOWN, False),
    ("302 to nowhere", Fault(status=302, body=b"", headers={"Location": "http://[x"}), Outcome.UNKNOWN, False),
    ("connection cut before", Fault(cut=True), Outcome.UNKNOWN, False),
    ("connection cut after", Fault(cut=True, after=True), Outcome.FOUND, True),
    ("no answer in time, not carried out", Fault(stall_s=1.0, cut=True), Outcome.UNKNOWN, False),
    ("no answer in time, carried out", Fault(stall_s=1.0, cut=True, after=True), Outcome.FOUND, True),
    ("200 cut off in the body", Fault(after=True, keep_bytes=40), Outcome.FOUND, True),
    ("200 without a body", Fault(after=True, body=b""), Outcome.FOUND, True),
    ("200 with half a JSON", Fault(after=True, body=b'{"id":'), Outcome.FOUND, True),
    ("200 with HTML", Fault(body=HTML), Outcome.UNKNOWN, False),
    ("200 with a list", Fault(body=b"[]"), Outcome.UNKNOWN, False),
    ("200 nested too deep", Fault(body=b"[" * 100_000), Outcome.UNKNOWN, False),
]


@pytest.mark.parametrize(("fault", "outcome", "exists"), [row[1:] for row in SUBMITS], ids=[row[0] for row in SUBMITS])
def test_the_fate_of_a_submit(broker: LoopbackBroker, fault: Fault | None, outcome: Outcome, exists: bool) -> None:
    broker.faults["POST", "/v2/orders"].append(fault)
    action = entry()
    report = room(broker.client()).grant(action)
    assert report.outcome is outcome
    assert (action.id in broker.orders) is exists
    assert (report.order is not None) is exists
    assert len(broker.sent("POST")) == 1  # the library's own retry would make two


def test_a_reply_whose_order_has_another_id_proves_nothing(broker: LoopbackBroker) -> None:
    broker.faults["POST", "/v2/orders"].append(Fault(body=json.dumps(order("somebody-elses")).encode()))
    assert room(broker.client()).grant(entry()).outcome is Outcome.UNKNOWN


def test_a_status_this_program_does_not_know_leaves_the_fate_open_and_alerts_a_person(broker: LoopbackBroker) -> None:
    action = entry()
    broker.faults["POST", "/v2/orders"].append(Fault(body=json.dumps(order(action.id, status="paused")).encode()))
    work = room(broker.client())
    assert work.grant(action).outcome is Outcome.UNKNOWN
    assert [alert.key for alert in work.desk.said if isinstance(alert, Alert)] == ["unreadable"]
    assert ["'paused'" in letter.reason for letter in work.desk.said if isinstance(letter, DeadLetter)] == [True]


def test_a_duplicate_id_is_the_order_that_has_it(broker: LoopbackBroker) -> None:
    action = entry()
    work = room(broker.client())
    assert work.grant(action).outcome is Outcome.DONE
    report = work.grant(action, attempt=2)
    assert report.outcome is Outcome.FOUND
    assert report.order is not None
    assert report.order.client_order_id == action.id
    assert report.text == ""
    assert len(broker.orders) == 1


def test_an_order_of_the_same_id_with_other_terms_is_found_and_told(broker: LoopbackBroker) -> None:
    work = room(broker.client())
    work.grant(entry(limit="100.12"))
    report = work.grant(entry(limit="101.5"), attempt=2)
    assert report.outcome is Outcome.FOUND
    assert "limit_price is 100.12, not 101.5" in report.text


CANCELS: list[tuple[str, str, Fault | None, Outcome, str | None]] = [
    ("204", "new", None, Outcome.DONE, "canceled"),
    ("204, and it stays pending", "new", Fault(status=204, body=b""), Outcome.DONE, "new"),
    ("422 already filled", "filled", None, Outcome.DONE, "filled"),
    ("422 already expired", "expired", None, Outcome.DONE, "expired"),
    ("422 while it is being replaced", "pending_replace", None, Outcome.REFUSED, "pending_replace"),
    ("500, not carried out", "new", refusal(500, 50010000, "internal"), Outcome.UNKNOWN, "new"),
    ("500, carried out", "new", Fault(status=500, body=b"{}", after=True), Outcome.DONE, "canceled"),
    ("connection cut, carried out", "new", Fault(cut=True, after=True), Outcome.DONE, "canceled"),
    ("connection cut, not carried out", "new", Fault(cut=True), Outcome.UNKNOWN, "new"),
    ("429", "new", refusal(429, 42910000, "too many requests"), Outcome.UNKNOWN, "new"),
    ("401", "new", refusal(401, None, "unauthorized."), Outcome.REFUSED, "new"),
    ("404", "new", refusal(404, 40410000, "order not found for it"), Outcome.MISSING, None),
]


@pytest.mark.parametrize(
    ("status", "fault", "outcome", "then"), [row[1:] for row in CANCELS], ids=[row[0] for row in CANCELS]
)
def test_the_fate_of_a_cancel(
    broker: LoopbackBroker, status: str, fault: Fault | None, outcome: Outcome, then: str | None
) -> None:
    standing = broker.orders["e7f3-260109-AAPL-stop-1"] = order("e7f3-260109-AAPL-stop-1", status=status)
    broker.faults["DELETE", "*"].append(fault)
    report = room(broker.client()).grant(cancelling(standing["id"]))
    assert report.outcome is outcome
    assert (report.order.status if report.order else None) == then


REPLACES: list[tuple[str, str, Fault | None, Outcome]] = [
    ("200", "new", None, Outcome.DONE),
    (
        "422 not in this state",
        "new",
        refusal(422, 42210000, "cannot replace order in accepted status"),
        Outcome.REFUSED,
    ),
    ("403 quantity held", "new", refusal(403, 40310000, "insufficient qty", held_for_orders="10"), Outcome.REFUSED),
    ("404", "new", refusal(404, 40410000, "order not found"), Outcome.REFUSED),
    ("422 replaced by someone else", "replaced", None, Outcome.REFUSED),
    ("504 after it was carried out", "new", Fault(status=504, body=b"", after=True), Outcome.FOUND),
    ("connection cut before", "new", Fault(cut=True), Outcome.UNKNOWN),
    ("connection cut after", "new", Fault(cut=True, after=True), Outcome.FOUND),
    ("200 with half a JSON", "new", Fault(after=True, body=b"{"), Outcome.FOUND),
]


@pytest.mark.parametrize(
    ("status", "fault", "outcome"), [row[1:] for row in REPLACES], ids=[row[0] for row in REPLACES]
)
def test_the_fate_of_a_replace(broker: LoopbackBroker, status: str, fault: Fault | None, outcome: Outcome) -> None:
    standing = broker.orders["e7f3-260109-AAPL-stop-1"] = order(
        "e7f3-260109-AAPL-stop-1",
        side="sell",
        type="stop",
        time_in_force="gtc",
        limit_price=None,
        stop_price="96.5",
        status=status,
    )
    broker.faults["PATCH", "*"].append(fault)
    action = replacing(standing["id"], stop(2, qty=5))
    report = room(broker.client()).grant(action)
    assert report.outcome is outcome
    if outcome in (Outcome.DONE, Outcome.FOUND):
        assert report.order is not None
        assert report.order.client_order_id == action.id
        assert report.order.qty == Decimal(5)
        assert report.order.replaces == standing["id"]


def _nobody_listens() -> str:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def _client(url: str) -> AlpacaBroker:
    return AlpacaBroker(SecretStr("k"), SecretStr("s"), url, connect_timeout_s=0.2, read_timeout_s=0.3)


def test_a_refused_connection_was_not_sent() -> None:
    report = room(_client(_nobody_listens())).grant(stop())
    assert (report.outcome, report.order) == (Outcome.NOT_SENT, None)
    assert report.text.startswith("not_connected")


def test_a_name_that_is_not_resolved_was_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object, **__: object) -> object:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    assert room(_client("http://paper-api.example")).grant(stop()).outcome is Outcome.NOT_SENT


def test_a_connection_that_does_not_come_about_in_time_was_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            report = room(_client(f"http://127.0.0.1:{full.getsockname()[1]}")).grant(stop())
        finally:
            for one in waiting:
                one.close()
    assert report.outcome is Outcome.NOT_SENT
    assert report.text.startswith("connect_timeout")


def test_a_certificate_that_is_not_trusted_was_told_nothing(broker: LoopbackBroker, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on PATH to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    broker.encrypt(certificate, key)
    report = room(_client(broker.url.replace("http", "https"))).grant(stop())
    assert report.outcome is Outcome.NOT_SENT
    assert report.text.startswith("unverified")
    assert broker.requests == []


def test_any_other_trouble_of_the_encryption_is_unknown(broker: LoopbackBroker) -> None:
    report = room(_client(broker.url.replace("http", "https"))).grant(stop())
    assert report.outcome is Outcome.UNKNOWN


def test_terms_that_the_library_cannot_send_are_refused_without_a_request(broker: LoopbackBroker) -> None:
    report = room(broker.client()).grant(replacing("not-a-uuid", stop(2)))
    assert report.outcome is Outcome.REFUSED
    assert report.text.startswith("unsendable")
    assert broker.requests == []


READS: dict[str, Callable[[AlpacaBroker], object]] = {
    "positions": lambda client: client.positions(),
    "account": lambda client: client.account(),
    "open orders": lambda client: client.open_orders(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
def test_a_read_is_repeated_where_a_write_would_not_be(
    broker: LoopbackBroker, read: Callable[[AlpacaBroker], object]
) -> None:
    broker.faults["GET", "*"].extend([Fault(cut=True), Fault(status=503, body=b"")])
    answer = read(broker.client())
    assert isinstance(answer, Replied)
    assert answer.status == 200
    assert len(broker.requests) == 3
