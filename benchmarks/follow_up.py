"""Follow-up of many patients: improvement found where there is some, and none where is none.

Usage::

    python benchmarks/follow_up.py [--seeds N] [--first-seed N] [--from-truth] [--cache DIR] [--fit]

Each patient is examined twice, by needles that go to other places and on days whose discharges
chance draws anew; what his body is stays his. Improved have those whose axons adopt the lost fibres
between three and twelve months, and those with a myositis after half a year of treatment. Not
improved have those whose fibres nobody adopts (they fibrillate less after nine months, since they
perish), and those with a myositis as before.

``--from-truth`` asks a perfect observer instead of the analysis. ``--cache`` keeps the measures of
each visit in a folder, and takes them from it. ``--fit`` prints the scatter between two visits of
stable patients of several severities, for ``catalogue/repeatability.toml``; its seeds begin at 301,
those that are judged at 1. Ends with 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from emgsim.analysis.core import analyse
from emgsim.exam.examination import Examination, examination_from, load_examination
from emgsim.follow_up import (
    Change,
    Process,
    Repeatability,
    Verdict,
    changes,
    mean_directed,
    progress,
    repeatability,
    visit_measures,
)
from emgsim.observer import observe
from emgsim.scoring.intervals import wilson
from emgsim.seeds import stream
from emgsim.simulation import patient_of, simulate

FIT_SEED = 301
MOST_FALSE = 0.05  # of those that have not improved
LEAST_FOUND = 0.95  # of those that have
TREATED_WEEKS = 26.0

Measures = dict[str, float]
Row = dict[str, Any]


class Case(NamedTuple):
    """A patient at two visits, and what he is at the second."""

    name: str
    examination: Examination
    process: Process
    truth: Verdict


class Judged(NamedTuple):
    """What the score says of the patients of one case."""

    case: Case
    verdicts: list[Verdict]
    scores: list[float]

    def share(self, verdict: Verdict) -> tuple[int, int]:
        """Return how many have a verdict, and of how many."""
        return self.verdicts.count(verdict), len(self.verdicts)


def main() -> None:
    """Print a row per case and the goals, or what repeats how well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int)
    parser.add_argument("--from-truth", action="store_true")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    path = "truth" if options.from_truth else "analysis"
    first = options.first_seed or (FIT_SEED if options.fit else 1)
    seeds = range(first, first + options.seeds)
    if options.fit:
        print(fitted(seeds, path, options.cache))
        return
    print(f"seeds {seeds.start}..{seeds.stop - 1}, by {path}")
    found = [judged(case, seeds, path, options.cache) for case in cases()]
    for one in found:
        tell(one)
    sys.exit(0 if goals_hold(found) else 1)


# -- patients --------------------------------------------------------------------------------------


def cases() -> list[Case]:
    """Return the cases that are judged."""
    untreated = {"kind": "myositis"}
    treated = {"kind": "myositis", "treatment_weeks": TREATED_WEEKS}
    grows, stays = (load_examination(f"denervation_{name}") for name in ("follow_up", "unchanged"))
    return [
        Case("axons adopt fibres, 3 to 12 months", last_two(grows), "neurogenic", "improved"),
        Case("myositis, 26 weeks treated", myositis(untreated, treated), "myopathic", "improved"),
        Case("nobody adopts fibres, 3 to 12 months", last_two(stays), "neurogenic", "unchanged"),
        Case("myositis as before", myositis(untreated, untreated), "myopathic", "unchanged"),
    ]


def last_two(examination: Examination) -> Examination:
    """Return an examination with its last two visits only, without what was expected of them."""
    before, after = examination.visits[-2:]
    first = before.model_copy(update={"expect": None})
    return examination.model_copy(update={"visits": (first, after)})


def myositis(before: Row, after: Row) -> Examination:
    """Return a biceps at two visits, by the protocol of the denervated muscle."""
    treated = "treated" if before != after else "stable"
    return pair(f"myositis_{treated}", "biceps_brachii", before, after)


