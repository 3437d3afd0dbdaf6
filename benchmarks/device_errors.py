"""How often the device's path concludes otherwise than a perfect observer, axis by axis.

Usage::

    python benchmarks/device_errors.py RUNS

RUNS is a folder of runs of the shipped examinations (`docs/examination.md` says how they are made).
Every muscle is judged by what the code here makes of its findings; a value that the device does not
tell counts as another one. Prints each disagreement, and the shares, by (k + 1) / (n + 2), that
`localisation_patients.DEVICE_ERROR` holds. Recruitment is reduced or it is not, as there.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from emgsim.concluding import axes_found
from emgsim.exam.examination import SCHEMA, examination_from
from emgsim.recording import AxisFinding
from emgsim.records.journal import read_journal
from emgsim.records.record import fold
from emgsim.running.exam_folder import found_in


def main() -> None:
    """Print where device and observer disagree, and how often."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path)
    options = parser.parse_args()
    seen, off = Counter[str](), Counter[str]()
    for folder in sorted(path.parent for path in options.runs.glob("*/journal.jsonl")):
        for muscle, axis, true, told in judged(folder):
            seen[axis] += 1
            if told != true:
                off[axis] += 1
                print(f"{folder.name} {muscle} {axis}: observer {true}, device {told}")
    for axis, n in seen.items():
        print(f"{axis}: {off[axis]} of {n}, {(off[axis] + 1) / (n + 2):.3f}")


def judged(folder: Path) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield muscle, axis, and what observer and device call it, of one examination."""
    table = fold(read_journal(folder)).scenario
    if table.get("schema") != SCHEMA:
        return
    examination = examination_from(table, str(folder))
    for muscle, axes in axes_found(examination, found_in(folder, examination)).items():
        if {"observer", "device"} <= axes.keys():
            device = {axis.axis: value_of(axis) for axis in axes["device"]}
            for axis in axes["observer"]:
                yield muscle, axis.axis, value_of(axis), device.get(axis.axis)


def value_of(axis: AxisFinding) -> str:
    """Return what an axis is called; of recruitment whether it is reduced, or not."""
    is_other = axis.axis == "recruitment" and axis.value != "reduced"
    return "not reduced" if is_other else axis.value


if __name__ == "__main__":
    main()
