"""What an examination's folder says: its record, from the folders of its muscles' runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from emgsim.concluding import (
    Axes,
    axes_found,
    axis_rows,
    judge_examination,
    localisation_rows,
    localised,
)
from emgsim.errors import InputError
from emgsim.exam.examination import Examination, MuscleExam, examination_from, stretches
from emgsim.files.findings import read_findings
from emgsim.findings_table import Heard, heard, muscle_row, place_rows
from emgsim.records.examination import FINDERS, ExamRecord
from emgsim.records.journal import read_journal
from emgsim.records.record import RunRecord, fold
from emgsim.verdict import Measurement

MOVES = ("insertion", "move", "seek")
HOLES = 1  # of a muscle: the needle is led to every place through one


def findings_file(folder: Path, finder: str) -> Path:
    """Return the file of what somebody found in a muscle, in the folder of the muscle's run."""
    return folder / f"findings-{finder}.json"


def conclude_examination(folder: Path) -> ExamRecord:
    """Conclude an examination's record from its journal and the folders of its muscles' runs.

    Parameters
    ----------
    folder
        The examination's folder. Muscles that were not examined are inconclusive.

    Raises
    ------
    InputError
        If the folder has no journal, or a file in it cannot be read.
    """
    base = fold(read_journal(folder))
    examination = examination_from(base.scenario, str(folder))
    found = found_in(folder, examination)
    axes = axes_found(examination, found)
    runs = {name: record for name in found if (record := record_in(folder / name)) is not None}
    measurements = (
        *judge_examination(examination, found),
        *(m for name, record in runs.items() for m in _judged(name, record)),
    )
    told = localised(axes) if examination.lesion or len(found) > 1 else {}
    return ExamRecord(
        run=replace(base, measurements=measurements),
        muscles=tuple(
            _muscle(examination, exam, found[exam.muscle.name], axes, runs.get(exam.muscle.name))
            for exam in examination.muscles
        ),
        localisation=localisation_rows(examination.lesion, told),
    )


def found_in(folder: Path, examination: Examination) -> dict[str, dict[str, tuple[Heard, ...]]]:
    """Return what was found in an examination's folder, by muscle and by who found it."""
    return {
        exam.muscle.name: findings_of(folder, examination, exam) for exam in examination.muscles
    }


def findings_of(
    folder: Path, examination: Examination, exam: MuscleExam
) -> dict[str, tuple[Heard, ...]]:
    """Return what was found in one muscle of an examination's folder, by who found it."""
    done = stretches(examination.steps(exam)[0])
    found = {}
    for finder in FINDERS:
        file = findings_file(folder / exam.muscle.name, finder)
        if file.is_file():
            found[finder] = heard(read_findings(file), done)
    return found


def record_in(folder: Path) -> RunRecord | None:
    """Return the record of the run in a folder, None if it was not begun."""
    with suppress(InputError):
        return fold(read_journal(folder))
    return None


def _judged(muscle: str, record: RunRecord) -> Iterator[Measurement]:
    """Yield what was judged of a muscle's run, under the muscle's name."""
    for m in record.measurements:
        if m.limit is not None:
            id = f"{muscle}.{m.id}"
            yield replace(m, id=id, limit=replace(m.limit, measurement=id))


def _muscle(
    examination: Examination,
    exam: MuscleExam,
    found: dict[str, tuple[Heard, ...]],
    axes: Axes,
    record: RunRecord | None,
) -> dict[str, Any]:
    """Return what the record tells of one muscle."""
    name, (steps, seconds) = exam.muscle.name, examination.steps(exam)
    return {
        "name": name,
        "folder": name,
        "verdict": "not examined" if record is None else record.verdict,
        "exit_code": None if record is None else record.exit_code,
        "holes": HOLES,
        "moves": sum(step.kind in MOVES for step in steps),
        "seconds": seconds,
        "shows": dict(exam.shows),
        "row": {k: asdict(muscle_row(one, axes[name][k])) for k, one in found.items()},
        "places": {k: [asdict(row) for row in place_rows(one)] for k, one in found.items()},
        "axes": {k: axis_rows(axes[name][k]) for k in found},
    }