def pair(name: str, muscle: str, before: Row, after: Row) -> Examination:
    """Return a muscle at two visits with a condition each."""
    example = load_examination("denervation_follow_up")
    table = {
        "schema": "emgsim.examination/1",
        "id": name,
        "title": name,
        "seed": 0,
        "protocol": example.protocol.model_dump(mode="json"),
        "acquisition": example.acquisition.model_dump(mode="json"),
        "muscles": [{"muscle": muscle}],
        "visits": [
            {"name": "before", "weeks": 0.0, "conditions": [before]},
            {"name": "after", "weeks": TREATED_WEEKS, "conditions": [after]},
        ],
    }
    return examination_from(table, name)


def stable() -> list[tuple[Examination, Process]]:
    """Return patients in whom nothing changes between two visits, of several severities."""
    hand, loss = "first_dorsal_interosseous", {"kind": "axonal_loss", "fibrillation_delay_days": 28}
    ill: list[tuple[str, str, Row, Process]] = [
        ("healthy", hand, loss | {"share": 0.0, "months": 3}, "neurogenic"),
        ("slight_loss", hand, loss | {"share": 0.3, "months": 3}, "neurogenic"),
        ("loss", hand, loss | {"share": 0.6, "months": 3}, "neurogenic"),
        ("heavy_loss", hand, loss | {"share": 0.8, "months": 3}, "neurogenic"),
        ("old_loss", hand, loss | {"share": 0.6, "months": 12}, "neurogenic"),
        (
            "no_repair",
            hand,
            loss | {"share": 0.6, "months": 3, "reinnervation": 0.0},
            "neurogenic",
        ),
        ("myositis", "biceps_brachii", {"kind": "myositis"}, "myopathic"),
        (
            "heavy_myositis",
            "biceps_brachii",
            {"kind": "myositis", "separated": 0.3},
            "myopathic",
        ),
    ]
    return [(pair(f"retest_{name}", m, row, row), process) for name, m, row, process in ill]


# -- visits ----------------------------------------------------------------------------------------


def measured(
    examination: Examination, number: int, seed: int, path: str, cache: Path | None
) -> Measures:
    """Return what a visit of the patient of a seed shows."""
    day = examination.model_copy(update={"seed": seed}).at_visit(number)
    kept = None if cache is None else cache / f"{day.id}_{seed}_{path}.json"
    if kept is not None and kept.exists():
        return dict(json.loads(kept.read_text()))
    found = seen(day, number, path)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return found


def seen(day: Examination, number: int, path: str) -> Measures:
    """Simulate a visit, and return what is seen of it.

    The body is that of the patient's seed, what discharges when that of the day.
    """
    scenario = day.scenario(day.muscles[0])
    patient = patient_of(scenario)
    if number:
        today = int(stream(day.seed, "visit", number).integers(2**31))
        patient = replace(patient, seed=today)
    recording, truth = simulate(scenario, patient=patient)
    stretches = scenario.analysis.stretches
    if path == "truth":
        return visit_measures(observe(recording, truth, stretches), stretches)
    return visit_measures(analyse(recording, scenario.analysis), stretches)


def change_of(
    examination: Examination, seed: int, path: str, cache: Path | None, repeats: Repeatability
) -> tuple[Change, ...]:
    """Return what has changed between the two visits of a patient."""
    before, after = (measured(examination, k, seed, path, cache) for k in (0, 1))
    return changes(before, after, repeats)


# -- judging ---------------------------------------------------------------------------------------


def judged(case: Case, seeds: Sequence[int], path: str, cache: Path | None) -> Judged:
    """Return the verdict on each patient of a case."""
    repeats = repeatability()
    found = [
        progress(change_of(case.examination, seed, path, cache, repeats), case.process)
        for seed in seeds
    ]
    return Judged(case, [one.verdict for one in found], [one.score / one.sdc for one in found])


