"""The broker's REST API through alpaca-py, with what the library leaves open closed.

The library retries a POST on 429 and 504 by itself, which makes two orders of one where the first was taken; it knows
no time-outs; it reads proxies from the environment; it parses lists as a whole; and its exceptions hide the reply. So
here it does not retry, its session has time-outs and no environment, its replies stay raw, and what came back is read
from the session. Only reads are repeated (tenacity), and only where they found no answer.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import requests
import urllib3
from alpaca.common.enums import Sort
from alpaca.common.exceptions import APIError
from alpaca.trading import enums
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import (
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
)
from pydantic import SecretStr
from tenacity import Retrying, retry_if_result, stop_after_attempt, stop_after_delay, wait_random_exponential

from services.executor.broker import Answer, Fault, Replied, Silent
from shared.contracts.orders import OrderTerms
from shared.contracts.vocabulary import OrderClass, OrderType

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 10.0
SEQ_HEADER: Final = "X-Trade-Update-Seq"
ORDERS_A_PAGE: Final = 500
FILLS_A_PAGE: Final = 100
MOST_PAGES: Final = 40
_OVERLAP: Final = dt.timedelta(milliseconds=1)
"""`after` is exclusive, and stamps have nanoseconds: a page begins a little before the last one's end."""
_TEXT_KEPT: Final = 300
_FAULTS: Final = (
    APIError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
    ValueError,
    TypeError,
    RecursionError,
)
_LONGEST_RESET_S: Final = 60.0


