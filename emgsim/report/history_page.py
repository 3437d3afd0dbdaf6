"""How measurements went over time, as one self-contained page with a chart for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from emgsim.report.history_table import answer_text, changes, days_text, months
from emgsim.report.notation import number
from emgsim.report.templates import template_of

TEMPLATE = "history.html.jinja"
Row = Mapping[str, Any]

WIDTH, HEIGHT = 640.0, 150.0  # of a chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 70.0, 12.0, 12.0, 22.0  # margins
OF_RANGE = 1.0  # a limit farther than so many ranges of the values is named and not drawn
MOST_MARKS = 12  # changes that are drawn; more are in the table
MOST_TOLD = 3  # changes that are told beneath a chart
MOODS = {"drift": "bad", "steady": "good", "not enough runs": "none"}
BAD = ("fail", "conditional_fail")
ORDER = ("drift", "steady", "not enough runs")


def history_page(rows: Sequence[Row], title: str) -> str:
    """Return the page, what has drifted first.

    Parameters
    ----------
    rows
        As `emgsim.regression.history.Judged.table` gives them.
    title
        What the series are of.
    """
    template = template_of(TEMPLATE, {"months": months, "days": days_text, "answer": answer_text})
    shown = sorted(rows, key=lambda row: ORDER.index(row["answer"]))
    return template.render(
        title=title,
        series=[(row, _drawing(row)) for row in shown],
        moods=MOODS,
        counts=[(answer, sum(row["answer"] == answer for row in rows)) for answer in ORDER],
    )


def _drawing(row: Row) -> dict[str, Any]:
    """Return where the points, limits and marks of a chart stand."""
    points = row["points"]
    started = [point["started"] for point in points]
    days = _days(started)
    values = [float(point["value"]) for point in points]
    limits = _limits(row, values)
    low, high = min([*values, *limits]), max([*values, *limits])
    room = 0.08 * (high - low) or abs(high) * 0.1 or 1.0
    low, high = low - room, high + room

    def x(day: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (day / (days[-1] or 1.0)), 2)

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 2)

    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT,
        "top": TOP, "bottom": HEIGHT - BOTTOM,
        "dots": [
            {"x": x(day), "y": y(value), "is_bad": point["verdict"] in BAD, "point": point}
            for day, value, point in zip(days, values, points, strict=True)
        ],
        "limits": [(y(limit), limit) for limit in limits],
        "ticks": _ticks(min(values), max(values), y),
        "marks": _marks(points, days, x),
        "line": _line(row, days, values, x, y),
        "changes": changes(row) if len(changes(row)) <= MOST_TOLD else [],
        "since": x(days[started.index(row["drifts_since"])]) if row["drifts_since"] else None,
        "first": points[0]["started"][:10], "last": points[-1]["started"][:10],
    }  # fmt: skip


def _days(started: Sequence[str]) -> list[float]:
    times = [datetime.fromisoformat(text).timestamp() for text in started]
    return [(time - times[0]) / 86_400 for time in times]


def _limits(row: Row, values: Sequence[float]) -> list[float]:
    """Return the limits that are near enough to be drawn with the values."""
    low, high = min(values), max(values)
    far = OF_RANGE * (high - low) or abs(high) or 1.0
    known = [float(limit) for limit in (row["low"], row["high"]) if limit is not None]
    return [limit for limit in known if low - far <= limit <= high + far]


def _ticks(low: float, high: float, y: Any) -> list[tuple[float, str]]:
    return [(y(value), number(value, 3)) for value in dict.fromkeys((low, high))]


def _marks(points: Sequence[Row], days: Sequence[float], x: Any) -> list[float]:
    """Return where the way of measuring has changed: between two runs."""
    found = [i for i, point in enumerate(points) if point["changed"]]
    return [x((days[i - 1] + days[i]) / 2) for i in found] if len(found) <= MOST_MARKS else []


def _line(
    row: Row, days: Sequence[float], values: Sequence[float], x: Any, y: Any
) -> tuple[float, ...] | None:
    """Return both ends of the line of the trend, if all was measured alike and it has one."""
    slope = row["slope_per_day"]
    if slope is None or row["days_soonest"] is None or any(p["changed"] for p in row["points"]):
        return None
    level, at = _middle(values), _middle(days)
    ends = [level + slope * (day - at) for day in (days[0], days[-1])]
    return (x(days[0]), y(ends[0]), x(days[-1]), y(ends[1]))


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    n = len(ordered)
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
