"""What was found, in the columns that clinicians write: a row for each place, one for the muscle.

Grades are those of Daube: 0 none; +/- trains that do not last, or in one area only; 1+ lasting
trains in two areas; 2+ moderate in three; 3+ many in all; 4+ filling the screen everywhere.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from emgsim.analysis.mixtures import counted
from emgsim.analysis.plan import Stretch
from emgsim.recording import AxisFinding, Findings, FoundRun

NOT_HEARD = "–"
UNSUSTAINED = "+/-"
REDUCED_S, INCREASED_S = 0.05, 0.3  # insertional activity: normal between (Daube & Rubin 2009)
MOST_PHASES = 4  # a MUAP of more is polyphasic
AREAS = {1: 2, 2: 3}  # in which a grade must be met to be the muscle's; higher ones in all
COLUMNS = ("fibrillation", "positive_sharp_wave", "fasciculation")  # of their own
UNSAID = ("artefact", "insertional_burst")  # of no meaning for the muscle, or said elsewhere
WORDS = {
    "complex_repetitive_discharge": "CRD",
    "myotonic_discharge": "myotonia",
    "end_plate_noise": "end-plate noise",
    "end_plate_spike": "end-plate spikes",
    "unknown": "unnamed",
}


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was found in one stretch of an examination."""

    stretch: Stretch
    findings: Findings

    @property
    def place(self) -> int:
        """Number of the place, which ends the stretch's name; 0 if it has none."""
        last = self.stretch.name.split()[-1]
        return int(last) if last.isdecimal() else 0

    @property
    def rest_s(self) -> float:
        """How long rest was heard in it."""
        return sum(e.offset_s - e.onset_s for e in self.findings.events if e.kind == "rest")


def heard(findings: Findings, stretches: Iterable[Stretch]) -> tuple[Heard, ...]:
    """Return what was found in each stretch of an examination's recording."""
    return tuple(
        Heard(stretch=stretch, findings=findings.within(stretch.onset_s, stretch.offset_s))
        for stretch in stretches
    )


@dataclass(frozen=True, kw_only=True)
class PlaceRow:
    """What was found at one place of the needle; NaN and a dash for what was not heard."""

    place: int
    insertion_s: float
    insertional: str
    fibrillation: str
    positive_sharp_wave: str
    fasciculations_per_min: float
    other: tuple[str, ...]
    rest_s: float
    n_muaps: int | None  # None if no slight effort was asked for


@dataclass(frozen=True, kw_only=True)
class MuscleRow:
    """What was found in a muscle as a whole; NaN and a dash for what was not heard."""

    insertion_s: float  # median of the places
    insertional: str
    fibrillation: str
    positive_sharp_wave: str
    fasciculations_per_min: float
    other: tuple[str, ...]  # each with the number of places
    rest_s: float
    n_muaps: int | None  # near enough to be measured; None if no slight effort was asked for
    amplitude_mv: float  # mean
    duration_ms: float  # mean
    polyphasia_pct: float
    stability: str
    recruitment: str


def place_rows(heard: Sequence[Heard]) -> tuple[PlaceRow, ...]:
    """Return a row for each place, in their order."""
    places = sorted({one.place for one in heard})
    return tuple(_place_row(p, [one for one in heard if one.place == p]) for p in places)


def _place_row(place: int, heard: Sequence[Heard]) -> PlaceRow:
    runs, rest_s = _runs(heard), sum(one.rest_s for one in heard)
    lengths_s = _insertions_s(heard)
    insertion_s = lengths_s[0] if lengths_s else math.nan
    return PlaceRow(
        place=place,
        insertion_s=insertion_s,
        insertional=_insertional(insertion_s),
        fibrillation=_written(_grade(runs, "fibrillation"), rest_s),
        positive_sharp_wave=_written(_grade(runs, "positive_sharp_wave"), rest_s),
        fasciculations_per_min=_per_min(runs, rest_s),
        other=tuple(sorted({_word(run) for run in runs if _is_other(run)})),
        rest_s=rest_s,
        n_muaps=_n_muaps(heard),
    )