class AlpacaBroker:
    """services/executor/broker.py's `Broker`, at Alpaca or at anything that speaks its API.

    url: the REST address without /v2 and without a slash at the end. One request at a time; threads wait their turn.
    """

    def __init__(
        self,
        key: SecretStr,
        secret: SecretStr,
        url: str,
        *,
        paper: bool = True,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._session = _Session((connect_timeout_s, read_timeout_s))
        self._client = TradingClient(
            key.get_secret_value(), secret.get_secret_value(), paper=paper, raw_data=True, url_override=self._url
        )
        self._client._retry = 0
        self._client._session = self._session
        self._turn = threading.Lock()
        self._reads = Retrying(
            retry=retry_if_result(_worth_reading_again),
            stop=stop_after_attempt(3) | stop_after_delay(5),
            wait=wait_random_exponential(multiplier=0.1, max=1),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )

    def __repr__(self) -> str:
        return f"AlpacaBroker({self._url}, keys masked)"

    def submit(self, terms: OrderTerms) -> Answer:
        return self._ask(lambda: self._client.submit_order(order_request(terms)))

    def replace(self, broker_id: str, terms: OrderTerms) -> Answer:
        return self._ask(lambda: self._client.replace_order_by_id(broker_id, replace_request(terms)))

    def cancel(self, broker_id: str) -> Answer:
        return self._ask(lambda: self._client.cancel_order_by_id(broker_id))

    def by_client_order_id(self, client_order_id: str) -> Answer:
        return self._read(lambda: self._client.get_order_by_client_id(client_order_id))

    def by_id(self, broker_id: str) -> Answer:
        return self._read(lambda: self._client.get_order_by_id(broker_id, GetOrderByIdRequest(nested=True)))

    def open_orders(self) -> Answer:
        return self._orders(enums.QueryOrderStatus.OPEN, None)

    def orders_since(self, since: dt.datetime) -> Answer:
        return self._orders(enums.QueryOrderStatus.ALL, since)

    def fills_since(self, since: dt.datetime) -> Answer:
        fields = {
            "activity_types": "FILL",
            "after": since.astimezone(dt.UTC).isoformat(),
            "direction": "asc",
            "page_size": FILLS_A_PAGE,
        }

        def page(so_far: list[Any]) -> Answer:
            last = {"page_token": so_far[-1]["id"]} if so_far else {}
            return self._read(lambda: self._client.get("/account/activities", fields | last))

        return _paged(page, FILLS_A_PAGE)

    def positions(self) -> Answer:
        return self._read(self._client.get_all_positions)

    def account(self) -> Answer:
        return self._read(self._client.get_account)

    def clock(self) -> Answer:
        return self._read(self._client.get_clock)

    def asset(self, symbol: str) -> Answer:
        return self._read(lambda: self._client.get_asset(symbol))

    def _orders(self, status: enums.QueryOrderStatus, since: dt.datetime | None) -> Answer:
        def page(so_far: list[Any]) -> Answer:
            after = _submitted(so_far[-1]) - _OVERLAP if so_far else since
            wanted = GetOrdersRequest(status=status, limit=ORDERS_A_PAGE, after=after, direction=Sort.ASC, nested=True)
            return self._read(lambda: self._client.get_orders(wanted))

        return _paged(page, ORDERS_A_PAGE)

    def _read(self, call: Callable[[], object]) -> Answer:
        answer: Answer = self._reads(self._ask, call)
        return answer

    def _ask(self, call: Callable[[], object]) -> Answer:
        """One request. The reply is what the session heard, whatever the library made of it."""
        with self._turn:
            self._session.tried, self._session.heard = False, None
            try:
                call()
            except _FAULTS as fault:
                if not self._session.tried:
                    return Silent(fault=Fault.UNSENDABLE, text=_words(fault))
                if self._session.heard is None:
                    return Silent(fault=fault_of(fault), text=_words(fault))
            assert self._session.heard is not None
            return _replied(self._session.heard)


def order_request(terms: OrderTerms) -> OrderRequest:
    """`terms` in the library's words. Raises ValueError where they are no order."""
    common: dict[str, Any] = {
        "symbol": terms.symbol,
        "qty": float(terms.qty),
        "side": enums.OrderSide(terms.side.value),
        "time_in_force": enums.TimeInForce(terms.time_in_force.value),
        "client_order_id": terms.client_order_id,
    }
    if terms.order_class is OrderClass.OTO:
        common["order_class"] = enums.OrderClass.OTO
        common["stop_loss"] = StopLossRequest(stop_price=number(terms.leg_stop_price))
    elif terms.leg_stop_price is not None:
        raise ValueError(f"{terms.client_order_id}: a leg's stop without order class oto")
    match terms.type:
        case OrderType.MARKET:
            return MarketOrderRequest(**common)
        case OrderType.LIMIT:
            return LimitOrderRequest(**common, limit_price=number(terms.limit_price))
        case OrderType.STOP:
            return StopOrderRequest(**common, stop_price=number(terms.stop_price))
        case OrderType.STOP_LIMIT:
            prices = {"limit_price": number(terms.limit_price), "stop_price": number(terms.stop_price)}
            return StopLimitOrderRequest(**common, **prices)


def replace_request(terms: OrderTerms) -> ReplaceOrderRequest:
    """The new order's id, quantity, prices and time in force. Raises ValueError where they are no order."""
    fields: dict[str, Any] = {
        "qty": terms.qty,
        "time_in_force": enums.TimeInForce(terms.time_in_force.value),
        "client_order_id": terms.client_order_id,
    }
    if terms.limit_price is not None:
        fields["limit_price"] = number(terms.limit_price)
    if terms.stop_price is not None:
        fields["stop_price"] = number(terms.stop_price)
    return ReplaceOrderRequest(**fields)


def number(price: Decimal | None) -> float:
    """`price` as the float whose JSON text is that price. Raises ValueError where there is none.

    The library sends floats. One on the grid has a short text; the sum of two need not (0.1 + 0.2).
    """
    if price is None or not price.is_finite() or price <= 0:
        raise ValueError(f"not a price: {price}")
    value = float(price)
    if Decimal(repr(value)) != price:
        raise ValueError(f"{price} cannot be sent exactly")
    return value


class _Session(requests.Session):
    """Time-outs on every request, nothing taken from the environment, no redirect followed; keeps what it heard."""

    def __init__(self, timeouts: tuple[float, float]) -> None:
        super().__init__()
        self.trust_env = False
        self._timeouts = timeouts
        self.tried = False
        self.heard: requests.Response | None = None

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = self._timeouts
        kwargs["allow_redirects"] = False
        self.tried = True
        self.heard = super().request(*args, **kwargs)
        return self.heard

    def get_redirect_target(self, resp: requests.Response) -> None:
        """No target: even an unfollowed one would be parsed, and a bad one would hide the reply."""


def _paged(page: Callable[[list[Any]], Answer], size: int) -> Answer:
    """All pages as one list, under the first page's reply; or the first answer that is not a page."""
    first: Replied | None = None
    found: list[Any] = []
    known: set[str] = set()
    for _ in range(MOST_PAGES):
        try:
            answer = page(found)
        except (KeyError, TypeError, ValueError) as fault:
            return Silent(fault=Fault.CUT, text=f"cannot page behind the last element: {_words(fault)}")
        if not (isinstance(answer, Replied) and answer.status == 200 and isinstance(answer.body, list)):
            return answer
        first = first or answer
        new = [element for element in answer.body if not (isinstance(element, dict) and element.get("id") in known)]
        known.update(
            element["id"] for element in new if isinstance(element, dict) and isinstance(element.get("id"), str)
        )
        found += new
        if len(answer.body) < size:
            return Replied(status=200, body=found, events_seen=first.events_seen)
        if not new:
            return Silent(fault=Fault.CUT, text=f"more than {size} elements at one instant: cannot page behind them")
    return Silent(fault=Fault.CUT, text=f"more than {MOST_PAGES} pages")


def _submitted(order: Any) -> dt.datetime:
    return dt.datetime.fromisoformat(order["submitted_at"]).astimezone(dt.UTC)


def _worth_reading_again(answer: Answer) -> bool:
    match answer:
        case Silent(fault=fault):
            return fault is not Fault.UNSENDABLE
        case Replied(status=status):
            return status >= 500 or (status == 200 and answer.body is None)


def _replied(response: requests.Response) -> Replied:
    body: object = None
    if response.content:
        try:
            body = response.json()
        except (ValueError, RecursionError):
            body = None
    fields = body if isinstance(body, dict) else {}
    code, message = fields.get("code"), fields.get("message")
    known = code if isinstance(code, int) and not isinstance(code, bool) else None
    refused = response.status_code >= 400
    text = message if isinstance(message, str) else response.text if refused or body is None else ""
    return Replied(
        status=response.status_code,
        body=body,
        empty=not response.content,
        code=known,
        text=text[:_TEXT_KEPT],
        events_seen=_count(response.headers.get(SEQ_HEADER)),
        remaining=_count(response.headers.get("X-RateLimit-Remaining")),
        reset_s=_seconds_until(_count(response.headers.get("X-RateLimit-Reset"))),
    )


def _count(header: str | None) -> int | None:
    return int(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 16 else None


def _seconds_until(unix: int | None) -> float | None:
    return None if unix is None else min(max(unix - time.time(), 0.0), _LONGEST_RESET_S)


def fault_of(fault: Exception) -> Fault:
    """Where a request failed. Whatever is not surely before the first byte counts as cut."""
    if isinstance(fault, requests.exceptions.ConnectTimeout):
        return Fault.CONNECT_TIMEOUT
    if isinstance(fault, requests.exceptions.ReadTimeout):
        return Fault.READ_TIMEOUT
    if isinstance(fault, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(fault):
        return Fault.UNVERIFIED
    if isinstance(fault, requests.exceptions.ConnectionError):
        reason = getattr(fault.args[0] if fault.args else None, "reason", None)
        if isinstance(reason, urllib3.exceptions.NewConnectionError):
            return Fault.NOT_CONNECTED
    return Fault.CUT


def _words(fault: Exception) -> str:
    """The fault in one line. A pydantic error's text ends in an address of its documentation, which says nothing."""
    return f"{type(fault).__name__}: {' '.join(str(fault).split())}"[:_TEXT_KEPT]
