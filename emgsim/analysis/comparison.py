"""A measure against what it is in health and in disease: Gaussian likelihoods and Bayes' rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

FURTHEST_SD = 3.0  # what is farther from a class counts as no farther: an outlier decides nothing


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Spread(_Frozen):
    """What a measure is in one class: mean and SD, of its natural logarithm if it says so."""

    mean: float
    sd: float = Field(gt=0)
    scale: Literal["linear", "log"] = "linear"
    per_year: float = 0.0  # of the mean, from `at_years` on
    at_years: float = Field(40.0, ge=0, le=120)

    def off(self, value: float, age_years: float) -> float:
        """Return how many SD a value lies above the mean, no farther than counts."""
        if self.scale == "log":
            value = float(np.log(max(value, 1e-9)))
        off = (value - self.mean - self.per_year * (age_years - self.at_years)) / self.sd
        return float(np.clip(off, -FURTHEST_SD, FURTHEST_SD))


Table = Mapping[str, Spread]  # by the measure's name
Pairs = Mapping[str, float]  # correlation of two measures, by "one other"; of others it is none


class Reference(_Frozen):
    """What measures of one muscle are in health and in disease."""

    muscle: str
    muaps: dict[str, dict[str, Spread]]  # by class of MUAP: normal, neurogenic, myopathic
    stability: dict[str, dict[str, Spread]]  # by class of unit: steady, settled, unsteady
    # By class of MUAP or of unit, or by form of recruitment: its `Pairs`.
    together: dict[str, dict[str, float]] = Field(default_factory=dict)
    mixtures: dict[str, dict[str, float]]  # by value, or "value.form": the share of each class
    # By form of stability: share of slight efforts in which no unit can be told apart.
    untold: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=dict)
    likeness: float = Field(ge=0, le=1)  # correlation between the units of one muscle
    recruitment: dict[str, dict[str, Spread]]  # by value of the axis, or "value.form" of several
    # By value of MUAP type or stability, then by form of recruitment: how many times as likely it
    # is beside that as where nothing is known of the axis; what is not named is as likely.
    beside: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _classes_can_be_compared(self) -> Self:
        for tables in (self.muaps, self.recruitment, self.stability):
            if len({frozenset(table) for table in tables.values()}) > 1:
                raise ValueError(f"{', '.join(tables)} must all have the same measures")
        return self

    @model_validator(mode="after")
    def _mixtures_are_of_classes(self) -> Self:
        for form, mixture in self.mixtures.items():
            if not (set(mixture) <= set(self.muaps) or set(mixture) <= set(self.stability)):
                raise ValueError(
                    f"mixtures.{form} must be of {', '.join(self.muaps)}, or of "
                    f"{', '.join(self.stability)}, got {', '.join(mixture)}"
                )
            if set(mixture) <= set(self.stability) and form not in self.untold:
                raise ValueError(f"untold must have a share for {form}, a form of stability")
        return self

    @model_validator(mode="after")
    def _forms_exist(self) -> Self:
        for value, factors in self.beside.items():
            if value not in self.mixtures or not set(factors) <= set(self.recruitment):
                raise ValueError(
                    f"beside.{value} must be a value that has a mixture, and its keys forms of "
                    f"recruitment, got {', '.join(factors)}"
                )
        return self

    def independence(self, n: int) -> float:
        """Return the share of independent ones among ``n`` units of a muscle.

        Examples
        --------
        >>> empty = {"muscle": "", "muaps": {}, "mixtures": {}, "recruitment": {}, "stability": {}}
        >>> Reference(likeness=0.1, **empty).independence(11)
        0.5
        """
        return 1 / (1 + self.likeness * (n - 1))


def log_likelihood(
    measures: Mapping[str, float], table: Table, age_years: float, together: Pairs | None = None
) -> float:
    """Return the log likelihood of the measures that are both there and in the table.

    Parameters
    ----------
    measures
        By name; one that is not finite is left out.
    table
        What they are in a class.
    age_years
        Of the patient.
    together
        How they depend on each other there; None: not at all.
    """
    names = [name for name in table if np.isfinite(measures.get(name, np.nan))]
    if not names:
        return 0.0
    off = np.array([table[name].off(measures[name], age_years) for name in names])
    likeness = _correlations(names, together or {})
    apart = float(off @ np.linalg.solve(likeness, off))
    spread = sum(float(np.log(table[name].sd)) for name in names)
    return -0.5 * (apart + float(np.linalg.slogdet(likeness)[1])) - spread


def _correlations(names: Sequence[str], together: Pairs) -> NDArray[np.float64]:
    """Return the matrix ``(n, n)`` of correlations."""
    likeness = np.eye(len(names))
    for pair, value in together.items():
        one, other = pair.split()
        if one in names and other in names:
            i, j = names.index(one), names.index(other)
            likeness[i, j] = likeness[j, i] = value
    return likeness


def shares(logs: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities from log likelihoods, all classes being equally likely before."""
    top = max(logs.values())
    weights = {name: float(np.exp(value - top)) for name, value in logs.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
