"""How measurements went over time, as a plain table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from emgsim.report.notation import number, one_line

Row = Mapping[str, Any]
MOST_CHANGES = 6  # that are told, the newest; each run in JSON has its own
HEAD = (
    "measurement", "runs", "newest", "unit", "per 30 days", "95 % interval", "limit in", "drift"
)  # fmt: skip


def history_table(rows: Sequence[Row]) -> str:
    """Write one line for each series, under what it is of.

    Parameters
    ----------
    rows
        As `emgsim.regression.history.Judged.table` gives them, one subject and scenario together.

    Returns
    -------
    str
        Ended by a line break.
    """
    lines: list[str] = []
    for (subject, scenario), group in groupby(rows, lambda row: (row["subject"], row["scenario"])):
        those = list(group)
        lines += [one_line(f"{subject}, {scenario}"), *_aligned([HEAD, *map(_cells, those)])]
        said = dict.fromkeys(change for row in those for change in changes(row))
        lines += [f"  changed {one_line(text)}" for text in [*said][-MOST_CHANGES:]]
        if len(said) > MOST_CHANGES:
            lines.append(f"  and {len(said) - MOST_CHANGES} changes before")
        lines.append("")
    return "\n".join(lines)


def changes(row: Row) -> list[str]:
    """Return when a series was measured otherwise than before, and how, in words."""
    return [
        f"{point['started'][:10]}: {'; '.join(point['changed'])}"
        for point in row["points"]
        if point["changed"]
    ]


def months(per_day: float | None) -> str:
    """Write a slope as a change in 30 days."""
    return "–" if per_day is None else f"{30 * per_day:+.3g}"


def days_text(row: Row) -> str:
    """Write when a series reaches its limit, with the interval of that, in days."""
    if row["days_to_limit"] is None:
        return "–"
    latest = "never" if row["days_latest"] is None else f"{row['days_latest']:.0f}"
    soonest = row["days_soonest"]
    return f"{row['days_to_limit']:.0f} d [{soonest:.0f}, {latest}]"


def answer_text(row: Row) -> str:
    """Write the answer, and since when it has drifted."""
    since = f" since {row['drifts_since'][:10]}" if row["drifts_since"] else ""
    return f"{row['answer']}{since}"


def _cells(row: Row) -> tuple[str, ...]:
    low, high = row["slope_low_per_day"], row["slope_high_per_day"]
    interval = "–" if low is None else f"[{months(low)}, {months(high)}]"
    cells = (
        row["measurement"],
        str(len(row["points"])),
        number(row["points"][-1]["value"]),
        "" if row["unit"] == "1" else row["unit"],
        months(row["slope_per_day"]),
        interval,
        days_text(row),
        answer_text(row),
    )
    return tuple(one_line(cell) for cell in cells)


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
