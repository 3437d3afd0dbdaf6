"""How well the tests of an amplifier know what they do not know.

Usage::

    python benchmarks/metrology_coverage.py [--devices N] [--first-seed N] [--jobs N]
                                            [--only ID ...] [--worst]
    python benchmarks/metrology_coverage.py --clean [--devices N]
    python benchmarks/metrology_coverage.py --faults

Random amplifiers on random benches (`virtual_amplifiers`), on the plant in process: gain, corners,
noise, rejection, input impedance, bias, crosstalk, offset, code size, jitter, missing codes,
recovery, skew, nonlinearity and clock are drawn, and so are the errors of the bench, from what its
certificates declare. Every reading is compared with the true value.

Goals, of 28 tests or more: the true value lies within the expanded uncertainty in 88 % or more of
the devices for each test, and pooled over the tests in 94 to 97 %; the median expanded uncertainty
is at most 1.3 times twice the rms error, and at most a quarter of the limit.

``--clean`` runs devices whose errors are all at most half of their limits, and counts those that
fail a test; ``--faults`` devices and fixtures with one fault each, 1.2 times the limit, of which
the right test must tell. Ends with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
from faulty_amplifiers import faulty_amplifiers
from true_values import VirtualAmplifier
from virtual_amplifiers import clean_amplifier, random_amplifier

from emgsim.errors import EmgsimError
from emgsim.in_process import InProcess
from emgsim.metrology.limits import limit_of
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.reading import Reading
from emgsim.metrology.table import PROCEDURES
from emgsim.scoring import clopper_pearson
from emgsim.verdict import Limit, Measurement, judge

T = TypeVar("T")

LEAST_TESTS = 28
LEAST_COVERAGE = 0.88
POOLED = (0.94, 0.97)
WIDEST = 1.3  # median uncertainty over twice the rms error
LARGEST_SHARE = 0.25  # of the limit
FLAGGED = ("fail", "conditional_fail")


class Compared(NamedTuple):
    """One reading beside the truth."""

    seed: int
    id: str
    value: float
    expanded: float
    sign: str  # "<=" or ">=" where the value only bounds the true one
    truth: float  # NaN where there is none
    bound: float  # how far the limit lies from what is ideal; NaN without a limit


def main() -> int:
    """Run the study that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only", nargs="+", default=())
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--worst", action="store_true", help="print the readings farthest off")
    args = parser.parse_args()
    began_s = time.process_time()
    seeds = range(args.first_seed, args.first_seed + args.devices)
    if args.faults:
        missed = told_faults(args.jobs)
    elif args.clean:
        missed = told_clean(seeds, args.jobs)
    else:
        missed = told_coverage(seeds, args.jobs, args.only, args.worst)
    if args.jobs == 1:
        print(f"CPU {time.process_time() - began_s:.0f} s")
    return 1 if missed else 0


def measured(drawn: VirtualAmplifier, seed: int, only: Sequence[str] = ()) -> list[Reading]:
    """Return all readings of a device; a test that breaks off is a reading of NaN that says why."""
    measuring = Measuring(InProcess(drawn.setup, drawn.physics, seed, drawn.faults))
    readings: list[Reading] = []
    for procedure in PROCEDURES:
        if only and not any(procedure.id.startswith(name) for name in only):
            continue
        if not set(procedure.states) <= set(drawn.setup.states):
            continue
        try:
            readings += procedure.measure(measuring)
        except EmgsimError as error:
            note = f"broke off: {error.what}"
            readings.append(Reading(id=procedure.id, value=math.nan, unit="", note=note))
    return readings


def compared(seed: int, only: Sequence[str]) -> list[Compared]:
    """Return the readings of a random device beside the truth."""
    drawn = random_amplifier(seed)
    truth = drawn.truth
    rows = []
    for one in measured(drawn, seed, only):
        if one.note.startswith("broke off"):
            print(f"seed {seed} {one.id}: {one.note}", file=sys.stderr)
        limit = limit_of(one.id, drawn.setup.device)
        true = truth.get(one.id, math.nan)
        expanded = one.expanded if one.components else 0.0
        rows.append(Compared(seed, one.id, one.value, expanded, one.bound, true, _bound(limit)))
    return rows


def _is_inside(row: Compared) -> bool:
    """Tell whether the true value lies in the interval, or on the right side of a bound."""
    error = row.value - row.truth
    above, below = error > row.expanded, -error > row.expanded
    return not ((above and row.sign != "<=") or (below and row.sign != ">="))


def _bound(limit: Limit | None) -> float:
    if limit is None:
        return math.nan
    if limit.low is not None and limit.high is not None and limit.low < limit.high:
        return 0.5 * (limit.high - limit.low)
    one = limit.high if limit.high is not None else limit.low
    return abs(one) if one else math.nan


