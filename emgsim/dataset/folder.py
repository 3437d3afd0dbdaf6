"""A dataset's folder: what lies where, and how a file gets there whole.

::

    dataset.json                        the resolved plan, its digest, the versions
    items/000/000123/                   item 123: clean.npz, ..., item.json, labels.json,
                                        scenario.json
    items/000/000123/.done              written last: digests of all files of the item
    bids/, wav/, nwb/, zarr/            the other formats
    index.tsv                           a row for each item, once all are made
    README.md, croissant.json           the card
    .part/                              what is being written; nothing in it is part of the set

An item's files are written below ``.part``, brought to the disk, and moved. An item without its
``.done`` is not there, whatever files it has.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from emgsim.dataset.items import Items
from emgsim.dataset.plan import Plan, plan_from
from emgsim.errors import InputError, UsageError
from emgsim.records import provenance
from emgsim.records.journal import sync

Row = dict[str, Any]

HEAD, INDEX, DONE, PART, ITEMS = "dataset.json", "index.tsv", ".done", ".part", "items"
DONE_SCHEMA = "emgsim.item/1"
DONE_KEYS = {
    "schema", "id", "plan_sha256", "item", "events_sha256", "n_discharges", "duration_s",
    "n_channels", "descriptors", "files", "cpu_s",
}  # fmt: skip
BUCKET = 3  # last digits of an id: a thousand items to a folder


def item_folder(id: str) -> Path:
    """Return where an item's own files lie, seen from the dataset's folder."""
    return Path(ITEMS) / id[:-BUCKET] / id


def begin(folder: Path, plan: Plan, *, resume: bool) -> None:
    """Make a dataset's folder, or find that it holds this plan.

    Raises
    ------
    UsageError
        If it holds another plan, or items of this one and ``resume`` is not given, or it cannot be
        written.
    """
    head = folder / HEAD
    if head.is_file():
        _refuse_other(folder, plan)
        if not resume and next(folder.glob(f"{ITEMS}/*/*/{DONE}"), None) is not None:
            raise UsageError(
                "the folder holds items of this dataset",
                where=str(folder),
                todo="add --resume to make those that are missing, or name another folder",
            )
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(
            head,
            {"plan": plan.resolved(), "plan_sha256": plan.digest, "made_by": provenance.versions()},
        )


def _refuse_other(folder: Path, plan: Plan) -> None:
    found = read_head(folder)
    if found.digest != plan.digest:
        raise UsageError(
            f"the folder holds another dataset: {found.id!r}, plan {found.digest[:12]}; this is "
            f"{plan.id!r}, plan {plan.digest[:12]}",
            where=str(folder),
            todo="name another folder, or undo the change of the plan or of its scenarios",
        )


def read_head(folder: Path) -> Plan:
    """Return the plan of a dataset's folder.

    Raises
    ------
    InputError
        If the folder holds none, or a damaged one.
    """
    path = folder / HEAD
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        plan = plan_from(table["plan"], str(path))
        is_whole = plan.digest == table["plan_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the folder holds no dataset: {getattr(error, 'strerror', None) or error!r}",
            where=str(path),
            todo="name a folder that `emgsim dataset make` has made",
        ) from error
    if not is_whole:
        raise InputError(
            "the plan does not have the digest that was written beside it",
            where=str(path),
            todo="it was edited or damaged; take it from another shard, or make the set anew",
        )
    return plan


def items_in(folder: Path) -> Items:
    """Return the items that a dataset's folder is to hold."""
    return Items(read_head(folder))


def read_done(folder: Path, id: str) -> Row | None:
    """Return what an item's ``.done`` says; None if there is none that can be read."""
    try:
        row = json.loads((folder / item_folder(id) / DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_one = isinstance(row, dict) and row.keys() == DONE_KEYS
    return row if is_one and (row["schema"], row["id"]) == (DONE_SCHEMA, id) else None


def is_done(folder: Path, id: str, plan: Plan) -> bool:
    """Tell whether an item is there: its ``.done`` is of this plan, and its files have their sizes.

    Their content is looked at by `emgsim.dataset.verification`.
    """
    row = read_done(folder, id)
    return (
        row is not None
        and row.get("plan_sha256") == plan.digest
        and all(_has_size(folder / name, one["bytes"]) for name, one in row["files"].items())
    )


def _has_size(path: Path, n_bytes: int) -> bool:
    try:
        return path.stat().st_size == n_bytes
    except OSError:
        return False


def write_json(path: Path, table: object) -> None:
    """Write a table as JSON, whole or not at all."""
    write_whole(path, json.dumps(table, indent=1, sort_keys=True) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file that is on the disk before it has its name."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell what keeps a dataset from being written.

    Raises
    ------
    UsageError
        In place of any `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write the dataset: {error.strerror or error}",
            where=str(error.filename or folder),
            todo="make room, then go on with --resume"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "name a folder that can be written",
        ) from error


@contextmanager
def alone(folder: Path, shard: str) -> Iterator[None]:
    """Keep others from making the same shard in the same folder meanwhile.

    Raises
    ------
    UsageError
        If somebody does, or the folder cannot be written.
    """
    with writing(folder):
        (folder / PART).mkdir(exist_ok=True)
        file = (folder / PART / f"lock-{shard}").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                f"another process makes shard {shard.replace('-', '/')} in this folder",
                where=str(folder),
                todo="wait until it has ended, or end it",
            ) from error
        yield
    with suppress(OSError):  # somebody else may write another shard there
        Path(file.name).unlink()
        (folder / PART).rmdir()
