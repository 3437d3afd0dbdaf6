"""How well a baseline tells that a device or a detector was changed, and that it was not.

Ten deliberate changes of an amplifier, which the metrology measures on the plant in process, and
ten of a detector, which is scored on simulated recordings, go the way of every run: a baseline of
some runs is proposed and approved, and a few other runs are checked against it. Each repeat has a
baseline and a check of its own seeds; the changes share them. The size of a change is such that the
mean of the measurement on which it acts moves by 1.5 margins, or by 0.5: it is sought on yet other
seeds, and the table says how far it moved in the repeats.

Usage::

    python benchmarks/baselines.py [--subject device] [--only NAME ...] [--jobs 2] [--cache FOLDER]

``told``: the measurement on which the change acts was reported as changed. ``other``: another one
was, though its own mean moved by no more than its margin. ``power``: what the product itself
foretells of it, mean of the repeats. All bounds are exact ones. Ends with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from baseline_changes import Change, Subject
from baseline_detectors import DETECTOR
from baseline_devices import PATH_OF_DEVICE, SINES_OF_DEVICE
from baseline_study import (
    UNCHANGED,
    Bench,
    Values,
    chance_of_more,
    checked,
    mean_shifts,
    one_sided_bound,
    seeds_of,
    shift,
    sought,
)

from emgsim.regression.check import Checked
from emgsim.regression.equivalence import ALPHA
from emgsim.scoring import clopper_pearson

SUBJECTS: dict[str, Subject[Any]] = {
    one.name: one for one in (PATH_OF_DEVICE, SINES_OF_DEVICE, DETECTOR)
}
LARGE, SMALL = 1.5, 0.5  # margins
LEAST_TOLD = 0.95
MOST_CLEAN = 0.05


class Told(NamedTuple):
    """What was said of the repeats of one change."""

    moved: float  # margins, of the measurement on which it acts
    told: int
    equivalent: int
    other: int
    power: float


def main() -> int:
    """Run the study that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", choices=SUBJECTS, nargs="+", default=list(SUBJECTS))
    parser.add_argument("--only", nargs="+", default=None, metavar="NAME", help="of changes")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--clean", type=int, default=100, help="reruns of what is unchanged")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=None, help="folder that keeps what it took")
    args = parser.parse_args()
    began_s, missed = time.process_time(), 0
    for name in args.subject:
        subject = SUBJECTS[name]
        bench = Bench(subject, args.cache, args.jobs)
        missed += told_changes(bench, subject, args.only, args.repeats)
        if args.only is None:
            missed += told_clean(bench, subject, args.clean)
    if args.jobs == 1:
        print(f"CPU {time.process_time() - began_s:.0f} s")
    return 1 if missed else 0


def told_changes(
    bench: Bench, subject: Subject[Any], only: Sequence[str] | None, repeats: int
) -> int:
    """Print how often each change of either size was told, and return how many missed a goal."""
    changes = [change for change in subject.changes if only is None or change.name in only]
    sizes = {
        (change.name, wanted): sought(
            partial(shift, bench, subject, change), change.largest, wanted
        )
        for change in changes
        for wanted in (LARGE, SMALL)
    }
    seeds = [seed for k in range(repeats) for seed in seeds_of(subject, k).check]
    bench.values([(name, size, s) for (name, _), size in sizes.items() for s in seeds])
    print(f"\n{subject.name}: baseline of {subject.n_baseline} runs, check of {subject.n_check}")
    print("margins: " + "; ".join(f"{id} {margin:g}" for id, margin in subject.margins.items()))
    print(
        f"{'change':<28} {'acts on':<29}{'size':>10}{'wanted':>7}{'moved':>6}{'told':>5}"
        f"{'same':>5}{'open':>5}{'other':>6}{'power':>7}  told: 95 % bounds, goal"
    )
    missed = 0
    for change in changes:
        for wanted in (LARGE, SMALL):
            size = sizes[change.name, wanted]
            found = answered(bench, subject, change, size, repeats)
            missed += _told_row(change, size, wanted, found, repeats)
    return missed