def told_coverage(seeds: range, jobs: int, only: Sequence[str], worst: bool) -> int:
    """Print how often the truth lies within the uncertainty, test by test."""
    rows = [row for rows in _each(partial(compared, only=only), seeds, jobs) for row in rows]
    by_test = defaultdict(list)
    for row in rows:
        by_test[re.sub(r"\.ch\d+$", "", row.id)].append(row)
    print(
        f"{'test':<34}{'n':>5}{'NaN':>5}{'cover':>8}{'bias/u':>8}{'z rms':>7}{'rms error':>11}"
        f"{'median U':>11}{'U/2rms':>8}{'U/limit':>9}"
    )
    missed, n_tests, held = 0, 0, []
    for name, group in by_test.items():
        told = [r for r in group if math.isfinite(r.value) and math.isfinite(r.truth)]
        n_nan = sum(not math.isfinite(r.value) for r in group)
        if not told:
            print(f"{name:<34}{0:>5}{n_nan:>5}  no truth, or nothing measured")
            continue
        n_tests += 1
        inside = np.array([_is_inside(r) for r in told])
        held += inside.tolist()
        told = [r for r in told if not r.sign] or told
        errors = np.array([r.value - r.truth for r in told])
        expanded = np.array([r.expanded for r in told])
        rms, median = float(np.sqrt(np.mean(errors**2))), float(np.median(expanded))
        with np.errstate(divide="ignore", invalid="ignore"):
            z = errors / (expanded / 2)
        width = median / (2 * rms) if rms else math.nan
        share = float(np.nanmedian([e / r.bound for e, r in zip(expanded, told, strict=True)]))
        wrong = (inside.mean() < LEAST_COVERAGE) + (width > WIDEST) + (share > LARGEST_SHARE)
        missed += int(wrong)
        print(
            f"{name:<34}{inside.size:>5}{n_nan:>5}{100 * inside.mean():>7.1f}%{np.nanmean(z):>8.2f}"
            f"{np.sqrt(np.nanmean(z**2)):>7.2f}{rms:>11.4g}{median:>11.4g}{width:>8.2f}"
            f"{share:>9.3f}{'  MISSED' if wrong else ''}"
        )
        if worst:
            _tell_worst(told)
    pooled = float(np.mean(held))
    interval = clopper_pearson(sum(held), len(held))
    is_pooled = POOLED[0] <= pooled <= POOLED[1]
    print(
        f"pooled: {100 * pooled:.1f} % of {len(held)} "
        f"({100 * interval.low:.1f}-{100 * interval.high:.1f}), "
        f"goal {100 * POOLED[0]:g}-{100 * POOLED[1]:g} %{'' if is_pooled else '  MISSED'}"
    )
    print(f"tests: {n_tests}, goal {LEAST_TESTS}; devices: {len(seeds)}")
    return missed + (not is_pooled) + (n_tests < LEAST_TESTS and not only)


def _tell_worst(rows: Sequence[Compared]) -> None:
    far = sorted(rows, key=lambda r: -abs(r.value - r.truth) / max(r.expanded, 1e-300))[:4]
    for r in far:
        print(f"    seed {r.seed} {r.id}: {r.value:.6g} +- {r.expanded:.3g}, true {r.truth:.6g}")


def told_clean(seeds: range, jobs: int) -> int:
    """Print how many clean devices fail a test."""
    alarms = [alarm for one in _each(alarms_of_clean, seeds, jobs) for alarm in one]
    for alarm in alarms:
        print(f"false alarm: {alarm}")
    n = len({alarm.split(":")[0] for alarm in alarms})
    print(f"clean devices that fail a test: {n} of {len(seeds)}, goal 0")
    return n


def alarms_of_clean(seed: int) -> list[str]:
    """Return the tests that a clean device fails."""
    return [
        f"seed {seed}: {m.id} {m.value:.5g} {m.unit}, {m.limit}"
        for m in judged(clean_amplifier(seed), seed)
        if m.verdict in FLAGGED
    ]


def judged(drawn: VirtualAmplifier, seed: int) -> Iterable[Measurement]:
    """Yield the readings of a device that have a limit, with their verdicts."""
    for one in measured(drawn, seed):
        limit = limit_of(one.id, drawn.setup.device)
        if limit is not None and math.isfinite(one.value):
            low, high = one.value - one.expanded, one.value + one.expanded
            plain = Measurement(id=one.id, value=one.value, unit=one.unit, low=low, high=high)
            yield judge(plain, limit)


def told_faults(jobs: int) -> int:
    """Print which fault which test has told."""
    faults = faulty_amplifiers()
    found = _each(flagged_by, range(len(faults)), jobs)
    missed = 0
    for (name, right, _), flags in zip(faults, found, strict=True):
        is_told = any(id.startswith(right) for id in flags)
        missed += not is_told
        others = [id for id in flags if not id.startswith(right)]
        print(
            f"{name:<44} {right:<28} {'told' if is_told else 'MISSED'}"
            + (f"; also {', '.join(others)}" if others else ""),
            flush=True,
        )
    print(f"faults told by the right test: {len(faults) - missed} of {len(faults)}, goal all of 40")
    return missed + (len(faults) < 40)


def flagged_by(number: int) -> list[str]:
    """Return the tests that a faulty device fails."""
    _, _, drawn = faulty_amplifiers()[number]
    return [m.id for m in judged(drawn, number) if m.verdict in FLAGGED]


def _each(work: Callable[[int], T], numbers: range, jobs: int) -> Iterator[T]:
    """Yield what becomes of each number, in their order, as soon as it is there."""
    if jobs == 1:
        yield from map(work, numbers)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(work, numbers)


if __name__ == "__main__":
    sys.exit(main())
