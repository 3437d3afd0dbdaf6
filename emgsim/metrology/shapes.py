"""What a device made of a known waveform, read at any instant of the source's clock.

The waveform through the declared response is known everywhere; what the device's samples add to it
is small and slow, and is interpolated between them. So an edge that lies between two samples of a
device that samples at four times its corner is read as well as if it had been sampled at forty.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

from emgsim.align import Waveform
from emgsim.metrology.procedure import Measuring
from emgsim.metrology.setup import Setup
from emgsim.metrology.silence import declared_band, referred, settling_s, source_filter
from emgsim.metrology.stimulus import Stimulus
from emgsim.stages import BandResponse, respond

Floats = NDArray[np.float64]

STEPS = 6  # of Gauss-Newton at most
SEARCHED = 8.0  # samples on either side of where the marker lies
PER_SAMPLE = 4  # places in a sample at which the lag is first looked for


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One playback as the first channel saw it, beside what it should have seen.

    Attributes
    ----------
    times_s
        Of the known samples on the source's clock, shape ``(n,)``.
    uv
        The samples, their baseline taken off and upright even if the device inverts, shape
        ``(n,)``.
    model
        What the declared response makes of the stimulus.
    gain
        Of the samples over the model, by least squares over the whole playback.
    """

    times_s: Floats
    uv: Floats
    model: Waveform
    gain: float

    def reader(self) -> Callable[[Floats], Floats]:
        """Return what reads the device's voltage at any instant of the playback."""
        left = self.uv - self.gain * self.model.at(self.times_s)[0]
        spline = interpolate.CubicSpline(self.times_s, left)

        def read(at_s: Floats) -> Floats:
            return np.asarray(self.gain * self.model.at(at_s)[0] + spline(at_s))

        return read


def expected(stimulus: Stimulus, setup: Setup, response: BandResponse) -> Waveform:
    """Return what a response makes of a stimulus behind the generator's filter."""
    # Room behind it, in which a high-pass forgets: the Fourier transform goes round.
    tail = np.zeros(round(2 * settling_s(setup) * stimulus.rate_hz))
    filtered = respond(np.concatenate([stimulus.uv, tail]), stimulus.rate_hz, source_filter(setup))
    return Waveform(filtered, stimulus.rate_hz, response)


def seen(measuring: Measuring, stimulus: Stimulus, until_s: float = math.inf) -> Seen:
    """Play a stimulus, and put what came back on the source's clock.

    What is later than ``until_s`` is not fitted: there the device is not what it declares.

    The ratio of the clocks is known from a long sine, the place from the marker, to a few samples;
    a fit of gain, lag and baseline to the whole playback finds it to a small part of one. What the
    declared response gets wrong of the delay is in it.
    """
    setup, by = measuring.setup, referred(measuring)
    acquired = measuring.played(stimulus)
    at_s = 0.0 if stimulus.marker is None else stimulus.marker[0]
    times_s = at_s + (acquired.times_s - at_s) * by.clock
    uv = acquired.uv[:, 0]
    inside = np.isfinite(uv) & (times_s > 0) & (times_s < stimulus.duration_s)
    times_s, uv = times_s[inside], uv[inside]
    model = expected(stimulus, setup, declared_band(setup))
    early = times_s < until_s
    fitted_s, fitted_uv = times_s[early], uv[early]
    lag_s = _coarse_lag_s(fitted_s, fitted_uv, model, acquired.rate_hz)
    gain = 0.0
    for _ in range(STEPS):
        value, slope = model.at(fitted_s - lag_s)
        rows = np.stack([value, np.ones_like(value), -(gain or 1.0) * slope])
        gain, baseline, step = np.linalg.solve(rows @ rows.T, rows @ fitted_uv)
        lag_s += step
        if abs(step) * acquired.rate_hz < 1e-6:
            break
    upright = float(np.sign(gain))
    return Seen(
        times_s=times_s - lag_s,
        uv=upright * (uv - baseline),
        model=model,
        gain=upright * float(gain),
    )


def _coarse_lag_s(times_s: Floats, uv: Floats, model: Waveform, rate_hz: float) -> float:
    """Return the lag at which samples and model are most alike."""
    lags_s = np.arange(-SEARCHED, SEARCHED, 1 / PER_SAMPLE) / rate_hz
    x = uv - uv.mean()
    likeness = [abs(float(x @ model.at(times_s - lag_s)[0])) for lag_s in lags_s]
    return float(lags_s[int(np.argmax(likeness))])
