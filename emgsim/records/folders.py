"""The folders of runs: which there are, how large they are, and taking the oldest away.

A run is a folder with a journal whose first line says what was begun. Nothing else is ever touched,
nor what a link points to.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from emgsim.errors import InputError, UsageError
from emgsim.records.journal import JOURNAL, Journal, Line, is_written, read_journal
from emgsim.records.record import RECORD, RunRecord, fold

GB = 1e9


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run's folder, for a line of a list."""

    folder: Path
    run_id: str
    started: str
    is_running: bool
    status: str  # running, completed, aborted
    verdict: str
    n_bytes: int


def runs_of(out: Path) -> list[Run]:
    """Return the runs of a folder, the newest first.

    Parameters
    ----------
    out
        The folder in which runs are made, e.g. ``reports/runs``.

    Raises
    ------
    InputError
        If there is no such folder.
    UsageError
        If it is a run's own folder.
    """
    if not out.is_dir():
        raise InputError(
            "there is no such folder of runs", where=str(out), todo="name it with --out"
        )
    if (out / JOURNAL).exists():
        raise UsageError(
            "this is the folder of one run, not a folder of runs",
            where=str(out),
            todo=f"name the folder that it is in: {out.resolve().parent}",
        )
    found = [run for folder in sorted(out.iterdir()) if (run := _run(folder)) is not None]
    return sorted(found, key=lambda run: (run.started, run.run_id), reverse=True)


def record_table(folder: Path) -> Line:
    """Return a run's record as a table: folded from the journal, or an examination's own.

    Raises
    ------
    InputError
        If the folder holds no run, or the record of an examination cannot be read.
    """
    record = fold(read_journal(folder))
    if not record.is_examination:
        return dict(json.loads(record.to_json()))
    try:
        return dict(json.loads((folder / RECORD).read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(
            "the examination has no record yet",
            where=str(folder / RECORD),
            todo="complete it with `emgsim run --resume`",
        ) from error


def _run(folder: Path) -> Run | None:
    """Return what is told of a run, nothing for what is none."""
    if folder.is_symlink() or not (folder / JOURNAL).is_file():
        return None
    try:
        lines = read_journal(folder)
    except InputError:  # damaged: nobody can tell whether it is a run
        return None
    if not lines or lines[0]["kind"] != "run_started":
        return None
    record, is_running = fold(lines), is_written(folder)
    return Run(
        folder=folder,
        run_id=record.run_id,
        started=record.started,
        is_running=is_running,
        status="running" if is_running else record.status,
        verdict="–" if is_running else _verdict(folder, record),
        n_bytes=sum(_sizes(folder)),
    )


def _verdict(folder: Path, record: RunRecord) -> str:
    if record.status == "completed" and record.is_examination:
        try:
            return str(record_table(folder)["verdict"])
        except (InputError, KeyError):  # it ended, and its record was never written
            return "–"
    return record.verdict


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            yield (Path(place) / name).lstat().st_size


def superfluous(runs: Sequence[Run], keep: int, max_gb: float | None = None) -> list[Run]:
    """Return the runs that are to be taken away, the oldest first.

    Parameters
    ----------
    runs
        The newest first.
    keep
        So many of the newest are kept, however large they are.
    max_gb
        Older ones are kept as well, as long as all that are kept fit into so many gigabytes. None:
        no older one is kept.

    Raises
    ------
    UsageError
        If none would be kept, or the quota is none.
    """
    if keep < 1:
        raise UsageError(
            f"--keep must be at least 1, got {keep}",
            todo="delete the folder yourself to be rid of all runs",
        )
    if max_gb is not None and not max_gb > 0:
        raise UsageError(f"--max-gb must be > 0, got {max_gb:g}")
    total, is_full, left = 0, False, []
    for number, run in enumerate(runs):
        fits = max_gb is not None and not is_full and total + run.n_bytes <= GB * max_gb
        if number < keep or fits or run.is_running:
            total += run.n_bytes
            continue
        is_full = True  # what is kept has no holes in time
        left.append(run)
    return left[::-1]


def remove(run: Run) -> None:
    """Take a run's folder away, its journal last: what is left of it, if anything, is still a run.

    Raises
    ------
    UsageError
        If somebody is writing it, or the folder cannot be removed.
    """
    with closing(Journal(run.folder)):
        try:
            for path in run.folder.iterdir():
                if path.name != JOURNAL:
                    _remove(path)
            _remove(run.folder / JOURNAL)
            run.folder.rmdir()
        except OSError as error:
            raise UsageError(
                f"cannot remove the run: {error.strerror}",
                where=str(error.filename or run.folder),
                todo="see who owns it, and what holds it",
            ) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
