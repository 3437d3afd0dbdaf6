"""How a measure changes along a contraction: the line of fatigue, with an honest interval.

As a muscle tires, its fibres conduct more slowly and the spectrum falls with them, while the
amplitude rises (Merletti, Knaflitz & De Luca 1990, J Appl Physiol 69:1810). Neighbouring windows
err alike, so that a plain regression promises too much. Its error is widened by the number of
windows that count for independent, from the correlation of neighbouring residuals (Santer et al.
2000, J Geophys Res 105:7337).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emgsim.analysis.surface.amplitude import amplitudes
from emgsim.analysis.surface.intervals import NAN, Estimate, unknown
from emgsim.analysis.surface.spectrum import spectrum
from emgsim.analysis.surface.velocity import velocity

Floats = NDArray[np.float64]

FEWEST = 6  # windows of a line
MOST_ALIKE = 0.9  # correlation of neighbours; beyond it no line can be told from drift


@dataclass(frozen=True, kw_only=True)
class Trend:
    """A straight line through a measure over time."""

    initial: float  # at the first window
    slope_per_s: Estimate

    @property
    def percent_per_minute(self) -> float:
        """Slope over initial value."""
        return self.relative.value

    @property
    def relative(self) -> Estimate:
        """Slope over initial value, percent per minute, with its interval."""
        slope, scale = self.slope_per_s, 6000.0 / self.initial
        return replace(
            slope, value=slope.value * scale, low=slope.low * scale, high=slope.high * scale
        )


@dataclass(frozen=True, kw_only=True)
class Fatigue:
    """The lines of four measures along one contraction."""

    mean_hz: Trend
    median_hz: Trend
    rms_uv: Trend
    velocity_m_s: Trend


def trend(times_s: Floats, values: Floats) -> Trend:
    """Fit a line to a measure.

    Parameters
    ----------
    times_s, values
        Shape ``(n,)``, evenly spaced; values that are NaN do not count.

    Returns
    -------
    Trend
        Without a value, but with a reason, if there are fewer than six values.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> line = trend(np.arange(10.0), 100 - 2 * np.arange(10.0))
    >>> round(line.initial), round(line.slope_per_s.value, 6)
    (100, -2.0)
    """
    if times_s.shape != values.shape or times_s.ndim != 1:
        raise ValueError(
            f"times_s and values must be (n,) alike, got {times_s.shape} and {values.shape}"
        )
    known = np.isfinite(values)
    n = int(np.count_nonzero(known))
    if n < FEWEST:
        return Trend(initial=NAN, slope_per_s=unknown(f"{n} windows, {FEWEST} are needed"))
    at_s, measured = times_s[known], values[known]
    line = stats.linregress(at_s, measured)
    left = measured - line.intercept - line.slope * at_s
    effective = n * _independence(left)
    freedom = max(effective - 2, 1.0)
    spread = float(np.sum((at_s - at_s.mean()) ** 2))
    error = math.sqrt(float(np.sum(left**2)) / freedom / spread)
    reach = float(stats.t.ppf(0.975, freedom)) * error
    slope = float(line.slope)
    return Trend(
        initial=float(line.intercept + line.slope * times_s[0]),
        slope_per_s=Estimate(value=slope, low=slope - reach, high=slope + reach),
    )


def fatigue(
    samples_uv: Floats,
    rate_hz: float,
    along_mm: Floats,
    *,
    window_s: float = 1.0,
    mains_hz: float | None = None,
) -> Fatigue:
    """Measure how spectrum, amplitude and velocity change along one steady contraction.

    Parameters
    ----------
    samples_uv
        Differential channels of one contraction, band-passed, shape ``(n_samples, n_channels)``.
        Spectrum and amplitude are those of the middle channel.
    rate_hz
        Sampling rate.
    along_mm
        Where the channels are along the fibres, shape ``(n_channels,)``.
    window_s
        Length of a window.
    mains_hz
        As of `spectrum`.
    """
    length = round(window_s * rate_hz)
    firsts = np.arange(0, len(samples_uv) - length + 1, length)
    middle = samples_uv.shape[1] // 2
    rows = []
    for first in firsts:
        window = samples_uv[first : first + length]
        found = spectrum(window[:, middle], rate_hz, mains_hz=mains_hz)
        strength = amplitudes(window[:, middle], rate_hz, window_s=window_s)
        rows.append(
            (
                found.mean_hz.value,
                found.median_hz.value,
                strength[0].rms_uv.value if strength else NAN,
                velocity(window, rate_hz, along_mm).velocity_m_s.value,
            )
        )
    columns = np.array(rows).reshape(-1, 4).T
    times_s = np.asarray((firsts + length / 2) / rate_hz, np.float64)
    mean, median, rms, speed = (trend(times_s, column) for column in columns)
    return Fatigue(mean_hz=mean, median_hz=median, rms_uv=rms, velocity_m_s=speed)


def _independence(left: Floats) -> float:
    """Return the share of values that count for independent.

    The correlation of neighbouring residuals of a line is too low by about ``(2 + 4 r) / n``
    (one mean and one slope are taken from them; Kendall 1954, Biometrika 41:403, has (1 + 3 r) / n
    for a mean alone) [P].
    """
    power = float(np.sum(left**2))
    if not power > 0:
        return 1.0
    alike = float(np.sum(left[1:] * left[:-1])) / power
    alike = alike + (2 + 4 * alike) / left.size
    alike = min(max(alike, 0.0), MOST_ALIKE)
    return (1 - alike) / (1 + alike)
