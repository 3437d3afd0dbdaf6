"""Shards made into one dataset: their items in one folder, under one index."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.finishing import finish
from emgsim.dataset.items import Items
from emgsim.errors import InputError, UsageError
from emgsim.records.journal import digest, sync


def merge(folders: Sequence[Path], out: Path | None = None) -> tuple[Path, int]:
    """Bring the items of several folders into one, and write what belongs to the whole set.

    Files are linked where the disk allows, else copied; each is read and compared with its digest
    before. Of one folder alone, in which all shards were made, only the index is written.

    Parameters
    ----------
    folders
        Of shards of one plan.
    out
        A new folder, or one that holds items of the plan; None: the only folder given.

    Returns
    -------
    folder : Path
    n_brought : int
        Items that were brought there.

    Raises
    ------
    InputError
        If a shard is corrupt, is of another plan, or items are missing.
    UsageError
        If several folders are given and no new one, or it cannot be written.
    """
    if out is None and len(folders) > 1:
        raise UsageError("several shards need a folder for the whole", todo="name it with --out")
    into, items = out or folders[0], place.items_in(folders[0])
    n_brought = 0
    if out is not None:
        for folder in folders:
            _refuse_stranger(folder, items)
        place.begin(into, items.plan, resume=True)
        with place.alone(into, "merge"):
            for folder in folders:
                n_brought += _bring_all(folder, into, items)
    with place.writing(into):
        finish(into, items)
    return into, n_brought


def _refuse_stranger(folder: Path, items: Items) -> None:
    found = place.read_head(folder)
    if found.digest != items.plan.digest:
        raise InputError(
            f"the shards are of different plans: {items.plan.id!r} {items.plan.digest[:12]} and "
            f"{found.id!r} {found.digest[:12]}; their seeds could clash",
            where=str(folder),
            todo="merge shards of one plan; two datasets stay two",
        )


def _bring_all(folder: Path, into: Path, items: Items) -> int:
    n_brought = 0
    for path in sorted((folder / place.ITEMS).glob(f"*/*/{place.DONE}")):
        id = path.parent.name
        done = place.read_done(folder, id)
        if done is None or not id.isdecimal() or int(id) >= len(items):
            raise _corrupt(folder, id, f"{place.DONE} cannot be read, or is not of the plan")
        there = place.read_done(into, id)
        if there is not None and place.is_done(into, id, items.plan):
            if there["events_sha256"] != done["events_sha256"]:
                raise _corrupt(folder, id, f"it differs from the one in {into}")
            continue
        with place.writing(into):
            _bring(folder, into, id, done)
        n_brought += 1
    return n_brought


def _bring(folder: Path, into: Path, id: str, done: place.Row) -> None:
    """Bring one item: all its files, then its ``.done``."""
    for name, said in done["files"].items():
        try:
            is_whole = digest(folder / name) == said["sha256"]
        except OSError as error:
            raise _corrupt(folder, id, f"{name}: {error.strerror}") from error
        if not is_whole:
            raise _corrupt(folder, id, f"{name} is not what was written")
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(folder / name, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(folder / name, target)
        sync(target)
    place.write_json(into / place.item_folder(id) / place.DONE, done)


def _corrupt(folder: Path, id: str, what: str) -> InputError:
    return InputError(
        f"item {id} of a shard is corrupt: {what}",
        where=str(folder),
        todo=f"delete {place.item_folder(id)} there, make it anew with --resume, and merge again",
    )
