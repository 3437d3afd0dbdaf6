"""Two ways to the same number: measures against their truth, and a device against no device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.scoring.intervals import NO_INTERVAL, Z95, Interval, clopper_pearson

Floats = NDArray[np.float64]
Inferiority = Literal["non_inferior", "inferior", "not_shown"]


@dataclass(frozen=True, kw_only=True)
class BlandAltman:
    """Bias and 95 % limits of agreement of found against true values, each with its interval."""

    n: int
    bias: float
    bias_interval: Interval
    sd: float  # of the differences
    lower: float  # bias - 1.96 sd
    lower_interval: Interval
    upper: float  # bias + 1.96 sd
    upper_interval: Interval


def bland_altman(found: Floats, true: Floats, *, in_percent: bool = False) -> BlandAltman:
    """Return how a measure agrees with its truth (Bland & Altman 1986, Lancet i:307).

    The limits' intervals combine those of mean and SD by the method of variance estimates recovery
    (Zou 2013, Stat Methods Med Res 22:630). Pairs are taken as independent and their differences as
    normal: of several units per recording, give one value per recording, or take the intervals as
    too narrow.

    Parameters
    ----------
    found, true
        Shape ``(n,)``, in one unit; pairs without a value (NaN) on either side are left out.
    in_percent
        Take differences in percent of the true value: for measures whose error grows with them.

    Raises
    ------
    ValueError
        If the shapes differ, a value is infinite, or a true value is not positive that something is
        a percentage of.
    """
    a, b = np.asarray(found, float), np.asarray(true, float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"found and true: expected one shape (n,), got {a.shape} and {b.shape}")
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if not (np.all(np.isfinite(a)) and np.all(np.isfinite(b))):
        raise ValueError("found and true must be finite where they are not NaN")
    if in_percent and not np.all(b > 0):
        raise ValueError(f"true must be > 0 for differences in percent, got {b.min()}")
    differences = 100 * (a - b) / b if in_percent else a - b
    return _limits_of_agreement(differences)


def _limits_of_agreement(differences: Floats) -> BlandAltman:
    n = differences.size
    bias = float(np.mean(differences)) if n else math.nan
    sd = float(np.std(differences, ddof=1)) if n > 1 else math.nan
    bias_half, sd_interval = _half_width(sd, n), _sd_interval(sd, n)
    # each limit is as far off as mean and SD are together, the SD on its own side
    outer = math.hypot(bias_half, Z95 * (sd_interval.high - sd))
    inner = math.hypot(bias_half, Z95 * (sd - sd_interval.low))
    lower, upper = bias - Z95 * sd, bias + Z95 * sd
    return BlandAltman(
        n=n,
        bias=bias,
        bias_interval=Interval(bias - bias_half, bias + bias_half),
        sd=sd,
        lower=lower,
        lower_interval=Interval(lower - outer, lower + inner),
        upper=upper,
        upper_interval=Interval(upper - inner, upper + outer),
    )


def _half_width(sd: float, n: int) -> float:
    """Return half of Student's interval of a mean."""
    return float(special.stdtrit(n - 1, 0.975)) * sd / math.sqrt(n) if n > 1 else math.nan


def _sd_interval(sd: float, n: int) -> Interval:
    """Return the chi-square interval of a standard deviation."""
    if n < 2:
        return NO_INTERVAL
    low, high = (sd * math.sqrt((n - 1) / special.chdtri(n - 1, p)) for p in (0.025, 0.975))
    return Interval(low, high)


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """What a path loses or gains against a reference, over the same recordings."""

    n: int  # recordings with a value on both paths
    difference: float  # mean of tested minus reference
    interval: Interval
    margin: float
    verdict: Inferiority


def paired_difference(
    reference: Sequence[float] | Floats, tested: Sequence[float] | Floats, *, margin: float
) -> PairedDifference:
    """Judge a path against a reference path: no worse by more than a margin declared beforehand.

    One value per recording and path, larger is better: F1 on the truth path and on the device's, of
    the same seeds. The interval is Student's of the mean difference over recordings. Where all
    differences are nought nothing varies, and each recording counts as one trial of the exact
    interval: the mean can be off by no more than the share of recordings that might differ.

    Parameters
    ----------
    reference, tested
        Shape ``(n_recordings,)`` in one order; recordings with NaN on either side are left out.
    margin
        Largest loss that does not matter, > 0, in the unit of the values.

    Returns
    -------
    PairedDifference
        ``non_inferior`` if the whole interval lies above ``-margin``, ``inferior`` if all of it
        lies below, else ``not_shown``: more recordings are needed.

    Raises
    ------
    ValueError
        If the shapes differ or the margin is not positive.

    Examples
    --------
    >>> judged = paired_difference([0.98, 0.97, 0.99], [0.97, 0.97, 0.98], margin=0.05)
    >>> judged.verdict, round(judged.difference, 4)
    ('non_inferior', -0.0067)
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"margin must be finite and > 0, got {margin}")
    a, b = np.asarray(reference, float), np.asarray(tested, float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"reference and tested: expected one shape (n,), got {a.shape}, {b.shape}")
    differences = b - a
    differences = differences[~np.isnan(differences)]
    n = differences.size
    mean = float(np.mean(differences)) if n else math.nan
    if n > 1 and not differences.any():
        half = clopper_pearson(0, n).high
    else:
        half = _half_width(float(np.std(differences, ddof=1)), n) if n > 1 else math.nan
    interval = Interval(mean - half, mean + half)
    return PairedDifference(
        n=n,
        difference=mean,
        interval=interval,
        margin=margin,
        verdict=_inferiority(interval, margin),
    )


def _inferiority(interval: Interval, margin: float) -> Inferiority:
    if interval.low > -margin:
        return "non_inferior"
    return "inferior" if interval.high < -margin else "not_shown"
