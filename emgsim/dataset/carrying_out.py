"""A dataset made: from its plan to a folder with all items of it, or of one shard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.engine import Engine, Pools, Progress, cluster, processes
from emgsim.dataset.finishing import finish
from emgsim.dataset.items import Items
from emgsim.dataset.plan import Plan
from emgsim.dataset.shards import Shard
from emgsim.dataset.work import Told, make_some
from emgsim.errors import InputError, UsageError

SHOWN = 10  # failed items in the last message


def make_dataset(
    plan: Plan,
    folder: Path,
    *,
    n_workers: int = 1,
    address: str = "",
    shard: Shard | None = None,
    resume: bool = False,
    say: Callable[[str], None] = lambda _: None,
    pools: Pools | None = None,
) -> Progress:
    """Make the items of a plan that are not there yet.

    Parameters
    ----------
    plan
        A resolved one.
    folder
        Of the dataset, new or with ``resume``.
    n_workers
        Processes of this machine; 1: this one.
    address
        Of a Dask scheduler, in place of them.
    shard
        Which part of the items; None: all, and what belongs to the whole set is written, too.
    resume
        Whether the folder may hold items already; those are kept.
    say
        Shows a line of progress.
    pools
        Opens other workers than those.

    Returns
    -------
    Progress
        What was made and kept, and at which cost.

    Raises
    ------
    UsageError
        If the folder is another dataset's, cannot be written, or is being written.
    InputError
        If items failed; all others are made.
    """
    place.begin(folder, plan, resume=resume)
    items, part = Items(plan), shard or Shard()
    indices = part.indices(len(items))
    progress = Progress(len(indices), say)
    work = partial(make_some, json.dumps(plan.resolved()), str(folder.resolve()))
    if address:
        pools, n_workers = cluster(address)
    elif pools is None and n_workers > 1:
        pools = processes(n_workers)
    with place.alone(folder, str(part)):
        if pools is None:
            _one_by_one(work, iter(indices), progress)
        else:
            Engine(work=work, pools=pools, n_workers=n_workers, tell=progress).run(iter(indices))
        _refuse_failed(progress, folder, items)
        say(progress.line())
        if part.count == 1:
            with place.writing(folder):
                finish(folder, items)
    return progress


def _one_by_one(
    work: Callable[[tuple[int]], list[Told]], indices: Iterator[int], tell: Progress
) -> None:
    for index in indices:
        told = work((index,))[0]
        tell(told)
        if told.is_end:
            return


def _refuse_failed(progress: Progress, folder: Path, items: Items) -> None:
    """Raise what the disk said; or name the items that failed."""
    failed = progress.failed
    if ends := [told for told in failed if told.is_end]:
        n_whole = progress.n_made + progress.n_kept
        raise UsageError(
            f"{ends[0].error}; {n_whole} of {progress.n_items} items are whole",
            where=str(folder),
            todo="make room, then go on with --resume",
        )
    if failed:
        names = [items.id_of(told.index) for told in failed]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise InputError(
            f"{len(failed)} of {progress.n_items} items failed: {', '.join(names[:SHOWN])}{more}; "
            f"the first said: {failed[0].error.splitlines()[0]}",
            where=str(folder),
            todo="try one alone with `emgsim dataset item`; --resume makes what is missing",
        )
