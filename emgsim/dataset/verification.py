"""Whether a dataset is whole: every item once, every file as it was written, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.digests import dataset_sha256
from emgsim.dataset.export.zarr_shards import damage_of
from emgsim.dataset.finishing import index_lines
from emgsim.dataset.items import Items, row
from emgsim.dataset.made import Item
from emgsim.dataset.shards import Shard
from emgsim.records.journal import digest

FILE_KEYS = ("sha256", "bytes")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is wrong with an item or with the set: ``missing``, ``corrupt``, ``half``, ``double``.

    ``item`` is its id, or empty where the whole set is meant.
    """

    kind: str
    item: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind:<8} {self.item or '-':<10} {self.what}"


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found: the faults, and the digest of all discharges of the items that are there."""

    n_items: int
    n_whole: int
    faults: tuple[Fault, ...]
    events_sha256: str


def verify(folder: Path, shard: Shard | None = None) -> Verified:
    """Read every file of a dataset, and compare it with what was written.

    Parameters
    ----------
    folder
        Of the dataset.
    shard
        Look at its items only; None: at all of them, at the index and the Zarr shards.

    Raises
    ------
    InputError
        If the folder holds no dataset, or its plan is damaged.
    """
    items = place.items_in(folder)
    faults: list[Fault] = []
    events: list[tuple[str, str]] = []
    seen = _Seen()
    indices = range(len(items)) if shard is None else shard.indices(len(items))
    for item in map(items.__getitem__, indices):
        found = [*_faults_of(folder, items, item)]
        if not found:
            done = place.read_done(folder, item.id) or {}
            events.append((item.id, done["events_sha256"]))
            found = [*seen.twice(item, done)]
        faults += found
    if shard is None:
        faults += [*_strangers(folder, items), *_left_over(folder)]
        faults += [*_index_faults(folder, items), *_zarr_faults(folder, items)]
    return Verified(
        n_items=len(indices),
        n_whole=len(events),
        faults=tuple(faults),
        events_sha256=dataset_sha256(events),
    )


def _faults_of(folder: Path, items: Items, item: Item) -> Iterator[Fault]:
    """Yield what is wrong with an item by itself."""
    own = folder / place.item_folder(item.id)
    done = place.read_done(folder, item.id)
    if done is None:
        is_there = (own / place.DONE).exists()
        has_files = own.is_dir() and any(own.iterdir())
        if is_there:
            other = _id_in(own / place.DONE)
            if other:
                yield Fault(kind="double", item=item.id, what=f"its folder holds item {other}")
            else:
                yield Fault(kind="corrupt", item=item.id, what=f"{place.DONE} cannot be read")
        elif has_files:
            yield Fault(kind="half", item=item.id, what=f"it has files and no {place.DONE}")
        else:
            yield Fault(kind="missing", item=item.id, what="it was not made")
        return
    if done.get("plan_sha256") != items.plan.digest:
        yield Fault(kind="corrupt", item=item.id, what="it was made by another plan")
    elif done.get("item") != json.loads(json.dumps(row(item))):
        yield Fault(kind="corrupt", item=item.id, what="it is not what the plan says of it")
    files = done.get("files")
    if not isinstance(files, dict) or not files or "events_sha256" not in done:
        yield Fault(kind="corrupt", item=item.id, what=f"{place.DONE} names no files")
        return
    for name, said in files.items():
        yield from _file_fault(folder, item, name, said)


def _id_in(path: Path) -> str:
    """Return the id in a ``.done`` that is not where it belongs."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _file_fault(folder: Path, item: Item, name: str, said: object) -> Iterator[Fault]:
    path = folder / name
    if not isinstance(said, dict) or not all(key in said for key in FILE_KEYS):
        yield Fault(kind="corrupt", item=item.id, what=f"{name}: it has no digest")
        return
    try:
        size, sha256 = path.stat().st_size, digest(path)
    except OSError as error:
        kind = "missing" if isinstance(error, FileNotFoundError) else "corrupt"
        yield Fault(kind=kind, item=item.id, what=f"{name}: {error.strerror}")
        return
    if size < said["bytes"]:
        what = f"{name}: {size} of {said['bytes']} bytes"
        yield Fault(kind="half", item=item.id, what=what)
    elif sha256 != said["sha256"]:
        what = f"{name}: its content is not what was written"
        yield Fault(kind="corrupt", item=item.id, what=what)


class _Seen:
    """Seeds and discharges that have been there already; pairs share a seed on purpose."""

    def __init__(self) -> None:
        self._seeds: dict[int, tuple[str, str]] = {}
        self._events: dict[str, tuple[str, int]] = {}

    def twice(self, item: Item, done: place.Row) -> Iterator[Fault]:
        """Yield that an item has the seed of another pair, or the discharges of another seed."""
        other, pair = self._seeds.setdefault(item.seed, (item.id, item.pair))
        if other != item.id and not (pair and pair == item.pair):
            what = f"it has the seed {item.seed} of item {other}"
            yield Fault(kind="double", item=item.id, what=what)
        if done["n_discharges"]:
            other, seed = self._events.setdefault(done["events_sha256"], (item.id, item.seed))
            if other != item.id and seed != item.seed:
                what = f"it has every discharge of item {other}"
                yield Fault(kind="double", item=item.id, what=what)


def _strangers(folder: Path, items: Items) -> Iterator[Fault]:
    """Yield folders of items that the plan does not have."""
    for path in sorted((folder / place.ITEMS).glob("*/*")):
        is_planned = path.name.isdecimal() and int(path.name) < len(items)
        if not is_planned or folder / place.item_folder(items.id_of(int(path.name))) != path:
            where = path.relative_to(folder).as_posix()
            yield Fault(kind="double", item="", what=f"{where} is no item of the plan")


def _left_over(folder: Path) -> Iterator[Fault]:
    """Yield what was being written when somebody was stopped."""
    part = folder / place.PART
    for path in sorted(part.glob("*")) if part.is_dir() else ():
        if not path.name.startswith("lock-"):
            where = path.relative_to(folder).as_posix()
            what = f"{where} was being written and is part of nothing; it can be deleted"
            yield Fault(kind="half", item=path.name if path.name.isdecimal() else "", what=what)


def _zarr_faults(folder: Path, items: Items) -> Iterator[Fault]:
    """Yield what is wrong with the Zarr shards, which hold many items each."""
    if "zarr" not in items.plan.formats:
        return
    shards = sorted((folder / "zarr").glob("*.zarr"))
    if not shards:
        yield Fault(kind="missing", item="", what="zarr: there is no shard")
    for path in shards:
        for what in damage_of(path):
            yield Fault(kind="corrupt", item="", what=f"zarr: {what}")


def _index_faults(folder: Path, items: Items) -> Iterator[Fault]:
    """Yield that the index is not that of the items."""
    path = folder / place.INDEX
    if not path.is_file():
        what = f"{place.INDEX} is missing; `emgsim dataset merge` writes it"
        yield Fault(kind="missing", item="", what=what)
        return
    try:
        with path.open(encoding="utf-8") as file:
            pairs = zip_longest(file, index_lines(folder, items))
            is_same = all(found == meant for found, meant in pairs)
    except (UnicodeDecodeError, KeyError, TypeError):
        is_same = False
    if not is_same:
        what = f"{place.INDEX} does not say what the items say"
        yield Fault(kind="corrupt", item="", what=what)
