"""Commands on datasets: planned, made by many workers, checked, merged, described."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from emgsim.cli.base import say
from emgsim.errors import UsageError

Workers = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Flag = Annotated[bool, Parameter(negative=())]
Listed = Annotated[bool, Parameter(name="--list", negative=())]
AsJson = Annotated[bool, Parameter(name="--json", negative=())]

app = App(name="dataset", help="Plan, make, verify and describe sets of labelled recordings.")


@app.command
def plan(file: Path, *, list_: Listed = False, as_json: AsJson = False) -> int:
    """Tell what a dataset will take: items, bytes, core-hours, balance. Nothing is started.

    Parameters
    ----------
    file
        Path of the dataset's file.
    list_
        Print every item, a line of JSON each, in place of that.
    as_json
        Print the figures as JSON.
    """
    from emgsim.dataset.foreseeing import foresee
    from emgsim.dataset.items import Items, row
    from emgsim.dataset.plan import load_plan

    items = Items(load_plan(file))
    if list_:
        for item in items:
            print(json.dumps(row(item)))
        return 0
    foreseen = foresee(items)
    print(json.dumps(foreseen.table()) if as_json else foreseen)
    return 0


@app.command
def make(
    file: Path,
    *,
    out: Path,
    workers: Workers | None = None,
    shard: str | None = None,
    cluster: str = "",
    resume: Flag = False,
) -> int:
    """Make a dataset, or one shard of it.

    Parameters
    ----------
    file
        Path of the dataset's file.
    out
        Folder of the dataset.
    workers
        Processes of this machine; as many as it has cores if not given.
    shard
        K/N: only every Nth item from the Kth on; auto in a SLURM array, auto/N in an indexed
        Kubernetes job. `emgsim dataset merge` then makes the shards one.
    cluster
        Address of a Dask scheduler, such as tcp://10.0.0.1:8786, in place of own processes.
    resume
        Keep the items that are whole already.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # workers are then ended, too
    from emgsim.dataset.carrying_out import make_dataset
    from emgsim.dataset.plan import load_plan
    from emgsim.dataset.shards import shard_of

    if cluster and workers is not None:
        raise UsageError("--cluster has workers of its own", todo="leave --workers out")
    part = shard_of(shard, os.environ)
    progress = make_dataset(
        load_plan(file), out, n_workers=workers or os.cpu_count() or 1, address=cluster,
        shard=part, resume=resume, say=say,
    )  # fmt: skip
    print(f"{out}: {progress.n_made} items made, {progress.n_kept} kept")
    return 0


@app.command
def item(source: Path, number: int, *, out: Path | None = None) -> int:
    """Make one item alone, whatever was made before, and print its digest.

    Parameters
    ----------
    source
        A dataset's file, or the folder of a dataset.
    number
        Of the item, from 0 on.
    out
        Folder for its files; they are not written if it is not given.
    """
    from emgsim.dataset.digests import events_sha256
    from emgsim.dataset.folder import items_in
    from emgsim.dataset.items import Items, row
    from emgsim.dataset.making import make as make_one
    from emgsim.dataset.plan import load_plan
    from emgsim.dataset.writing import remake

    items = items_in(source) if source.is_dir() else Items(load_plan(source))
    wanted = items[number]
    if out is None:
        sha256 = events_sha256(make_one(items, wanted).truth)
    else:
        sha256 = str(remake(items, wanted, out)["events_sha256"])
    print(json.dumps({**row(wanted), "events_sha256": sha256}))
    return 0


@app.command
def verify(folder: Path, *, shard: str | None = None) -> int:
    """Read every file of a dataset, and name what is corrupt, missing, half-written or double.

    Parameters
    ----------
    folder
        Of the dataset.
    shard
        As of make: look at the items of this shard only.
    """
    from emgsim.dataset.shards import shard_of
    from emgsim.dataset.verification import verify as verify_dataset

    found = verify_dataset(folder, None if shard is None else shard_of(shard, os.environ))
    for fault in found.faults:
        print(fault)
    print(f"{found.n_whole} of {found.n_items} items are whole; {len(found.faults)} faults")
    print(f"digest of all discharges: {found.events_sha256}")
    return 1 if found.faults else 0


@app.command
def merge(*folders: Path, out: Path | None = None) -> int:
    """Make the shards of a dataset one, under one index.

    Parameters
    ----------
    folders
        Of the shards; one, if all were made in the same folder.
    out
        Folder of the whole, if there are several.
    """
    from emgsim.dataset.merging import merge as merge_shards

    if not folders:
        raise UsageError("merge needs the folder of at least one shard")
    into, n_brought = merge_shards(folders, out)
    print(f"{into}: {n_brought} items brought there; index written")
    return 0


@app.command
def card(folder: Path, *, real: Annotated[tuple[Path, ...], Parameter(negative=())] = ()) -> int:
    """Write README.md and croissant.json: what is in a dataset, and what it is like.

    Parameters
    ----------
    folder
        Of the dataset.
    real
        A recording of a patient to compare with; may be given often.
    """
    from emgsim.dataset.card import write_card

    for path in write_card(folder, real):
        print(path)
    return 0


@app.command
def blind(
    folder: Path, *, out: Path, path: Literal["clean", "loopback", "device"] = "clean"
) -> int:
    """Write the recordings without their truth, and the key apart, so that people can be scored.

    Parameters
    ----------
    folder
        Of the dataset.
    out
        A new folder: out/blind is for the readers, out/key for `emgsim compare`.
    path
        Which recording of each item.
    """
    from emgsim.dataset.blinding import export_blind

    n = export_blind(folder, out, path=path)
    print(f"{out}: {n} recordings under {out / 'blind'}, their truth under {out / 'key'}")
    return 0
