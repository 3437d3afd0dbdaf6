"""How right the confidence of discharges is, on signals with exact truth.

Usage::

    python benchmarks/confidence.py PATH_TO_TEST_SIGNALS [--seeds N] [--cases n4 ...]
    python benchmarks/confidence.py PATH_TO_TEST_SIGNALS --fit

The first judges seeds 1 .. N of the shared cases n4, n6 and n8 and of the two healthy biceps, none
of which was used to fit; it ends with 1 if a goal is missed. The second decomposes the fitting
seeds and prints the table of `emgsim.analysis.confidence`. A discharge is right if it is matched
one to one with a discharge of its true unit within 0.5 ms, the unit's constant lag taken off; all
discharges of a false unit are wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType

import numpy as np
from needle_signals import BICEPS, SHARED, loaded, made
from numpy.typing import NDArray
from scipy import optimize, special

from emgsim.analysis.conditioning import Conditioned, condition
from emgsim.analysis.confidence import Evidence, evidence, probability
from emgsim.analysis.decomposability import DECOMPOSABLE
from emgsim.analysis.decomposition import Model, decompose
from emgsim.analysis.plan import NeedlePlan
from emgsim.recording import Truth
from emgsim.scoring import TOLERANCE_S
from emgsim.scoring.comparison import MAX_LAG_S
from emgsim.scoring.matching import matched_pairs, related_pairs

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

FITTED_ON = {
    "n4": range(101, 103),
    "n6": range(101, 107),
    "n8": range(101, 107),
    "healthy_biceps": range(101, 111),
    "healthy_biceps_moderate": range(101, 111),
}
SURE = 0.99
LEAST_RIGHT = 0.985  # of the discharges rated sure
LEAST_SURE = 0.70  # of the discharges of decomposable units
MOST_ERROR = 0.03  # of calibration
BINS = 10
STIFFNESS = 0.01  # of the fit: weights that the data do not tell apart share the work


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Discharges of a unit: what spoke for them, and whether they were right."""

    evidence: Evidence
    is_right: Flags


