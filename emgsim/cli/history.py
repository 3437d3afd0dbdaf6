"""The command that tells how measurements went over time, and whether one drifts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from emgsim.cli.base import RUNS, say, writing
from emgsim.errors import InputError, UsageError

DRIFT, UNKNOWN = 1, 5

Names = Annotated[
    tuple[str, ...],
    Parameter(name="--measurement", negative=(), help="its id, or a beginning of it; may be given "
              "often. None: those that a limit judges"),
]  # fmt: skip
Across = Annotated[
    tuple[str, ...],
    Parameter(name="--across", negative=(), help="device, firmware, rig, fixture, detector, code "
              "or scenario: a change of it makes no difference; may be given often"),
]  # fmt: skip
Folders = Annotated[
    tuple[Path, ...],
    Parameter(name="--runs", negative=(), help="folder in which runs are; may be given often"),
]


def history(
    *,
    measurement: Names = (),
    by: Literal["device", "rig", "fixture"] = "device",
    runs: Folders = (RUNS,),
    since: str = "",
    across: Across = (),
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
    page: Path | None = None,
) -> int:
    """Show how measurements went over time: 0 if none drifts, 1 if one does, 5 with too few runs.

    Parameters
    ----------
    measurement
        Which.
    by
        What the series are of.
    runs
        Where the runs are.
    since
        Leave out runs before that date (ISO 8601): what came before was looked into.
    across
        What may change within a segment.
    as_json
        Print JSON in place of a table.
    page
        Write a page with a chart for each series.
    """
    import json

    from emgsim.regression.history import histories, judged
    from emgsim.report.history_page import history_page
    from emgsim.report.history_table import history_table

    _refuse_no_date(since)
    records = [record for folder in runs for record in _records(folder, since)]
    rows = [one.table() for one in judged(histories(records, by, measurement), across)]
    print(json.dumps(rows, indent=1) if as_json else history_table(rows))
    if page is not None:
        with writing(page):
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(history_page(rows, f"History by {by}"), encoding="utf-8")
        say(f"history     {page}")
    answers = {row["answer"] for row in rows}
    if "drift" in answers:
        return DRIFT
    return 0 if "steady" in answers else UNKNOWN


def _refuse_no_date(since: str) -> None:
    try:
        datetime.fromisoformat(since or "2000-01-01")
    except ValueError as error:
        raise UsageError(
            f"--since must be a date of ISO 8601, got {since!r}", todo="for example 2026-11-23"
        ) from error


def _records(folder: Path, since: str) -> Iterator[dict[str, Any]]:
    """Yield the records of the completed runs in a folder."""
    import json

    from emgsim.records.record import RECORD

    if not folder.is_dir():
        raise InputError(
            "there is no such folder of runs", where=str(folder), todo="name it with --runs"
        )
    for path in sorted(folder.glob(f"*/{RECORD}")):
        try:
            record = json.loads(path.read_text("utf-8"))
            whole = (record["status"], record["started"], record["measurements"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            say(f"left out    {path}: no record of a run ({type(error).__name__})")
            continue
        if whole[0] == "completed" and whole[1] and whole[1] >= since:
            yield record
