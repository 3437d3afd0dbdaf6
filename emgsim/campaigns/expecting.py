"""How long the cells of a campaign take: from those that are done, from earlier campaigns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from emgsim.campaigns.cells import Cell
from emgsim.exam.examination import Examination
from emgsim.records.campaign import CAMPAIGN

REAL_TIMES = 5.0  # a guess: seconds of work per second of signal, with the built-in analysis
START_S = 3.0  # and for the rig to be opened


class Expected:
    """What a cell takes, from how long others took: the same scenario's, else a guess scaled."""

    def __init__(self, earlier: dict[str, list[float]] | None = None) -> None:
        self._seconds = {name: list(those) for name, those in (earlier or {}).items()}
        self._guessed_s = self._taken_s = 0.0

    @property
    def known(self) -> tuple[str, ...]:
        """The scenarios of which it is known how long they take."""
        return tuple(self._seconds)

    def done(self, cell: Cell, seconds: float) -> None:
        """Take note of how long a cell took."""
        self._seconds.setdefault(cell.scenario, []).append(seconds)
        self._guessed_s += guess_s(cell)
        self._taken_s += seconds

    def cell_s(self, cell: Cell) -> float:
        """Return how long a cell is expected to take."""
        if known := self._seconds.get(cell.scenario):
            return fmean(known)
        scale = self._taken_s / self._guessed_s if self._guessed_s else 1.0
        return scale * guess_s(cell)

    def left_s(self, cells: Sequence[Cell]) -> float:
        """Return how long some cells are expected to take one after the other."""
        return sum(self.cell_s(cell) for cell in cells)


def guess_s(cell: Cell) -> float:
    """Return what a cell might take where nothing like it was ever run."""
    subject = cell.subject
    if isinstance(subject, Examination):
        signal_s = sum(subject.steps(exam)[1] for exam in subject.muscles)
        return START_S * len(subject.muscles) + REAL_TIMES * signal_s
    return START_S + REAL_TIMES * subject.duration_s


def earlier(out: Path) -> dict[str, list[float]]:
    """Return how long the completed cells of earlier campaigns took, by scenario.

    Parameters
    ----------
    out
        Folder of campaigns. Those without a record, or with a damaged one, tell nothing.
    """
    found: dict[str, list[float]] = {}
    for path in sorted(out.glob(f"*/{CAMPAIGN}")):
        try:
            cells = json.loads(path.read_text("utf-8"))["cells"]
            for cell in cells:
                if cell["status"] == "completed" and cell["seconds"]:
                    found.setdefault(cell["scenario"], []).append(float(cell["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def in_words(seconds: float) -> str:
    """Write a time as people say it.

    Examples
    --------
    >>> in_words(41.2), in_words(150), in_words(9000)
    ('41 s', '3 min', '2.5 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