def muscle_row(heard: Sequence[Heard], axes: Iterable[AxisFinding]) -> MuscleRow:
    """Return a muscle's row.

    Parameters
    ----------
    heard
        All its stretches.
    axes
        What they mean, of `emgsim.analysis.axes.axes_of`.
    """
    places = sorted({one.place for one in heard})
    at = {p: _runs([one for one in heard if one.place == p]) for p in places}
    runs, rest_s = _runs(heard), sum(one.rest_s for one in heard)
    lengths_s = _insertions_s(heard)
    insertion_s = float(np.median(lengths_s)) if lengths_s else math.nan
    others = Counter(w for here in at.values() for w in {_word(r) for r in here if _is_other(r)})
    units = counted([one.findings for one in heard])
    told = {axis.axis: axis.value.replace("_", " ") for axis in axes}
    measures = [unit.measures for unit in units]
    return MuscleRow(
        insertion_s=insertion_s,
        insertional=_insertional(insertion_s),
        fibrillation=_muscle_grade(at.values(), "fibrillation", rest_s),
        positive_sharp_wave=_muscle_grade(at.values(), "positive_sharp_wave", rest_s),
        fasciculations_per_min=_per_min(runs, rest_s),
        other=tuple(f"{word} ({n} of {len(places)})" for word, n in sorted(others.items())),
        rest_s=rest_s,
        n_muaps=_n_muaps(heard),
        amplitude_mv=_mean([m.get("amplitude_uv", math.nan) / 1000 for m in measures]),
        duration_ms=_mean([m.get("duration_ms", math.nan) for m in measures]),
        polyphasia_pct=_mean(
            [100.0 * (m["phases"] > MOST_PHASES) for m in measures if "phases" in m]
        ),
        stability=told.get("stability", NOT_HEARD),
        recruitment=told.get("recruitment", NOT_HEARD),
    )


def _n_muaps(heard: Sequence[Heard]) -> int | None:
    if not any(one.stretch.kind == "slight" for one in heard):
        return None
    return len(counted([one.findings for one in heard]))


def _runs(heard: Iterable[Heard]) -> list[FoundRun]:
    return [run for one in heard for run in one.findings.runs]


def _insertions_s(heard: Iterable[Heard]) -> list[float]:
    rows = (row for one in heard for row in one.findings.measures)
    return [float(row["value"]) for row in rows if row["id"] == "insertion.length_s"]


def _insertional(length_s: float) -> str:
    if math.isnan(length_s):
        return NOT_HEARD
    if length_s < REDUCED_S:
        return "reduced"
    return "increased" if length_s > INCREASED_S else "normal"


def _grade(runs: Iterable[FoundRun], kind: str) -> float:
    return max((0.5 if r.grade is None else r.grade for r in runs if r.kind == kind), default=0.0)


def _written(grade: float, rest_s: float) -> str:
    if rest_s <= 0:
        return NOT_HEARD
    if grade < 1:
        return UNSUSTAINED if grade > 0 else "0"
    return f"{grade:.0f}+"


def _muscle_grade(places: Iterable[Sequence[FoundRun]], kind: str, rest_s: float) -> str:
    grades = [_grade(runs, kind) for runs in places]
    for grade in (4, 3, 2, 1):
        if sum(one >= grade for one in grades) >= min(AREAS.get(grade, len(grades)), len(grades)):
            return _written(grade, rest_s)
    return _written(0.5 if any(grades) else 0.0, rest_s)


def _per_min(runs: Iterable[FoundRun], rest_s: float) -> float:
    n = sum(run.discharge_times_s.size for run in runs if run.kind == "fasciculation")
    return 60.0 * n / rest_s if rest_s > 0 else math.nan


def _is_other(run: FoundRun) -> bool:
    return run.kind not in COLUMNS and run.kind not in UNSAID


def _word(run: FoundRun) -> str:
    return WORDS.get(run.kind, run.kind.replace("_", " "))


def _mean(values: Sequence[float]) -> float:
    told = [value for value in values if math.isfinite(value)]
    return float(np.mean(told)) if told else math.nan
