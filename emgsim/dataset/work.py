"""What a worker does: some items, one after the other, and what it tells of each.

Samples never go back to the process that hands out the work; a few words per item do.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path

from emgsim.dataset.folder import is_done
from emgsim.dataset.items import items_of
from emgsim.dataset.writing import make_item
from emgsim.errors import EmgsimError


@dataclass(frozen=True, kw_only=True)
class Told:
    """What became of an item: made, kept from before, or failed with an error."""

    index: int
    id: str
    cpu_s: float = 0.0
    n_bytes: int = 0
    is_kept: bool = False
    error: str = ""
    is_end: bool = False  # the disk does not take any more: others would fail alike


def make_some(plan: str, folder: str, indices: Sequence[int]) -> list[Told]:
    """Make the items that are not there yet.

    Parameters
    ----------
    plan
        The resolved plan as JSON.
    folder
        Of the dataset.
    indices
        Numbers of the items.
    """
    items, into = items_of(plan), Path(folder)
    told: list[Told] = []
    for index in indices:
        id = items.id_of(index)
        if is_done(into, id, items.plan):
            told.append(Told(index=index, id=id, is_kept=True))
            continue
        try:
            done = make_item(items, into, index)
        except EmgsimError as error:
            is_end = isinstance(error.__cause__, OSError)
            what = error.what if is_end else str(error)
            told.append(Told(index=index, id=id, error=what, is_end=is_end))
            if is_end:
                break
        except Exception as error:  # a mistake of ours in one item must not cost the others
            what = f"internal error: {type(error).__name__}: {error}"
            told.append(Told(index=index, id=id, error=what))
        else:
            n_bytes = sum(one["bytes"] for one in done["files"].values())
            told.append(Told(index=index, id=id, cpu_s=done["cpu_s"], n_bytes=n_bytes))
    return told


def begin_worker() -> None:
    """Leave Ctrl-C to the process that hands out the work, and end when that has died."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
