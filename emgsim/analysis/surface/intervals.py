"""A value with its 95 % interval, and the two ways in which these measures come by one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval; all three are NaN, with a reason, where there is none."""

    value: float
    low: float
    high: float
    reason: str = ""


def unknown(reason: str) -> Estimate:
    """Return no value, and why."""
    return Estimate(value=NAN, low=NAN, high=NAN, reason=reason)


def jackknife(value: float, left_out: Floats) -> Estimate:
    """Return a value with the interval of the delete-one jackknife (Tukey 1958; Student's t).

    Parameters
    ----------
    value
        Of all pieces together.
    left_out
        The same value without each piece in turn, shape ``(n_pieces,)``, two or more.

    Raises
    ------
    ValueError
        If there are fewer than two pieces.
    """
    n = left_out.size
    if n < 2:
        raise ValueError(f"left_out must have two or more values, got {n}")
    error = math.sqrt((n - 1) / n * float(np.sum((left_out - left_out.mean()) ** 2)))
    reach = float(stats.t.ppf(0.975, n - 1)) * error
    return Estimate(value=value, low=value - reach, high=value + reach)


def difference(whole: Estimate, part: Estimate) -> Estimate:
    """Return ``whole - part`` of two that are independent, cut off at 0: powers cannot be less.

    Each side of the interval joins the two sides it comes from (Zou & Donner 2008, Stat Med
    27:1693).
    """
    value = whole.value - part.value
    down = math.hypot(whole.value - whole.low, part.high - part.value)
    up = math.hypot(whole.high - whole.value, part.value - part.low)
    return Estimate(value=max(value, 0.0), low=max(value - down, 0.0), high=max(value + up, 0.0))
