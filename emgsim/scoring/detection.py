"""How probably something is found, against its SNR."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.scoring.intervals import NO_INTERVAL, Interval
from emgsim.scoring.score import Score

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LEAST_RECORDINGS = 5  # fewer cannot say how recordings differ
N_STEPS = 500  # of Fisher's scoring; some twenty are taken
LARGEST_STEP = 1.0  # of the standardised coefficients ...
LARGEST_GROWTH = 0.5  # ... and of themselves beside it, so that no step leaps far over the maximum
CLOSE = 1e-9  # relative
SLOPES = np.geomspace(1e-3, 1e5, 65)  # per SD of the SNR: from flat to a step
FINE = np.linspace(-1, 1, 17)  # places about the best of a coarser search, in its steps
SMALLEST = 1e-300  # determinant of the information: that of a step between two SNR is 0
FARTHEST = 1e3  # SD of the SNR; a bound beyond is none
BOUND_CLOSE = 1e-5  # SD of the SNR


@dataclass(frozen=True, kw_only=True)
class DetectionCurve:
    """The logistic curve of detection against SNR, its 50 % and its 99 % point.

    A bound that is infinite says that the data do not bound that side.
    """

    n: int
    snr_50_db: float
    snr_99_db: float
    snr_50_interval: Interval
    snr_99_interval: Interval

    def probability(self, snr_db: float) -> float:
        """Return the probability of detection at an SNR; NaN where no curve rises."""
        width_db = (self.snr_99_db - self.snr_50_db) / _logit(0.99)
        if not math.isfinite(width_db):
            return math.nan
        return float(special.expit((snr_db - self.snr_50_db) / width_db))


def detection_curve(
    snr_db: Floats,
    is_detected: Bools,
    *,
    recordings: Ints | None = None,
) -> DetectionCurve:
    """Fit the probability of detection against SNR.

    Logistic regression by Firth's penalised likelihood (Firth 1993, Biometrika 80:27), which has a
    finite answer where everything above some SNR is found and nothing below. It rises from 0 to 1:
    no share of misses that no SNR cures, and none that is found by chance, is modelled.

    An interval holds every point at which the penalised likelihood, with the curve held there, is
    not much below its maximum (Heinze & Schemper 2002, Stat Med 21:2409). Twice the difference of
    the logarithms is divided by the design effect of the recordings, the variance of their sums
    over that of as many independent detections (Rao & Scott 1984, Ann Stat 12:46), and held
    against Student's quantile squared. A curve that does not rise bounds nothing.

    Parameters
    ----------
    snr_db
        Shape ``(n,)``, finite.
    is_detected
        Shape ``(n,)``.
    recordings
        Number of the recording that each is of, shape ``(n,)``: those of one recording may be
        alike. Without it all are taken as independent. From `LEAST_RECORDINGS` on there are
        intervals.

    Raises
    ------
    ValueError
        If the shapes differ, an SNR is not finite, all SNR are the same, or all or none were
        detected: then there is no curve to be seen.
    """
    x, y = np.asarray(snr_db, float), np.asarray(is_detected, float)
    of = np.arange(x.size) if recordings is None else np.asarray(recordings)
    if x.ndim != 1 or not x.shape == y.shape == of.shape:
        raise ValueError(f"expected one shape (n,), got {x.shape}, {y.shape} and {of.shape}")
    if not np.all(np.isfinite(x)):
        raise ValueError("snr_db must be finite: leave out what has no amplitude or no noise")
    if x.size == 0 or np.ptp(x) == 0:
        raise ValueError(f"snr_db must take two values or more, got {np.unique(x)}")
    if y.all() or not y.any():
        raise ValueError(
            f"a curve needs both found and missed ones, got {int(y.sum())} of {x.size}"
        )
    centre, scale = float(np.mean(x)), float(np.std(x))
    curve = _Curve((x - centre) / scale, y, np.unique(of, return_inverse=True)[1])
    points_db, intervals = [], []
    for share in (0.5, 0.99):
        points_db.append(centre + scale * curve.point(share))
        low, high = curve.interval(share)
        intervals.append(Interval(centre + scale * low, centre + scale * high))
    return DetectionCurve(
        n=x.size,
        snr_50_db=points_db[0],
        snr_99_db=points_db[1],
        snr_50_interval=intervals[0],
        snr_99_interval=intervals[1],
    )


def detections(scores: Sequence[Score]) -> tuple[Floats, Bools, Ints]:
    """Return SNR, whether it was found, and the number of the score, of every true unit.

    Units without a discharge in the recording, without amplitude, or in no noise are left out.
    """
    rows = [
        (unit.snr_db, unit.found_id is not None, k)
        for k, score in enumerate(scores)
        for unit in score.units
        if unit.true_times_s.size and math.isfinite(unit.snr_db)
    ]
    snr_db, is_found, recording = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(snr_db, float), np.array(is_found, bool), np.array(recording, np.int64)


class _Curve:
    """The curve of standardised SNR ``z`` and detections ``y``, of recordings 0, 1, ..."""

    def __init__(self, z: Floats, y: Floats, of: Ints) -> None:
        self._z, self._y, self._of = z, y, of
        self._intercept, self._slope = _fit(z, y)
        self._best = float(_likelihood(self._intercept + self._slope * z, z, y))

    def point(self, share: float) -> float:
        """Return where the curve reaches a share.

        Where nothing rises, the share that was found stands for every SNR.
        """
        if self._slope > 0:
            return (_logit(share) - self._intercept) / self._slope
        return -math.inf if np.mean(self._y) >= share else math.inf

    def interval(self, share: float) -> Interval:
        """Return the 95 % interval of that point; none of too few recordings."""
        n = int(self._of.max()) + 1
        if n < LEAST_RECORDINGS:
            return NO_INTERVAL
        if self._slope <= 0:
            return Interval(-math.inf, math.inf)
        most = float(special.stdtrit(n - 1, 0.975)) ** 2
        middle = self.point(share)

        def is_inside(point: float) -> bool:
            return self.loss(point, share) <= most * self._design_effect(point)

        return Interval(_edge(middle, -1, is_inside), _edge(middle, 1, is_inside))

    def loss(self, point: float, share: float) -> float:
        """Return twice the log likelihood that is lost if the curve is to pass a point."""
        z, y, height = self._z - point, self._y, _logit(share)
        slopes = SLOPES
        for _ in range(3):
            held = _likelihood(height + slopes[:, None] * z, self._z, y)
            k = int(np.argmax(held))
            step = math.log(slopes[1] / slopes[0])
            best, slopes = float(held[k]), slopes[k] * np.exp(step * FINE)
        return max(0.0, 2 * (self._best - best))

    def _design_effect(self, point: float) -> float:
        """Return how much more a point of the curve varies than if all were independent."""
        z, eta = self._z, self._intercept + self._slope * self._z
        residuals, inverse = _scored(eta, z, self._y)
        weights = inverse @ np.array([1.0, point])
        parts = residuals * (weights[0] + weights[1] * z)
        sums = np.bincount(self._of, parts)
        return float(np.sum(sums**2) / np.sum(parts**2))


def _edge(middle: float, side: int, is_inside: Callable[[float], bool]) -> float:
    """Return how far from its middle an interval reaches on one side."""
    inside, outside = 0.0, 0.1
    while is_inside(middle + side * outside):
        inside, outside = outside, 2 * outside
        if outside > FARTHEST:
            return side * math.inf
    while outside - inside > BOUND_CLOSE * max(1.0, outside):
        between = (inside + outside) / 2
        if is_inside(middle + side * between):
            inside = between
        else:
            outside = between
    return middle + side * outside


def _fit(z: Floats, y: Floats) -> tuple[float, float]:
    """Return intercept and slope at the maximum of the penalised likelihood.

    Of a few cleanly cut data it may have two maxima: the one that is reached from a flat curve
    counts.
    """
    beta = np.zeros(2)
    for _ in range(N_STEPS):
        residuals, inverse = _scored(beta[0] + beta[1] * z, z, y)
        step = inverse @ np.array([np.sum(residuals), residuals @ z])
        size = float(np.max(np.abs(beta)))
        most = LARGEST_STEP + LARGEST_GROWTH * size
        beta = beta + step * min(1.0, most / max(float(np.max(np.abs(step))), CLOSE))
        if np.max(np.abs(step)) < CLOSE * (1 + size):
            break
    return float(beta[0]), float(beta[1])


def _scored(eta: Floats, z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return Firth's residuals, and the inverse of the information.

    The residuals' sum, and their sum with ``z``, are the derivatives of the penalised likelihood.
    """
    p = special.expit(eta)
    information = p * (1 - p)
    i0, i1, i2 = (float(information @ z**k) for k in range(3))
    inverse = np.array([[i2, -i1], [-i1, i0]]) / max(i0 * i2 - i1 * i1, SMALLEST)
    leverage = information * (inverse[0, 0] + 2 * inverse[0, 1] * z + inverse[1, 1] * z * z)
    return y - p + leverage * (0.5 - p), inverse


def _likelihood(eta: Floats, z: Floats, y: Floats) -> Floats:
    """Return the penalised log likelihood of curves, ``eta`` of shape ``(..., n)``."""
    p = special.expit(eta)
    information = p * (1 - p)
    i0, i1, i2 = (information @ z**k for k in range(3))
    penalty = 0.5 * np.log(np.maximum(i0 * i2 - i1 * i1, SMALLEST))
    return np.asarray(eta @ y - np.sum(np.logaddexp(0.0, eta), axis=-1) + penalty)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
