"""A motor unit at an electrode, as the voices that its discharges sound.

Near fibres are voices of their own: each jitters at every discharge, and may be blocked. All other
fibres sound together, at their mean times. Which are near is decided so that the rest, taken
together, errs by less than `LUMPED_UV` in all but 0.3 % of the discharges: the fibres' slopes times
their jitter, and their amplitudes times their share of blocking, add up as independent errors do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.kernels import fibre_waves_uv
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import ACTION_POTENTIALS, Electrode
from emgsim.physiology.rendering import polyphase

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LUMPED_UV = 0.1  # three standard deviations of what lumping the far fibres leaves out
QUIET_UV = 1e-3  # a wave's ends below it are cut off
FINE_HZ = 80_000.0  # waves stand on a grid at least so fine
STOP_OVER_BAND = 0.5 / 0.45  # from 0.45 of the rate: nothing folds back from above half of it
RINGING = 4.0  # length of the band's ringing, in periods of its transition
DECAYS = 32.0  # of an action potential's exponential, after which nothing is left of it


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How waves are sampled: the recording's rate, and the grid and band that follow from it."""

    rate_hz: float
    band_hz: float  # highest frequency that is kept whole; at most 0.45 of the rate

    @property
    def oversampling(self) -> int:
        """Points of a wave per sample."""
        return max(1, int(np.ceil(FINE_HZ / self.rate_hz)))

    @property
    def fine_hz(self) -> float:
        """Rate of the waves' grid."""
        return self.rate_hz * self.oversampling

    @property
    def ringing_s(self) -> float:
        """How far the band's limit spreads a wave, before it and after it."""
        return RINGING / (self.band_hz * (STOP_OVER_BAND - 1))

    def limited(self, waves: Floats) -> Floats:
        """Return waves ``(n_waves, n)`` on the fine grid without what lies above the band."""
        gain = self.gain(fft.rfftfreq(waves.shape[1], 1 / self.fine_hz))
        return np.asarray(fft.irfft(fft.rfft(waves, axis=1) * gain, waves.shape[1], axis=1))

    def gain(self, f_hz: Floats) -> Floats:
        """Return the band's gain at frequencies: half a cosine from its edge to the stop."""
        share = (f_hz / self.band_hz - 1) / (STOP_OVER_BAND - 1)
        return np.asarray(np.cos(np.pi / 2 * np.clip(share, 0.0, 1.0)) ** 2)


@dataclass(frozen=True, kw_only=True)
class Voices:
    """Fibres that discharge together, at one place of an electrode, ready to be rendered.

    ``phases`` is ``(1 + n_near, oversampling, n_rows)``: first the far fibres together, then each
    near one; they begin ``start`` samples after the discharge. ``near`` holds the near fibres'
    numbers among them. ``muap_uv`` is their sum at the mean times of all fibres, at the
    recording's rate from ``muap_start`` samples after the discharge.
    """

    phases: Floats
    start: float
    near: Integers
    muap_uv: Floats
    muap_start: int

    @property
    def ends(self) -> float:
        """Samples from the discharge to the end of the last voice."""
        return self.start + float(self.phases.shape[2])


def unit_voices(
    fibres: UnitFibres, electrode: Electrode, medium: Medium, sampling: Sampling
) -> Voices:
    """Return the voices of a motor unit at an electrode."""
    return voices_of(healthy_waves_uv(fibres, electrode, medium, sampling), fibres, sampling)


def healthy_waves_uv(
    fibres: UnitFibres, electrode: Electrode, medium: Medium, sampling: Sampling
) -> Floats:
    """Return the potential of each fibre, ``(n_fibres, n)``, until the last has gone."""
    n = int(np.ceil(last_s(fibres, medium) * sampling.fine_hz)) + 1
    return fibre_waves_uv(n, sampling.fine_hz, electrode, medium, fibres)


def last_s(fibres: UnitFibres, medium: Medium) -> float:
    """Return the time after the discharge at which the last fibre's wave has gone."""
    tail_mm = DECAYS / ACTION_POTENTIALS[medium.action_potential].decay_per_mm
    run_mm = np.maximum(*fibres.half_lengths_mm) + tail_mm
    return float(np.max(fibres.delay_s + 1e-3 * run_mm / fibres.velocity_m_s, initial=0.0))


def voices_of(waves_uv: Floats, fibres: UnitFibres, sampling: Sampling) -> Voices:
    """Return the voices of fibres whose potentials are known.

    Parameters
    ----------
    waves_uv
        Shape ``(n_fibres, n)``: column k lies ``k / sampling.fine_hz`` after the discharge.
    fibres
        Their jitter and block.
    sampling
        Gives the grid and the band.
    """
    lead = int(np.ceil(sampling.ringing_s * sampling.rate_hz)) * sampling.oversampling
    near = near_fibres(fibres, waves_uv, sampling.fine_hz)
    mean = 1.0 - fibres.block_probability
    mean[near] = 0.0
    n = waves_uv.shape[1]
    waves = np.zeros((1 + near.size, int(fft.next_fast_len(n + 2 * lead, real=True))))
    waves[0, lead : lead + n] = mean @ waves_uv
    waves[1:, lead : lead + n] = waves_uv[near]
    waves = sampling.limited(waves)
    loud = np.flatnonzero(np.abs(waves).max(axis=0) > QUIET_UV)
    begin, end = (int(loud[0]), int(loud[-1]) + 1) if loud.size else (lead, lead + 1)
    step = sampling.oversampling
    begin -= begin % step  # a whole number of samples after the discharge, as the lead is
    waves = waves[:, begin:end]
    start = (begin - lead) // step
    return Voices(
        phases=polyphase(waves, step),
        start=float(start),
        near=near,
        muap_uv=waves.sum(axis=0)[::step],
        muap_start=start,
    )


def near_fibres(fibres: UnitFibres, waves_uv: Floats, rate_hz: float) -> Integers:
    """Return the numbers of the fibres that must sound apart, ascending.

    Parameters
    ----------
    fibres
        The unit.
    waves_uv
        Shape ``(n_fibres, n)``: the potential of each.
    rate_hz
        Of the waves.
    """
    peak_uv = np.maximum(waves_uv.max(axis=1), -waves_uv.min(axis=1))
    slope_uv_s = rate_hz * np.abs(np.diff(waves_uv, axis=1)).max(axis=1)
    p = fibres.block_probability
    variance = (fibres.jitter_s * slope_uv_s) ** 2 + p * (1 - p) * peak_uv**2
    order = np.argsort(variance, kind="stable")
    is_lumped = 3.0 * np.sqrt(np.cumsum(variance[order])) <= LUMPED_UV
    return np.sort(order[~is_lumped])
