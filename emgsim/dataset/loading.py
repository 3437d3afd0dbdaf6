"""An item of a dataset read back from its folder."""

from __future__ import annotations

import json
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.items import Items
from emgsim.dataset.made import Item, Made
from emgsim.errors import InputError
from emgsim.files.npz import read_npz


def load_made(folder: Path, items: Items, item: Item) -> Made:
    """Return an item as it was made; samples are rounded to float32.

    Raises
    ------
    InputError
        If the item is not there, or was not written as npz.
    """
    row, own = place.read_done(folder, item.id), folder / place.item_folder(item.id)
    if row is None or f"{place.item_folder(item.id).as_posix()}/clean.npz" not in row["files"]:
        raise InputError(
            f"the dataset {items.plan.id} has no npz file of item {item.id}",
            where=str(own),
            todo='make it with formats = ["npz", ...]',
        )
    paths = sorted(own.glob("*.npz"))
    read = {path.stem: read_npz(path) for path in paths}
    truth = read["clean"][1]
    if truth is None:
        raise InputError("the recording lacks its truth", where=str(own / "clean.npz"))
    labels, scenario = (
        json.loads((own / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("labels", "scenario")
    )
    return Made(
        item=item,
        recordings={path: recording for path, (recording, _) in read.items()},
        truth=truth,
        labels=labels,
        scenario=scenario,
    )