def tell(one: Judged) -> None:
    """Print a case."""
    parts = [
        f"{verdict} {n}/{of} ({low:.2f}..{high:.2f})"
        for verdict in ("improved", "unchanged", "worse")
        for n, of in [one.share(verdict)]
        for low, high in [wilson(n, of)]
    ]
    mean, spread = np.mean(one.scores), np.std(one.scores)
    print(
        f"{one.case.name:38} {', '.join(parts)}; score in SDC {mean:.2f} +- {spread:.2f}",
        flush=True,
    )


def goals_hold(found: Sequence[Judged]) -> bool:
    """Print the shares over all cases beside their goals."""
    held = []
    for truth, words, is_held in (
        ("improved", f"goal >= {LEAST_FOUND:.2f}", lambda share: share >= LEAST_FOUND),
        ("unchanged", f"goal <= {MOST_FALSE:.2f}", lambda share: share <= MOST_FALSE),
    ):
        pairs = [one.share("improved") for one in found if one.case.truth == truth]
        n, of = sum(n for n, _ in pairs), sum(of for _, of in pairs)
        low, high = wilson(n, of)
        print(f"found improved where {truth}: {n}/{of} = {n / of:.3f} ({low:.3f}..{high:.3f})")
        print(f"    {words}: {'held' if is_held(n / of) else 'MISSED'}")
        held.append(is_held(n / of))
    return all(held)


# -- how well it repeats ---------------------------------------------------------------------------


def fitted(seeds: Sequence[int], path: str, cache: Path | None) -> str:
    """Return the catalogue's figures, from stable patients at two visits."""
    before = repeatability()
    tests = [
        (process, change_of(examination, seed, path, cache, before))
        for seed in seeds
        for examination, process in stable()
    ]
    every = [change for _, one in tests for change in one]
    sems = {name: sem_of([c for c in every if c.measure == name]) for name in before.measures}
    rows = {
        name: row.model_copy(update={"sem": sems[name][0]}) if sems[name][1] else row
        for name, row in before.measures.items()
    }
    now = before.model_copy(update={"measures": rows})
    return "\n".join(
        [
            *(f"{name} = {{ sem = {sem:.3g} }}  # of {n}" for name, (sem, n) in sems.items()),
            *(score_line(process, tests, now) for process in now.scores),
        ]
    )


def sem_of(pairs: Sequence[Change]) -> tuple[float, int]:
    """Return the standard error of one visit, and of how many pairs of visits.

    What is zero at both visits says nothing of how it scatters where it is not.
    """
    told = [c.value for c in pairs if c.before != 0 or c.after != 0]
    return (math.sqrt(float(np.mean(np.square(told))) / 2.0) if told else math.nan), len(told)


def score_line(
    process: Process, tests: Sequence[tuple[Process, tuple[Change, ...]]], now: Repeatability
) -> str:
    """Return the scatter of a process' score, in patients who have what it is a score of."""
    rule, scores, repairs = now.scores[process], [], []
    senses = {name: now.measures[name].better for name in rule.primary}
    for of, one in tests:
        own = {c.measure: replace(c, sem=now.measures[c.measure].sem) for c in one}
        first = own[rule.primary[0]]
        if of == process and (first.before or first.after):
            scores.append(mean_directed(own, senses, 1.0)[0])
            repairs.append(mean_directed(own, rule.repair, 1.0)[0])
    return f"{process}: sd = {rms(scores):.3g}, repair_sd = {rms(repairs):.3g}  # of {len(scores)}"


def rms(values: Sequence[float]) -> float:
    """Return the root mean square of what is known; NaN of nothing."""
    told = [value for value in values if math.isfinite(value)]
    return math.sqrt(float(np.mean(np.square(told)))) if told else math.nan


if __name__ == "__main__":
    main()
