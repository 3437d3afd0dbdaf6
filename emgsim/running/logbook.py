"""A run's journal as its stages use it: each one's time and words, and the samples it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emgsim.files.npz import write_npz
from emgsim.recording import Recording, Truth
from emgsim.records.journal import Journal

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Logbook:
    """Where a run's stages write, and whom they tell."""

    journal: Journal
    progress: Progress

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.journal.folder

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """Time a stage; it is journalled when it is done, and not when it fails."""
        stage = Stage(name, self)
        yield stage
        stage.done()

    def keep(self, path: str, recording: Recording, truth: Truth | None = None) -> None:
        """Write what a path recorded, and journal it with its digest."""
        name = f"wave/{path}.npz"
        write_npz(self.journal.folder / name, recording, truth)
        self.journal.append(
            "capture",
            path=path,
            file=name,
            n_samples=recording.n_samples,
            rate_hz=recording.rate_hz,
            start_s=recording.start_s,
            gaps=[[gap.first_sample, gap.n_samples] for gap in recording.gaps],
        )
        self.journal.file(name)


class Stage:
    """One stage's time and what is told of it; told and journalled once, when it is done."""

    def __init__(self, name: str, logbook: Logbook) -> None:
        self._name, self._logbook = name, logbook
        self._began_s = time.perf_counter()
        self._told: list[str] = []
        self._is_done = False

    def __call__(self, text: str) -> None:
        """Say what came of it."""
        self._told.append(text)

    def done(self) -> None:
        """Journal the stage and show its line."""
        if self._is_done:
            return
        self._is_done = True
        seconds = time.perf_counter() - self._began_s
        self._logbook.journal.append("stage", name=self._name, seconds=round(seconds, 3))
        self._logbook.progress(f"{self._name:<9} {seconds:6.2f} s  {'; '.join(self._told)}")
