"""The parts of a study of baselines: sizes of changes, values that are kept, and answers.

All answers come by the product's own way: runs' records, a proposal, an approval, a check.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from baseline_changes import Change, Subject
from scipy import special

from emgsim.records.record import RunRecord
from emgsim.regression.baseline import Baseline, approved, proposed
from emgsim.regression.check import Checked, checked_runs
from emgsim.verdict import Measurement

BASELINES = 40  # so many are made; a rerun beyond takes one of them again
CLOSE = 0.02  # margins: how near a change of the mean comes to what is wanted, in the search
N_STEPS = 16  # of the search at most
UNCHANGED = ""  # the name of no change
ON = date(2026, 6, 1)

Values = dict[str, list[Any]]  # value and unit by id
Run = tuple[str, float, int]  # of a change, its size, the seed


class Seeds(NamedTuple):
    """Seeds of one repeat; those of the search, of baselines and of checks have none in common."""

    baseline: range
    check: range


def seeds_of(subject: Subject[Any], repeat: int) -> Seeds:
    """Return the seeds of a repeat: its baseline and its check are runs of its own."""
    old = 100_000 + repeat % BASELINES * subject.n_baseline
    new = 200_000 + repeat * subject.n_check
    return Seeds(range(old, old + subject.n_baseline), range(new, new + subject.n_check))


class Bench:
    """Measure a subject, and keep what was measured.

    Parameters
    ----------
    folder
        In which values are kept from call to call, by the text of the subject's module; None:
        nowhere. Whoever changes the product takes an empty one.
    jobs
        Processes that measure at a time.
    """

    def __init__(self, subject: Subject[Any], folder: Path | None, jobs: int) -> None:
        self._subject, self._jobs = subject, jobs
        self._kept: dict[Run, Values] = {}
        self._file: Path | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            text = Path(inspect.getfile(subject.measured)).read_bytes()
            self._file = folder / f"{subject.name}-{hashlib.sha256(text).hexdigest()[:10]}.jsonl"
            if self._file.exists():
                self._read(self._file)

    def values(self, runs: Sequence[Run]) -> list[Values]:
        """Return what each run measures, those of one seed by one process."""
        wanted = sorted({run for run in runs if run not in self._kept}, key=lambda run: run[2])
        by_seed: dict[int, list[Run]] = {}
        for run in wanted:
            by_seed.setdefault(run[2], []).append(run)
        for found in _each(partial(_measured, self._subject.name), by_seed.values(), self._jobs):
            self._keep(found)
        return [self._kept[run] for run in runs]

    def _keep(self, found: Sequence[tuple[Run, Values]]) -> None:
        self._kept |= dict(found)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as out:
                out.writelines(json.dumps(one) + "\n" for one in found)

    def _read(self, file: Path) -> None:
        """Read what is kept, and take away a line in whose midst it was stopped."""
        text = file.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            file.write_bytes(whole)
        for line in whole.splitlines():
            (name, size, seed), values = json.loads(line)
            self._kept[name, size, seed] = values


def _measured(subject: str, runs: Sequence[Run]) -> list[tuple[Run, Values]]:
    from baselines import SUBJECTS

    return [(run, SUBJECTS[subject].values(*run)) for run in runs]


def _each(
    work: Callable[[list[Run]], list[tuple[Run, Values]]], tasks: Iterable[list[Run]], jobs: int
) -> Iterable[list[tuple[Run, Values]]]:
    if jobs == 1:
        yield from map(work, tasks)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, tasks)


def shift(bench: Bench, subject: Subject[Any], change: Change[Any], size: float) -> float:
    """Return by how many margins a change moves the mean of the measurement it acts on.

    The runs with and without it have the same seeds, so that little of it is chance.
    """
    id, margin, seeds = change.acts_on, subject.margins[change.acts_on], subject.searched
    now = bench.values([(change.name, size, seed) for seed in seeds])
    before = bench.values([(UNCHANGED, 0.0, seed) for seed in seeds])
    moved = [new[id][0] - old[id][0] for new, old in zip(now, before, strict=True)]
    return abs(float(np.mean(moved))) / margin


def sought(moved: Callable[[float], float], largest: float, target: float) -> float:
    """Return the size at which a change moves a mean by so many margins.

    By false position after Illinois, as the mean grows with the size; where it grows in steps, by
    halves.

    Raises
    ------
    ValueError
        If even the largest size moves it by less.
    """
    low, high, below, above = 0.0, largest, -target, moved(largest) - target
    if above < 0:
        raise ValueError(
            f"the largest change must move it by {target:g} margins, got {above + target:.3g}"
        )
    size = largest
    for step in range(N_STEPS):
        part = 0.5 if step % 3 == 2 else below / (below - above)
        size = float(f"{low + part * (high - low):.6g}")
        off = moved(size) - target
        if abs(off) <= CLOSE:
            break
        if off < 0:
            low, below, above = size, off, above / 2
        else:
            high, above, below = size, off, below / 2
    return size


def checked(
    subject: Subject[Any], old: Mapping[int, Values], new: Mapping[int, Values]
) -> list[Checked]:
    """Have new runs checked against a baseline of old ones, by seed."""
    plan = proposed(subject.name, [_record(subject, *run) for run in old.items()], subject.margins)
    baseline: Baseline = approved(plan, by="E. Xaminer", reason="a study of baselines", on=ON)
    return checked_runs(baseline, [_record(subject, *run) for run in new.items()])


def _record(subject: Subject[Any], seed: int, values: Values) -> dict[str, Any]:
    """Return the record of a run as its folder would tell it."""
    record = RunRecord(
        run_id=f"{subject.name}-{seed}",
        status="completed",
        exit_code=0,
        seed=seed,
        scenario={"id": subject.name},
        rig={"id": "in process"},
        measurements=tuple(
            Measurement(id=id, value=value, unit=unit) for id, (value, unit) in values.items()
        ),
    )
    return dict(json.loads(record.to_json()))


def chance_of_more(count: int, n: int, share: float) -> float:
    """Return the probability of so many of n or more, each with a probability of `share`."""
    return 1.0 if count == 0 else float(special.betainc(count, n - count + 1, share))


def one_sided_bound(count: int, n: int) -> float:
    """Return the upper 95 % bound of a share (Clopper & Pearson 1934, Biometrika 26:404)."""
    return 1.0 if count == n else float(special.betaincinv(count + 1, n - count, 0.95))


def mean_shifts(
    subject: Subject[Any], now: Sequence[Values], before: Sequence[Values]
) -> dict[str, float]:
    """Return by how many margins each measurement's mean lies off, by id; runs are paired."""
    return {
        id: math.fsum(new[id][0] - old[id][0] for new, old in zip(now, before, strict=True))
        / (len(now) * margin)
        for id, margin in subject.margins.items()
    }
