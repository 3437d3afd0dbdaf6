"""The traceability table in plain text: requirements, what was measured for each, verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from emgsim.records.journal import Line
from emgsim.report.notation import number, one_line, verdict_text


def requirement_table(rows: Iterable[Line]) -> str:
    """Write what has verified each requirement, one line for each and one for each measurement.

    Parameters
    ----------
    rows
        As `emgsim.records.requirements.traceability` returns them.

    Returns
    -------
    str
        Ended by a line break; nothing if there are no rows.
    """
    lines: list[str] = []
    for row in rows:
        lines.append(f"{one_line(row['requirement']):<24} {verdict_text(row['verdict'])}")
        lines += [f"  {_evidence(one)}" for one in row["evidence"]]
    return "".join(f"{line}\n" for line in lines)


def _evidence(one: Line) -> str:
    """Write one measurement of one run."""
    unit = "" if one["unit"] == "1" else f" {one['unit']}"
    value = "" if one["value"] is None else f"{number(one['value'])}{unit}"
    cells = (one["measurement"], verdict_text(one["verdict"]), value, one["run_id"], one["note"])
    name, verdict, shown, run, note = (one_line(cell) for cell in cells)
    why = f": {note}" if note and one["value"] is None else ""
    return f"{name:<36} {verdict:<16} {shown:<16} {run}{why}".rstrip()
