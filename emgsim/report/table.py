"""The measurements of a run as a plain table for the terminal."""

from __future__ import annotations

from emgsim.records.record import RunRecord
from emgsim.report.notation import interval_text, one_line, value_text, verdict_text
from emgsim.verdict import Measurement

WIDTH = 110  # columns
HEAD = ("measurement", "value", "95 % interval", "unit", "limit", "verdict")
RIGHT = (1,)  # columns that stand to the right
GAP = "  "


def measurement_table(record: RunRecord) -> str:
    """Write the judged measurements, then the reported ones, and the verdict in the last line.

    Parameters
    ----------
    record
        The run.

    Returns
    -------
    str
        Lines of at most 110 columns, without colours, ended by a line break.
    """
    measured = ordered(record.measurements)
    rows = [tuple(one_line(cell) for cell in _cells(m)) for m in measured]
    lines = _aligned([HEAD, *rows]) if rows else ["no measurement was made"]
    kind = "went on after" if record.status == "completed" else "error"
    lines += [_cut(f"{kind}: {one_line(e.get('what', 'unknown'))}", WIDTH) for e in record.errors]
    return "\n".join([*lines, verdict_line(record)]) + "\n"


def ordered(measurements: tuple[Measurement, ...]) -> list[Measurement]:
    """Return the judged measurements before those that are only reported, else in their order."""
    return sorted(measurements, key=lambda m: m.verdict == "not_judged")


def verdict_line(record: RunRecord) -> str:
    """Write the run's verdict and how many measurements stand behind it.

    Examples
    --------
    >>> verdict_line(RunRecord(status="completed"))
    'verdict: not judged (0 judged, 0 reported)'
    """
    judged = sum(m.verdict != "not_judged" for m in record.measurements)
    verdict = record.verdict.replace("_", " ")
    limited = ", noise-limited" if "device" in record.noise_limited else ""
    n_reported = len(record.measurements) - judged
    return f"verdict: {verdict} ({judged} judged, {n_reported} reported){limited}"


def _cells(m: Measurement) -> tuple[str, ...]:
    limit = "" if m.limit is None else str(m.limit)
    unit = "" if m.unit == "1" else m.unit
    return (m.id, value_text(m), interval_text(m), unit, limit, verdict_text(m.verdict))


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    while sum(widths) + len(GAP) * (len(widths) - 1) > WIDTH:
        widths[widths.index(max(widths))] -= 1
    rule = tuple("-" * width for width in widths)
    return [_line(row, widths) for row in (rows[0], rule, *rows[1:])]


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    cells = (
        _cut(cell, width).rjust(width) if i in RIGHT else _cut(cell, width).ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return GAP.join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 2] + ".."
