"""One examination from its file to its record: each muscle is a run, one after the other.

The examination's own journal says which muscles were examined and what ended it early; all else is
in the folders of the muscles' runs, from which the record can be concluded again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from emgsim.analysis.plan import Stretch
from emgsim.bench.rig import Rig
from emgsim.bench.station import refuse_unarmed
from emgsim.concluding import (
    Axes,
    axes_found,
    axis_rows,
    judge_examination,
    localisation_rows,
    localised,
)
from emgsim.detectors import BUILT_IN, TIMEOUT_S, find_detector
from emgsim.errors import EmgsimError, InputError
from emgsim.exam.examination import Examination, MuscleExam, examination_from, stretches
from emgsim.exam.schedule import Step, clock, perform
from emgsim.exam_record import FINDERS, ExamRecord
from emgsim.files.findings import read_findings, write_findings
from emgsim.files.npz import read_npz
from emgsim.findings_table import Heard, heard, muscle_row, place_rows
from emgsim.observer import observe
from emgsim.record import RECORD, Journal, RunRecord, digest, fold, read_journal
from emgsim.running import INTERRUPTED, Progress, exit_code, run, run_name, versions
from emgsim.verdict import Measurement

MOVES = ("insertion", "move", "seek")
HOLES = 1  # of a muscle: the needle is led to every place through one


def examine(
    examination: Examination,
    rig: Rig,
    *,
    out: Path = Path("reports/runs"),
    seed: int | None = None,
    detector: str = BUILT_IN,
    detector_timeout_s: float = TIMEOUT_S,
    progress: Progress = lambda _: None,
) -> tuple[Path, ExamRecord]:
    """Examine every muscle on a rig and write the examination's folder.

    Parameters
    ----------
    examination, rig
        What is done to whom, and through what it is played.
    out
        Folder in which the examination's own folder is made.
    seed
        Takes the place of the examination's seed; it is one patient's, of all his muscles.
    detector, detector_timeout_s, progress
        As of `emgsim.running.run`.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, record.json, junit.xml, report.html`` and a folder of each muscle's
        run under the muscle's name.
    record : ExamRecord

    Raises
    ------
    EmgsimError
        What ended the examination; journals and record keep all that came before.
    """
    refuse_unarmed(rig)
    seed = examination.seed if seed is None else seed
    examination = examination.model_copy(update={"seed": seed})
    scenarios = {exam.muscle.name: examination.scenario(exam) for exam in examination.muscles}
    under_test = find_detector(detector, timeout_s=detector_timeout_s)
    began = datetime.now(UTC)
    run_id = run_name(began, examination.id, rig.id)
    folder = out / run_id
    with Journal(folder) as journal:
        journal.append(
            "run_started",
            run_id=run_id,
            started=began.isoformat(timespec="seconds"),
            seed=seed,
            scenario=examination.resolved(),
            rig=rig.resolved(),
            detector=under_test.table(),
            versions=versions(),
        )
        ending = "aborted"
        try:
            with _journalled(journal):
                for muscle, scenario in scenarios.items():
                    with _station(journal, muscle, progress):
                        run(
                            scenario,
                            rig,
                            into=folder / muscle,
                            detector=detector,
                            detector_timeout_s=detector_timeout_s,
                            progress=progress,
                        )
                        _observe(folder / muscle, scenario.analysis.stretches)
            ending = "completed"
        finally:
            record = _ended(journal, ending)
            _report(folder, record)
    progress(f"report      {folder / 'report.html'}")
    return folder, record


@contextmanager
def _journalled(journal: Journal) -> Iterator[None]:
    """Journal what ends an examination early."""
    try:
        yield
    except EmgsimError as error:
        told = {"what": error.what, "where": error.where, "todo": error.todo}
        journal.append("error", **told, exit_code=error.exit_code)
        error.add_note(f"  kept: the muscles examined so far, in {journal.folder}")
        raise
    except KeyboardInterrupt:
        journal.append("error", what="interrupted", where="", todo="", exit_code=INTERRUPTED)
        raise


def _ended(journal: Journal, status: str) -> ExamRecord:
    """Conclude, journal the end with its exit code, and return the record of it all."""
    concluded = conclude_examination(journal.folder)
    errors = concluded.run.errors
    code = errors[-1]["exit_code"] if errors else EmgsimError.exit_code
    if status == "completed":
        code = exit_code(concluded.run)
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    journal.append("run_ended", status=status, exit_code=code, ended=ended)
    base = fold(read_journal(journal.folder))
    return replace(concluded, run=replace(base, measurements=concluded.run.measurements))


@contextmanager
def _station(journal: Journal, muscle: str, progress: Progress) -> Iterator[None]:
    """Journal how long a muscle took, and what its run recorded."""
    progress(f"-- {muscle.replace('_', ' ')}")
    began_s = time.perf_counter()
    yield
    journal.append("stage", name=muscle, seconds=round(time.perf_counter() - began_s, 3))
    name = f"{muscle}/{RECORD}"
    journal.append("file", name=name, sha256=digest(journal.folder / name))


def _observe(folder: Path, done: tuple[Stretch, ...]) -> None:
    """Write what a perfect observer finds beside what the analysis found."""
    recording, truth = read_npz(folder / "wave" / "truth.npz")
    if truth is not None:
        write_findings(_findings_file(folder, "observer"), observe(recording, truth, done))


def _findings_file(folder: Path, finder: str) -> Path:
    return folder / f"findings-{finder}.json"


def _report(folder: Path, record: ExamRecord) -> None:
    from emgsim.report.exam_page import write_exam_page
    from emgsim.report.junit import junit_xml

    (folder / RECORD).write_text(record.to_json(), encoding="utf-8")
    (folder / "junit.xml").write_text(junit_xml(record.run), encoding="utf-8")
    write_exam_page(folder, record)


# -- concluding ------------------------------------------------------------------------------------


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
    found = {
        exam.muscle.name: findings_of(folder, examination, exam) for exam in examination.muscles
    }
    axes = axes_found(examination, found)
    runs = {name: record for name in found if (record := _record(folder / name)) is not None}
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


def findings_of(
    folder: Path, examination: Examination, exam: MuscleExam
) -> dict[str, tuple[Heard, ...]]:
    """Return what was found in one muscle of an examination's folder, by who found it."""
    done = stretches(examination.steps(exam)[0])
    found = {}
    for finder in FINDERS:
        file = _findings_file(folder / exam.muscle.name, finder)
        if file.is_file():
            found[finder] = heard(read_findings(file), done)
    return found


def _record(folder: Path) -> RunRecord | None:
    with suppress(InputError):  # it was not begun
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


# -- on the clock ----------------------------------------------------------------------------------


def tell_steps(
    examination: Examination, tell: Callable[[str, Step], None], *, is_paced: bool = False
) -> None:
    """Tell each step of an examination with its muscle when it is over.

    Parameters
    ----------
    examination
        Its muscles are examined one after the other, each on a clock of its own.
    tell
        Called with the muscle's name and the step.
    is_paced
        Tell it when it is due, a second for a second; else all at once.
    """
    for exam in examination.muscles:
        perform(
            examination.protocol,
            exam.muscle.radius_mm,
            exam.muscle.fibres.length_mm,
            clock(is_paced=is_paced),
            partial(tell, exam.muscle.name),
        )
