"""The counterfactual matrix: no examination passes on somebody else's muscle.

Usage::

    python benchmarks/counterfactuals.py [NAME ...] [--runs DIR] [--cache DIR] [--jobs N]
    python benchmarks/counterfactuals.py --muscles [--seeds N] [--jobs N]

Every shipped examination is judged by its own limits on what the analysis finds in its own clean
recordings, and must pass; each disease on the healthy recordings of the same muscles, and each
healthy muscle on the recordings of every disease of it, and must fail. What passes and must not, or
fails and must not, is marked and makes the end 1.

A healthy recording is one of the same muscle in any of these examinations, of another patient;
where there is none, the same examination of a patient without conditions and activity, of another
seed. One limit that fails is enough, so that of a disease's muscles, those that show it first, no
more are simulated than until one fails. ``--runs`` takes what the runs in a folder found in their
clean signals (``emgsim run --out DIR``), the newest of each muscle, and simulates those that were
not run. ``--cache`` keeps findings, by examination and muscle; delete it when simulator or
analysis have changed. About 40 CPU s a recording.

``--muscles`` prints instead what the recruitment of healthy muscles of seeds 501 and on is to a
perfect observer: the table ``[patterns]`` of ``emgsim/catalogue/reference.toml``, which no
examination of the library has set. About 12 CPU s a muscle and seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from emgsim.analysis.axes import recruitment_measures
from emgsim.analysis.core import analyse
from emgsim.concluding import judge_examination
from emgsim.configuration import Table, read_table
from emgsim.exam.examination import (
    SCHEMA,
    Examination,
    MuscleExam,
    examination_from,
    load_examination,
)
from emgsim.files.findings import read_findings, write_findings
from emgsim.findings_table import Heard, heard
from emgsim.observer import observe
from emgsim.records.journal import read_journal
from emgsim.records.record import fold
from emgsim.running.exam_folder import findings_of
from emgsim.scenario import muscle_catalogue
from emgsim.shipped import find, names
from emgsim.simulation import simulate

FINDER = "truth"  # the analysis of the clean signal
OTHER_PATIENT = 1000  # added to the seed of a healthy twin
PASSES = ("pass", "conditional_pass")
FIRST_SEED = 501  # of the healthy muscles that set the reference values
RECRUITMENT = ("fastest_hz", "mean_amplitude_uv", "evenness", "pace_hz")
LINEAR = ("evenness",)


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


def found_in_runs(examination: Examination, runs: Path) -> dict[str, tuple[Heard, ...]]:
    """Return what runs of an examination found in its clean signals, the newest of each muscle.

    What is expected of a muscle may have changed since, what was played may not.
    """
    results: dict[str, tuple[Heard, ...]] = {}
    for folder in sorted(runs.glob(f"*-{examination.id}-*")):
        ran = examination_from(fold(read_journal(folder)).scenario, str(folder))
        played = {exam.muscle.name: signal_of(ran, exam) for exam in ran.muscles}
        for exam in examination.muscles:
            if played.get(exam.muscle.name) == signal_of(examination, exam):
                by_finder = findings_of(folder, examination, exam)
                if FINDER in by_finder:
                    results[exam.muscle.name] = by_finder[FINDER]
    return results


def signal_of(examination: Examination, exam: MuscleExam) -> Table:
    """Return what makes the recording of a muscle, without what is said and expected of it."""
    scenario = examination.scenario(exam)
    return scenario.model_dump(exclude={"title", "description", "limits"})


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


def matrix(every: Sequence[Examination], runs: Path | None, cache: Path | None, jobs: int) -> bool:
    """Print the matrix; return whether all of it is as it must be."""
    ill = [examination for examination in every if not is_healthy(examination)]
    well = [examination for examination in every if is_healthy(examination)]
    results = {
        (e.id, muscle): parts
        for e in (every if runs else ())
        for muscle, parts in found_in_runs(e, runs).items()
    }
    print(f"{len(results)} recordings were run", file=sys.stderr)
    tasks = [
        (e, exam.muscle.name)
        for e in every
        for exam in e.muscles
        if (e.id, exam.muscle.name) not in results
    ]
    with ProcessPoolExecutor(jobs) as pool:
        for (e, muscle), parts in zip(
            tasks, pool.map(partial(found, cache=cache), tasks), strict=True
        ):
            results[e.id, muscle] = parts
        well_known = {
            exam.muscle.name: results[e.id, exam.muscle.name]
            for e in every
            for exam in e.muscles
            if not (exam.reached_by(e.conditions) or exam.spontaneous or e.artefacts)
        }
        in_health = partial(fails_in_health, well_known=well_known, cache=cache)
        failed_in_health = list(pool.map(in_health, ill))

    def heard_in(examination: Examination) -> dict[str, Sequence[Heard]]:
        muscles = (exam.muscle.name for exam in examination.muscles)
        return {muscle: results[examination.id, muscle] for muscle in muscles}

    good = [
        told(e.id, "its own recordings", failures(e, heard_in(e)), must_pass=True) for e in every
    ]
    for e, failed in zip(ill, failed_in_health, strict=True):
        good.append(told(e.id, "the healthy muscles", failed, must_pass=False))
    for e in well:
        for other in ill:
            for muscle, parts in heard_in(other).items():
                if muscle in heard_in(e) and is_hit(other, muscle):
                    whom = f"{muscle} of {other.id}"
                    good.append(told(e.id, whom, failures(e, {muscle: parts}), must_pass=False))
    print(f"{sum(good)} of {len(good)} as they must be")
    return all(good)


def fails_in_health(
    examination: Examination, well_known: Mapping[str, Sequence[Heard]], cache: Path | None
) -> list[str]:
    """Return limits of a disease that fail on the same healthy muscles, until one does."""
    twin = healthy(examination)
    ill = [e.muscle.name for e in examination.muscles if is_hit(examination, e.muscle.name)]
    # a limit of its own may say more than what a muscle shows
    names = ill or [exam.muscle.name for exam in examination.muscles]
    for muscle in sorted(names, key=lambda name: name not in well_known):
        parts = well_known.get(muscle) or found((twin, muscle), cache)
        if failed := failures(examination, {muscle: parts}):
            return failed
    return []


def is_hit(examination: Examination, muscle: str) -> bool:
    """Tell whether a muscle of a disease shows anything that a healthy one does not."""
    normal = {"no", "normal", "stable", "none"}
    [exam] = [exam for exam in examination.muscles if exam.muscle.name == muscle]
    return bool(set(exam.shows.values()) - normal)


# -- healthy muscles -------------------------------------------------------------------------------


def patterns(seeds: int, jobs: int) -> None:
    """Print the recruitment of each healthy muscle, the mean over subjects."""
    muscles = sorted(muscle_catalogue())
    tasks = [(muscle, seed) for muscle in muscles for seed in range(FIRST_SEED, FIRST_SEED + seeds)]
    with ProcessPoolExecutor(jobs) as pool:
        each = list(pool.map(recruited, tasks))
    for muscle in muscles:
        own = [row for (name, _), row in zip(tasks, each, strict=True) if name == muscle]
        values = {key: average(key, [row[key] for row in own]) for key in RECRUITMENT}
        print(
            f"{muscle} = {{ {', '.join(f'{key} = {value:.3g}' for key, value in values.items())} }}"
        )


def recruited(task: tuple[str, int]) -> dict[str, float]:
    """Return the recruitment of a healthy muscle of a seed, as a perfect observer measures it."""
    examination = of_muscle(*task)
    scenario = examination.scenario(examination.muscles[0])
    done = scenario.analysis.stretches
    found = observe(*simulate(scenario), done)
    return recruitment_measures([one.findings for one in heard(found, done)])


def average(name: str, values: Sequence[float]) -> float:
    """Return the mean of a measure on its own scale."""
    if name in LINEAR:
        return float(np.mean(values))
    return float(np.exp(np.mean(np.log(values))))


def of_muscle(muscle: str, seed: int) -> Examination:
    """Return the usual examination of one healthy muscle."""
    return Examination.model_validate(
        {
            "schema": SCHEMA,
            "id": f"healthy_{seed}",
            "title": "healthy",
            "seed": seed,
            "protocol": {"rest_s": 0.5},  # nothing discharges at rest
            "muscles": [{"muscle": {"name": muscle, **muscle_catalogue()[muscle]}}],
        }
    )


def main(arguments: Iterable[str] | None = None) -> int:
    """Print the matrix, or the muscles' shifts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=Path, help="folder of runs on this commit")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--muscles", action="store_true")
    parser.add_argument("--seeds", type=int, default=1, help="of each healthy muscle")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.cache is not None:
        given.cache.mkdir(parents=True, exist_ok=True)
    if given.muscles:
        patterns(given.seeds, given.jobs)
        return 0
    held = matrix(examinations(given.names), given.runs, given.cache, given.jobs)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
