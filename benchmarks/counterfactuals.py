"""The counterfactual matrix: no examination passes on somebody else's muscle.

Usage::

    python benchmarks/counterfactuals.py [NAME ...] [--cache DIR] [--jobs N] [--muscles]

Every shipped examination is judged by its own limits on what the analysis finds in its own clean
recordings, and must pass; each disease on the healthy recordings of the same muscles, and each
healthy muscle on the recordings of every disease of it, and must fail. What passes and must not, or
fails and must not, is marked and makes the end 1.

A healthy recording is the same examination of a patient without conditions and activity, of another
seed. ``--cache`` keeps findings, by examination and muscle; delete it when simulator or analysis
have changed. ``--muscles`` prints instead by how much each muscle's healthy MUAPs differ from the
biceps': the table ``[shifts]`` of ``emgsim/catalogue/reference.toml``. About 30 CPU s a recording.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from emgsim.analysis.core import analyse
from emgsim.analysis.mixtures import counted
from emgsim.concluding import judge_examination
from emgsim.configuration import read_table
from emgsim.exam.examination import SCHEMA, Examination, load_examination
from emgsim.files.findings import read_findings, write_findings
from emgsim.findings_table import Heard, heard
from emgsim.scenario import muscle_catalogue
from emgsim.shipped import find, names
from emgsim.simulation import simulate

FINDER = "truth"  # the analysis of the clean signal
OTHER_PATIENT = 1000  # added to the seed of a healthy twin
PASSES = ("pass", "conditional_pass")
SHIFTED = ("amplitude_uv", "duration_ms", "thickness_ms")


def examinations(wanted: Sequence[str]) -> list[Examination]:
    """Return the shipped examinations of one visit, or those that are asked for."""
    loaded = [
        load_examination(name)
        for name in (wanted or names("scenarios"))
        if read_table(find("scenarios", name)).get("schema") == SCHEMA
    ]
    return [examination for examination in loaded if not examination.visits]


def healthy(examination: Examination) -> Examination:
    """Return the examination of another patient, of whom nothing is wrong."""
    muscles = tuple(
        exam.model_copy(update={"conditions": (), "spontaneous": ()})
        for exam in examination.muscles
    )
    return examination.model_copy(
        update={
            "id": f"{examination.id}_healthy",
            "seed": examination.seed + OTHER_PATIENT,
            "conditions": tuple(c for c in examination.conditions if c.kind == "ageing"),
            "muscles": muscles,
        }
    )


def is_healthy(examination: Examination) -> bool:
    """Tell whether an examination has nothing that its healthy twin has not."""
    return healthy(examination).model_dump(exclude={"id", "seed"}) == examination.model_dump(
        exclude={"id", "seed"}
    )


def found(task: tuple[Examination, str], cache: Path | None) -> tuple[Heard, ...]:
    """Return what the analysis finds in the clean recording of a muscle, stretch by stretch."""
    examination, muscle = task
    [exam] = [exam for exam in examination.muscles if exam.muscle.name == muscle]
    scenario = examination.scenario(exam)
    file = None if cache is None else cache / f"{scenario.id}.json"
    if file is not None and file.is_file():
        findings = read_findings(file)
    else:
        recording, _ = simulate(scenario)
        findings = analyse(recording, scenario.analysis)
        if file is not None:
            write_findings(file, findings)
    return heard(findings, scenario.analysis.stretches)


def failures(examination: Examination, fed: Mapping[str, Sequence[Heard]]) -> list[str]:
    """Return the limits of an examination's muscles that do not hold on what it is fed."""
    own = examination.model_copy(
        update={
            "muscles": tuple(exam for exam in examination.muscles if exam.muscle.name in fed),
            "lesion": None,
        }
    )
    measured = judge_examination(own, {muscle: {FINDER: parts} for muscle, parts in fed.items()})
    return [
        m.id.removesuffix(f".{FINDER}")
        for m in measured
        if m.limit is not None and m.id.endswith(f".{FINDER}") and m.verdict not in PASSES
    ]


