"""What the account allows: the second part of docs/strategy.md section 5, with sections 6, 7 and 9.

`CHECKS` is the order of the rules as data; the first that objects is the verdict, with its figures. All are asked when
an entry falls due, the quick ones again at its claim. None is ever asked about a stop, a trim or an exit: a limit never
blocks what protects.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import cached_property
from typing import Final, NamedTuple

from msgspec import Struct

from services.state.model import Account, EntryRow, Market, Order, PlannedOrder
from services.state.pricing import entry_limit, entry_slip, first_stop
from services.state.session_rules import entries_may_go
from services.state.sizing import scale_for, shares_at_scale
from shared.contracts.decisions import Figure
from shared.contracts.money import exact, figure
from shared.contracts.rules import Rules
from shared.contracts.vocabulary import (
    KEEPS_THE_SESSION,
    HaltLevel,
    OrderKind,
    OrderType,
    Reason,
    Side,
    TimeInForce,
)

Figures = dict[str, Figure]
NOTHING: Final = Decimal(0)


class Holding(Struct, frozen=True, kw_only=True):
    """Shares held. mark: last closed one-minute close, dollars; the average price where there is none yet."""

    symbol: str
    sector: str
    qty: int
    mark: Decimal


class Buying(Struct, frozen=True, kw_only=True):
    """An entry that is planned, claimed, working or unresolved. remaining: shares. limit: dollars."""

    symbol: str
    sector: str
    remaining: int
    limit: Decimal


class Exposure(Struct, frozen=True, kw_only=True):
    """Dollars held and being bought: in all, in the entry's symbol, in its sector (0 where that is unknown).

    symbols: how many symbols are held or being bought.
    """

    gross: Decimal
    symbol: Decimal
    sector: Decimal
    symbols: int


def exposure(held: Iterable[Holding], buying: Iterable[Buying], symbol: str, sector: str) -> Exposure:
    """What counts against an entry in `symbol` of `sector`; an entry of unknown fate counts as if it worked."""
    parts = [(one.symbol, one.sector, one.qty * one.mark) for one in held if one.qty > 0]
    parts += [(one.symbol, one.sector, one.remaining * one.limit) for one in buying]
    return Exposure(
        gross=sum((value for _, _, value in parts), NOTHING),
        symbol=sum((value for name, _, value in parts if name == symbol), NOTHING),
        sector=sum((value for _, kind, value in parts if sector and kind == sector), NOTHING),
        symbols=len({name for name, _, _ in parts}),
    )


def buying_of(orders: Iterable[Order], sector_of: Callable[[str], str]) -> list[Buying]:
    """The entries among open `orders`, whatever their status."""
    return [
        Buying(
            symbol=order.symbol,
            sector=sector_of(order.symbol),
            remaining=order.remaining,
            limit=order.limit_price or NOTHING,
        )
        for order in orders
        if order.kind is OrderKind.ENTRY
    ]


class Gates(Struct, frozen=True, kw_only=True):
    """What can change in a second: asked when an entry falls due, and again at its claim.

    halt: `halt` too where the level could not be read. armed: whether entries are allowed by arming, which dry-run and
    paper never ask for. broker_open: the broker's clock; None: it said nothing.
    feed_at: end of the last minute in which any followed symbol had a bar, symbol_at: in which this one had; both of
    this session, None: no bar yet. halted: trading in the symbol is.
    foreign: shares or orders that no record explains, in this symbol, or a second installation on the account.
    stopped: `daily_loss` or `drawdown` where the account is stopped for it.
    blocked: the operator's own blocks. allow and block lists of the configuration are in the rules.
    """

    market: Market
    halt: HaltLevel
    armed: bool
    broker_open: bool | None
    feed_at: dt.datetime | None
    symbol_at: dt.datetime | None
    halted: bool
    account_blocked: bool
    foreign: bool
    stopped: str
    blocked: frozenset[str] = frozenset()


class AdmissionView(Struct, frozen=True, kw_only=True):
    """All that one entry is judged by, as of the tick at which it is judged; those admitted before it are in it.

    account: opening_equity and equity by the ledger's own mark, dollars; entry_orders today.
    reference: last closed one-minute close of the symbol, dollars. closes_since: of its 10-minute bars that closed
    after the confirmation, dollars. has_position, has_order: of ours in this symbol, entries of unknown fate too.
    entered_today: an entry of this session was ordered in this symbol. minutes_since_fill: market minutes since the
    later of the last entry and exit fill in it, None: never.
    penalty: `sizing.correlation_penalty`, 0 to 1. committed: dollars of the entries admitted since the broker told its
    buying power.
    """

    gates: Gates
    account: Account
    reference: float | None
    closes_since: tuple[float, ...]
    has_position: bool
    has_order: bool
    entered_today: bool
    minutes_since_fill: float | None
    exposure: Exposure
    penalty: float = 0.0
    committed: Decimal = NOTHING


class Admitted(Struct, frozen=True, kw_only=True):
    """Buy `shares` at `limit` dollars, with a stop leg at `stop` dollars. reference: the close it was priced by."""

    shares: int
    limit: Decimal
    stop: Decimal
    reference: float
    figures: Figures


class Refused(Struct, frozen=True, kw_only=True):
    """Not bought, for the first reason that objects. figures: what the rule saw."""

    reason: Reason
    figures: Figures

    @property
    def spends(self) -> bool:
        """Whether the symbol's session is used up by it."""
        return self.reason not in KEEPS_THE_SESSION


