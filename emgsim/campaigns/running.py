"""A campaign from its file to its record: cell after cell, in one go or gone on with.

The campaign's own journal says which cells are done, what broke the others, and what ended it
early; all else is in the folders of the cells' runs, from which the record is concluded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from emgsim.campaigns.campaign import Campaign
from emgsim.campaigns.cells import Cell, cells_of, digest_of
from emgsim.campaigns.expecting import Expected, earlier, in_words
from emgsim.campaigns.folder import PLANNED, begun, is_completed, write_campaign
from emgsim.detectors import find_detector
from emgsim.errors import EmgsimError, InputError, InstrumentError, SafetyError
from emgsim.records import provenance
from emgsim.records.campaign import RUNS, CampaignRecord, worst_code
from emgsim.records.journal import JOURNAL, Journal, Line, read_journal
from emgsim.records.record import RECORD, RunRecord, fold
from emgsim.report.notation import one_line
from emgsim.running.bounds import INTERRUPTED, go_on, now, preparation
from emgsim.running.examination import examine, resume_examination
from emgsim.running.resuming import refuse_changed
from emgsim.running.run import resume, run
from emgsim.scenario import Scenario

Progress = Callable[[str], None]
CAMPAIGNS = Path("reports/campaigns")


def run_campaign(
    campaign: Campaign,
    *,
    out: Path = CAMPAIGNS,
    where: str = "campaign",
    progress: Progress = lambda _: None,
) -> tuple[Path, CampaignRecord]:
    """Run every cell of a campaign and write its folder.

    A cell that breaks keeps its error and the others go on; where a rig breaks, the cells left on
    it are skipped.

    Parameters
    ----------
    campaign
        What is run.
    out
        Folder in which the campaign's own folder is made.
    where
        What messages about its scenarios and rigs call it.
    progress
        Called with a line per cell.

    Returns
    -------
    folder : Path
        Holds ``journal.jsonl, campaign.json, junit.xml, report.html`` and each cell's run in
        ``runs``.
    record : CampaignRecord

    Raises
    ------
    EmgsimError
        If the campaign has mistakes: then nothing was begun.
    """
    cells = cells_of(campaign, where)
    for cell in cells:
        preparation(cell.prepare, campaign.prepare_timeout_s)
    detector = find_detector(campaign.detector, timeout_s=campaign.detector_timeout_s)
    began = datetime.now(UTC)
    name = f"{began:%Y%m%dT%H%M%S}{began.microsecond // 1000:03d}Z-{campaign.id}"
    first = {
        "run_id": name,
        "started": began.isoformat(timespec="seconds"),
        "scenario": campaign.resolved(),
        "detector": detector.table(),
        **provenance.table(),
        "digests": {"cells": digest_of(cells)},
        PLANNED: [cell.table() for cell in cells],
    }
    times = Expected(earlier(out))
    with Journal(out / name) as journal:
        journal.append("run_started", **first)
        return journal.folder, _Cells(campaign, journal, progress, times).carry_out(cells)


def resume_campaign(
    folder: Path, *, progress: Progress = lambda _: None
) -> tuple[Path, CampaignRecord]:
    """Go on with a campaign: cells that are completed are kept, all others are done.

    A cell that was interrupted goes on where it was; one that broke or was skipped is tried again.

    Parameters
    ----------
    folder
        The campaign's.
    progress
        Called with a line per cell.

    Returns
    -------
    folder : Path
    record : CampaignRecord

    Raises
    ------
    InputError
        If the folder holds no campaign, or scenarios, rigs or code have changed since.
    UsageError
        If the campaign is still going on.
    """
    begun(folder)  # or a journal would be made here
    with Journal(folder) as journal:
        lines, campaign = begun(folder)
        record, where = fold(lines), str(folder)
        cells = cells_of(campaign, where)
        if digest_of(cells) != record.digests["cells"]:
            raise InputError(
                "scenarios or rigs of the campaign have changed since it was begun",
                where=where,
                todo="undo the change, or begin a new campaign",
            )
        detector = find_detector(campaign.detector, timeout_s=campaign.detector_timeout_s)
        refuse_changed(record, detector, where)
        done = tuple(cell.id for cell in cells if is_completed(folder, record, cell.id))
        go_on(journal, done)
        progress(f"kept        {len(done)} of {len(cells)} cells")
        work = _Cells(campaign, journal, progress, _known(cells, done, record))
        return folder, work.carry_out(cells, done)


def _known(cells: Sequence[Cell], done: Sequence[str], record: RunRecord) -> Expected:
    """Return what the cells left may take, from those that are done."""
    times = Expected()
    for cell in cells:
        seconds = sum(s["seconds"] for s in record.stages if s["name"] == cell.id)
        if cell.id in done and seconds:
            times.done(cell, seconds)
    return times


class _Cells:
    """The cells of a campaign, carried out one after the other."""

    def __init__(
        self, campaign: Campaign, journal: Journal, progress: Progress, times: Expected
    ) -> None:
        self._campaign, self._journal, self._progress = campaign, journal, progress
        self._times = times
        self._broken: dict[str, str] = {}  # why nothing more is tried on a bench
        self._codes: list[int] = []

    def carry_out(self, cells: Sequence[Cell], done: Sequence[str] = ()) -> CampaignRecord:
        """Run the cells that are not done, journal how it ended, and write the reports."""
        self._codes += [self._code_of(id) for id in done]
        status, code = "aborted", EmgsimError.exit_code
        try:
            for number, cell in enumerate(cells):
                if cell.id not in done:
                    left = [c for c in cells[number + 1 :] if c.id not in done]
                    self._one(cell, f"[{number + 1:>{len(str(len(cells)))}}/{len(cells)}]", left)
            status, code = "completed", worst_code(self._codes)
        except KeyboardInterrupt:
            code = INTERRUPTED
            self._progress(f"go on with: emgsim campaign run --resume {self._journal.folder}")
            raise
        finally:
            self._journal.append("run_ended", status=status, exit_code=code, ended=now())
            record = write_campaign(self._journal.folder)
        self._progress(f"report      {self._journal.folder / 'report.html'}")
        return record

    def _one(self, cell: Cell, place: str, left: Sequence[Cell]) -> None:
        if cell.bench in self._broken:
            self._journal.append("skipped", id=cell.id, title="", why=self._broken[cell.bench])
            self._progress(f"{place} {cell.id}  skipped: {self._broken[cell.bench]}")
            return
        began_s = time.perf_counter()
        try:
            told = self._run(cell)
        except EmgsimError as error:
            told = self._break(cell, error)
        except Exception as error:  # a mistake of ours in one cell must not cost the others
            what = f"internal error: {type(error).__name__}: {error}"
            told = self._break(cell, EmgsimError(what, todo="report it"))
        seconds = time.perf_counter() - began_s
        self._times.done(cell, seconds)
        rest = f", about {in_words(self._times.left_s(left))} left" if left else ""
        self._progress(f"{place} {cell.id}  {told}, {in_words(seconds)}{rest}")

    def _run(self, cell: Cell) -> str:
        """Run a cell, or go on with it, journal that it is done, and return its verdict."""
        began_s = time.perf_counter()
        folder = self._journal.folder / RUNS / cell.id
        record = self._resumed(cell, folder) if _has_begun(folder) else self._anew(cell, folder)
        seconds = round(time.perf_counter() - began_s, 3)
        self._journal.append("stage", name=cell.id, seconds=seconds)
        self._journal.file(f"{RUNS}/{cell.id}/{RECORD}")
        self._codes.append(record.exit_code or 0)
        return record.verdict.replace("_", " ")

    def _anew(self, cell: Cell, folder: Path) -> RunRecord:
        campaign = self._campaign
        how: Line = {
            "into": folder,
            "seed": cell.seed,
            "detector": campaign.detector,
            "detector_timeout_s": campaign.detector_timeout_s,
            "prepare": cell.prepare,
            "prepare_timeout_s": campaign.prepare_timeout_s,
            "files": cell.files,
        }
        if isinstance(cell.subject, Scenario):
            return run(cell.subject, cell.on, **how)[1]
        return examine(cell.subject, cell.on, **how)[1].run

    def _resumed(self, cell: Cell, folder: Path) -> RunRecord:
        (folder / RECORD).unlink(missing_ok=True)  # it is written anew from the run's journal
        if isinstance(cell.subject, Scenario):
            return resume(folder)[1]
        return resume_examination(folder)[1].run

    def _break(self, cell: Cell, error: EmgsimError) -> str:
        """Journal what broke a cell, and whether its bench is to be tried again."""
        code = error.exit_code
        self._codes.append(code)
        self._journal.append(
            "error", cell=cell.id, what=error.what, where=error.where, todo=error.todo,
            exit_code=code,
        )  # fmt: skip
        # A real source that was made safe wants a person; a virtual one begins anew in each cell.
        stops = (InstrumentError, SafetyError) if cell.on.kind == "bench" else (InstrumentError,)
        if isinstance(error, stops):
            self._broken[cell.bench] = f"the rig is broken since {cell.id}: {one_line(error.what)}"
        return f"broken: {one_line(error.what)}"

    def _code_of(self, id: str) -> int:
        record = fold(read_journal(self._journal.folder / RUNS / id))
        return record.exit_code or 0


def _has_begun(folder: Path) -> bool:
    """Tell whether a folder holds a run that can be gone on with."""
    return (folder / JOURNAL).is_file() and bool(fold(read_journal(folder)).scenario)
