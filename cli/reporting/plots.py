"""The report's plots as SVG elements, coloured by the page's style sheet; each mark says its figure when pointed at."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, SubElement

WIDTH: Final = 480
HEIGHT: Final = 220
LEFT: Final = 62
RIGHT: Final = 12
TOP: Final = 12
BOTTOM: Final = 26
TICKS: Final = 5
LEVEL: Final = 1e-9
LABEL_REACH: Final = 40
SPARSE: Final = 40
"""Points of a line that are shown each; of more, a point shows where it is pointed at."""

Shown = Callable[[float], str]


class Mark(NamedTuple):
    """One value. label: what it is of. text: what is said when it is pointed at."""

    label: str
    value: float
    text: str


class Range(NamedTuple):
    """From `low` to `high`, with a point at `value`; None: no point."""

    label: str
    low: float
    high: float
    value: float | None
    text: str


def line(marks: Sequence[Mark], along: Sequence[float], shown: Shown, name: str, *, filled: bool = False) -> Element:
    """A line through `marks`. along: where each lies, from 0 at the left to 1. filled: the area to zero, too."""
    values = [mark.value for mark in marks]
    chart, scale = _chart(name, [*values, 0.0] if filled else values, shown)
    places = [LEFT + (WIDTH - LEFT - RIGHT) * share for share in along]
    points = [f"{x:.1f},{scale(mark.value):.1f}" for x, mark in zip(places, marks, strict=True)]
    if filled and points:
        ground = scale(0.0)
        area = [f"{places[0]:.1f},{ground:.1f}", *points, f"{places[-1]:.1f},{ground:.1f}"]
        SubElement(chart, "polygon", {"class": "area", "points": " ".join(area)})
    SubElement(chart, "polyline", {"class": "line", "points": " ".join(points)})
    for x, mark in zip(places, marks, strict=True):
        _say(
            SubElement(
                chart,
                "circle",
                {
                    "class": "dot" if len(marks) <= SPARSE else "unseen",
                    "cx": f"{x:.1f}",
                    "cy": f"{scale(mark.value):.1f}",
                    "r": "3",
                },
            ),
            mark.text,
        )
    _ends(chart, [mark.label for mark in marks], places)
    return chart


def bars(
    marks: Sequence[Mark], shown: Shown, name: str, *, more_is_worse: bool = False, signed: bool = True
) -> Element:
    """A bar a mark from zero. signed: coloured by whether it is good; more_is_worse: then above zero is bad."""
    chart, scale = _chart(name, [*(mark.value for mark in marks), 0.0], shown)
    width, places = _columns(len(marks))
    ground = scale(0.0)
    for x, mark in zip(places, marks, strict=True):
        y = scale(mark.value)
        bar = {
            "class": _colour(-mark.value if more_is_worse else mark.value) if signed else "plain",
            "x": f"{x - width / 2:.1f}",
            "y": f"{min(y, ground):.1f}",
            "width": f"{width:.1f}",
            "height": f"{max(abs(y - ground), 1.0):.1f}",
        }
        _say(SubElement(chart, "rect", bar), mark.text)
    _level(chart, ground)
    _ends(chart, [mark.label for mark in marks], places)
    return chart


def ranges(found: Sequence[Range], shown: Shown, name: str) -> Element:
    """A bar from low to high, and a point."""
    values = [value for one in found for value in (one.low, one.high, one.value) if value is not None]
    chart, scale = _chart(name, [*values, 0.0], shown)
    width, places = _columns(len(found))
    for x, one in zip(places, found, strict=True):
        top, bottom = scale(one.high), scale(one.low)
        group = SubElement(chart, "g")
        _say(group, one.text)
        bar = {
            "class": "range",
            "x": f"{x - width / 2:.1f}",
            "y": f"{top:.1f}",
            "width": f"{width:.1f}",
            "height": f"{max(bottom - top, 1.0):.1f}",
        }
        SubElement(group, "rect", bar)
        if one.value is not None:
            dot = {"class": _colour(one.value), "cx": f"{x:.1f}", "cy": f"{scale(one.value):.1f}", "r": "3.5"}
            SubElement(group, "circle", dot)
    _level(chart, scale(0.0))
    _ends(chart, [one.label for one in found], places)
    return chart


def ticks(low: float, high: float) -> list[float]:
    """About five round numbers that reach from below `low` to above `high`, a step of 1, 2 or 5 apart."""
    if high - low <= max(abs(low), abs(high), 1.0) * LEVEL:  # floats of this size hardly differ by so much
        low, high = low - max(abs(low) * 0.001, 0.01), high + max(abs(high) * 0.001, 0.01)
    rough = (high - low) / (TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough * (1 - LEVEL))
    first, last = math.floor(low / step + LEVEL), math.ceil(high / step - LEVEL)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _chart(name: str, values: Sequence[float], shown: Shown) -> tuple[Element, Callable[[float], float]]:
    chart = Element("svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": name})
    marks = ticks(min(values, default=0.0), max(values, default=0.0))
    low, span = marks[0], marks[-1] - marks[0]

    def scale(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / span * (HEIGHT - TOP - BOTTOM)

    for mark in marks:
        y = f"{scale(mark):.1f}"
        SubElement(chart, "line", {"class": "grid", "x1": f"{LEFT}", "x2": f"{WIDTH - RIGHT}", "y1": y, "y2": y})
        label = SubElement(
            chart, "text", {"class": "axis", "x": f"{LEFT - 6}", "y": y, "dy": "4", "text-anchor": "end"}
        )
        label.text = shown(mark)
    return chart, scale


def _columns(count: int) -> tuple[float, list[float]]:
    """Width of a bar, and where their middles lie."""
    share = (WIDTH - LEFT - RIGHT) / max(count, 1)
    return max(min(share * 0.7, 26.0), 0.5), [LEFT + share * (place + 0.5) for place in range(count)]


def _ends(chart: Element, labels: Sequence[str], places: Sequence[float]) -> None:
    """The first and the last label, and the middle one where there is room."""
    middle = min(range(len(labels)), key=lambda place: abs(places[place] - (LEFT + WIDTH - RIGHT) / 2), default=0)
    chosen = sorted({0, middle, len(labels) - 1}) if len(labels) > TICKS else range(len(labels))
    for place in chosen if labels else ():
        x = min(max(places[place], LEFT + 10), WIDTH - RIGHT - LABEL_REACH / 2)
        label = {"class": "axis", "x": f"{x:.1f}", "y": f"{HEIGHT - 8}", "text-anchor": "middle"}
        SubElement(chart, "text", label).text = labels[place]


def _level(chart: Element, y: float) -> None:
    where = {"class": "level", "x1": f"{LEFT}", "x2": f"{WIDTH - RIGHT}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"}
    SubElement(chart, "line", where)


def _say(element: Element, text: str) -> None:
    SubElement(element, "title").text = text


def _colour(value: float) -> str:
    return "good" if value > 0 else "bad" if value < 0 else "plain"
