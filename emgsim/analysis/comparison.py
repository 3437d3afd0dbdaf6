"""A measure against what it is in health and in disease: Gaussian likelihoods and Bayes' rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
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

    def log_density(self, value: float, age_years: float) -> float:
        """Return the logarithm of the density at a value; that of the scale's own unit."""
        if self.scale == "log":
            value = float(np.log(max(value, 1e-9)))
        off = (value - self.mean - self.per_year * (age_years - self.at_years)) / self.sd
        return -0.5 * min(off**2, FURTHEST_SD**2) - float(np.log(self.sd))


Table = Mapping[str, Spread]  # by the measure's name


class Reference(_Frozen):
    """What measures of one muscle are in health and in disease."""

    muscle: str
    muaps: dict[str, dict[str, Spread]]  # by class: normal, neurogenic, myopathic
    mixtures: dict[str, dict[str, float]]  # by type of muscle: the share of each class
    likeness: float = Field(ge=0, le=1)  # correlation between the MUAPs of one muscle
    recruitment: dict[str, dict[str, Spread]]  # by value of the axis, or "value.form" of several
    stability: dict[str, dict[str, Spread]]

    @model_validator(mode="after")
    def _classes_can_be_compared(self) -> Self:
        for tables in (self.muaps, self.recruitment, self.stability):
            if len({frozenset(table) for table in tables.values()}) > 1:
                raise ValueError(f"{', '.join(tables)} must all have the same measures")
        return self

    def independence(self, n: int) -> float:
        """Return the share of independent ones among ``n`` MUAPs of a muscle.

        Examples
        --------
        >>> empty = {"muscle": "", "muaps": {}, "mixtures": {}, "recruitment": {}, "stability": {}}
        >>> Reference(likeness=0.1, **empty).independence(11)
        0.5
        """
        return 1 / (1 + self.likeness * (n - 1))


def log_likelihood(measures: Mapping[str, float], table: Table, age_years: float) -> float:
    """Return the log likelihood of the measures that are both there and in the table.

    The measures count as independent of each other.
    """
    return sum(
        spread.log_density(measures[name], age_years)
        for name, spread in table.items()
        if np.isfinite(measures.get(name, np.nan))
    )


def shares(logs: Mapping[str, float]) -> dict[str, float]:
    """Return probabilities from log likelihoods, all classes being equally likely before."""
    top = max(logs.values())
    weights = {name: float(np.exp(value - top)) for name, value in logs.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}
