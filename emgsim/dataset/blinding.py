"""A blind export: recordings that tell nothing, and a key that tells all.

People and algorithms get ``blind``; whoever scores them keeps ``key``. A reader's findings of
``blind/b0007.npz`` are scored by ``emgsim compare FINDINGS key/b0007.npz``, as any detector's are.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

from emgsim.dataset import folder as place
from emgsim.dataset.items import row
from emgsim.dataset.loading import load_made
from emgsim.errors import InputError, UsageError
from emgsim.files.npz import write_npz
from emgsim.recording import Channel, Recording

KEY, BLIND = "key", "blind"


def export_blind(folder: Path, out: Path, *, path: str = "clean") -> int:
    """Write every item's recording without its truth, in an order that nobody can guess.

    Parameters
    ----------
    folder
        Of a dataset with npz files.
    out
        A new folder.
    path
        Which recording: ``clean``, ``loopback`` or ``device``.

    Returns
    -------
    int
        How many were written.

    Raises
    ------
    InputError
        If an item is missing, or has no such recording.
    UsageError
        If the folder is not empty, or cannot be written.
    """
    items = place.items_in(folder)
    if out.exists() and any(out.iterdir()):
        raise UsageError(
            "the folder is not empty", where=str(out), todo="name a new one: names are drawn anew"
        )
    order = list(range(len(items)))
    secrets.SystemRandom().shuffle(order)  # from a seed of the plan anybody could undo it
    width, rows = max(4, len(str(len(order)))), {}
    for number, index in enumerate(order, start=1):
        made, name = load_made(folder, items, items[index]), f"b{number:0{width}d}"
        if path not in made.recordings:
            raise InputError(
                f"item {made.item.id} has no recording {path!r}; it has "
                f"{', '.join(made.recordings)}",
                where=str(folder),
                todo="choose one of these with --path",
            )
        recording = made.recordings[path]
        with place.writing(out):
            write_npz(out / BLIND / f"{name}.npz", _nameless(recording))
            write_npz(out / KEY / f"{name}.npz", recording, made.truth)
        rows[name] = {**row(made.item), "path": path, "labels": dict(made.labels)}
    with place.writing(out):
        place.write_json(out / KEY / "key.json", {"dataset": items.plan.id, "items": rows})
    return len(rows)


def _nameless(recording: Recording) -> Recording:
    """Return the recording with channels that say no more than their electrode's kind."""
    channels = tuple(
        Channel(name=f"channel {k + 1}", kind=channel.kind, reference=channel.reference)
        for k, channel in enumerate(recording.channels)
    )
    return replace(recording, channels=channels)
