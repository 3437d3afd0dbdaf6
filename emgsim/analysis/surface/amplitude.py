"""How strong surface EMG is: root mean square and average rectified value, with intervals.

EMG is a band of noise: neighbouring samples tell much the same, so that a window of n samples knows
its power only as well as n_eff independent ones would,

    n_eff = n / sum over all lags of rho^2

with rho the autocorrelation (Bendat & Piersol, Random Data, 8.2). The square of the rms then is
chi-square distributed with n_eff degrees of freedom. That holds for Gaussian signals, which an
interference pattern is from about a third of the greatest effort on; a few units that discharge in
turn are more variable than their interval says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats

from emgsim.analysis.conditioning import autocorrelation, bridged
from emgsim.analysis.quality import require_vector
from emgsim.analysis.surface.intervals import Estimate, difference

Floats = NDArray[np.float64]

CORRELATED_S = 0.03  # later a band from 20 Hz on no longer resembles itself
MVC_WINDOW_S = 0.5  # of the strongest part of a maximal effort [M]; 0.25 to 1 s are in use


@dataclass(frozen=True, kw_only=True)
class Amplitude:
    """The amplitude of one window, each with its 95 % interval."""

    start_s: float
    window_s: float
    rms_uv: Estimate
    arv_uv: Estimate
    effective_samples: float  # that are independent of one another


def amplitudes(
    samples_uv: Floats,
    rate_hz: float,
    *,
    window_s: float,
    start_s: float = 0.0,
    rest_uv: Floats | None = None,
) -> tuple[Amplitude, ...]:
    """Measure the amplitude, window by window.

    Parameters
    ----------
    samples_uv
        One channel, band-passed, shape ``(n_samples,)``; NaN where samples are missing.
    rate_hz, start_s
        Sampling rate, and time of the first sample.
    window_s
        Length of a window, which holds 32 samples or more.
    rest_uv
        The same channel at rest, filtered alike. Its power is taken off, and so is, of the average
        rectified value, the share that the rms loses. The intervals then hold the doubt about the
        rest too, and begin at 0 where rest explains all.

    Returns
    -------
    tuple of Amplitude
        One for each whole window without missing samples.

    Raises
    ------
    ValueError
        If the samples are no vector, or a window is too short.

    Examples
    --------
    >>> noise = 10 * np.random.default_rng(1).standard_normal(4000)
    >>> first, second = amplitudes(noise, 2000.0, window_s=1.0)
    >>> round(first.rms_uv.value), round(first.arv_uv.value)
    (10, 8)
    """
    require_vector(samples_uv, rate_hz)
    length = round(window_s * rate_hz)
    if length < 32:
        raise ValueError(f"window_s must hold 32 samples or more, got {length}")
    shape = _correlation(samples_uv, rate_hz)
    rest = None if rest_uv is None else _power(rest_uv, _correlation(rest_uv, rate_hz))
    firsts = range(0, samples_uv.size - length + 1, length)
    pieces = ((k, samples_uv[k : k + length]) for k in firsts)
    return tuple(
        Amplitude(
            start_s=start_s + k / rate_hz,
            window_s=length / rate_hz,
            rms_uv=_rms(piece, shape, rest),
            arv_uv=_rectified(piece, shape, rest),
            effective_samples=length / float(np.sum(shape**2)),
        )
        for k, piece in pieces
        if np.isfinite(piece).all()
    )


def envelope_uv(samples_uv: Floats, rate_hz: float, window_s: float = 0.1) -> Floats:
    """Return the rms of the window around each sample, shape ``(n_samples,)``.

    Samples that are missing (NaN) do not count; the envelope is NaN where none is present.

    Raises
    ------
    ValueError
        If the samples are no vector, or the window is not positive.
    """
    require_vector(samples_uv, rate_hz)
    if not window_s > 0:
        raise ValueError(f"window_s must be > 0, got {window_s}")
    length = max(1, round(window_s * rate_hz))
    present = np.isfinite(samples_uv)
    squares = np.where(present, samples_uv, 0.0) ** 2
    power = ndimage.uniform_filter1d(squares, length, mode="constant")
    share = ndimage.uniform_filter1d(present.astype(np.float64), length, mode="constant")
    known = share > 0.5 / length
    mean = np.divide(power, share, out=np.full(share.shape, np.nan), where=known)
    return np.asarray(np.sqrt(np.maximum(mean, 0.0)))


def mvc_rms_uv(samples_uv: Floats, rate_hz: float) -> float:
    """Return the largest rms over half a second of a maximal voluntary contraction.

    Raises
    ------
    ValueError
        If the samples are no vector, or there is no half second without missing ones.
    """
    envelope = envelope_uv(samples_uv, rate_hz, MVC_WINDOW_S)
    length = round(MVC_WINDOW_S * rate_hz)
    present = np.isfinite(samples_uv).astype(np.float64)
    whole = ndimage.uniform_filter1d(present, length, mode="constant") > 1 - 0.5 / length
    if not whole.any():
        raise ValueError(f"samples_uv must hold {MVC_WINDOW_S:g} s without missing samples")
    return float(envelope[whole].max())


def normalised(amplitude_uv: Estimate, mvc_uv: float) -> Estimate:
    """Return an amplitude in percent of that of the maximal voluntary contraction.

    The maximum counts as known: its doubt is common to all that is divided by it.

    Raises
    ------
    ValueError
        If the maximum is not positive.
    """
    if not (np.isfinite(mvc_uv) and mvc_uv > 0):
        raise ValueError(f"mvc_uv must be finite and > 0, got {mvc_uv}")
    value, low, high = (
        100 * uv / mvc_uv for uv in (amplitude_uv.value, amplitude_uv.low, amplitude_uv.high)
    )
    return Estimate(value=value, low=low, high=high, reason=amplitude_uv.reason)


def _correlation(samples_uv: Floats, rate_hz: float) -> Floats:
    """Return the autocorrelation at lags of -30 to 30 ms, shrunk by what chance adds to it.

    The sum of its squares over m lags is too large by a share of m / n if nothing is done.
    """
    reach = min(round(CORRELATED_S * rate_hz), samples_uv.size // 4)
    known = bridged(samples_uv)
    sums = autocorrelation(known - known.mean())[: reach + 1]
    one_sided = sums / sums[0] if sums[0] > 0 else np.eye(1, reach + 1)[0]
    both = np.concatenate([one_sided[:0:-1], one_sided])
    by_chance = 1 + both.size / samples_uv.size
    both[np.arange(both.size) != reach] /= math.sqrt(by_chance)
    return both


def _power(samples_uv: Floats, shape: Floats) -> Estimate:
    """Return the mean square."""
    known = samples_uv[np.isfinite(samples_uv)]
    mean = float(np.mean(known**2))
    freedom = known.size / float(np.sum(shape**2))
    return Estimate(
        value=mean,
        low=mean * freedom / float(stats.chi2.ppf(0.975, freedom)),
        high=mean * freedom / float(stats.chi2.ppf(0.025, freedom)),
    )


def _rms(samples_uv: Floats, shape: Floats, rest: Estimate | None) -> Estimate:
    power = _power(samples_uv, shape)
    own = power if rest is None else difference(power, rest)
    return Estimate(value=math.sqrt(own.value), low=math.sqrt(own.low), high=math.sqrt(own.high))


def _rectified(samples_uv: Floats, shape: Floats, rest: Estimate | None) -> Estimate:
    """Return the average rectified value.

    Rectified Gaussian samples of correlation rho have covariance
    (2/pi) (sqrt(1 - rho^2) + rho asin rho - 1) times their variance.
    """
    value = float(np.mean(np.abs(samples_uv)))
    rho = np.clip(shape, -1, 1)
    likeness = np.sqrt(1 - rho**2) + rho * np.arcsin(rho) - 1
    relative = math.exp(1.96 * math.sqrt(float(np.sum(likeness)) / samples_uv.size))
    if rest is None:
        return Estimate(value=value, low=value / relative, high=value * relative)
    power = float(np.mean(samples_uv**2))
    own = _rms(samples_uv, shape, rest)
    form = value / math.sqrt(power) if power > 0 else 0.0
    return Estimate(value=form * own.value, low=form * own.low, high=form * own.high)
