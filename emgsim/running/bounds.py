"""How the journal of a run or an examination begins, goes on and ends: the same for both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from emgsim.bench.rig import Rig
from emgsim.detectors import Detector
from emgsim.errors import EmgsimError
from emgsim.exam.examination import Examination
from emgsim.records import provenance
from emgsim.records.journal import JOURNAL, Journal, Line
from emgsim.records.record import RunRecord
from emgsim.running.preparing import words_of
from emgsim.scenario import Scenario

INTERRUPTED = 130


def preparation(command: str | None, timeout_s: float) -> Line:
    """Return a command that prepares the rig as a journal has it; empty if there is none.

    Raises
    ------
    UsageError
        If it is no command.
    """
    if command is None:
        return {}
    words_of(command)
    return {"command": command, "timeout_s": timeout_s}


def run_name(began: datetime, id: str, rig_id: str) -> str:
    """Return the name of a run and of its folder: when it began, what was run, and on what."""
    return f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03d}Z-{id}-{rig_id}"


def first_line(
    what: Scenario | Examination,
    rig: Rig,
    detector: Detector,
    *,
    began: datetime,
    prepare: Line,
    files: Mapping[str, Path] | None,
    out: Path | None,
) -> Line:
    """Return what ``run_started`` says: all that the numbers may depend on.

    Parameters
    ----------
    what, rig, detector
        What is run, on what, and the algorithm under test.
    began
        When.
    prepare
        Of `preparation`.
    files
        The files of what is run and of the rig, by ``scenario`` and ``rig``.
    out
        The folder whose newest completed run is named as the one before; None: there is none.
    """
    tables = {"scenario": what.resolved(), "rig": rig.resolved()}
    return {
        "run_id": run_name(began, what.id, rig.id),
        "started": began.isoformat(timespec="seconds"),
        "seed": what.seed,
        **tables,
        "detector": detector.table(),
        **provenance.table(),
        "digests": provenance.digests(tables, files),
        "previous": {} if out is None else provenance.previous(out),
        "prepare": prepare,
    }


def go_on(journal: Journal, done: tuple[str, ...]) -> None:
    """Journal that an interrupted run goes on, and which of its stages are kept."""
    journal.append("resumed", when=now(), host=provenance.host(), done=done)


@dataclass
class Ending:
    """How it ends: aborted, until it is completed."""

    status: Literal["aborted", "completed"] = "aborted"
    code: int = EmgsimError.exit_code

    def append(self, journal: Journal, record: RunRecord) -> None:
        """Journal the end; the exit code of what was completed is that of its verdicts."""
        code = exit_code(record) if self.status == "completed" else self.code
        journal.append("run_ended", status=self.status, exit_code=code, ended=now())


@contextmanager
def journalled(
    journal: Journal, ending: Ending, *, kept: str, is_resumable: bool = True
) -> Iterator[None]:
    """Journal what ends a run early, and tell what is kept and how it is gone on with.

    Parameters
    ----------
    journal
        Of the run.
    ending
        Becomes completed if nothing ends it early, or bears the exit code of what did.
    kept
        What there is of it by then, in words.
    is_resumable
        Whether `emgsim run --resume` goes on with it.
    """
    folder = journal.folder
    try:
        yield
    except EmgsimError as error:
        ending.code = error.exit_code
        told = {"what": error.what, "where": error.where, "todo": error.todo}
        journal.append("error", **told, exit_code=error.exit_code)
        error.folder = str(folder)
        error.add_note(f"  kept: {kept}, in {folder}")
        # A muscle's run goes on with its examination.
        if is_resumable and not (folder.parent / JOURNAL).exists():
            error.add_note(f"  go on with: emgsim run --resume {folder}")
        raise
    except KeyboardInterrupt:
        ending.code = INTERRUPTED
        journal.append("error", what="interrupted", where="", todo="", exit_code=INTERRUPTED)
        raise
    ending.status = "completed"


def exit_code(record: RunRecord) -> int:
    """Return the exit code that a record's verdicts call for: 5 before 1 before 0."""
    verdicts = {m.verdict for m in record.measurements}
    if "inconclusive" in verdicts:
        return 5
    return 1 if verdicts & {"fail", "conditional_fail"} else 0


def now() -> str:
    """Return the time on the wall, as journals have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
