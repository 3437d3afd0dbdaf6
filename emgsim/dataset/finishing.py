"""What belongs to the whole set: its index, the BIDS tree's own files, the Zarr shards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.items import Items
from emgsim.dataset.loading import load_made
from emgsim.dataset.parameters import each
from emgsim.errors import InputError

COLUMNS = (
    "id", "scenario", "subject", "split", "pair", "variant", "seed", "duration_s", "n_channels",
    "n_discharges", "events_sha256", "folder",
)  # fmt: skip
RAW_BYTES = 200_000_000  # of samples in one Zarr shard; they are held until it is written
SHOWN = 10


def finish(folder: Path, items: Items) -> None:
    """Write what needs all items: each of them must be there.

    Raises
    ------
    InputError
        If items are missing; some are named.
    """
    missing = [item_id for item_id, row in done_rows(folder, items) if row is None]
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise InputError(
            f"{len(missing)} of {len(items)} items are missing: {', '.join(missing[:SHOWN])}{more}",
            where=str(folder),
            todo="make them with `emgsim dataset make --resume`, or merge the shard that has them",
        )
    place.write_whole(folder / place.INDEX, "".join(index_lines(folder, items)))
    if "bids" in items.plan.formats:
        from emgsim.dataset.export.bids import finish_bids

        finish_bids(folder / "bids", items.plan.head, list(items))
    if "zarr" in items.plan.formats:
        _pack_zarr(folder, items)


def done_rows(folder: Path, items: Items) -> Iterator[tuple[str, place.Row | None]]:
    """Yield each item's id and what its ``.done`` says; None if it is not there."""
    for index in range(len(items)):
        id = items.id_of(index)
        yield id, place.read_done(folder, id)


def index_lines(folder: Path, items: Items) -> Iterator[str]:
    """Yield the lines of ``index.tsv``: the same whoever made the items, and in whichever order."""
    keys = _keys(items)
    yield "\t".join([*COLUMNS, *keys]) + "\n"
    for id, row in done_rows(folder, items):
        if row is not None:
            values = {**row["item"], **row, "folder": place.item_folder(id).as_posix()}
            drawn = row["item"]["parameters"]
            cells = [values[name] for name in COLUMNS] + [drawn.get(key, "") for key in keys]
            yield "\t".join(_cell(cell) for cell in cells) + "\n"


def _keys(items: Items) -> list[str]:
    keys = [one.key for one in each(items.plan.parameters)]
    if any(source.muscles for source in items.plan.sources):
        keys = ["muscle", *keys]
    return list(dict.fromkeys(keys))


def _cell(value: object) -> str:
    if value == "":
        return "n/a"
    return value if isinstance(value, str) else json.dumps(value)


def _pack_zarr(folder: Path, items: Items) -> None:
    """Pack the items into shards: one writer, and a shard is whole before it has its name."""
    from emgsim.dataset.export.zarr_shards import ShardWriter

    part, target = folder / place.PART / "zarr", folder / "zarr"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    writer, number = None, 0
    for item in items:
        if writer is None:
            writer = ShardWriter(part / f"shard-{number:05d}.zarr", items.plan.head)
        writer.add(load_made(folder, items, item))
        if writer.n_bytes >= RAW_BYTES:
            writer.close()
            writer, number = None, number + 1
    if writer is not None:
        writer.close()
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)
