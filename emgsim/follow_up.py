"""Follow-up tells whether a muscle is better than at the last visit, beyond chance.

The needle meets other fibres at every visit, so that no measure of a stable patient comes twice.
How much each scatters is in the catalogue (`repeatability`), as the standard error of measurement
(SEM) of one visit; a change counts if it is beyond the smallest detectable one, SDC = 1.96 sqrt(2)
SEM (Beckerman 2001, Qual Life Res 10:571 [M]).

One score says whether the muscle is better: the mean, over the primary measures of its process, of
the change towards health in SEM. It is judged against its own SDC: of 100 stable patients 2.5 seem
improved and 2.5 worse by chance.

Denervated fibres also fall silent because they perish, 6 to 24 months after they have lost their
axon, and that is no recovery. A muscle whose nerve is ill is improved only if its MUAPs say, too,
that axons have taken fibres up: larger, or steadier and less polyphasic. Larger MUAPs alone are
neither better nor worse, but the scar of a repair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from emgsim.analysis.axes import recruitment_measures, stability_measures
from emgsim.analysis.mixtures import counted
from emgsim.analysis.plan import Stretch
from emgsim.analysis.resting.runs import DENERVATION
from emgsim.configuration import read_table, validated
from emgsim.recording import Findings, FoundUnit
from emgsim.shipped import PACKAGE

CATALOGUE = PACKAGE / "catalogue" / "repeatability.toml"

SURE = 1.96  # standard deviations that hold 95 %
ONE_SIDED = 1.645  # that 95 % stay below
LIKELY = 0.5  # probability of a run that counts
UNSUSTAINED = 0.5  # grade of a run that does not last, +/-
MOST_PHASES = 4.0  # a MUAP of more is polyphasic

Process = Literal["neurogenic", "myopathic"]
Verdict = Literal["improved", "unchanged", "worse"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MeasureRepeatability(_Table):
    """How well one measure of a visit repeats, and which way health lies."""

    sem: float = Field(gt=0)  # in the measure's unit, or of its natural logarithm
    scale: Literal["linear", "log"] = "linear"
    better: Literal["lower", "higher", "neither"] = "neither"


class ScoreRepeatability(_Table):
    """What makes a process' score, and how it scatters between two visits of stable patients."""

    primary: tuple[str, ...] = Field(min_length=1)
    sd: float = Field(gt=0)  # of the score, in SEM
    repair: dict[str, Literal["lower", "higher"]] = Field(default_factory=dict)  # what says that
    #   axons have taken up fibres, and which way; empty: improvement needs no such sign
    repair_sd: float = Field(1.0, gt=0)  # of the mean of these, in SEM


class Repeatability(_Table):
    """How well all measures repeat, and the scores made of them."""

    measures: dict[str, MeasureRepeatability]
    scores: dict[Process, ScoreRepeatability]


@cache
def repeatability() -> Repeatability:
    """Return the catalogue's repeatability, of this project's own simulated stable patients.

    Examples
    --------
    >>> repeatability().measures["denervation_grade"].better
    'lower'
    """
    return validated(Repeatability, read_table(CATALOGUE), str(CATALOGUE))


# -- one visit -------------------------------------------------------------------------------------


def visit_measures(findings: Findings, stretches: Sequence[Stretch]) -> dict[str, float]:
    """Return what one visit to one muscle shows, each measure that was heard.

    Parameters
    ----------
    findings
        Of the whole examination of the muscle, from an analysis or a perfect observer.
    stretches
        What was done when, as in its plan.

    Returns
    -------
    dict
        ``denervated_share`` of the places of rest with fibrillations or positive sharp waves, and
        ``denervation_grade``, the mean of their highest grades, 0..4; ``insertion_s``, the median
        length of insertional activity; of the MUAPs that are near ``amplitude_uv`` (geometric
        mean), ``duration_ms``, ``polyphasic_share`` and the measures of
        `emgsim.analysis.axes.stability_measures`; ``fastest_hz`` and ``active_units`` of slight
        efforts; ``turns_per_s`` and ``mean_amplitude_uv`` of the fullest patterns.

    Raises
    ------
    ValueError
        If there is no stretch.
    """
    if not stretches:
        raise ValueError("stretches must hold what was done at the visit, got none")
    kinds = ("insertion", "rest", "slight", "strong")
    parts: dict[str, list[Findings]] = {kind: [] for kind in kinds}
    for stretch in stretches:
        parts[stretch.kind].append(findings.within(stretch.onset_s, stretch.offset_s))
    units = counted(parts["slight"])
    found = (
        _at_rest(parts["rest"])
        | _insertion(parts["insertion"])
        | _muaps(units)
        | stability_measures(units)
        | _recruitment(parts["slight"], parts["strong"])
    )
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _at_rest(places: Sequence[Findings]) -> dict[str, float]:
    if not places:
        return {}
    grades = [_grade(place) for place in places]
    return {
        "denervated_share": float(np.mean([grade > 0 for grade in grades])),
        "denervation_grade": float(np.mean(grades)),
    }


def _grade(place: Findings) -> float:
    """Return the highest grade of denervation at a place; 0 for none."""
    runs = [r for r in place.runs if r.kind in DENERVATION and r.probability >= LIKELY]
    return max((r.grade or UNSUSTAINED for r in runs), default=0.0)


def _insertion(places: Iterable[Findings]) -> dict[str, float]:
    rows = (row for place in places for row in place.measures)
    lengths_s = [float(row["value"]) for row in rows if row["id"] == "insertion.length_s"]
    return {"insertion_s": float(np.median(lengths_s))} if lengths_s else {}


