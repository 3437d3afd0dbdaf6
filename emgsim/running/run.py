"""One run from scenario to record, in one go or gone on with after an interruption.

Each stage writes to the journal before the next one begins; what ends a run early is written too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from emgsim.bench.rig import Rig
from emgsim.bench.station import refuse_unarmed
from emgsim.detectors import BUILT_IN, TIMEOUT_S, find_detector
from emgsim.errors import InputError
from emgsim.records.journal import Journal, read_journal, write_whole
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.running.bounds import Ending, first_line, go_on, journalled, preparation, run_name
from emgsim.running.logbook import Progress
from emgsim.running.preparing import TIMEOUT_S as PREPARE_TIMEOUT_S
from emgsim.running.resuming import done_of, refuse_changed, restored
from emgsim.running.stages import PLAN, Stages
from emgsim.scenario import Scenario
from emgsim.simulation import channels_of

REPORTS = (RECORD, "junit.xml", "report.html")


def run(
    scenario: Scenario,
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
) -> tuple[Path, RunRecord]:
    """Run a scenario on a rig and write its folder.

    Parameters
    ----------
    scenario, rig
        What is played, and through what.
    out
        Folder in which the run's own folder is made.
    into
        The run's own folder itself, in place of one in ``out``.
    seed
        Takes the place of the scenario's seed.
    detector
        The algorithm under test: the built-in analysis, the name of an installed detector, or a
        command; see `emgsim.detectors`.
    detector_timeout_s
        How long it may take for one path.
    prepare
        A command that makes the device ready, run before the rig is opened; see
        `emgsim.running.preparing`.
    prepare_timeout_s
        How long it may take.
    files
        The files of ``scenario`` and ``rig``: the record holds the digest of their bytes.
    progress
        Called with one line per stage.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, record.json, junit.xml, report.html, wave/*.npz``.
    record : RunRecord

    Raises
    ------
    InputError
        If the scenario records several channels; there is no folder then.
    EmgsimError
        What ended the run; the journal and the record keep all that came before.
    """
    refuse_unarmed(rig)
    _refuse_several_channels(scenario)
    how = preparation(prepare, prepare_timeout_s)
    seed = scenario.seed if seed is None else seed
    scenario = scenario.model_copy(update={"seed": seed})
    began = datetime.now(UTC)
    folder = out / run_name(began, scenario.id, rig.id) if into is None else into
    under_test = find_detector(
        detector, plan_file=(folder / PLAN).absolute(), timeout_s=detector_timeout_s
    )
    first = first_line(
        scenario,
        rig,
        under_test,
        began=began,
        prepare=how,
        files=files,
        out=out if into is None else None,
    )
    with Journal(folder) as journal:
        journal.append("run_started", **first)
        stages = Stages(scenario, rig, seed, under_test, journal=journal, progress=progress)
        record = _carried_out(journal, lambda: stages.execute(how))
    progress(f"report      {folder / 'report.html'}")
    return folder, record


def resume(folder: Path, *, progress: Progress = lambda _: None) -> tuple[Path, RunRecord]:
    """Go on with an interrupted run: do what is missing, and write its reports.

    Scenario, rig, seed, detector and preparation are those of the journal. A run that is completed
    stays as it is.

    Parameters
    ----------
    folder
        The run's.
    progress
        Called with one line per stage.

    Returns
    -------
    folder : Path
    record : RunRecord

    Raises
    ------
    InputError
        If the folder holds no run, or one that other code began.
    UsageError
        If the run is still going on.
    EmgsimError
        What ended the run again.
    """
    read_journal(folder)  # or it would be made here
    with Journal(folder) as journal:
        lines = read_journal(folder)
        begun = fold(lines)
        scenario, rig = restored(begun, str(folder))
        if begun.status == "completed":
            if not all((folder / name).is_file() for name in REPORTS):
                write_reports(folder)
            progress(f"completed   nothing is left to do in {folder}")
            return folder, begun
        under_test = find_detector(
            begun.detector["name"],
            plan_file=(folder / PLAN).absolute(),
            timeout_s=begun.detector["timeout_s"],
        )
        refuse_changed(begun, under_test, str(folder))
        refuse_unarmed(rig)
        done = done_of(lines, folder)
        go_on(journal, done.stages)
        stages = Stages(
            scenario, rig, begun.seed, under_test, journal=journal, progress=progress, done=done
        )
        record = _carried_out(journal, lambda: stages.execute(begun.prepare))
    progress(f"report      {folder / 'report.html'}")
    return folder, record


def _refuse_several_channels(scenario: Scenario) -> None:
    n = len(channels_of(scenario))
    if n > 1:
        raise InputError(
            f"a run plays one channel, and the {scenario.electrode.kind} electrode has {n}",
            where=f"scenario {scenario.id}",
            todo="play them in passes (`emgsim simulate`, then `emgsim play`), or name "
            "an electrode of one channel",
        )


def _carried_out(journal: Journal, execute: Callable[[], None]) -> RunRecord:
    """Carry a run out, journal how it ended, and write its reports, however it ended."""
    ending = Ending()
    try:
        with journalled(journal, ending, kept="everything captured so far"):
            execute()
    finally:
        ending.append(journal, fold(read_journal(journal.folder)))
        record = write_reports(journal.folder)
    return record


def write_reports(folder: Path) -> RunRecord:
    """Write record and reports of a run from its journal, and return the record."""
    from emgsim.report.junit import junit_xml
    from emgsim.report.page import write_page

    record = fold(read_journal(folder))
    write_whole(folder / RECORD, record.to_json())
    write_whole(folder / "junit.xml", junit_xml(record))
    write_page(folder, record)
    return record