def _told_row(change: Change[Any], size: float, wanted: float, found: Told, repeats: int) -> bool:
    """Print one row, and return whether it missed its goal."""
    bounds, is_large = clopper_pearson(found.told, repeats), wanted > 1
    missed = found.told < LEAST_TOLD * repeats if is_large else found.told + found.other > 0
    missed |= chance_of_more(found.other, repeats, ALPHA) < ALPHA
    print(
        f"{change.name:<28} {change.acts_on:<29}{size:>10.4g}{wanted:>7.2f}{found.moved:>6.2f}"
        f"{found.told:>5}{found.equivalent:>5}{repeats - found.told - found.equivalent:>5}"
        f"{found.other:>6}{100 * found.power:>6.0f}%  {100 * bounds.low:.1f}-"
        f"{100 * bounds.high:.1f} %, {f'>= {100 * LEAST_TOLD:g} %' if is_large else 'never'}"
        f"{'  MISSED' if missed else ''}",
        flush=True,
    )
    return missed


def answered(
    bench: Bench, subject: Subject[Any], change: Change[Any], size: float, repeats: int
) -> Told:
    """Check a change in so many repeats, each against a baseline of its own."""
    checks = [seed for k in range(repeats) for seed in seeds_of(subject, k).check]
    now = dict(zip(checks, bench.values([(change.name, size, s) for s in checks]), strict=True))
    clean = bench.values([(UNCHANGED, 0.0, seed) for seed in checks])
    moved = mean_shifts(subject, list(now.values()), clean)
    families = [
        {
            row.id: row
            for row in _checked(bench, subject, k, [now[s] for s in seeds_of(subject, k).check])
        }
        for k in range(repeats)
    ]
    rows = [family[change.acts_on].comparison for family in families]
    within = {id for id, off in moved.items() if abs(off) <= 1 and id != change.acts_on}
    return Told(
        moved=abs(moved[change.acts_on]),
        told=sum(row.answer == "changed" for row in rows),
        equivalent=sum(row.answer == "equivalent" for row in rows),
        other=sum(bool(within & _changed(family.values())) for family in families),
        power=float(np.mean([row.power for row in rows])),
    )


def told_clean(bench: Bench, subject: Subject[Any], reruns: int) -> int:
    """Print how many unchanged reruns seem changed, and return whether that is too many."""
    checks = [seed for k in range(reruns) for seed in seeds_of(subject, k).check]
    values = bench.values([(UNCHANGED, 0.0, seed) for seed in checks])
    families = [
        _checked(bench, subject, k, values[k * subject.n_check : (k + 1) * subject.n_check])
        for k in range(reruns)
    ]
    n = sum(bool(_changed(family)) for family in families)
    same = sum(all(row.comparison.answer == "equivalent" for row in f) for f in families)
    chance = chance_of_more(n, reruns, MOST_CLEAN)
    is_missed = n > MOST_CLEAN * reruns or chance < ALPHA
    print(
        f"clean reruns with a measurement reported as changed: {n} of {reruns}, goal <= "
        f"{100 * MOST_CLEAN:g} %; upper 95 % bound {100 * one_sided_bound(n, reruns):.1f} %, "
        f"chance of as many at {100 * MOST_CLEAN:g} % {chance:.2f}; all equivalent in {same}"
        f"{'  MISSED' if is_missed else ''}",
        flush=True,
    )
    return int(is_missed)


def _checked(
    bench: Bench, subject: Subject[Any], repeat: int, now: Sequence[Values]
) -> list[Checked]:
    seeds = seeds_of(subject, repeat)
    old = bench.values([(UNCHANGED, 0.0, seed) for seed in seeds.baseline])
    return checked(
        subject,
        dict(zip(seeds.baseline, old, strict=True)),
        dict(zip(seeds.check, now, strict=True)),
    )


def _changed(family: Any) -> set[str]:
    return {row.id for row in family if row.comparison.answer == "changed"}


if __name__ == "__main__":
    sys.exit(main())