def _muaps(units: Sequence[FoundUnit]) -> dict[str, float]:
    told = [u.measures for u in units if "phases" in u.measures]
    if not told:
        return {}
    return {
        "amplitude_uv": float(np.exp(np.mean([np.log(m["amplitude_uv"]) for m in told]))),
        "duration_ms": float(np.mean([m["duration_ms"] for m in told])),
        "polyphasic_share": float(np.mean([m["phases"] > MOST_PHASES for m in told])),
    }


def _recruitment(slight: Sequence[Findings], strong: Sequence[Findings]) -> dict[str, float]:
    found = {
        name: value
        for name, value in recruitment_measures([*slight, *strong], strongest=bool(strong)).items()
        if name in ("fastest_hz", "turns_per_s", "mean_amplitude_uv")
    }
    rows = (row for one in slight for row in one.measures)
    units = [float(row["value"]) for row in rows if row["id"] == "recruitment.active_units"]
    return found | ({"active_units": float(np.mean(units))} if units else {})


# -- two visits ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Change:
    """A measure at two visits.

    ``value`` is after less before, of the natural logarithms if that is the measure's scale;
    ``sem`` and ``sdc`` are on the same scale. ``towards_health`` is 1 if a larger value is better,
    -1 if a smaller one is, 0 if neither.
    """

    measure: str
    before: float
    after: float
    value: float
    sem: float
    towards_health: int

    @property
    def sdc(self) -> float:
        """The smallest detectable change: a stable patient's is smaller 95 times of 100."""
        return SURE * math.sqrt(2.0) * self.sem

    @property
    def is_beyond(self) -> bool:
        """Whether it is larger than chance makes it."""
        return abs(self.value) > self.sdc

    @property
    def in_sem(self) -> float:
        """The change in standard errors of measurement."""
        return self.value / self.sem

    @property
    def direction(self) -> Literal["better", "worse", "neither"]:
        """Which way it goes, whether or not it is beyond chance."""
        directed = self.towards_health * self.value
        if directed == 0:
            return "neither"
        return "better" if directed > 0 else "worse"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has become of a muscle between two visits.

    ``score`` is the mean change of the primary measures towards health, in SEM, and ``sdc`` the
    smallest that can be detected. ``repair`` and ``repair_least`` are the same of the MUAPs, one
    sided; NaN in a process that needs none.
    """

    verdict: Verdict
    score: float
    sdc: float
    repair: float = math.nan
    repair_least: float = math.nan


def changes(
    before: Mapping[str, float],
    after: Mapping[str, float],
    repeats: Repeatability | None = None,
) -> tuple[Change, ...]:
    """Return what has changed between two visits, in the order of the catalogue.

    Parameters
    ----------
    before, after
        Of `visit_measures`, of the same muscle by the same protocol.
    repeats
        How well the measures repeat; None: as in the catalogue.

    Returns
    -------
    tuple of Change
        Of each measure that both visits have; an amplitude or rate of zero has no logarithm and is
        left out.
    """
    table = (repeats or repeatability()).measures
    found = []
    for name, row in table.items():
        pair = before.get(name, math.nan), after.get(name, math.nan)
        value = _difference(*pair, row.scale)
        if math.isfinite(value):
            found.append(
                Change(
                    measure=name,
                    before=pair[0],
                    after=pair[1],
                    value=value,
                    sem=row.sem,
                    towards_health={"lower": -1, "higher": 1, "neither": 0}[row.better],
                )
            )
    return tuple(found)


def _difference(before: float, after: float, scale: str) -> float:
    if scale == "linear":
        return after - before
    return math.log(after / before) if before > 0 and after > 0 else math.nan


def progress(
    changes: Iterable[Change], process: Process, repeats: Repeatability | None = None
) -> Progress:
    """Say whether a muscle has improved between two visits.

    Parameters
    ----------
    changes
        Of `changes`.
    process
        Of the disease, known from its history and the other findings: ``"neurogenic"`` needs
        signs of repair, ``"myopathic"`` none.
    repeats
        How well the score repeats; None: as in the catalogue.

    Raises
    ------
    ValueError
        If no primary measure was heard at both visits.
    """
    repeats = repeats or repeatability()
    rule, own = repeats.scores[process], {change.measure: change for change in changes}
    primary = {name: repeats.measures[name].better for name in rule.primary}
    score, sd = mean_directed(own, primary, rule.sd)
    if math.isnan(score):
        raise ValueError(f"one of {', '.join(primary)} must be heard at both visits, got none")
    sdc = SURE * sd
    verdict: Verdict = "unchanged"
    if abs(score) > sdc:
        verdict = "improved" if score > 0 else "worse"
    if not rule.repair:
        return Progress(verdict=verdict, score=score, sdc=sdc)
    repair, repair_sd = mean_directed(own, rule.repair, rule.repair_sd)
    least = ONE_SIDED * repair_sd
    if verdict == "improved" and not repair > least:
        verdict = "unchanged"
    return Progress(verdict=verdict, score=score, sdc=sdc, repair=repair, repair_least=least)


def mean_directed(
    changes: Mapping[str, Change], senses: Mapping[str, str], sd: float
) -> tuple[float, float]:
    """Return the mean change of some measures, each in its own sense, and its scatter; in SEM.

    Parameters
    ----------
    changes
        By the names of their measures.
    senses
        ``"higher"`` or ``"lower"`` for each measure that counts.
    sd
        Scatter of the mean of all of them in stable patients. With fewer it is larger, as that of
        a mean of independent values.

    Returns
    -------
    mean, sd : float
        NaN if none of the measures was heard at both visits.
    """
    told = [
        changes[name].in_sem * (1.0 if sense == "higher" else -1.0)
        for name, sense in senses.items()
        if name in changes
    ]
    if not told:
        return math.nan, math.nan
    return float(np.mean(told)), sd * math.sqrt(len(senses) / len(told))