def main() -> None:
    """Judge, or fit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("test_signals", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cases", nargs="*", default=[*SHARED, *BICEPS])
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    shared = loaded(options.test_signals)
    if options.fit:
        fit([u for case, seeds in FITTED_ON.items() for u in rated(shared, case, seeds)])
        return
    every: list[Rated] = []
    for case in options.cases:
        units = rated(shared, case, range(1, options.seeds + 1))
        figures(case, units)
        every += units
    sys.exit(0 if judged(every) else 1)


def rated(shared: ModuleType, case: str, seeds: Iterable[int]) -> list[Rated]:
    """Decompose a case on some seeds and rate every discharge."""
    out = []
    for seed in seeds:
        work, model, truth = decomposed(shared, case, seed)
        right = is_right(work, model, truth)
        own = zip(evidence(work, model), right, strict=True)
        out += [Rated(evidence=one, is_right=flags) for one, flags in own]
        print(f"{case} seed {seed}: {len(right)} units", file=sys.stderr, flush=True)
    return out


def decomposed(shared: ModuleType, case: str, seed: int) -> tuple[Conditioned, Model, Truth]:
    """Make and decompose one recording."""
    recording, truth = made(shared, case, seed)
    plan = NeedlePlan()
    samples_uv = recording.samples_uv[:, 0]
    signal = condition(samples_uv, recording.rate_hz, recording.start_s, plan)
    model, work = decompose(signal, plan)
    return work, model, truth


def is_right(work: Conditioned, model: Model, truth: Truth) -> list[Flags]:
    """Tell of each discharge of each found unit whether it is true."""
    true_s = [np.sort(unit.spike_times_s) for unit in truth.units]
    found_s = [work.start_s + unit.positions / work.rate_hz for unit in model.units]
    pairs = related_pairs(true_s, found_s, TOLERANCE_S, MAX_LAG_S)
    out = [np.zeros(train.size, dtype=bool) for train in found_s]
    for pair in matched_pairs(pairs, len(true_s), len(found_s)).values():
        out[pair.found][[j for _, j in pair.matches]] = True
    return out


def pooled(units: Sequence[Rated]) -> tuple[Floats, Flags]:
    """Return the probability of all discharges, and whether they were right."""
    p = np.concatenate([np.zeros(0), *(probability(u.evidence) for u in units)])
    return p, np.concatenate([np.zeros(0, dtype=bool), *(u.is_right for u in units)])


def calibration_error(p: Floats, is_right: Flags) -> float:
    """Return the mean difference of probability and share right over bins, weighted by number."""
    bins = np.minimum((BINS * p).astype(int), BINS - 1)
    off = [abs(float(np.sum(p[bins == b]) - np.sum(is_right[bins == b]))) for b in range(BINS)]
    return sum(off) / max(p.size, 1)


def figures(name: str, units: Sequence[Rated]) -> tuple[float, float, float, float]:
    """Print and return right of the sure, sure, calibration error and Brier score."""
    p, right = pooled(units)
    sure = p >= SURE
    if not p.size:
        print(f"{name}: no discharge")
        return 1.0, 0.0, 0.0, 0.0
    of_sure = float(np.mean(right[sure])) if sure.any() else 1.0
    error, brier = calibration_error(p, right), float(np.mean((p - right) ** 2))
    print(
        f"{name}: {p.size} discharges of {len(units)} units, {100 * np.mean(right):.2f} % right; "
        f"{100 * np.mean(sure):.1f} % sure, of these {100 * of_sure:.2f} % right; calibration "
        f"error {error:.4f}, Brier {brier:.4f}",
        flush=True,
    )
    return of_sure, float(np.mean(sure)), error, brier


def judged(units: Sequence[Rated]) -> bool:
    """Print all figures beside their goals."""
    of_sure, _, error, brier = figures("all", units)
    for low, high in ((0.0, 10.0), (10.0, 20.0), (20.0, 40.0), (40.0, 80.0), (80.0, np.inf)):
        some = [u for u in units if low <= u.evidence.apart[0] < high]
        figures(f"decomposability {low:g} to {high:g}", some)
    clear = [u for u in units if u.evidence.apart[0] >= DECOMPOSABLE]
    _, sure, _, _ = figures(f"decomposable (>= {DECOMPOSABLE:g})", clear)
    goals = (
        (
            f"right of those rated >= {SURE}: {of_sure:.4f} (goal >= {LEAST_RIGHT})",
            of_sure >= LEAST_RIGHT,
        ),
        (f"of decomposable units so rated: {sure:.3f} (goal >= {LEAST_SURE})", sure >= LEAST_SURE),
        (
            f"calibration error {error:.4f} (goal <= {MOST_ERROR}); Brier score {brier:.4f}",
            error <= MOST_ERROR,
        ),
    )
    for text, is_held in goals:
        print(f"  {'held  ' if is_held else 'MISSED'} {text}")
    return all(is_held for _, is_held in goals)


def fit(units: Sequence[Rated]) -> None:
    """Fit the logistic map by penalised likelihood and print its table."""
    columns = np.concatenate([u.evidence.columns for u in units])
    right = np.concatenate([u.is_right for u in units])
    design = np.column_stack([np.ones(right.size), columns])

    def cost(weights: Floats) -> tuple[float, Floats]:
        score = design @ weights
        stiff = STIFFNESS * np.concatenate([[0.0], weights[1:]])
        value = np.logaddexp(0, np.where(right, -score, score)).sum() + 0.5 * stiff @ weights
        return float(value), design.T @ (special.expit(score) - right) + stiff

    found = optimize.minimize(cost, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B")
    print(f"{right.size} discharges of {len(units)} units, {100 * np.mean(right):.2f} % right")
    names = ["constant", *(field.name for field in fields(Evidence))]
    for name, weight in zip(names, found.x, strict=True):
        print(f"    {name!r}: {weight:.3f},")


if __name__ == "__main__":
    main()
