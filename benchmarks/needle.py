"""Needle decomposition on signals with exact truth: ours beside the peers, each figure by its goal.

Usage::

    python benchmarks/needle.py PATH_TO_TEST_SIGNALS [--seeds N] [--cases n4 healthy_biceps ...]

The file holds ``needle_case`` and ``score_trains``: the shared test signals n4, n6 and n8 and a
scorer that is not ours (0.5 ms, lag of each unit within 6 ms), which judges the units of those
cases; the house's scorer judges the rest. Each case is run on its own seed and on seeds 1 .. N, the
two healthy biceps on seeds 1 .. N; no threshold was set on any of them. A missed unit counts as an
agreement of 0. ``--cases moving_0.2mm`` (0.1, 0.3) has a needle that moves slowly for 30 s. CPU
seconds are those of this process per second of signal: of the decomposition, which the goal and the
peers are of, and of the analysis with all its measures. Ends with 1 if a goal is missed.

Beside the discharges that are found stands how many a matched filter finds at best
(`needle_bound.py`).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

import numpy as np
from needle_bound import CLEAR_RATIO, answers, found_at_best
from needle_signals import BICEPS, SHARED, loaded, made
from numpy.typing import NDArray

from emgsim.analysis.conditioning import condition
from emgsim.analysis.core import analyse
from emgsim.analysis.decomposition import decompose
from emgsim.analysis.plan import NeedlePlan
from emgsim.recording import Recording
from emgsim.scoring import Score, compare
from emgsim.scoring.strata import collision_lags_s

Floats = NDArray[np.float64]
T = TypeVar("T")

PEERS = {
    "n4": "Montreal 2009: 4/4, 0.991, RTF 8.9; best spike sorter 0-1/4",
    "n6": "Montreal 2009: 2/6, 0.746, 2 duplicates, RTF 8.5-9.4; spike sorters 1/6",
    "n8": "best spike sorter 0/8, 0.73 of the units it found",
}
NAMED_GOALS = {"n4": (4, 0.99), "n6": (4, 0.80), "n8": (5, 0.75)}  # good units, mean agreement
GOOD = 0.9  # agreement of a unit that counts
MOST_FEWER = 1  # good units of the median seed, against the named case or all detectable ones
MOST_FALSE = 0.02  # of the units found
LEAST_SHARE = 0.98  # of their discharges that stand apart
LAGS_MS = (0.5, 1.0, 2.0, 3.0)  # from here on a discharge stands apart
MOST_CPU = 0.5


@dataclass(frozen=True, kw_only=True)
class Run:
    """One recording decomposed; ``tallies`` are true, found and false discharges by lag.

    ``heard`` is what somebody who knows all but the discharge hears of the clear units. ``cpu`` is
    that of the decomposition, ``whole`` that of the analysis, in seconds per second of signal.
    """

    n_true: int
    n_found: int
    n_good: int
    mean: float
    n_false: int
    cpu: float
    whole: float
    tallies: NDArray[np.int64]
    heard: list[tuple[int, NDArray[np.int64]]]


def main() -> None:
    """Print one line per signal, and the goals per case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("test_signals", type=Path)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--cases", nargs="*", default=[*SHARED, *BICEPS])
    options = parser.parse_args()
    shared = loaded(options.test_signals)
    held = [judged(shared, case, options.seeds) for case in options.cases]
    sys.exit(0 if all(held) else 1)


def judged(shared: ModuleType, case: str, seeds: int) -> bool:
    """Run a case on its seeds, print its figures beside their goals, tell whether all held."""
    named = run(shared, case, None) if case in SHARED else None
    more = [run(shared, case, seed) for seed in range(1, seeds + 1)]
    lines = named_lines(case, named) if named else []
    if more:
        expected = [named.n_good] * len(more) if named else [r.n_true for r in more]
        lines += seeds_lines(more, expected)
    lines += pooled_lines([*([named] if named else []), *more])
    print(f"{case}:" + (f" peers on the named case: {PEERS[case]}" if case in PEERS else ""))
    for text, is_held in lines:
        print(f"  {'held  ' if is_held else 'MISSED'} {text}", flush=True)
    print()
    return all(is_held for _, is_held in lines)


