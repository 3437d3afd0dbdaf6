"""The command that tells what has verified each requirement."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from emgsim.cli.base import say
from emgsim.errors import UsageError

NOT_MET = ("fail", "conditional_fail")
NOT_ALL = 5


def requirements(
    *runs: Path, as_json: Annotated[bool, Parameter(name="--json", negative=())] = False
) -> int:
    """Show what has verified each requirement: 0 if all are met, 1 if one is not, else 5.

    Parameters
    ----------
    runs
        Folders of runs, of examinations and of metrology, whose limits name requirements.
    as_json
        Print JSON in place of lines.
    """
    import json

    from emgsim.records.folders import record_table
    from emgsim.records.requirements import traceability
    from emgsim.report.requirements import requirement_table

    if not runs:
        raise UsageError("nothing to trace", todo="name the folders of the runs")
    rows = traceability(record_table(run) for run in runs)
    print(json.dumps(rows, indent=1) if as_json else requirement_table(rows), end="")
    if as_json:
        print()
    if not rows:
        say("no limit of these runs names a requirement; see docs/requirements.md")
    verdicts = {row["verdict"] for row in rows}
    if verdicts & {*NOT_MET}:
        return 1
    return NOT_ALL if not rows or "not_verified" in verdicts else 0
