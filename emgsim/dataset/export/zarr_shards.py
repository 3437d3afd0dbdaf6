"""Shards of a large dataset as Zarr v3: the samples of many items in few files (extra ``zarr``).

A shard is three things side by side: the store ``NAME.zarr``, its index ``NAME.tsv`` with a row for
each recording of each item, and ``NAME.sha256`` with the digest of every file, as ``sha256sum -c``
reads it. The digests are written last: a shard without them is not whole.

In the store every signal path has one array of counts, ``(time, channel)``, the items one after
another; a count is 10 nV, and the smallest integer is a sample that never arrived. The inner chunks
hold one item each (of the first one's length), so that reading an item decodes no other. The group
``truth`` has the discharges in whole nanoseconds of the scenario's clock, the units, and their
potentials.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emgsim.dataset.export.tables import write_tsv
from emgsim.dataset.made import DatasetHead, Item, Made
from emgsim.errors import InputError, UsageError
from emgsim.recording import MotorUnit, Recording
from emgsim.records.journal import digest

FORMAT = "emgsim.shard/1"
UV_PER_COUNT = 0.01
LOST = np.iinfo(np.int32).min
DISCHARGE_FIELDS = ("item", "unit", "time_ns")  # time_ns: of the main spike at the electrode
UNIT_FIELDS = (
    "item", "unit", "threshold", "n_fibres", "muap_first", "muap_n", "muap_start_s", "arrival_s",
)  # fmt: skip
INDEX_COLUMNS = (
    "item", "id", "recording", "first_sample", "n_samples", "rate_hz", "start_s", "channels",
    "places_mm", "subject", "split", "scenario", "seed", "pair", "variant", "parameters", "labels",
)  # fmt: skip
Counts = NDArray[np.int32]


def digest_of(path: Path) -> Path:
    """Return where the digests of a shard are; they are there once the shard is whole."""
    return path.with_suffix(".sha256")


def index_of(path: Path) -> Path:
    """Return where the index of a shard is."""
    return path.with_suffix(".tsv")


class ShardWriter:
    """The one writer of a shard: items are added, and `close` writes them all.

    The items are kept in memory until then, 4 bytes a sample; `n_bytes` says how much it is. Left
    by an error, a ``with`` block writes nothing.

    Parameters
    ----------
    path
        Of the store: its name ends in ``.zarr``.
    head
        Of the dataset.

    Raises
    ------
    UsageError
        If zarr is not installed, or the name does not end in ``.zarr``.
    InputError
        If the shard is there already, and whole.
    """

    def __init__(self, path: Path, head: DatasetHead) -> None:
        zarr_package()
        if path.suffix != ".zarr":
            raise UsageError(f"a shard's name must end in .zarr, got {path.name!r}")
        if digest_of(path).exists():
            raise InputError(
                "the shard is there already",
                where=str(path),
                todo="take it away first, or write under another name",
            )
        self._path, self._head = path, head
        self._counts: dict[str, list[Counts]] = {}
        self._rows: list[dict[str, Any]] = []
        self._discharges: list[NDArray[np.int64]] = []
        self._units: list[tuple[float, ...]] = []
        self._muaps: list[NDArray[np.float32]] = []
        self._is_open = True

    @property
    def n_bytes(self) -> int:
        """Bytes of all samples so far, before compression."""
        return sum(part.nbytes for parts in self._counts.values() for part in parts)

    def add(self, made: Made) -> None:
        """Add an item.

        Raises
        ------
        UsageError
            If the shard is closed.
        InputError
            If a recording has another number of channels than those before, a sample beyond
            21 V, or one that is not finite outside the gaps.
        """
        if not self._is_open:
            raise UsageError("a shard that is closed takes no more items")
        ready = {name: _counts(made, name) for name in made.recordings}
        for name, counts in ready.items():
            before = self._counts.get(name, [counts])[0]
            if before.shape[1] != counts.shape[1]:
                raise _refused(
                    made, name, f"it must have {before.shape[1]} channels, got {counts.shape[1]}"
                )
        for name, counts in ready.items():
            parts = self._counts.setdefault(name, [])
            first = sum(len(part) for part in parts)
            parts.append(counts)
            self._rows.append(_row(made, name, made.recordings[name], first))
        self._add_truth(made)

    def _add_truth(self, made: Made) -> None:
        for unit in made.truth.units:
            first = sum(len(muap) for muap in self._muaps)
            self._units.append(_unit_row(made.item, unit, first))
            self._muaps.append(unit.muap_uv.astype(np.float32))
            time_ns = np.rint(unit.spike_times_s * 1e9).astype(np.int64)
            whose = np.full((time_ns.size, 2), (made.item.index, unit.id), np.int64)
            self._discharges.append(np.column_stack([whose, time_ns]))

    def close(self) -> list[Path]:
        """Write the shard, and return its store, index and digests.

        Raises
        ------
        UsageError
            If it holds no item.
        OSError
            If it cannot be written; what was begun is taken away.
        """
        if not self._is_open:
            return []
        if not self._rows:
            raise UsageError("a shard must hold an item, got none")
        self._is_open = False
        half = self._path.with_name(f".{self._path.name}.part")
        shutil.rmtree(half, ignore_errors=True)
        try:
            self._write_store(half)
            shutil.rmtree(self._path, ignore_errors=True)  # of a writer that was killed
            half.rename(self._path)
        except OSError:
            shutil.rmtree(half, ignore_errors=True)
            raise
        index = write_tsv(index_of(self._path), INDEX_COLUMNS, self._rows)
        return [self._path, index, _write_digests(self._path)]

    def _write_store(self, path: Path) -> None:
        group = zarr_package().create_group(path, attributes={"format": FORMAT, **vars(self._head)})
        for name in sorted(self._counts):
            parts = self._counts[name]
            array = _array(
                group, name, np.concatenate(parts), ("time", "channel"), len(parts[0]), int(LOST)
            )
            array.attrs.update({"uv_per_count": UV_PER_COUNT, "lost": int(LOST)})
        truth = group.create_group("truth")
        none = np.zeros((0, 3), np.int64)
        for name, values, dims, fields in (
            (
                "discharges",
                np.concatenate([none, *self._discharges]),
                "discharge",
                DISCHARGE_FIELDS,
            ),
            ("units", np.array(self._units).reshape(-1, len(UNIT_FIELDS)), "unit", UNIT_FIELDS),
        ):
            array = _array(truth, name, values, (dims, "field"))
            array.attrs["fields"] = list(fields)
        if self._muaps:
            _array(truth, "muaps_uv", np.concatenate(self._muaps), ("time", "channel"))

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write the shard, unless an error ended the block."""
        if error is None:
            self.close()


