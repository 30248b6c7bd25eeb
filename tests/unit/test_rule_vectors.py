"""The predecessor's inputs and outputs, asked of the rules here (docs/strategy.md sections 2-4 and 8).

Vectors marked LIMIT or BUG are not to be copied. Where one of the others differs from docs/strategy.md, that wins and
`STRATEGY_WINS` says why. Vectors of shapes this project has not (a broker's order as text) are in `NOT_OURS`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import pytest

from services.signals.boh import NEW_YORK, Pair, Question, Window, refusal, trading_window
from services.signals.pivots import BadLevels, last_swing_high, last_swing_low, targets
from services.signals.position import Held, Minute, evaluate
from services.signals.regime_global import market_regime
from services.signals.regime_symbol import symbol_regime
from services.signals.stops import IntradayLows, Lows, daily_stop, structural_stop
from shared.contracts.market import DailyBar
from shared.contracts.rules import Rules, StopRules, TrimRules
from shared.contracts.vocabulary import GlobalRegime, Phase, StopMode, TrimState
from shared.domain import calendar
from shared.domain.bars import SpanBar
from tests.unit.market_files import MARKET

FILE: Final = MARKET / "rule_vectors.json"
RULES: Final = Rules()
Vector = dict[str, Any]

STRATEGY_WINS: Final[Mapping[str, str]] = {
    "boh-015": "a pair is a type of two bars, so that three cannot be asked about",
    "session_phase-006": "section 8: before 09:30 the session has no phase; CLOSED instead of OPEN_NOISE",
    "session_phase-011": "section 8: after the close the session has no phase; CLOSED instead of OPEN_NOISE",
    "pivots-017": "section 2 rounds figures to nine decimals, not to cents; equal within half a cent",
}
INSTEAD: Final[Mapping[str, Any]] = {
    "session_phase-006": Phase.CLOSED,
    "session_phase-011": Phase.CLOSED,
}
OF_STATE: Final = frozenset({"sizing", "correlation"})
"""Asked in tests/unit/state_rules, beside the rules that answer them."""
NOT_OURS: Final[Mapping[str, str]] = {
    "matching_stop_order": "the planner compares structs of ours, not a broker's text (tests/unit/state_rules)",
    "reconcile_stop": "the planner's question, asked of whole plans (tests/unit/state_rules)",
}


def _vectors() -> list[Vector]:
    if not FILE.exists():
        return []
    vectors: list[Vector] = json.loads(FILE.read_text())["vectors"]
    ours = [v for v in vectors if v["area"] not in OF_STATE]
    return [v for v in ours if not any(word in v.get("note", "") for word in ("LIMIT", "BUG"))]


def _named(vectors: list[Vector]) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in vectors]


pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE.name} is not in the folder shared/market beside here")


@pytest.mark.parametrize("vector", _named(_vectors()))
def test_a_vector_of_the_predecessor_holds(vector: Vector) -> None:
    key = vector["fn"] if vector["fn"] in NOT_OURS else f"{vector['area']}.{vector['fn']}"
    if key in NOT_OURS:
        pytest.skip(NOT_OURS[key])
    if vector["id"] in STRATEGY_WINS and vector["id"] not in INSTEAD:
        _differs(vector)
        return
    if "raises" in vector:
        with pytest.raises(ValueError):
            ANSWERS[key](vector["in"])
        return
    answer = ANSWERS[key](vector["in"])
    asked_for = vector["out"]
    if vector["fn"] == "select_stop":
        asked_for = {name: asked_for[name] for name in answer}
    assert answer == INSTEAD.get(vector["id"], asked_for)


def test_each_named_difference_is_a_vector_that_counts() -> None:
    assert set(STRATEGY_WINS) <= {vector["id"] for vector in _vectors()}


def _differs(vector: Vector) -> None:
    match vector["id"]:
        case "boh-015":
            with pytest.raises(TypeError):
                Pair(None, *_span_bars(vector["in"]["bars_close_volume"]))
        case "pivots-017":
            ours = _targets(vector["in"])
            assert {name: round(value, 2) for name, value in ours.items()} == vector["out"]
        case other:
            pytest.fail(f"{other} is named as a difference without saying what holds instead")


# ---------------------------------------------------------------------------------------------------------------------
# sections 2-4


def _confirm(given: Vector) -> Vector:
    """The predecessor's relative volume looked at the break bar; here it is the session's, a rule of its own."""
    bars = _span_bars(given["bars_close_volume"])
    asked = Question(pivot=given["level"], window=Window(0, 390, 390), fresh=False, at=20)
    confirmed = refusal(Pair(None, bars[0], bars[1]), asked) is None
    return {
        "confirmed": confirmed,
        "break_bar": 1 if confirmed else None,
        "confirm_bar": 2 if confirmed else None,
    }


def _span_bars(rows: list[list[float]]) -> list[SpanBar]:
    return [
        SpanBar(10 * place, 10 * place + 10, close, close, close, close, volume)
        for place, (close, volume) in enumerate(rows)
    ]


def _swing_high(given: Vector) -> float | None:
    place = last_swing_high(given["highs"], 3)
    return given["highs"][place] if place is not None else None


def _targets(given: Vector) -> dict[str, float]:
    try:
        found = targets(given["swing_high"], given["prior_high"], given["prior_low"], 0.5, 1.0)
    except BadLevels as fault:
        raise ValueError(str(fault)) from fault
    return {"r1": found.r1, "r2": found.r2}


def _regime_global(given: Vector) -> Vector:
    first = dt.date(2024, 1, 1)
    bars = [
        DailyBar(first + dt.timedelta(days=place), prices[0], prices[1], prices[2], prices[3], 1.0)
        for place, prices in enumerate(given["bars_ohlc"])
    ]
    found = market_regime(bars, RULES.regime)
    words = {GlobalRegime.NORMAL: "normal", GlobalRegime.DEFENSIVE: "defensive", GlobalRegime.OFF: "off"}
    return {"regime": words[found.state], "sma5_slope": found.slope, "adverse": found.adverse_count}


def _regime_symbol(given: Vector) -> str:
    found = symbol_regime(given["dist_pct"], given["avwap_slope"], given["has_position"], RULES.symbol_regime)
    return found.value.lower()


def _snapshot(given: Vector) -> Vector:
    moment = dt.datetime.fromisoformat(given["t"])
    day = calendar.session_at(moment)
    window_open = False
    if day is not None:
        window = trading_window(day, RULES.breakout)
        window_open = window.first <= (moment - day.opens_at) / dt.timedelta(minutes=1) <= window.last
    return {
        "et": moment.astimezone(NEW_YORK).isoformat(),
        "market_open": day is not None,
        "entry_window_open": window_open,
    }


# ---------------------------------------------------------------------------------------------------------------------
# section 8

PHASES: Final = {
    "OPEN_NOISE": Phase.OPEN_NOISE,
    "EARLY_TREND": Phase.EARLY_TREND,
    "NORMAL_SESSION": Phase.NORMAL,
    "CLOSE_PROTECT": Phase.CLOSE_PROTECT,
}


def _phase(given: Vector) -> Phase | str:
    moment = dt.datetime.fromisoformat(given["t"])
    found = calendar.phase_of(moment, calendar.session(moment.date()))
    return next((word for word, phase in PHASES.items() if phase is found), found)


def _higher_low(given: Vector) -> float | None:
    rules = StopRules(buffer=given["buffer"], intraday_min_bars=given["min_bars"])
    return _lows(given["lows"], rules).stop(given.get("last_close"))


def _lows(lows: list[float], rules: StopRules) -> IntradayLows:
    folded = IntradayLows(rules)
    for place, low in enumerate(lows):
        folded.add(SpanBar(5 * place, 5 * place + 5, low, low, low, low, 1.0))
    return folded


def _daily_low(given: Vector) -> float | None:
    place = last_swing_low(given["lows"], 1)
    return daily_stop(given["lows"][place] if place is not None else None, StopRules(buffer=given["buffer"]))


def _trailing(given: Vector) -> float | None:
    stops = [stop for stop in (given["existing"], given["candidate"]) if stop is not None]
    return max(stops, default=None)


def _select_stop(given: Vector) -> Vector:
    """The predecessor's `trailing_allowed` is R2's business here; its event names are a log of what was tried."""
    age = given["entry_age_sec"]
    lows = Lows(
        daily=given["daily_stop"],
        intraday=given["intraday_stop"],
        since_entry=dt.timedelta(seconds=age) if age is not None else None,
        bars_after_entry=given["bars_after_entry"],
    )
    found = structural_stop(PHASES[given["phase"]], given["entry_price"], lows, RULES.stop)
    return {"stop": found.price, "basis": found.basis} if found is not None else {"stop": None, "basis": None}


def _simulate(given: Vector) -> list[list[Any]]:
    """Five-minute bars one by one: the stop set by structure, raised by it, and held to the end."""
    rules = StopRules(buffer=0.5)
    place = last_swing_low(given["daily_lows"], 1)
    daily = daily_stop(given["daily_lows"][place] if place is not None else None, rules)
    stop: tuple[float, str] | None = None
    told: list[list[Any]] = []
    for count in range(1, len(given["lows"]) + 1):
        intraday = _lows(given["lows"][:count], rules).stop(None)
        found = (intraday, "intraday_hl") if intraday is not None else (daily, "daily_swing_low")
        if found[0] is not None and (stop is None or found[0] > stop[0]):
            told.append(["STOP_RESOLVED" if stop is None else "STOP_RATCHET", found[0], found[1], None])
            stop = (found[0], found[1])
    assert stop is not None
    return [*told, ["STOP_HELD", stop[0], stop[1], None]]


def _walk(given: Vector) -> list[list[Any]]:
    rules = Rules(trim=TrimRules(**given.get("cfg", {})))
    state = given["state"]
    at = dt.datetime(2024, 1, 2, 15, 0, tzinfo=dt.UTC)
    held = Held(
        symbol="AAPL",
        position_id="p",
        qty=100,
        avg_price=Decimal(str(state["avg"])),
        pivot=state["pivot"],
        r1=state["r1"],
        r2=state["r2"],
        stop=Decimal(str(state["stop"])),
        stop_resting=False,
        stop_mode=StopMode.OPEN,
        high_water=state["avg"],
        invalidations=0,
        r1_state=TrimState.OPEN,
        r2_state=TrimState.OPEN,
        entered_at=at,
    )
    rows: list[list[Any]] = []
    for price in given["prices"]:
        at += dt.timedelta(minutes=1)
        step = evaluate(held, _minute(at, price), rules)
        held = step.held
        trims = [[trim.fraction, f"{trim.level}_trim"] for trim in step.trims]
        if held.stop_mode is StopMode.EXITING:
            trims = [[1.0, "stop_exit"]]  # said again at each price there, once here: EXITING is remembered
        assert held.stop is not None
        fired = [state is not TrimState.OPEN for state in (held.r1_state, held.r2_state)]
        rows.append([price, trims, float(held.stop), held.stop_mode.value, held.high_water, *fired])
    return rows


def _minute(at: dt.datetime, price: float) -> Minute:
    return Minute(
        at=at,
        closes_at=dt.datetime(2024, 1, 2, 21, 0, tzinfo=dt.UTC),
        price=price,
        traded=True,
        breakout_close=None,
        phase=Phase.NORMAL,
        lows=Lows(daily=None, intraday=None, since_entry=None, bars_after_entry=0),
    )


ANSWERS: Final[Mapping[str, Callable[[Vector], Any]]] = {
    "boh.confirm": _confirm,
    "pivots.prior_swing_high": _swing_high,
    "pivots.r1_r2": _targets,
    "regime_global.classify": _regime_global,
    "regime_symbol.classify": _regime_symbol,
    "clocks.snapshot_at": _snapshot,
    "session_phase.classify": _phase,
    "exits.intraday_higher_low_stop": _higher_low,
    "exits.daily_swing_low_stop": _daily_low,
    "exits.trailing": _trailing,
    "exits.select_stop": _select_stop,
    "exits.simulate": _simulate,
    "sell_loop.walk": _walk,
}
