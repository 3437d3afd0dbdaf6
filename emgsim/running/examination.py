"""One examination from its file to its record: each muscle is a run, one after the other.

The examination's own journal says which muscles were examined and what ended it early; all else is
in the folders of the muscles' runs, from which the record can be concluded again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from emgsim.analysis.plan import Stretch
from emgsim.bench.rig import Rig
from emgsim.bench.station import refuse_unarmed
from emgsim.configuration import validated
from emgsim.detectors import BUILT_IN, TIMEOUT_S, Detector, find_detector
from emgsim.exam.examination import Examination, examination_from
from emgsim.exam.schedule import Step, clock, perform
from emgsim.files.findings import write_findings
from emgsim.files.npz import read_npz
from emgsim.observer import observe
from emgsim.records.examination import ExamRecord
from emgsim.records.journal import Journal, Line, read_journal, write_whole
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.running.bounds import Ending, first_line, go_on, journalled, preparation, run_name
from emgsim.running.exam_folder import conclude_examination, findings_file, record_in
from emgsim.running.logbook import Progress
from emgsim.running.preparing import TIMEOUT_S as PREPARE_TIMEOUT_S
from emgsim.running.preparing import prepare as make_ready
from emgsim.running.resuming import is_intact, refuse_changed, refuse_empty
from emgsim.running.run import REPORTS, resume, run
from emgsim.scenario import Scenario


def examine(
    examination: Examination,
    rig: Rig,
    *,
    out: Path = Path("reports/runs"),
    into: Path | None = None,
    seed: int | None = None,
    detector: str = BUILT_IN,
    detector_timeout_s: float = TIMEOUT_S,
    prepare: str | None = None,
    prepare_timeout_s: float = PREPARE_TIMEOUT_S,
    files: Mapping[str, Path] | None = None,
    progress: Progress = lambda _: None,
) -> tuple[Path, ExamRecord]:
    """Examine every muscle on a rig and write the examination's folder.

    Parameters
    ----------
    examination, rig
        What is done to whom, and through what it is played.
    out
        Folder in which the examination's own folder is made.
    into
        The examination's own folder itself, in place of one in ``out``.
    seed
        Takes the place of the examination's seed; it is one patient's, of all his muscles.
    detector, detector_timeout_s, prepare, prepare_timeout_s, files, progress
        As of `emgsim.running.run.run`; the rig is prepared once, before the first muscle.

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
    how = preparation(prepare, prepare_timeout_s)
    seed = examination.seed if seed is None else seed
    examination = examination.model_copy(update={"seed": seed})
    under_test = find_detector(detector, timeout_s=detector_timeout_s)
    began = datetime.now(UTC)
    muscles = _Muscles(examination, rig, under_test, progress)
    first = first_line(
        examination, rig, under_test, began=began, prepare=how, files=files,
        out=out if into is None else None,
    )  # fmt: skip
    with Journal(into or out / run_name(began, examination.id, rig.id)) as journal:
        journal.append("run_started", **first)
        return _carried_out(muscles, journal, how)


def resume_examination(
    folder: Path, *, progress: Progress = lambda _: None
) -> tuple[Path, ExamRecord]:
    """Go on with an interrupted examination: muscles that are done are kept, the rest are done.

    Parameters
    ----------
    folder
        The examination's.
    progress
        Called with one line per stage.

    Returns
    -------
    folder : Path
    record : ExamRecord

    Raises
    ------
    InputError
        If the folder holds no examination, or one that other code began.
    UsageError
        If the examination is still going on.
    EmgsimError
        What ended the examination again.
    """
    read_journal(folder)  # or it would be made here
    with Journal(folder) as journal:
        lines = read_journal(folder)
        begun, where = fold(lines), str(folder)
        refuse_empty(begun, where)
        examination = examination_from(begun.scenario, f"{where}, its examination")
        if begun.status == "completed":
            record = _told_again(folder, begun)
            progress(f"completed   nothing is left to do in {folder}")
            return folder, record
        rig = validated(Rig, begun.rig, f"{where}, its rig")
        under_test = find_detector(begun.detector["name"], timeout_s=begun.detector["timeout_s"])
        refuse_changed(begun, under_test, where)
        refuse_unarmed(rig)
        done = _done_muscles(begun, folder)
        go_on(journal, done)
        muscles = _Muscles(examination, rig, under_test, progress, done)
        return _carried_out(muscles, journal, begun.prepare)