def told(name: str, whom: str, failed: Sequence[str], *, must_pass: bool) -> bool:
    """Print one cell of the matrix, and return whether it is as it must be."""
    as_it_must = bool(failed) != must_pass
    verdict = "fails " if failed else "passes"
    why = ", ".join(failed[:3]) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    print(f"{'held  ' if as_it_must else 'MISSED'}  {name:<30} {whom:<44} {verdict}  {why}")
    return as_it_must


def matrix(every: Sequence[Examination], cache: Path | None, jobs: int) -> bool:
    """Print the matrix; return whether all of it is as it must be."""
    ill = [examination for examination in every if not is_healthy(examination)]
    well = [examination for examination in every if is_healthy(examination)]
    twins = [healthy(examination) for examination in ill]
    tasks = [(e, exam.muscle.name) for e in (*every, *twins) for exam in e.muscles]
    with ProcessPoolExecutor(jobs) as pool:
        results = dict(
            zip(
                ((e.id, muscle) for e, muscle in tasks),
                pool.map(partial(found, cache=cache), tasks),
                strict=True,
            )
        )

    def heard_in(examination: Examination) -> dict[str, Sequence[Heard]]:
        muscles = (exam.muscle.name for exam in examination.muscles)
        return {muscle: results[examination.id, muscle] for muscle in muscles}

    good = [
        told(e.id, "its own recordings", failures(e, heard_in(e)), must_pass=True) for e in every
    ]
    for e, twin in zip(ill, twins, strict=True):
        good.append(
            told(e.id, "the healthy muscles", failures(e, heard_in(twin)), must_pass=False)
        )
    for e in well:
        for other in ill:
            for muscle, parts in heard_in(other).items():
                if muscle in heard_in(e) and is_hit(other, muscle):
                    whom = f"{muscle} of {other.id}"
                    good.append(told(e.id, whom, failures(e, {muscle: parts}), must_pass=False))
    print(f"{sum(good)} of {len(good)} as they must be")
    return all(good)


def is_hit(examination: Examination, muscle: str) -> bool:
    """Tell whether a muscle of a disease shows anything that a healthy one does not."""
    normal = {"no", "normal", "stable", "none"}
    [exam] = [exam for exam in examination.muscles if exam.muscle.name == muscle]
    return bool(set(exam.shows.values()) - normal)


# -- healthy muscles -------------------------------------------------------------------------------


def shifts(cache: Path | None, jobs: int) -> None:
    """Print the mean log ratio of each muscle's healthy MUAPs to the biceps', by measure."""
    muscles = sorted(muscle_catalogue())
    tasks = [(of_muscle(muscle), muscle) for muscle in muscles]
    means: dict[str, dict[str, float]] = {}
    with ProcessPoolExecutor(jobs) as pool:
        for muscle, parts in zip(
            muscles, pool.map(partial(found, cache=cache), tasks), strict=True
        ):
            units = counted([one.findings for one in parts])
            values = {name: [unit.measures.get(name, np.nan) for unit in units] for name in SHIFTED}
            means[muscle] = {
                name: float(np.nanmean(np.log(each))) if each else np.nan
                for name, each in values.items()
            } | {"n": float(len(units))}
    for muscle, own in means.items():
        by = ", ".join(
            f"{name} = {own[name] - means['biceps_brachii'][name]:.3f}" for name in SHIFTED
        )
        print(f"{muscle} = {{ {by} }}  # {own['n']:.0f} MUAPs")


def of_muscle(muscle: str) -> Examination:
    """Return the usual examination of one healthy muscle."""
    return Examination.model_validate(
        {
            "schema": SCHEMA,
            "id": "healthy",
            "title": "healthy",
            "seed": 501,
            "muscles": [{"muscle": {"name": muscle, **muscle_catalogue()[muscle]}}],
        }
    )


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the matrix, or the muscles' shifts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--muscles", action="store_true")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.cache is not None:
        given.cache.mkdir(parents=True, exist_ok=True)
    if given.muscles:
        shifts(given.cache, given.jobs)
        return 0
    return 0 if matrix(examinations(given.names), given.cache, given.jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
