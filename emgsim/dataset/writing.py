"""An item on the disk: its files in every format, whole, and ``.done`` behind them."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.digests import events_sha256
from emgsim.dataset.items import Items, row
from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.dataset.making import make
from emgsim.dataset.realism import descriptors
from emgsim.errors import UsageError
from emgsim.files.npz import write_npz
from emgsim.records.journal import digest, sync


def make_item(items: Items, folder: Path, index: int) -> place.Row:
    """Make an item, write it, and return what its ``.done`` says.

    Raises
    ------
    EmgsimError
        If the item cannot be made.
    UsageError
        If it cannot be written; what was written of it is then not part of the set.
    """
    began_s = time.process_time()
    made = make(items, items[index])
    with place.writing(folder):
        return _kept(items, folder, made, began_s)


def _kept(items: Items, folder: Path, made: Made, began_s: float) -> place.Row:
    id, plan = made.item.id, items.plan
    done = folder / place.item_folder(id) / place.DONE
    done.unlink(missing_ok=True)  # what it told of is about to go
    stage = folder / place.PART / id
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    try:
        for format in plan.formats:
            write_format(format, stage, plan.head, made)
        write_tables(stage / place.item_folder(id), made)
        files = _moved(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    told = {
        "schema": place.DONE_SCHEMA,
        "id": id,
        "plan_sha256": plan.digest,
        "item": row(made.item),
        "events_sha256": events_sha256(made.truth),
        "n_discharges": sum(unit.n_discharges for unit in made.truth.units),
        "duration_s": made.recordings["clean"].duration_s,
        "n_channels": len(made.recordings["clean"].channels),
        "descriptors": descriptors(made),
        "files": files,
        "cpu_s": round(time.process_time() - began_s, 4),
    }
    place.write_json(done, told)
    return told


def write_format(format: str, stage: Path, head: DatasetHead, made: Made) -> None:
    """Write an item in one format below a folder."""
    own, id = stage / place.item_folder(made.item.id), made.item.id
    if format == "npz":
        for path, recording in made.recordings.items():
            # The truth belongs to the scenario's clock, and so to every path; one copy is enough.
            write_npz(own / f"{path}.npz", recording, made.truth if path == "clean" else None)
    elif format == "bids":
        from emgsim.dataset.export.bids import write_bids

        write_bids(stage / "bids", head, made)
    elif format == "nwb":
        from emgsim.dataset.export.nwb import write_nwb

        (stage / "nwb").mkdir(parents=True, exist_ok=True)
        write_nwb(stage / "nwb" / f"{id}.nwb", head, made)
    elif format == "wav":
        from emgsim.dataset.export.wav import write_wav

        (stage / "wav").mkdir(parents=True, exist_ok=True)
        for path, recording in made.recordings.items():
            write_wav(stage / "wav" / f"{id}_{path}.wav", recording)


def write_tables(own: Path, made: Made) -> None:
    """Write what an item is, its labels and its scenario beside its recordings."""
    own.mkdir(parents=True, exist_ok=True)
    tables = {"item": row(made.item), "labels": dict(made.labels), "scenario": dict(made.scenario)}
    for name, table in tables.items():
        text = json.dumps(table, indent=1, sort_keys=True)
        (own / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _moved(stage: Path, folder: Path) -> dict[str, place.Row]:
    """Bring the files below ``.part`` to the disk, then to their places; return their digests."""
    files = {}
    for path in sorted(p for p in stage.rglob("*") if p.is_file()):
        name = path.relative_to(stage).as_posix()
        sync(path)
        files[name] = {"sha256": digest(path), "bytes": path.stat().st_size}
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
    for parent in {(folder / name).parent for name in files}:
        sync(parent)
    return files


def remake(items: Items, item: Item, folder: Path) -> place.Row:
    """Write one item alone into a folder of its own, and return what its ``.done`` says.

    Raises
    ------
    UsageError
        If the folder holds another dataset, or cannot be written.
    """
    with place.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if (folder / place.HEAD).is_file():
        raise UsageError(
            "the folder holds a dataset; an item alone needs a folder of its own",
            where=str(folder),
            todo="name another folder; `emgsim dataset make --resume` mends a dataset",
        )
    return make_item(items, folder, item.index)