def _done_muscles(record: RunRecord, folder: Path) -> tuple[str, ...]:
    """Return the muscles whose record and findings are as the examination's journal has them."""
    return tuple(
        dict.fromkeys(
            stage["name"]
            for stage in record.stages
            if is_intact(folder, f"{stage['name']}/{RECORD}", record.files)
            and findings_file(folder / stage["name"], "observer").is_file()
        )
    )


class _Muscles:
    """The muscles of an examination, each the run of a scenario; those ``done`` are left alone."""

    def __init__(
        self,
        examination: Examination,
        rig: Rig,
        detector: Detector,
        progress: Progress,
        done: tuple[str, ...] = (),
    ) -> None:
        self.rig, self.detector, self.progress = rig, detector, progress
        self.done = done
        self.scenarios = {
            exam.muscle.name: examination.scenario(exam) for exam in examination.muscles
        }

    def execute(self, journal: Journal, how: Line) -> None:
        """Examine each muscle that is not done; ``how`` is how the rig is prepared, if it is."""
        left = {name: s for name, s in self.scenarios.items() if name not in self.done}
        if self.done:
            self.progress(f"kept        {', '.join(self.done)}")
        if left and how:
            make_ready(how["command"], journal, how["timeout_s"])
        for muscle, scenario in left.items():
            with _station(journal, muscle, self.progress):
                folder = journal.folder / muscle
                self._run(scenario, folder)
                _observe(folder, scenario.analysis.stretches)

    def _run(self, scenario: Scenario, folder: Path) -> None:
        if (record := record_in(folder)) is not None and record.scenario:
            resume(folder, progress=self.progress)
            return
        run(
            scenario,
            self.rig,
            into=folder,
            detector=self.detector.name,
            detector_timeout_s=self.detector.timeout_s,
            progress=self.progress,
        )


def _carried_out(muscles: _Muscles, journal: Journal, how: Line) -> tuple[Path, ExamRecord]:
    """Carry an examination out, journal how it ended, and write its reports, however it ended."""
    ending, folder = Ending(), journal.folder
    try:
        with journalled(journal, ending, kept="the muscles examined so far"):
            muscles.execute(journal, how)
    finally:
        concluded = conclude_examination(folder)
        ending.append(journal, concluded.run)
        record = _with_journal(concluded, fold(read_journal(folder)))
        _report(folder, record)
    muscles.progress(f"report      {folder / 'report.html'}")
    return folder, record


def _told_again(folder: Path, begun: RunRecord) -> ExamRecord:
    """Return the record of a completed examination; its reports are written if they are not."""
    record = _with_journal(conclude_examination(folder), begun)
    if not all((folder / name).is_file() for name in REPORTS):
        _report(folder, record)
    return record


def _with_journal(concluded: ExamRecord, run: RunRecord) -> ExamRecord:
    """Return what was concluded from the muscles under what the examination's journal tells."""
    return replace(concluded, run=replace(run, measurements=concluded.run.measurements))


@contextmanager
def _station(journal: Journal, muscle: str, progress: Progress) -> Iterator[None]:
    """Journal how long a muscle took, and what its run recorded."""
    progress(f"-- {muscle.replace('_', ' ')}")
    began_s = time.perf_counter()
    yield
    journal.append("stage", name=muscle, seconds=round(time.perf_counter() - began_s, 3))
    journal.file(f"{muscle}/{RECORD}")


def _observe(folder: Path, done: tuple[Stretch, ...]) -> None:
    """Write what a perfect observer finds beside what the analysis found."""
    recording, truth = read_npz(folder / "wave" / "truth.npz")
    if truth is not None:
        write_findings(findings_file(folder, "observer"), observe(recording, truth, done))


def _report(folder: Path, record: ExamRecord) -> None:
    from emgsim.report.exam_page import write_exam_page
    from emgsim.report.junit import junit_xml

    write_whole(folder / RECORD, record.to_json())
    write_whole(folder / "junit.xml", junit_xml(record.run))
    write_exam_page(folder, record)


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
