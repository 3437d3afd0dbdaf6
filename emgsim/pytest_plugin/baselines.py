"""The runs of a night beside what somebody approved, or proposed in its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emgsim.regression.check import Checked


def compared(name: str, folder: Path, runs: list[Path]) -> list[Checked]:
    """Compare runs with an approved baseline."""
    from emgsim.records.folders import record_table
    from emgsim.regression.baseline import find_baseline, load_baseline
    from emgsim.regression.check import checked_runs

    baseline = load_baseline(find_baseline(name, folder))
    return checked_runs(baseline, [record_table(run) for run in runs])


def answer(row: Checked) -> str:
    """Return what became of a measurement of a baseline, in one line."""
    found = row.comparison
    if row.note:
        return f"not compared: {row.id}: {row.note}"
    return (
        f"{found.answer}: {row.id} by {found.difference:+.4g} {row.unit} "
        f"({found.low:+.4g} .. {found.high:+.4g}), margin {found.margin:g}"
    )


def propose(name: str, folder: Path, runs: list[Path]) -> Path:
    """Propose runs in place of a baseline, with its margins; runs that did not pass are refused."""
    from emgsim.records.folders import record_table
    from emgsim.regression.baseline import find_baseline, load_baseline, proposed, write_proposed

    old = load_baseline(find_baseline(name, folder))
    margins = {one.id: one.margin for one in old.measurements}
    records = [record_table(run) for run in runs]
    return write_proposed(proposed(name, records, margins, replaces=old.digest), folder)