def run(shared: ModuleType, case: str, seed: int | None) -> Run:
    """Decompose one recording and score it."""
    recording, truth = made(shared, case, seed)
    findings, whole = timed(lambda: analyse(recording))
    cpu = timed(lambda: decomposed(recording))[1] / recording.duration_s
    score = compare(findings, truth, recording=recording)
    n_true, agreements, n_false = len(score.detectable), [], score.n_false + score.n_duplicates
    if case in SHARED:
        n_true = len(truth.units)
        trains = [unit.discharge_times_s for unit in findings.units]
        true_s = [unit.spike_times_s for unit in truth.units]
        result = shared.score_trains(true_s, trains, tol=0.0005, max_lag=0.006)
        agreements = [pair["roa"] for pair in result["pairs"]]
        n_false = result["n_false"] + result["n_dup"]
    else:
        agreements = [u.counts.jaccard for u in score.detectable if u.found_id is not None]
    out = Run(
        n_true=n_true,
        n_found=len(findings.units),
        n_good=sum(agreement >= GOOD for agreement in agreements),
        mean=sum(agreements) / n_true if n_true else 1.0,
        n_false=n_false,
        cpu=cpu,
        whole=whole / recording.duration_s,
        tallies=by_lag(score),
        heard=answers(recording, truth),
    )
    print(
        f"{case} {'named' if seed is None else f'seed {seed}':>7}: {out.n_good}/{n_true} units >= "
        f"{GOOD}, mean agreement {out.mean:.3f}, {out.n_found} found, {n_false} false or "
        f"duplicate, {cpu:.2f} CPU s/s, {out.whole:.2f} with all measures",
        flush=True,
    )
    return out


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what some work gives, and the CPU seconds that it took."""
    began = time.process_time()
    return work(), time.process_time() - began


def decomposed(recording: Recording) -> None:
    """Decompose a recording and measure nothing of what is found."""
    plan = NeedlePlan()
    channel = recording.samples_uv[:, 0]
    decompose(condition(channel, recording.rate_hz, recording.start_s, plan), plan)


def by_lag(score: Score) -> NDArray[np.int64]:
    """Return true, found and false discharges of the clear units by lag to another clear one's."""
    clear = [unit for unit in score.units if unit.ratio >= CLEAR_RATIO]
    trains = {unit.truth_id: unit.true_times_s for unit in clear}
    lags = collision_lags_s(trains)
    out = np.zeros((3, len(LAGS_MS) + 1), dtype=np.int64)
    for unit in clear:
        others = {**trains, unit.truth_id: unit.false_times_s}
        false_lags = collision_lags_s(others)[unit.truth_id]
        own = lags[unit.truth_id]
        for k, values in enumerate((own, own[unit.is_found], false_lags)):
            places = np.searchsorted(LAGS_MS, 1e3 * values, side="right")
            out[k] += np.bincount(places, minlength=out.shape[1])
    return out


Line = tuple[str, bool]


def named_lines(case: str, named: Run) -> list[Line]:
    """Return the goals of the named case."""
    good, mean = NAMED_GOALS[case]
    return [
        (
            f"named: {named.n_good}/{named.n_true} units >= {GOOD} (goal >= {good})",
            named.n_good >= good,
        ),
        (f"named: mean agreement {named.mean:.3f} (goal >= {mean})", named.mean >= mean),
        (f"named: {named.n_false} false or duplicate (goal 0)", named.n_false == 0),
    ]


def seeds_lines(more: Sequence[Run], expected: Sequence[int]) -> list[Line]:
    """Return the goals over further seeds."""
    fewer = float(np.median([n - r.n_good for n, r in zip(expected, more, strict=True)]))
    n_false, n_found = sum(r.n_false for r in more), sum(r.n_found for r in more)
    means = [r.mean for r in more]
    return [
        (
            f"{len(more)} seeds: {sum(r.n_good for r in more)}/{sum(r.n_true for r in more)} units "
            f">= {GOOD}, median {fewer:g} fewer than "
            f"expected (goal <= {MOST_FEWER}); mean agreement {np.mean(means):.3f}, worst "
            f"{min(means):.3f}",
            fewer <= MOST_FEWER,
        ),
        (
            f"{len(more)} seeds: {n_false} of {n_found} found false or duplicate "
            f"(goal <= {100 * MOST_FALSE:g} %)",
            n_false <= MOST_FALSE * n_found,
        ),
    ]


def pooled_lines(runs: Sequence[Run]) -> list[Line]:
    """Return the goals over all runs of a case: discharges by lag, and CPU."""
    true, found, false = np.sum([r.tallies for r in runs], axis=0)
    sensitivity = found / np.maximum(true, 1)
    precision = found / np.maximum(found + false, 1)
    names = [f"< {lag:g} ms" for lag in LAGS_MS]
    rows = ", ".join(
        f"{name} {100 * s:.1f}/{100 * p:.1f} of {n}"
        for name, s, p, n in zip(names, sensitivity, precision, true, strict=False)
    )
    cpu = [r.cpu for r in runs]
    whole = float(np.mean([r.whole for r in runs]))
    heard = [unit for r in runs for unit in r.heard]
    bound, goal_bound = (
        100 * found_at_best(heard, p) for p in (min(precision[-1], 0.999), LEAST_SHARE)
    )
    apart = 100 * np.array([sensitivity[-1], precision[-1]])
    return [
        (
            f"units >= {CLEAR_RATIO} rms, discharges apart by {LAGS_MS[-1]:g} ms: sensitivity "
            f"{apart[0]:.2f} %, precision {apart[1]:.2f} % of {true[-1]} (goal >= "
            f"{100 * LEAST_SHARE:g} %); at best {bound:.1f} % at that precision, "
            f"{goal_bound:.1f} % at the goal's; superposed: {rows}",
            bool(apart.min() >= 100 * LEAST_SHARE),
        ),
        (
            f"{np.mean(cpu):.2f} CPU s/s, most {max(cpu):.2f} (goal <= {MOST_CPU} on the average); "
            f"{whole:.2f} with every measure and interval of the analysis",
            float(np.mean(cpu)) <= MOST_CPU,
        ),
    ]


if __name__ == "__main__":
    main()
