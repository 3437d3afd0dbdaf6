"""What differs between two runs, for the terminal: what is equal is counted only."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from emgsim.records.difference import NOT_THERE, Change, Differences
from emgsim.records.journal import Line
from emgsim.report.notation import number, one_line, verdict_text

LONGEST = 40  # characters of a value
MOST = 20  # settings of one part of the record
HEAD = ("measurement", "old", "new", "change", "unit", "verdict")


def diff_table(found: Differences) -> str:
    """Write what differs between two runs, and in the last line how much is equal.

    Parameters
    ----------
    found
        From `emgsim.records.difference.differences`.

    Returns
    -------
    str
        Lines ended by a line break each.
    """
    lines = _settings(found.settings)
    if found.measurements:
        rows = [_measurement(*pair) for pair in found.measurements]
        lines += [*([""] if lines else []), *_aligned([HEAD, *rows])]
    if found.others:
        told = ", ".join(f"{n} of {part.replace('_', ' ')}" for part, n in found.others.items())
        lines += [*([""] if lines else []), f"values that differ elsewhere: {told}"]
    n = found.n_equal + len(found.measurements)
    last = f"{found.n_equal} of {n} measurements are equal"
    lines += [*([""] if lines else []), f"the runs are equal: {last}" if found.is_equal else last]
    return "".join(f"{line}\n" for line in lines)


def _settings(changes: tuple[Change, ...]) -> list[str]:
    """Write the settings that differ; of a part where nearly all do, the first ones."""
    shown: list[Change] = []
    n_of: Counter[str] = Counter()
    for change in changes:
        n_of[change.part] += 1
        if n_of[change.part] <= MOST:
            shown.append(change)
    more = [f"{part}: {n - MOST} more values differ" for part, n in n_of.items() if n > MOST]
    return [*_aligned([_setting(change) for change in shown]), *more]


def _setting(change: Change) -> tuple[str, ...]:
    name = f"{change.part}.{change.path}" if change.path else change.part
    return (name, f"{_short(change.old)} -> {_short(change.new)}")


def _measurement(old: Line | None, new: Line | None) -> tuple[str, ...]:
    known = old or new or {}
    verdicts = [NOT_THERE if m is None else verdict_text(m["verdict"]) for m in (old, new)]
    return (
        known["id"],
        *(NOT_THERE if m is None else number(m["value"], 6) for m in (old, new)),
        _change(old, new),
        "" if known["unit"] == "1" else known["unit"],
        verdicts[0] if verdicts[0] == verdicts[1] else " -> ".join(verdicts),
    )


def _change(old: Line | None, new: Line | None) -> str:
    values = [m["value"] for m in (old, new) if m is not None and m["value"] is not None]
    if len(values) < 2:
        return ""
    change = values[1] - values[0]
    if not change:
        return "0"
    share = f" ({100 * change / abs(values[0]):+.2g} %)" if values[0] else ""
    return f"{change:+.3g}{share}" if math.isfinite(change) else ""


def _short(value: Any) -> str:
    text = one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + ".."


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
