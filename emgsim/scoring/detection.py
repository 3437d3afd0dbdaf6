"""How probably something is found, against its SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.scoring.intervals import Interval, bootstraps
from emgsim.scoring.score import Score

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

N_STEPS = 100  # of Newton; some ten are taken
LARGEST_STEP = 1.0  # of the standardised coefficients ...
LARGEST_GROWTH = 0.5  # ... and of themselves beside it, so that no step leaps far over the maximum
CLOSE = 1e-9  # relative


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
    rng: np.random.Generator,
    *,
    recordings: Ints | None = None,
) -> DetectionCurve:
    """Fit the probability of detection against SNR.

    Logistic regression by Firth's penalised likelihood (Firth 1993, Biometrika 80:27), which has a
    finite answer where everything above some SNR is found and nothing below. It rises from 0 to 1:
    no share of misses that no SNR cures, and none that is found by chance, is modelled.

    Parameters
    ----------
    snr_db
        Shape ``(n,)``, finite.
    is_detected
        Shape ``(n,)``.
    rng
        Draws the resamples of the intervals.
    recordings
        Number of the recording that each is of, shape ``(n,)``: those of one recording are drawn
        together. Without it all are taken as independent. From `LEAST_RECORDINGS` on there are
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
    names, of = np.unique(of, return_inverse=True)

    def points_db(drawn: Floats) -> Floats:
        return _points_db(x, y, drawn[:, of])

    at_50_db, at_99_db = points_db(np.ones((1, names.size)))[0].tolist()
    interval_50, interval_99 = bootstraps(points_db, names.size, rng)
    return DetectionCurve(
        n=x.size,
        snr_50_db=at_50_db,
        snr_99_db=at_99_db,
        snr_50_interval=interval_50,
        snr_99_interval=interval_99,
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


def _points_db(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Return the 50 % and 99 % points of each fit, shape ``(n_fits, 2)``."""
    centre, scale = float(np.mean(x)), float(np.std(x))
    intercept, slope = _fit((x - centre) / scale, y, weights)
    found = (weights @ y) / weights.sum(axis=1)
    is_mixed = (found > 0) & (found < 1)
    rises = is_mixed & (slope > 0)
    points = np.empty((weights.shape[0], 2))
    for k, share in enumerate((0.5, 0.99)):
        with np.errstate(divide="ignore", invalid="ignore"):
            points[:, k] = centre + scale * (_logit(share) - intercept) / slope
        # where nothing rises, the share that was found stands for every SNR
        points[~rises, k] = np.where(found[~rises] >= share, -np.inf, np.inf)
    points[is_mixed & np.isnan(slope)] = np.nan
    return points


def _fit(z: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return intercept and slope of each fit; NaN where it has none, as all ``z`` drawn are one.

    Newton's method on the penalised likelihood, all fits at once; weights are ``(n_fits, n)``. Of a
    few cleanly cut data it may have two maxima: the one that is reached from a flat curve counts.
    """
    beta = np.zeros((weights.shape[0], 2))
    is_open = np.ones(weights.shape[0], bool)
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(N_STEPS):
            step = _newton_step(beta, z, y, weights)
            size = np.max(np.abs(beta), axis=1, keepdims=True)
            most = LARGEST_STEP + LARGEST_GROWTH * size
            step *= np.minimum(1.0, most / np.max(np.abs(step), axis=1, keepdims=True))
            beta += step
            is_open = np.max(np.abs(step), axis=1) > CLOSE * (1 + size[:, 0])
            if not np.any(is_open):
                break
    beta[is_open] = np.nan
    return beta[:, 0], beta[:, 1]


def _newton_step(beta: Floats, z: Floats, y: Floats, weights: Floats) -> Floats:
    """Return the step of each fit, shape ``(n_fits, 2)``.

    The likelihood is penalised by half the logarithm of its information's determinant, whose
    derivatives come of the moments of the information and of its own derivatives in ``eta``.
    Where the curvature is not that of a maximum the step is that of the likelihood alone.
    """
    p = special.expit(beta[:, :1] + beta[:, 1:] * z)
    powers = z[:, None] ** np.arange(5)
    information = weights * p * (1 - p)
    i0, i1, i2 = (information @ powers[:, :3]).T
    s0, s1, s2, s3 = ((information * (1 - 2 * p)) @ powers[:, :4]).T
    c0, c1, c2, c3, c4 = ((information * (1 - 6 * p * (1 - p))) @ powers).T
    det = i0 * i2 - i1 * i1
    det = np.where(det > CLOSE * i0 * i2, det, np.nan)
    # first and second derivatives of the determinant, relative to it
    a = (s0 * i2 + i0 * s2 - 2 * i1 * s1) / det
    b = (s1 * i2 + i0 * s3 - 2 * i1 * s2) / det
    aa = (c0 * i2 + 2 * s0 * s2 + i0 * c2 - 2 * (s1 * s1 + i1 * c1)) / det
    ab = (c1 * i2 + s0 * s3 + s1 * s2 + i0 * c3 - 2 * (s2 * s1 + i1 * c2)) / det
    bb = (c2 * i2 + 2 * s1 * s3 + i0 * c4 - 2 * (s2 * s2 + i1 * c3)) / det
    u, v = ((weights * (y - p)) @ powers[:, :2]).T + np.array([a, b]) / 2
    h00, h01, h11 = i0 - (aa - a * a) / 2, i1 - (ab - a * b) / 2, i2 - (bb - b * b) / 2
    is_top = (h00 > 0) & (h00 * h11 - h01 * h01 > 0)
    h00, h01, h11 = (np.where(is_top, h, i) for h, i in ((h00, i0), (h01, i1), (h11, i2)))
    step = np.column_stack([h11 * u - h01 * v, h00 * v - h01 * u])
    return np.asarray(step / (h00 * h11 - h01 * h01)[:, None])


def _logit(share: float) -> float:
    return math.log(share / (1 - share))
