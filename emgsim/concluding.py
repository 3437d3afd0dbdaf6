"""What the findings of an examination mean: axes of each muscle, the lesion, and the verdicts.

Pure rules on findings, wherever these came from: a record can be judged again, and an examination
by what was recorded of somebody else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from emgsim.analysis.axes import AXES, axes_of
from emgsim.errors import InputError
from emgsim.exam.examination import Examination, Lesion, MuscleExam, expected
from emgsim.findings_table import Heard
from emgsim.localisation import Located, lesions, located, muscle_finding
from emgsim.recording import AxisFinding
from emgsim.records.examination import FINDERS
from emgsim.references import reference
from emgsim.verdict import Limit, Measurement, judge

Found = Mapping[str, Mapping[str, Sequence[Heard]]]  # by muscle, then by who found it
Axes = Mapping[str, Mapping[str, tuple[AxisFinding, ...]]]  # the same

JUDGED = ("truth", "device")  # finders that must find what the examination shows
SURROGATE = "biceps_brachii"  # whose patterns a muscle without reference values is compared with
AMONG_FIRST = 3  # of the lesions, by probability
OTHER_SIDE = "left"  # of which nothing is known: all muscles are those of the right


def judge_examination(examination: Examination, found: Found) -> tuple[Measurement, ...]:
    """Return the probability of every value of every axis, judged where a muscle shows it.

    Parameters
    ----------
    examination
        What its muscles show, and where the lesion is.
    found
        By muscle and by finder (`emgsim.records.examination.FINDERS`), all stretches. They may be
        those of another examination of the same muscles.

    Returns
    -------
    tuple of Measurement
        ``<muscle>.<axis>.<value>.<finder>``, ``<muscle>.runs.<kind>.<finder>`` (how many runs at
        rest were named so), and ``lesion.rank.<finder>`` of the true lesion. What was not measured
        is NaN, and inconclusive where it is judged.
    """
    axes = axes_found(examination, found)
    return (
        *_of_axes(examination, axes),
        *_of_runs(examination, found),
        *_of_lesion(examination.lesion, localised(axes)),
    )


# -- axes ------------------------------------------------------------------------------------------


def axes_found(examination: Examination, found: Found) -> Axes:
    """Return what the findings of each muscle mean, by muscle and by finder."""
    return {
        exam.muscle.name: {
            finder: _axes(examination, exam.muscle.name, heard)
            for finder, heard in found.get(exam.muscle.name, {}).items()
            if heard
        }
        for exam in examination.muscles
    }


def _axes(examination: Examination, muscle: str, heard: Sequence[Heard]) -> tuple[AxisFinding, ...]:
    """Return the axes of one muscle; MUAPs are not typed where nobody knows the normal ones."""
    findings = [one.findings for one in heard]
    strongest = any(one.stretch.kind == "strong" for one in heard)
    try:
        normal, is_known = reference(muscle), True
    except InputError:
        normal, is_known = reference(SURROGATE), False
    axes = axes_of(findings, normal, examination.age_years, strongest=strongest)
    return tuple(axis for axis in axes if is_known or axis.axis != "muap_type")


def _of_axes(examination: Examination, axes: Axes) -> Iterator[Measurement]:
    for exam in examination.muscles:
        of_muscle = axes[exam.muscle.name]
        for finder in FINDERS:
            told = {axis.axis: axis.probabilities for axis in of_muscle.get(finder, ())}
            limits = _limits(exam, finder)
            for axis, values in AXES.items():
                for value in values:
                    measurement = Measurement(
                        id=f"{exam.muscle.name}.{axis}.{value}.{finder}",
                        value=told.get(axis, {}).get(value, math.nan),
                        unit="1",
                        note="" if axis in told else "not measured",
                    )
                    yield _judged(measurement, limits)


def _of_runs(examination: Examination, found: Found) -> Iterator[Measurement]:
    """Count the runs of each kind that was found, or that has a limit."""
    for exam in examination.muscles:
        name = exam.muscle.name
        for finder, heard in found.get(name, {}).items():
            limits = _limits(exam, finder)
            counts = Counter(run.kind for one in heard for run in one.findings.runs)
            ids = {f"{name}.runs.{kind}.{finder}": n for kind, n in counts.items()}
            wanted = [id for id in limits if id.startswith(f"{name}.runs.")]
            for id in sorted({*ids, *wanted}):
                yield _judged(Measurement(id=id, value=float(ids.get(id, 0)), unit="1"), limits)


def _limits(exam: MuscleExam, finder: str) -> dict[str, Limit]:
    limits = expected(exam, finder) if finder in JUDGED else []
    return {limit.measurement: limit for limit in limits}


def _judged(measurement: Measurement, limits: Mapping[str, Limit]) -> Measurement:
    limit = limits.get(measurement.id)
    return measurement if limit is None else judge(measurement, limit)


# -- localisation ----------------------------------------------------------------------------------


def localised(axes: Axes) -> dict[str, tuple[Located, ...]]:
    """Return the lesions by their probability, by who found what the axes are of."""
    known = [lesion for lesion in lesions() if lesion.side != OTHER_SIDE]
    reached = {muscle for lesion in known for muscle in lesion.at_risk}
    told: dict[str, tuple[Located, ...]] = {}
    for finder in FINDERS:
        findings = [
            muscle_finding(muscle, by_finder[finder])
            for muscle, by_finder in axes.items()
            if muscle in reached and finder in by_finder
        ]
        if findings:
            told[finder] = located(findings, known)
    return told


def rank(lesion: Lesion, told: Sequence[Located]) -> int | None:
    """Return the place of a lesion among those that were found, 1 the most probable one."""
    places = (
        place
        for place, one in enumerate(told, start=1)
        if (one.lesion.kind, one.lesion.name) == (lesion.kind, lesion.name)
    )
    return next(places, None)


def _of_lesion(
    lesion: Lesion | None, told: Mapping[str, Sequence[Located]]
) -> Iterator[Measurement]:
    if lesion is None:
        return
    for finder in FINDERS:
        place = rank(lesion, told.get(finder, ()))
        limit = Limit(
            measurement=f"lesion.rank.{finder}", high=AMONG_FIRST, unit="1", source="localisation"
        )
        measurement = Measurement(
            id=limit.measurement,
            value=math.nan if place is None else float(place),
            unit="1",
            note=f"of {lesion.kind} {lesion.name} among the lesions by probability",
        )
        yield judge(measurement, limit) if finder in JUDGED else measurement


def localisation_rows(
    lesion: Lesion | None, told: Mapping[str, Sequence[Located]], n: int = 5
) -> dict[str, dict[str, object]]:
    """Return the localisation as plain values, by finder: rank of the true lesion, first lesions.

    Parameters
    ----------
    lesion
        The true one, if there is one to be found.
    told
        Of `localised`.
    n
        How many lesions.
    """
    return {
        finder: {
            "rank": None if lesion is None else rank(lesion, of_one),
            "lesions": [
                {
                    "kind": one.lesion.kind,
                    "name": one.lesion.name,
                    "side": one.lesion.side,
                    "probability": one.probability,
                    "because": [reason._asdict() for reason in one.because],
                }
                for one in of_one[:n]
            ],
        }
        for finder, of_one in told.items()
    }


def axis_rows(axes: Sequence[AxisFinding]) -> list[dict[str, object]]:
    """Return axes as plain values."""
    return [asdict(axis) for axis in axes]
