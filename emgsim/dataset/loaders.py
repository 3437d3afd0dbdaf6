"""A dataset as examples for learning: from its folder, from its shards, or made on the fly.

All three give `Example`, and need numpy alone; `examples/loaders/` shows each of them in ten lines
with numpy, scikit-learn and PyTorch.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emgsim.dataset.export.zarr_shards import zarr_package
from emgsim.errors import InputError, UsageError

if TYPE_CHECKING:
    from emgsim.dataset.made import Item
    from emgsim.recording import Recording

Floats = NDArray[np.float32]

UNKNOWN_MM = (math.nan, math.nan, math.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """One recording of a dataset and what there is to learn of it.

    ``samples_uv`` has shape ``(n_samples, n_channels)``, microvolts, NaN where samples were lost;
    ``places_mm`` says where each channel records, ``(n_channels, 3)``: across the muscle, up to the
    skin, and along its fibres, NaN where that is not known. ``labels`` and ``parameters`` are plain
    JSON, units in their keys.
    """

    id: str
    subject: str
    split: str
    recording: str  # signal path: "clean", "device", ...
    samples_uv: Floats
    rate_hz: float
    start_s: float
    channels: tuple[str, ...]
    places_mm: Floats
    labels: Mapping[str, Any]
    parameters: Mapping[str, Any]


class Folder:
    """The items of a dataset's folder that are whole, read when they are asked for.

    Parameters
    ----------
    folder
        As ``emgsim dataset make`` has written it, ``npz`` among its formats.
    recording
        The signal path.
    split
        ``train``, ``validation`` or ``test``; empty: all of them.

    Raises
    ------
    InputError
        If it holds no such recording.
    """

    def __init__(self, folder: Path, *, recording: str = "clean", split: str = "") -> None:
        self._recording = recording
        self._places: list[Path] = []
        for done in sorted(folder.glob("items/*/*/.done")):
            item = _table(done.with_name("item.json"))
            is_wanted = not split or item.get("split") == split
            if is_wanted and done.with_name(f"{recording}.npz").is_file():
                self._places.append(done.parent)
        if not self._places:
            raise _nothing(folder, recording, split)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Example:
        """Return an example; an `IndexError` ends a loop over all of them.

        Raises
        ------
        InputError
            If its files cannot be read.
        """
        from emgsim.files.npz import read_npz

        place = self._places[index]
        recording, _ = read_npz(place / f"{self._recording}.npz")
        item = _table(place / "item.json")
        return Example(
            id=str(item["id"]),
            subject=str(item["subject"]),
            split=str(item["split"]),
            recording=self._recording,
            samples_uv=recording.samples_uv.astype(np.float32),
            rate_hz=recording.rate_hz,
            start_s=recording.start_s,
            **_channels(recording),
            labels=_table(place / "labels.json"),
            parameters=item.get("parameters", {}),
        )


class Shards:
    """The items of a folder of Zarr shards, decoded when they are asked for (extra ``zarr``).

    Parameters
    ----------
    folder
        Of the shards; those without their digests are not whole, and left out.
    recording
        The signal path.
    split
        ``train``, ``validation`` or ``test``; empty: all of them.

    Raises
    ------
    InputError
        If it holds no such recording.
    UsageError
        If zarr is not installed.
    """

    def __init__(self, folder: Path, *, recording: str = "clean", split: str = "") -> None:
        self._recording = recording
        self._rows: list[tuple[Path, dict[str, str]]] = []
        self._arrays: dict[Path, Any] = {}
        for digests in sorted(folder.glob("*.sha256")):
            store = digests.with_suffix(".zarr")
            self._rows += [
                (store, row)
                for row in _rows(digests.with_suffix(".tsv"))
                if row["recording"] == recording and (not split or row["split"] == split)
            ]
        if not self._rows:
            raise _nothing(folder, recording, split)
        zarr_package()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Example:
        """Return an example; an `IndexError` ends a loop over all of them.

        Raises
        ------
        InputError
            If its shard cannot be read.
        """
        store, row = self._rows[index]
        array = self._array(store)
        first = int(row["first_sample"])
        counts = np.asarray(array[first : first + int(row["n_samples"])])
        samples_uv = (counts * float(array.attrs["uv_per_count"])).astype(np.float32)
        samples_uv[counts == array.attrs["lost"]] = np.nan
        return Example(
            id=row["id"],
            subject=row["subject"],
            split=row["split"],
            recording=self._recording,
            samples_uv=samples_uv,
            rate_hz=float(row["rate_hz"]),
            start_s=float(row["start_s"]),
            channels=tuple(json.loads(row["channels"])),
            places_mm=_places_mm(json.loads(row["places_mm"])),
            labels=json.loads(row["labels"]),
            parameters=json.loads(row["parameters"]),
        )

    def _array(self, store: Path) -> Any:
        """Return a shard's array; it is opened once in every process that reads it."""
        if store not in self._arrays:
            try:
                self._arrays[store] = zarr_package().open_array(store / self._recording, mode="r")
            except (OSError, ValueError, KeyError) as error:
                raise InputError(
                    f"cannot read the shard: {error}",
                    where=str(store),
                    todo="`emgsim dataset verify` tells which shards are damaged",
                ) from error
        return self._arrays[store]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open arrays behind: a worker opens its own."""
        return {**vars(self), "_arrays": {}}


def generate(
    plan: Path, *, recording: str = "clean", split: str = "", worker: int = 0, n_workers: int = 1
) -> Iterator[Example]:
    """Make the items of a plan one after another, for learning without a dataset on the disk.

    Parameters
    ----------
    plan
        A ``dataset.toml``.
    recording
        The signal path.
    split
        ``train``, ``validation`` or ``test``; empty: all of them.
    worker, n_workers
        Of several processes this one makes every ``n_workers``-th item, beginning with its own.

    Yields
    ------
    Example
        The same as `Folder` would read, but for rounding to float32.

    Raises
    ------
    UsageError
        If ``worker`` is none of the workers.
    InputError
        If the plan has mistakes, or makes no such recording.
    """
    if not 0 <= worker < n_workers:
        raise UsageError(f"worker must be 0..{n_workers - 1}, got {worker}")
    from emgsim.dataset.items import Items
    from emgsim.dataset.making import make
    from emgsim.dataset.plan import load_plan

    items = Items(load_plan(plan))
    wanted = (item for item in items if not split or item.split == split)
    for number, item in enumerate(wanted):
        if number % n_workers == worker:
            made = make(items, item)
            if recording not in made.recordings:
                raise _nothing(plan, recording, split)
            yield _example(item, recording, made.recordings[recording], made.labels)


def _example(item: Item, name: str, recording: Recording, labels: Mapping[str, Any]) -> Example:
    return Example(
        id=item.id,
        subject=item.subject,
        split=item.split,
        recording=name,
        samples_uv=recording.samples_uv.astype(np.float32),
        rate_hz=recording.rate_hz,
        start_s=recording.start_s,
        **_channels(recording),
        labels=labels,
        parameters=item.parameters,
    )


def _channels(recording: Recording) -> dict[str, Any]:
    """Return what the channels of a recording are called, and where each of them is."""
    return {
        "channels": tuple(channel.name for channel in recording.channels),
        "places_mm": _places_mm([channel.position_mm for channel in recording.channels]),
    }


def _places_mm(places: Sequence[Sequence[float] | None]) -> Floats:
    return np.array([place or UNKNOWN_MM for place in places], np.float32).reshape(-1, 3)


def _table(path: Path) -> dict[str, Any]:
    try:
        table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read what the item is: {error}",
            where=str(path),
            todo="`emgsim dataset verify` tells which items are damaged",
        ) from error
    return table


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except OSError as error:
        raise InputError(
            f"cannot read the shard's index: {error.strerror or error}",
            where=str(path),
            todo="`emgsim dataset verify` tells which shards are damaged",
        ) from error


def _nothing(place: Path, recording: str, split: str) -> InputError:
    of_split = f" of the split {split!r}" if split else ""
    return InputError(
        f"there is no recording {recording!r}{of_split}",
        where=str(place),
        todo="name a recording and a split that the dataset has",
    )
