"""What state tells the others: positions, candidates and the account as messages, and the latest of each as a hash."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict, replace

from services.state import protection
from services.state.model import Candidate, Order, Position
from services.state.unit import LONG_AGO, Unit
from shared.contracts.message import Message
from shared.contracts.outgoing import Latest
from shared.contracts.views import AccountChanged, CandidateChanged, PartitionDecided, PositionChanged, ScanLevels
from shared.contracts.vocabulary import HaltLevel, OrderKind


class Views:
    """Tells what changed since it was last told.

    What the ledger holds at the start was told: a change and its message are committed together.
    """

    def __init__(self) -> None:
        self._told: dict[str, object] = {}
        self._orders_told: dict[str, dict[str, Order]] = {}

    def assume_told(self, unit: Unit) -> None:
        """Everything in the ledger is known to the others."""
        mark = unit.mark()
        self.everything(unit)
        unit.back_to(mark)

    def tell(self, unit: Unit) -> None:
        """Say what changed in the touched symbols, among candidates, and in the account."""
        self._tell(unit, unit.touched - {""}, unit.relisted)

    def _tell(self, unit: Unit, touched: set[str], relisted: set[str]) -> None:
        for symbol in sorted(touched | relisted):
            if symbol in touched:
                self._position(unit, symbol)
                self._orders(unit, symbol)
            if symbol in relisted:
                self._candidates(unit, symbol)
        self._account(unit)

    def everything(self, unit: Unit) -> None:
        """Say all of it again: open positions, active candidates, how far decisions were taken, the account."""
        self._told.clear()
        self._orders_told.clear()
        listed = {candidate.symbol for candidate in unit.store.list_active_candidates()}
        self._tell(unit, set(unit.store.active_symbols()), listed)
        for partition, through in unit.store.partitions_decided().items():
            unit.say(
                PartitionDecided(
                    id=unit.next_id("partition"), at=unit.at_least(through), partition=partition, through=through
                )
            )

    def _position(self, unit: Unit, symbol: str) -> None:
        position = unit.store.open_position(symbol) or unit.store.last_position(symbol)
        if position is None:
            return
        resting = any(
            order.kind is OrderKind.STOP and order.resting and order.remaining > 0
            for order in unit.store.open_orders(symbol)
        )
        content = (position, resting)
        if self._is_known(f"position:{symbol}", content, closed=position.qty == 0):
            return
        message = position_view(unit, position, stop_resting=resting)
        unit.say(message)
        unit.say(Latest(key=f"position:{symbol}", fields=shown(message) if position.qty else {}))

    def _candidates(self, unit: Unit, symbol: str) -> None:
        """Each strategy's row, since readers choose among them; the hash shows the one that counts."""
        rows = unit.store.candidates_of(symbol)
        for row in rows:
            if not self._is_known(f"candidate:{symbol}:{row.strategy}", row, closed=not row.active):
                unit.say(candidate_view(unit, row))
        winner = next((row for row in rows if row.active), None)
        if rows and not self._is_known(f"candidate:{symbol}", winner, closed=winner is None):
            unit.say(Latest(key=f"candidate:{symbol}", fields=shown(winner) if winner is not None else {}))

    def _orders(self, unit: Unit, symbol: str) -> None:
        told = self._orders_told.pop(symbol, {})
        at_work = {f"order:{order.client_order_id}": order for order in unit.store.open_orders(symbol)}
        for key, order in at_work.items():
            if told.get(key) != order:
                unit.say(Latest(key=key, fields=shown(order)))
        for key in told.keys() - at_work.keys():
            unit.say(Latest(key=key, fields={}))
        if at_work:
            self._orders_told[symbol] = at_work

    def _account(self, unit: Unit) -> None:
        message = account_view(unit)
        if message is None or self._is_known("account", replace(message, at=LONG_AGO)):
            return
        message = replace(message, id=unit.next_id("account"))
        unit.say(message)
        unit.say(Latest(key="account", fields=shown(message)))

    def _is_known(self, key: str, content: object, *, closed: bool = False) -> bool:
        """Whether this was told last; what is over and was never told by this process is not worth telling."""
        before = self._told.get(key)
        if before == content:
            return True
        self._told[key] = content
        return closed and before is None


def position_view(unit: Unit, position: Position, *, stop_resting: bool) -> PositionChanged:
    """A position as the others see it."""
    return PositionChanged(
        id=unit.next_id("position"),
        at=unit.at_least(position.entered_at),
        cause=position.cause,
        symbol=position.symbol,
        position_id=position.position_id,
        session=position.session,
        strategy=position.strategy,
        qty=position.qty,
        avg_price=position.avg_price,
        pivot=position.pivot,
        r1=position.r1,
        r2=position.r2,
        stop=position.stop,
        stop_resting=stop_resting,
        stop_mode=position.stop_mode,
        high_water=position.high_water,
        invalidations=position.invalidations,
        r1_state=position.r1_state,
        r2_state=position.r2_state,
        entered_at=position.entered_at,
        decided_through=position.decided_through,
    )


def candidate_view(unit: Unit, row: Candidate) -> CandidateChanged:
    """A candidate as the others see it."""
    levels = None
    if row.pivot is not None and row.stop is not None and row.r1 is not None and row.r2 is not None:
        levels = ScanLevels(pivot=row.pivot, stop=row.stop, r1=row.r1, r2=row.r2)
    return CandidateChanged(
        id=unit.next_id("candidate"),
        at=unit.at_least(row.since),
        cause=row.source,
        symbol=row.symbol,
        strategy=row.strategy,
        source=row.source,
        session=row.session,
        active=row.active,
        since=row.since,
        expires_at=row.expires_at,
        scan=levels,
        sector=row.sector,
        spent=row.spent,
        released_at=row.released_at,
        note=row.note,
    )


def account_view(unit: Unit) -> AccountChanged | None:
    """The account as the others see it, without an id yet; None before the first session."""
    account = unit.store.account()
    if account.session is None:
        return None
    return AccountChanged(
        id="",
        at=unit.now,
        session=account.session,
        cash=account.cash,
        equity=account.equity,
        opening_equity=account.opening_equity,
        peak_equity=account.peak_equity,
        halt=account.halt,
        armed=account.armed,
        open_positions=len(unit.store.list_positions()),
        entry_orders=account.entry_orders,
        unprotected_share_seconds=protection.seconds(unit, protection.UNPROTECTED),
    )


def shown(row: Struct) -> dict[str, str]:
    """A struct as the flat fields of a hash, for people with redis-cli."""
    fields = asdict(row)
    if isinstance(row, Message):
        del fields["id"]
    return {name: _text(value) for name, value in fields.items()}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def level_text(level: HaltLevel) -> str:
    """What the screen says about each level."""
    return {
        HaltLevel.NONE: "trading",
        HaltLevel.PAUSE: "paused: no entries; working entries, stops, trims and exits go on",
        HaltLevel.HALT: "halted: no entries, working entries are cancelled; stops stay",
        HaltLevel.FLATTEN: "flatten: everything is sold",
    }[level]
