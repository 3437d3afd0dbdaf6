"""The tests of an amplifier as lines for the terminal."""

from __future__ import annotations

from emgsim.records.record import RunRecord
from emgsim.report.notation import number, one_line
from emgsim.report.table import measurement_table

ENOUGH_RATIO = 4.0  # of limit to uncertainty (bench practice: 4 to 1)


def sheet_table(record: RunRecord) -> str:
    """Write the measurements with verdicts, what was skipped, and where uncertainty is too large.

    The last line is the verdict of all.
    """
    *rows, verdict = measurement_table(record).splitlines()
    skipped = [
        f"skipped: {one.get('id', '–')}: {one_line(one.get('why', ''))}" for one in record.skipped
    ]
    return "\n".join([*rows, *skipped, *_warnings(record), verdict]) + "\n"


def too_uncertain(record: RunRecord) -> dict[str, float]:
    """Return the judged measurements whose test-uncertainty ratio is below 4, with the ratio."""
    ratios = {m.id: record.readings.get(m.id, {}).get("ratio") for m in record.measurements}
    return {id: found for id, found in ratios.items() if found is not None and found < ENOUGH_RATIO}


def _warnings(record: RunRecord) -> list[str]:
    found = [f"{id} {number(ratio, 2)}" for id, ratio in too_uncertain(record).items()]
    if not found:
        return []
    return [f"test-uncertainty ratio below {ENOUGH_RATIO:g}: {', '.join(found)}"]
