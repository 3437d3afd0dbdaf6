"""Commands on the folders of runs: what differs, what there is, what can go."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from emgsim.cli.base import RUNS, say

app = App(name="runs", help="Look at the runs of a folder, and make room.")


def diff(old: Path, new: Path) -> int:
    """Show what differs between two runs; 0 if they are equal, 1 if they are not.

    When and where they ran, and what interrupted them, is no difference.

    Parameters
    ----------
    old, new
        Folders of two runs.
    """
    from emgsim.records.difference import differences
    from emgsim.records.folders import record_table
    from emgsim.report.diff_table import diff_table

    found = differences(record_table(old), record_table(new))
    print(diff_table(found), end="")
    return 0 if found.is_equal else 1


@app.command(name="list")
def runs_list(*, out: Path = RUNS) -> int:
    """List the runs of a folder, the newest first: id, status, verdict, size.

    Parameters
    ----------
    out
        Folder in which runs are made.
    """
    from emgsim.records.folders import runs_of

    found = runs_of(out)
    for one in found:
        verdict = one.verdict.replace("_", " ")
        print(f"{one.folder.name:<52} {one.status:<9} {verdict:<16} {_size(one.n_bytes)}")
    print(f"{len(found)} runs, {_size(sum(one.n_bytes for one in found)).strip()}")
    return 0


@app.command(name="prune")
def runs_prune(
    *,
    keep: int,
    max_gb: float | None = None,
    out: Path = RUNS,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Remove the oldest runs of a folder; those that are still going on are kept.

    Parameters
    ----------
    keep
        So many of the newest runs are kept, however large they are.
    max_gb
        Disk quota: older runs are kept as well, as long as all that are kept fit into it.
    out
        Folder in which runs are made. What is no run's folder is not touched.
    dry_run
        Tell what would be removed, and remove nothing.
    """
    from emgsim.records.folders import remove, runs_of, superfluous

    found = runs_of(out)
    left = superfluous(found, keep, max_gb)
    for one in left:
        if not dry_run:
            remove(one)
        print(f"{'would remove' if dry_run else 'removed'} {one.folder}  {_size(one.n_bytes)}")
    freed, kept = (sum(one.n_bytes for one in some) for some in (left, found))
    kept -= freed
    print(
        f"{len(left)} of {len(found)} runs, {_size(freed).strip()} "
        f"{'would be freed' if dry_run else 'freed'}; {_size(kept).strip()} are kept"
    )
    if max_gb is not None and kept > 1e9 * max_gb:
        say(f"more than {max_gb:g} GB are kept: --keep {keep} asks for it, or a run goes on")
    return 0


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:9.1f} MB"