def on_arrival(*, spent: bool, tradable: bool, figures: Figures | None = None) -> Refused | None:
    """The two questions asked when a confirmation arrives; None: it may wait for its due time.

    spent: an earlier confirmation of this symbol was used up this session. tradable: the broker trades the symbol.
    """
    if spent:
        return Refused(reason=Reason.SPENT, figures=figures or {})
    if not tradable:
        return Refused(reason=Reason.NOT_TRADABLE, figures=figures or {})
    return None


def judge(row: EntryRow, view: AdmissionView, rules: Rules, salt: str) -> Admitted | Refused:
    """The verdict on an entry that is due. salt: of the drawn slip."""
    case = _Case(row, view.gates, rules, view, salt)
    for check in CHECKS:
        figures = check.objection(case)
        if figures is not None:
            return Refused(reason=check.reason, figures=figures)
    assert case.stop is not None
    return Admitted(
        shares=case.shares,
        limit=case.limit,
        stop=case.stop,
        reference=case.reference,
        figures={
            "reference": case.reference,
            "limit": float(case.limit),
            "stop": float(case.stop),
            "shares": float(case.shares),
            "scale": case.scale,
            "penalty": view.penalty,
            "equity": float(view.account.opening_equity),
        },
    )


def still_wanted(row: EntryRow, gates: Gates, rules: Rules) -> Refused | None:
    """The quick questions, asked again when an executor claims the entry's order; None: it may be sent."""
    case = _Case(row, gates, rules)
    for check in CHECKS:
        figures = check.objection(case) if check.quick else None
        if figures is not None:
            return Refused(reason=check.reason, figures=figures)
    return None


def planned_entry(row: EntryRow, admitted: Admitted) -> PlannedOrder:
    """The order of an admitted entry: one OTO with its stop leg, good till cancelled, as the leg outlives the day."""
    return PlannedOrder(
        kind=OrderKind.ENTRY,
        side=Side.BUY,
        type=OrderType.LIMIT,
        time_in_force=TimeInForce.GTC,
        qty=admitted.shares,
        limit_price=admitted.limit,
        stop_price=None,
        leg_stop_price=admitted.stop,
        intent=row.id,
        cause=row.cause,
        replaces="",
        why="admitted",
    )


class _Case:
    """One entry under judgement: the figures that several rules share, each computed when first asked for."""

    def __init__(
        self, row: EntryRow, gates: Gates, rules: Rules, view: AdmissionView | None = None, salt: str = ""
    ) -> None:
        self.row = row
        self.gates = gates
        self.rules = rules
        self.market = gates.market
        self.now = gates.market.now
        self._view = view
        self._salt = salt

    @property
    def view(self) -> AdmissionView:
        assert self._view is not None, "a quick check may look at the gates alone"
        return self._view

    @cached_property
    def reference(self) -> float:
        assert self.view.reference is not None, "an unknown price is refused as stale before"
        return self.view.reference

    @cached_property
    def limit(self) -> Decimal:
        row = self.row
        slip = entry_slip(
            self.rules.entry, salt=self._salt, strategy=row.strategy, session=row.session, symbol=row.symbol
        )
        return entry_limit(self.reference, slip, self.rules.entry)

    @cached_property
    def stop(self) -> Decimal | None:
        return first_stop(self.limit, self.row.swing_low, self.rules.stop, self.row.scan_stop)

    @cached_property
    def scale(self) -> float:
        return scale_for(self.row.dist_pct, self.row.atr_pct, self.rules.size)

    @cached_property
    def shares(self) -> int:
        equity = self.view.account.opening_equity
        return shares_at_scale(equity, self.limit, self.scale, self.rules.size, penalty=self.view.penalty)

    @property
    def cost(self) -> Decimal:
        return self.shares * self.limit

    def cap(self, fraction: float) -> Decimal:
        return self.view.account.opening_equity * exact(fraction)


def _kill_switch(case: _Case) -> Figures | None:
    return {"level": case.gates.halt} if case.gates.halt in (HaltLevel.HALT, HaltLevel.FLATTEN) else None


