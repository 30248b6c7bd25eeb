"""The report's tables, once for every form: headings, cells as people read them, and which rows stand out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from cli.reporting import words
from cli.reporting.report import Report
from shared.domain.words import reason_in_words

SEEN: Final = 0.005
"""Half a cent, or half a hundredth of R: less is shown as nothing, and is neither good nor bad."""


class Table(Struct, frozen=True, kw_only=True):
    """title, note: in words. nothing: what is said without rows. figures: the columns that hold numbers, from 0;
    results: those of them that a mark is about.

    rows: cells. marks: of each row, `good`, `bad` or empty.
    """

    title: str
    note: str
    nothing: str
    headings: tuple[str, ...]
    figures: frozenset[int]
    results: frozenset[int]
    rows: tuple[tuple[str, ...], ...]
    marks: tuple[str, ...]


def tables(report: Report) -> tuple[Table, ...]:
    """In the order in which they are shown."""
    return (trades(report), slippage(report), reasons(report), refused(report), protection(report), days(report))


def summary(report: Report) -> tuple[tuple[str, str], ...]:
    """Name and value of the totals."""
    of = report.totals
    fall = of.drawdown
    return (
        ("equity", f"{words.price(of.opening)} to {words.price(of.closing)}, {words.money(of.change)}"),
        ("realized", words.money(of.realized)),
        ("trades", f"{of.trades}, {of.closed} closed, {of.held} still held"),
        ("win rate", f"{words.percent(of.win_rate)} ({of.wins} won, {of.losses} lost)"),
        ("average R", words.in_r(of.average_r)),
        ("expectancy", f"{words.money(of.expectancy)} a trade"),
        ("average win, loss", f"{words.money(of.average_win)}, {words.money(of.average_loss)}"),
        ("profit factor", f"{of.profit_factor:.2f}" if of.profit_factor is not None else words.UNKNOWN),
        ("average time held", words.lasted(of.average_held_s)),
        (
            "deepest drawdown",
            f"{words.percent(fall.fraction, 2)} ({words.money(-fall.dollars)}), {_moment(report, fall.peak_at)} to "
            f"{_moment(report, fall.at)}"
            if fall is not None
            else "none",
        ),
        (
            "slippage",
            f"{words.money(of.slippage)}, {words.basis_points(of.slippage_basis_points)}, {words.in_r(of.slippage_r)}",
        ),
        ("unprotected", f"{of.unprotected:,.0f} share-seconds, {of.pending:,.0f} more beside filling entries"),
        ("oversold", f"{of.oversold} shares"),
    )


def trades(report: Report) -> Table:
    return _table(
        "Trades",
        "R is what was risked: what was paid less the first stop. P&L of what was sold; times of New York.",
        "nothing was held",
        ("entered", "symbol", "shares", "paid", "first stop", "sold", "at", "left by", "held", "P&L", "R"),
        {2, 3, 4, 5, 6, 9, 10},
        {9, 10},
        [
            (
                _moment(report, trade.entered_at),
                trade.symbol,
                f"{trade.bought:,}",
                words.price(trade.bought_at),
                words.price(trade.first_stop),
                f"{trade.sold:,}",
                words.price(trade.sold_at),
                words.left_by(trade.left_by) if trade.left_by else f"{trade.held:,} still held",
                words.lasted(trade.held_s),
                words.money(trade.realized),
                words.in_r(trade.r_multiple),
            )
            for trade in report.trades
        ],
        [_mark(float(trade.realized)) for trade in report.trades],
    )


def slippage(report: Report) -> Table:
    return _table(
        "Slippage",
        "Against the price that was decided on: the last close when an entry, trim or exit was decided, a stop's own "
        "price. Above zero is worse.",
        "nothing was filled",
        ("filled", "symbol", "order", "shares", "decided on", "filled at", "dollars", "basis points", "R"),
        {3, 4, 5, 6, 7, 8},
        {6, 7, 8},
        [
            (
                _moment(report, slip.at),
                slip.symbol,
                slip.kind,
                f"{slip.shares:,}",
                words.price(slip.reference),
                words.price(slip.price),
                words.money(slip.dollars),
                words.basis_points(slip.basis_points),
                words.in_r(slip.r, 3),
            )
            for slip in report.slippage
        ],
        [_mark(-float(slip.dollars)) for slip in report.slippage],
    )


def reasons(report: Report) -> Table:
    return _table(
        "Refusals",
        "How often each reason refused, and what those that had broken out did on average until the close.",
        "nothing was refused",
        ("reason", "times", "broke out", "known after", "best", "worst", "would have made"),
        {1, 2, 3, 4, 5, 6},
        set(),
        [
            (
                reason_in_words(one.reason),
                f"{one.count:,}",
                f"{one.breakouts:,}",
                f"{one.known:,}",
                words.in_r(one.best_r),
                words.in_r(one.worst_r),
                words.in_r(one.would_r),
            )
            for one in report.reasons
        ],
        ["" for _ in report.reasons],
    )


def refused(report: Report) -> Table:
    source = f"Minutes from {report.bars}." if report.bars else "There are no recorded minutes."
    return _table(
        "What the refused did afterwards",
        "An estimate: bought at the price that was seen, with the rules' first stop, held to the stop or the close. "
        f"{source}",
        "no breakout was refused",
        ("refused", "symbol", "reason", "price", "stop", "best", "worst", "would have made", "by"),
        {3, 4, 5, 6, 7},
        {7},
        [
            (
                _moment(report, one.at),
                one.symbol,
                reason_in_words(one.reason),
                words.price(one.price),
                words.price(one.stop),
                *(
                    (
                        _move(one.afterwards.best, one.price, one.afterwards.best_r),
                        _move(one.afterwards.worst, one.price, one.afterwards.worst_r),
                        words.in_r(one.afterwards.would_r),
                        one.afterwards.would_end,
                    )
                    if one.afterwards is not None
                    else (words.UNKNOWN, words.UNKNOWN, words.UNKNOWN, f"unknown: {one.unknown}")
                ),
            )
            for one in report.refused
        ],
        [_mark((one.afterwards.would_r or 0.0) if one.afterwards is not None else 0.0) for one in report.refused],
    )


def protection(report: Report) -> Table:
    left_out = f" Not measured, since they were split: {', '.join(report.unmeasured)}." if report.unmeasured else ""
    return _table(
        "Protection gaps",
        f"Shares for which no stop and no sale of ours stood at the broker, times seconds.{left_out}",
        "every share was covered at every instant",
        ("symbol", "gaps", "unprotected share-seconds", "longest", "beside a filling entry"),
        {1, 2, 3, 4},
        {2},
        [
            (one.symbol, f"{one.gaps:,}", f"{one.unprotected:,.0f}", words.lasted(one.longest_s), f"{one.pending:,.0f}")
            for one in report.protection
        ],
        ["bad" if one.unprotected else "" for one in report.protection],
    )


def days(report: Report) -> Table:
    shown = [day for day in report.days if len(report.days) == 1 or day.bought or day.closed or day.held or day.refused]
    left_out = len(report.days) - len(shown)
    note = f" {left_out} sessions in which nothing was bought, held or refused are left out." if left_out else ""
    return _table(
        "Sessions",
        f"Exposure is the cost of what was held, of the opening equity, at its highest and on average.{note}",
        "nothing was bought, held or refused in any session",
        ("session", "opening", "closing", "realized", "bought", "closed", "refused", "held", "exposure", "average"),
        {1, 2, 3, 4, 5, 6, 7, 8, 9},
        {3},
        [
            (
                f"{day.session}",
                words.price(day.opening),
                words.price(day.closing),
                words.money(day.realized),
                f"{day.bought}",
                f"{day.closed}",
                f"{day.refused}",
                f"{day.held}",
                words.percent(day.exposure, 2),
                words.percent(day.invested, 2),
            )
            for day in shown
        ],
        [_mark(float(day.realized)) for day in shown],
    )


def _table(
    title: str,
    note: str,
    nothing: str,
    headings: tuple[str, ...],
    figures: set[int],
    results: set[int],
    rows: Sequence[tuple[str, ...]],
    marks: Sequence[str],
) -> Table:
    return Table(
        title=title,
        note=note,
        nothing=nothing,
        headings=headings,
        figures=frozenset(figures),
        results=frozenset(results),
        rows=tuple(rows),
        marks=tuple(marks),
    )


def _moment(report: Report, at: dt.datetime) -> str:
    """With its year where the report is of more than one."""
    years = {report.first.year, report.last.year, *(trade.entered_at.year for trade in report.trades)}
    return words.moment(at, year=len(years) > 1)


def _mark(value: float) -> str:
    return "good" if value >= SEEN else "bad" if value <= -SEEN else ""


def _move(dollars: float, price: float, multiple: float | None) -> str:
    """In percent of the price, and in R."""
    moved = f"{100 * dollars / price:+.2f} %"
    return f"{moved}, {words.in_r(multiple)}" if multiple is not None else moved
