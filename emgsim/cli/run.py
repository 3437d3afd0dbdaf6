"""Commands that run a scenario or an examination on a rig, and foresee what it takes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from emgsim.cli.base import RUNS, Overrides, Seconds, Seed, is_examination, say, split
from emgsim.errors import UsageError

if TYPE_CHECKING:
    from emgsim.records.examination import ExamRecord
    from emgsim.records.record import RunRecord


def run(
    scenario: str | None = None,
    *,
    rig: str = "virtual",
    seed: Seed | None = None,
    out: Path = RUNS,
    detector: str = "emgsim",
    detector_timeout_s: Seconds = 600.0,
    prepare: str | None = None,
    prepare_timeout_s: Seconds = 600.0,
    visit: str | None = None,
    set_: Overrides = (),
    resume: Path | None = None,
) -> int:
    """Run a scenario on a rig: simulate, play, capture, align, analyse, compare, judge, report.

    An examination is run muscle by muscle, and its findings are concluded. Of several generators
    the first plays, and the others stay off.

    Parameters
    ----------
    scenario
        Shipped name or path of a scenario's or of an examination's file.
    rig
        Shipped name or path of a rig file.
    seed
        Takes the place of the scenario's seed.
    out
        Folder in which the run's folder is made.
    detector
        Algorithm under test: emgsim, an installed one (`emgsim list detectors`), or a command that
        reads {recording} and writes {findings}.
    detector_timeout_s
        How long it may take for one path.
    prepare
        Command that makes the device ready, run before the rig is opened; no shell reads it.
    prepare_timeout_s
        How long it may take.
    visit
        Name of the visit, of an examination that has several.
    set_
        key.path=value of the scenario; begin with rig. for a value of the rig.
    resume
        Folder of an interrupted run to go on with, in place of a scenario; alone.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a way out that closes things
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    if resume is not None:
        given = {
            "SCENARIO": scenario is not None, "--rig": rig != "virtual", "--seed": seed is not None,
            "--out": out != RUNS, "--detector": detector != "emgsim",
            "--detector-timeout-s": detector_timeout_s != 600.0, "--prepare": prepare is not None,
            "--prepare-timeout-s": prepare_timeout_s != 600.0, "--visit": visit is not None,
            "--set": bool(set_),
        }  # fmt: skip
        return _resume(resume, [name for name, is_given in given.items() if is_given])
    if scenario is None:
        raise UsageError(
            "run needs a scenario, or --resume with the folder of an interrupted run",
            todo="`emgsim list` shows the scenarios, `emgsim runs list` the runs",
        )
    from emgsim.bench.rig import load_rig
    from emgsim.scenario import load_scenario
    from emgsim.shipped import find

    of_scenario, of_rig = split(set_)
    on_rig = load_rig(rig, overrides=of_rig)
    how = _How(
        out=out, seed=seed, detector=detector, detector_timeout_s=detector_timeout_s,
        prepare=prepare, prepare_timeout_s=prepare_timeout_s,
        files={"scenario": find("scenarios", scenario), "rig": find("rigs", rig)}, progress=say,
    )  # fmt: skip
    if is_examination(scenario):
        from emgsim.exam.examination import load_examination
        from emgsim.running.examination import examine

        examination = load_examination(scenario, overrides=of_scenario).on(visit)
        return _told_examination(*examine(examination, on_rig, **how))
    from emgsim.running.run import run as run_scenario

    return _told_run(*run_scenario(load_scenario(scenario, overrides=of_scenario), on_rig, **how))


class _How(TypedDict):
    """How a run is made, whatever is run."""

    out: Path
    seed: int | None
    detector: str
    detector_timeout_s: float
    prepare: str | None
    prepare_timeout_s: float
    files: dict[str, Path]
    progress: Callable[[str], None]


def _resume(folder: Path, given: list[str]) -> int:
    """Go on with an interrupted run or examination."""
    if given:
        raise UsageError(
            f"--resume goes on with what the run was begun with; it cannot take {', '.join(given)}",
            where=str(folder),
            todo="leave that out, or run it anew without --resume",
        )
    from emgsim.records.journal import read_journal
    from emgsim.records.record import fold

    if fold(read_journal(folder)).is_examination:
        from emgsim.running.examination import resume_examination

        return _told_examination(*resume_examination(folder, progress=say))
    from emgsim.running.run import resume

    return _told_run(*resume(folder, progress=say))


def _told_run(folder: Path, record: RunRecord) -> int:
    from emgsim.report.table import measurement_table

    print(measurement_table(record))
    print(f"report: {folder / 'report.html'}")
    return record.exit_code or 0


def _told_examination(folder: Path, record: ExamRecord) -> int:
    from emgsim.report.exam_table import exam_table

    print(exam_table(record), end="")
    print(f"report: {folder / 'report.html'}")
    return record.run.exit_code or 0


def schedule(examination: str, *, paced: bool = False, set_: Overrides = ()) -> int:
    """Print the steps of an examination, muscle by muscle, with their times in seconds.

    Parameters
    ----------
    examination
        Shipped name or path of an examination's file.
    paced
        Print each step when it is over on the wall clock, not all at once.
    set_
        key.path=value of the examination.
    """
    from emgsim.exam.examination import load_examination
    from emgsim.exam.schedule import Step
    from emgsim.running.examination import tell_steps

    def show(muscle: str, step: Step) -> None:
        print(f"{muscle}  {step.onset_s:8.2f} .. {step.offset_s:8.2f}  {step.name}", flush=True)

    tell_steps(load_examination(examination, overrides=set_), show, is_paced=paced)
    return 0