def _not_armed(case: _Case) -> Figures | None:
    return None if case.gates.armed else {}


def _paused(case: _Case) -> Figures | None:
    return {"level": case.gates.halt} if case.gates.halt is HaltLevel.PAUSE else None


def _market_closed(case: _Case) -> Figures | None:
    market, broker_open = case.market, case.gates.broker_open
    if entries_may_go(market, case.rules) and broker_open in (True, None):
        return None
    return {
        "closes_in_s": (market.closes_at - case.now).total_seconds(),
        "broker": {True: "open", False: "closed", None: "unknown"}[broker_open],
    }


def _feed_silent(case: _Case) -> Figures | None:
    return _silence(case, case.gates.feed_at, case.rules.limits.feed_silent_after)


def _stale_data(case: _Case) -> Figures | None:
    return _silence(case, case.gates.symbol_at, case.rules.limits.stale_data_after)


def _silence(case: _Case, last: dt.datetime | None, allowed_s: float) -> Figures | None:
    since = max(last or case.market.opens_at, case.market.opens_at)
    silent_s = (case.now - since).total_seconds()
    return {"silent_s": silent_s, "allowed_s": allowed_s} if silent_s > allowed_s else None


def _no_price(case: _Case) -> Figures | None:
    return {"reference": None} if case.view.reference is None else None


def _halted(case: _Case) -> Figures | None:
    return {} if case.gates.halted else None


def _account_blocked(case: _Case) -> Figures | None:
    return {"account": "blocked"} if case.gates.account_blocked else None


def _account_unknown(case: _Case) -> Figures | None:
    equity = case.view.account.opening_equity
    return {"opening_equity": float(equity)} if equity <= 0 else None


def _foreign(case: _Case) -> Figures | None:
    return {} if case.gates.foreign else None


def _block_list(case: _Case) -> Figures | None:
    if case.row.symbol in case.gates.blocked:
        return {"list": "operator"}
    return {"list": "configuration"} if case.row.symbol in case.rules.limits.block else None


def _allow_list(case: _Case) -> Figures | None:
    allowed = case.rules.limits.allow
    return {"allowed": float(len(allowed))} if allowed and case.row.symbol not in allowed else None


def _existing_position(case: _Case) -> Figures | None:
    return {} if case.view.has_position else None


def _existing_order(case: _Case) -> Figures | None:
    return {} if case.view.has_order else None


def _cooldown(case: _Case) -> Figures | None:
    if case.view.entered_today:
        return {"entries_this_session": 1.0}
    minutes, wanted = case.view.minutes_since_fill, case.rules.limits.cooldown_minutes
    return {"minutes": minutes, "wanted": float(wanted)} if minutes is not None and minutes < wanted else None


def _max_positions(case: _Case) -> Figures | None:
    count, most = case.view.exposure.symbols, case.rules.limits.max_positions
    return {"positions": float(count), "most": float(most)} if count >= most else None


def _max_orders(case: _Case) -> Figures | None:
    count, most = case.view.account.entry_orders, case.rules.limits.max_orders
    return {"orders": float(count), "most": float(most)} if count >= most else None


def _daily_loss(case: _Case) -> Figures | None:
    return {"stopped": "daily_loss"} if case.gates.stopped == Reason.DAILY_LOSS else None


def _drawdown(case: _Case) -> Figures | None:
    return {"stopped": "drawdown"} if case.gates.stopped == Reason.DRAWDOWN else None


def _expired(case: _Case) -> Figures | None:
    late_s = (case.now - case.row.due).total_seconds()
    allowed_s = case.rules.entry.valid_for
    return {"late_s": late_s, "allowed_s": allowed_s} if late_s > allowed_s else None


def _failed_hold(case: _Case) -> Figures | None:
    lowest = min((case.reference, *case.view.closes_since))
    pivot = case.row.pivot
    if figure(lowest) >= figure(pivot):
        return None
    return {"reference": case.reference, "lowest_close": lowest, "pivot": pivot}


def _drift(case: _Case) -> Figures | None:
    drift = figure(case.reference / case.row.confirm_close - 1.0)
    most = case.rules.entry.max_drift
    return {"drift": drift, "most": most, "reference": case.reference} if drift > most else None


def _extended(case: _Case) -> Figures | None:
    return {"limit": float(case.limit), "r1": case.row.r1} if case.limit >= exact(figure(case.row.r1)) else None


def _no_stop(case: _Case) -> Figures | None:
    if case.stop is not None:
        return None
    return {"limit": float(case.limit), "swing_low": case.row.swing_low, "scan_stop": case.row.scan_stop}


