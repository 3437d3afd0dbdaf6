"""The parameters of a dataset: which keys of the scenarios vary, and how their values are chosen.

A drawn number is rounded to `DIGITS` significant digits before anything is computed from it. The
inverse of a distribution takes logarithms and roots, whose last bits differ between processors; the
rounded value does not, and it is what the item's ``overrides`` say.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.dataset.made import Value

DIGITS = 6
LEAST_INSIDE = 1e-6  # share of a distribution that must lie within its bounds
KEY = r"^[A-Za-z_][\w-]*(\.[\w-]+)*$"


class Table(BaseModel):
    """A table of a dataset's file: no key that it does not know, no infinite number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Parameter(Table):
    """One key of the scenarios, as ``--set`` takes it."""

    key: str = Field(pattern=KEY)
    per: Literal["recording", "subject"] = "recording"  # how often a value is drawn
    scenarios: tuple[str, ...] = ()  # whose key it is; none named: of all


class Grid(_Parameter):
    """Values of which each subject is recorded at every one; several grids are crossed."""

    kind: Literal["grid"] = "grid"
    values: tuple[Value, ...] = Field(min_length=1)


class List(_Parameter):
    """Values that are taken in turn, one after the other."""

    kind: Literal["list"] = "list"
    values: tuple[Value, ...] = Field(min_length=1)


class Choice(_Parameter):
    """Values of which one is drawn, each as often as its weight says."""

    kind: Literal["choice"] = "choice"
    values: tuple[Value, ...] = Field(min_length=1)
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()  # none: all alike

    @model_validator(mode="after")
    def _weighs_each(self) -> Self:
        if self.weights and len(self.weights) != len(self.values):
            raise ValueError(
                f"weights: one for each of the {len(self.values)} values, got {len(self.weights)}"
            )
        return self

    def at(self, share: float) -> Value:
        """Return the value below which a share of all draws lies, in the order of the list."""
        weights = self.weights or (1.0,) * len(self.values)
        left = share * sum(weights)
        for value, weight in zip(self.values, weights, strict=True):
            left -= weight
            if left < 0:
                return value
        return self.values[-1]


class _Bounded(Table):
    """Bounds that no draw leaves."""

    low: float
    high: float

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low must be below high ({self.high:g}), got {self.low:g}")
        return self


class Uniform(_Parameter, _Bounded):
    """Any value between two bounds, all alike."""

    kind: Literal["uniform"] = "uniform"

    def at(self, share: float) -> float:
        """Return the value below which a share of all draws lies."""
        return _within(self.low + share * (self.high - self.low), self.low, self.high)


class Normal(_Parameter, _Bounded):
    """A normal distribution, cut at its bounds: the draws outside are made again."""

    kind: Literal["normal"] = "normal"
    mean: float
    sd: float = Field(gt=0)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        _refuse_empty(NormalDist(self.mean, self.sd), self.low, self.high)
        return self

    def at(self, share: float) -> float:
        """Return the value below which a share of all draws lies."""
        value = _cut(NormalDist(self.mean, self.sd), self.low, self.high, share)
        return _within(value, self.low, self.high)


class LogNormal(_Parameter, _Bounded):
    """A distribution whose logarithm is normal: its median and the SD of the natural logarithm."""

    kind: Literal["lognormal"] = "lognormal"
    median: float = Field(gt=0)
    log_sd: float = Field(gt=0)

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.low <= 0:
            raise ValueError(f"low must be > 0 for a lognormal distribution, got {self.low:g}")
        _refuse_empty(self._of_logarithm, math.log(self.low), math.log(self.high))
        return self

    @property
    def _of_logarithm(self) -> NormalDist:
        return NormalDist(math.log(self.median), self.log_sd)

    def at(self, share: float) -> float:
        """Return the value below which a share of all draws lies."""
        low, high = math.log(self.low), math.log(self.high)
        value = math.exp(_cut(self._of_logarithm, low, high, share))
        return _within(value, self.low, self.high)


Drawn = Annotated[Uniform | Normal | LogNormal | Choice, Field(discriminator="kind")]


class LatinHypercube(Table):
    """Several keys that are drawn together, so that they fill their space evenly.

    Of n draws each key has one value in each of the n parts of its distribution that are alike in
    probability (McKay, Beckman and Conover 1979, Technometrics 21:239).
    """

    kind: Literal["latin_hypercube"] = "latin_hypercube"
    over: tuple[Drawn, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _is_one_sample(self) -> Self:
        if len({(one.per, one.scenarios) for one in self.over}) > 1:
            raise ValueError("over: the keys of one hypercube need the same per and scenarios")
        return self


Parameter = Annotated[
    Grid | List | Uniform | Normal | LogNormal | Choice | LatinHypercube,
    Field(discriminator="kind"),
]


def rounded(value: float) -> float:
    """Return a number with `DIGITS` significant digits.

    Examples
    --------
    >>> rounded(0.123456789)
    0.123457
    """
    return float(f"{value:.{DIGITS}g}")


def each(parameters: tuple[Parameter, ...]) -> Iterator[Grid | List | Drawn]:
    """Yield the parameters one by one, those of a hypercube too."""
    for parameter in parameters:
        if isinstance(parameter, LatinHypercube):
            yield from parameter.over
        else:
            yield parameter


def _refuse_empty(law: NormalDist, low: float, high: float) -> None:
    inside = law.cdf(high) - law.cdf(low)
    if inside < LEAST_INSIDE:
        raise ValueError(f"low and high must hold some of the distribution, got {inside:.2g} of it")


def _cut(law: NormalDist, low: float, high: float, share: float) -> float:
    """Return a quantile of a normal distribution that is cut at two bounds."""
    first, last = law.cdf(low), law.cdf(high)
    within = min(max(first + share * (last - first), 1e-300), 1 - 1e-16)
    return law.inv_cdf(within)


def _within(value: float, low: float, high: float) -> float:
    """Round a value, and keep it within bounds that may have more digits."""
    return min(high, max(low, rounded(value)))