def zarr_package() -> Any:
    """Return the package zarr.

    Raises
    ------
    UsageError
        If it is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise UsageError(
            "Zarr shards need the package zarr", todo='pip install "emgsim[zarr]"'
        ) from error
    return zarr


def _array(
    group: Any,
    name: str,
    values: NDArray[Any],
    dimensions: tuple[str, str],
    chunk: int = 0,
    fill_value: int = 0,
) -> Any:
    """Write one array as one shard, its inner chunks ``chunk`` long (0: all of it)."""
    from zarr.codecs import BloscCodec, BloscShuffle

    n, width = (max(1, size) for size in values.shape)
    inner = max(1, chunk or n)
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(inner, width),
        shards=(-(-n // inner) * inner, width),
        compressors=BloscCodec(cname="zstd", clevel=3, shuffle=BloscShuffle.bitshuffle),
        dimension_names=dimensions,
        fill_value=fill_value,
    )
    array[...] = values
    return array


def _counts(made: Made, name: str) -> Counts:
    recording = made.recordings[name]
    samples_uv = recording.samples_uv
    is_lost = np.zeros(len(samples_uv), bool)
    for gap in recording.gaps:
        is_lost[gap.first_sample : gap.first_sample + gap.n_samples] = True
    if not np.all(np.isfinite(samples_uv[~is_lost])):
        raise _refused(made, name, "its samples must be finite outside its gaps")
    counts = np.rint(np.where(is_lost[:, None], 0.0, samples_uv) / UV_PER_COUNT)
    if np.any(np.abs(counts) >= -float(LOST)):
        raise _refused(made, name, f"its samples must be within {-LOST * UV_PER_COUNT:.0f} uV")
    counts[is_lost] = LOST
    return counts.astype(np.int32)


def _refused(made: Made, name: str, rule: str) -> InputError:
    return InputError(
        f"the recording {name!r} of item {made.item.id} does not fit the shard: {rule}",
        where=f"scenario {made.item.scenario}",
        todo="put it into another dataset, or mend its scenario",
    )


def _row(made: Made, name: str, recording: Recording, first_sample: int) -> dict[str, Any]:
    item = made.item
    return {
        "item": item.index,
        "recording": name,
        "first_sample": first_sample,
        "n_samples": recording.n_samples,
        "rate_hz": recording.rate_hz,
        "start_s": recording.start_s,
        "channels": _json([channel.name for channel in recording.channels]),
        "places_mm": _json([channel.position_mm for channel in recording.channels]),
        "parameters": _json(dict(item.parameters)),
        "labels": _json(dict(made.labels)),
        **{key: getattr(item, key) for key in
           ("id", "subject", "split", "scenario", "seed", "pair", "variant")},
    }  # fmt: skip


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _unit_row(item: Item, unit: MotorUnit, muap_first: int) -> tuple[float, ...]:
    return (
        item.index, unit.id, unit.threshold, unit.n_fibres,
        muap_first, len(unit.muap_uv), unit.muap_start_s, unit.arrival_s,
    )  # fmt: skip


def _write_digests(path: Path) -> Path:
    lines = [f"{sha256}  {name}" for name, sha256 in sorted(_digests(path))]
    target = digest_of(path)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _digests(path: Path) -> Iterator[tuple[str, str]]:
    files = [index_of(path), *(p for p in path.rglob("*") if p.is_file())]
    for file in files:
        yield file.relative_to(path.parent).as_posix(), digest(file)


def damage_of(path: Path) -> list[str]:
    """Return what is wrong with a shard's files by their digests; an empty list if nothing is.

    Parameters
    ----------
    path
        Of the store.

    Returns
    -------
    list of str
        One sentence for each file that is missing, changed or not listed.
    """
    target = digest_of(path)
    if not target.is_file():
        return [f"{path.name} has no digests: it is not whole"]
    told = {
        name: digest
        for digest, _, name in (
            line.partition("  ") for line in target.read_text("utf-8").splitlines()
        )
    }
    there = dict(_digests(path)) if index_of(path).is_file() else {}
    wrong = [f"{name} is missing" for name in sorted(told.keys() - there.keys())]
    wrong += [f"{name} is not listed" for name in sorted(there.keys() - told.keys())]
    wrong += [f"{n} is changed" for n in sorted(told.keys() & there.keys()) if told[n] != there[n]]
    return wrong