def _risk_too_wide(case: _Case) -> Figures | None:
    assert case.stop is not None
    risk, risks = case.limit - case.stop, case.rules.risk
    too_wide = risk > case.limit * exact(figure(risks.max_pct / 100.0))
    if risks.max_per_share is not None:
        too_wide = too_wide or risk > exact(risks.max_per_share)
    if not too_wide:
        return None
    return {
        "limit": float(case.limit),
        "stop": float(case.stop),
        "risk_pct": figure(100.0 * float(risk / case.limit)),
        "most_pct": risks.max_pct,
    }


def _size_zero(case: _Case) -> Figures | None:
    if case.shares >= 1:
        return None
    return {"limit": float(case.limit), "equity": float(case.view.account.opening_equity), "scale": case.scale}


def _sector_cap(case: _Case) -> Figures | None:
    if not case.row.sector:
        return None
    held, fraction = case.view.exposure.sector, case.rules.limits.per_sector
    equity = case.view.account.opening_equity
    return _over(case, held, fraction) if sector_cap_exceeded(held, case.cost, equity, fraction) else None


def _symbol_cap(case: _Case) -> Figures | None:
    held, fraction = case.view.exposure.symbol, case.rules.limits.per_symbol
    return _over(case, held, fraction) if held + case.cost > case.cap(fraction) else None


def _gross_cap(case: _Case) -> Figures | None:
    held, fraction = case.view.exposure.gross, case.rules.limits.gross
    return _over(case, held, fraction) if held + case.cost > case.cap(fraction) else None


def _over(case: _Case, held: Decimal, fraction: float) -> Figures:
    return {"held": float(held), "order": float(case.cost), "most": float(case.cap(fraction))}


def _buying_power(case: _Case) -> Figures | None:
    free = case.view.account.buying_power - case.view.committed
    return {"order": float(case.cost), "free": float(free)} if case.cost > free else None


class Check(NamedTuple):
    """One question. objection: the figures of a refusal, None where there is none. quick: asked again at the claim."""

    reason: Reason
    objection: Callable[[_Case], Figures | None]
    quick: bool = False


CHECKS: Final[tuple[Check, ...]] = (
    Check(Reason.KILL_SWITCH, _kill_switch, quick=True),
    Check(Reason.NOT_ARMED, _not_armed, quick=True),
    Check(Reason.PAUSED, _paused, quick=True),
    Check(Reason.MARKET_CLOSED, _market_closed, quick=True),
    Check(Reason.FEED_SILENT, _feed_silent, quick=True),
    # Section 9 lets a thin symbol pause 10 minutes and names the reason, section 5 leaves it out of the order: it is
    # asked beside its sister. No price at all is the same trouble.
    Check(Reason.STALE_DATA, _stale_data, quick=True),
    Check(Reason.HALTED, _halted, quick=True),
    Check(Reason.ACCOUNT_BLOCKED, _account_blocked, quick=True),
    Check(Reason.FOREIGN, _foreign, quick=True),
    Check(Reason.BLOCK_LIST, _block_list, quick=True),
    Check(Reason.ALLOW_LIST, _allow_list, quick=True),
    Check(Reason.EXISTING_POSITION, _existing_position),
    Check(Reason.EXISTING_ORDER, _existing_order),
    Check(Reason.COOLDOWN, _cooldown),
    Check(Reason.MAX_POSITIONS, _max_positions),
    Check(Reason.MAX_ORDERS, _max_orders),
    Check(Reason.DAILY_LOSS, _daily_loss, quick=True),
    Check(Reason.DRAWDOWN, _drawdown, quick=True),
    Check(Reason.EXPIRED, _expired, quick=True),
    Check(Reason.STALE_DATA, _no_price),
    Check(Reason.FAILED_HOLD, _failed_hold),
    Check(Reason.DRIFT, _drift),
    Check(Reason.EXTENDED, _extended),
    Check(Reason.NO_STOP, _no_stop),
    Check(Reason.RISK_TOO_WIDE, _risk_too_wide),
    # A size is a part of equity: without it there is nothing to say but that the account is not known.
    Check(Reason.ACCOUNT_BLOCKED, _account_unknown),
    Check(Reason.SIZE_ZERO, _size_zero),
    Check(Reason.SECTOR_CAP, _sector_cap),
    Check(Reason.SYMBOL_CAP, _symbol_cap),
    Check(Reason.GROSS_CAP, _gross_cap),
    Check(Reason.BUYING_POWER, _buying_power),
)


def sector_cap_exceeded(
    held: Decimal | float, order: Decimal | float, equity: Decimal | float, fraction: float
) -> bool:
    """Whether `held` dollars of a sector and the order's are more than `fraction` of equity."""
    return exact(held) + exact(order) > exact(equity) * exact(fraction)
