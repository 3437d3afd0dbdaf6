"""What an electrode hears of one spontaneous discharge.

Both membranes here have the potential's form of `emgsim.physiology.potential`: with V(u) the
membrane potential above rest at u from the place of excitation z0, and W the electrode's
sensitivity, windowed before the derivative and by parts,

    phi = -K { int_0^L1 V'(u) W'(z0 + u) du - int_0^L2 V'(u) W'(z0 - u) du }.

*A wounded fibre.* Its action potential rises as ever to its peak, at p behind the front, and then
falls on the average within a time tau: behind the peak

    e'(x) = -e(p) (exp(-y/a) - exp(-y/b)) / (a - b),    y = x - p,  a = v tau,  b = `BEND_MM`.

If it ends at the electrode, the front that arrives is sharp and positive, and all the charge that
came in flows back in the long shallow negative tail: both phases have the same area, as the net
current is zero. Without the slow fall the tail lasts 2-3 ms, which no published positive sharp wave
is as short as; that denervated and wounded fibres repolarise slowly is the explanation of Dumitru,
King & Nandedkar for the tail [M]. The front dies by and by: over the last `DYING_MM` of the nearer
end, and in what follows it, its speed is a share of what it was, so the wave returns from its peak
more slowly than it fell.

*An end-plate current.* I enters at z0, and half of it flows to either side:

    V'(u) = -I / (2 sigma_i pi (d/2)^2) exp(-u / lambda),

so its return current leaves within some lambda (Fatt & Katz 1951, J Physiol 115:320: the end-plate
potential as a charge spread by the cable). In time it is a difference of exponentials.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import (
    ACTION_POTENTIALS,
    ActionPotential,
    Electrode,
    action_potential_mv,
    action_potential_slope_mv_mm,
    fibre_strength,
    nearest_mm,
    sensitivity_slope,
)
from emgsim.physiology.spontaneous.source import EndPlateCurrent, Source, Wave
from emgsim.physiology.voices import Sampling, healthy_waves_uv, last_s

Floats = NDArray[np.float64]

BEND_MM = 0.5  # how soon after the peak the slow fall begins: no kink in the potential [P]
STEP_MM = 0.01  # along the fibre
DYING_MM = 0.1  # of the nearer end, in which the front of a wounded fibre dies [P]
DECAYS = 8.0  # after so many time or length constants nothing is left


def source_wave_uv(
    source: Source, electrode: Electrode, medium: Medium, sampling: Sampling
) -> Floats:
    """Return the potential of each fibre of a source at one discharge of gain 1.

    Parameters
    ----------
    source
        What discharges.
    electrode, medium
        What listens, and in what.
    sampling
        Gives the grid.

    Returns
    -------
    ndarray
        Shape ``(n_fibres, n)``, microvolts; column k lies ``k / sampling.fine_hz`` after the
        discharge. It is not yet limited to the band; after the last column nothing is left.
    """
    fibres, rate_hz = source.fibres, sampling.fine_hz
    if isinstance(source.membrane, EndPlateCurrent):
        return _current_waves_uv(source.membrane, fibres, electrode, medium, rate_hz)
    if source.membrane.repolarisation_s > 0:
        return _wounded_waves_uv(source.membrane, fibres, electrode, medium, rate_hz)
    return healthy_waves_uv(fibres, electrode, medium, sampling)


def end_plate_field_uv_na(
    electrode: Electrode, medium: Medium, fibres: UnitFibres, length_mm: float
) -> Floats:
    """Return the potential of 1 nA into each fibre at its end plate, shape ``(n_fibres,)``, uV."""
    run_mm = _middles(DECAYS * length_mm)
    pull = _pull_mm2(electrode, medium, fibres, run_mm) @ np.exp(-run_mm / length_mm)
    area_m2 = np.pi * (fibres.diameter_um * 0.5e-6) ** 2
    slope_mv_mm = 1e-9 / (2 * medium.sigma_intracellular_s_m * area_m2)  # V/m is mV/mm
    strength = fibre_strength(medium, fibres.diameter_um)
    return np.asarray(strength * slope_mv_mm * STEP_MM * pull)


def _current_waves_uv(
    current: EndPlateCurrent,
    fibres: UnitFibres,
    electrode: Electrode,
    medium: Medium,
    rate_hz: float,
) -> Floats:
    last_s = float(fibres.delay_s.max()) + DECAYS * current.decay_s
    time_s = np.arange(int(np.ceil(last_s * rate_hz)) + 1) / rate_hz
    since_s = np.maximum(time_s - fibres.delay_s[:, None], 0.0)
    course = np.exp(-since_s / current.decay_s) - np.exp(-since_s / current.rise_s)
    ratio = current.rise_s / current.decay_s
    peak = ratio ** (ratio / (1 - ratio)) - ratio ** (1 / (1 - ratio))
    field_uv_na = end_plate_field_uv_na(electrode, medium, fibres, current.length_mm)
    return np.asarray(current.peak_na * field_uv_na[:, None] * course / peak)


def slow_slope_mv_mm(x_mm: Floats, shape: ActionPotential, fall_mm: float) -> Floats:
    """Return the slope of an action potential that falls within ``fall_mm`` behind its peak."""
    peak_mm = 3.0 / shape.decay_per_mm
    peak_mv = float(action_potential_mv(np.array(peak_mm), shape))
    rest_mm = np.maximum(x_mm - peak_mm, 0.0)
    fall = np.exp(-rest_mm / fall_mm) - np.exp(-rest_mm / BEND_MM)
    slow = -peak_mv * fall / (fall_mm - BEND_MM)
    rise = action_potential_slope_mv_mm(x_mm, shape)
    return np.asarray(np.where(x_mm < peak_mm, rise, slow))


def _wounded_waves_uv(
    wave: Wave, fibres: UnitFibres, electrode: Electrode, medium: Medium, rate_hz: float
) -> Floats:
    ends_s = last_s(fibres, medium) / wave.slowing + DECAYS * wave.repolarisation_s
    time_s = np.arange(int(np.ceil(ends_s * rate_hz)) + 1) / rate_hz
    waves = np.zeros((fibres.n_fibres, time_s.size))
    for row, f in zip(waves, range(fibres.n_fibres), strict=True):
        one = fibres.subset(np.array([f]))
        speed_mm_s = 1e3 * float(one.velocity_m_s[0])
        fall_mm = wave.repolarisation_s * wave.slowing * speed_mm_s  # where it is slow already
        run_mm, potential_uv = _slow_wave_uv(one, electrode, medium, fall_mm)
        way_mm = _dying(
            (time_s - float(one.delay_s[0])) * speed_mm_s,
            float(np.min(one.half_lengths_mm)) - DYING_MM,
            wave.slowing,
        )
        row[:] = np.interp(way_mm, run_mm, potential_uv, left=0.0, right=0.0)
    return waves


def _dying(way_mm: Floats, from_mm: float, slowing: float) -> Floats:
    """Return the way of a front that keeps a share of its speed from a place on."""
    return np.asarray(np.minimum(way_mm, from_mm + slowing * (way_mm - from_mm)))


def _slow_wave_uv(
    fibre: UnitFibres, electrode: Electrode, medium: Medium, fall_mm: float
) -> tuple[Floats, Floats]:
    """Return the wave of one fibre against the way of its front, as the integral says."""
    shape = ACTION_POTENTIALS[medium.action_potential]
    longest_mm = float(np.max(fibre.half_lengths_mm))
    path_mm = _middles(longest_mm)
    path = _pull_mm2(electrode, medium, fibre, path_mm)[0]
    behind_mm = _middles(DECAYS * fall_mm)
    front = STEP_MM * slow_slope_mv_mm(behind_mm, shape, fall_mm)
    n = path_mm.size + behind_mm.size - 1
    size = fft.next_fast_len(n, real=True)
    wave = fft.irfft(fft.rfft(path, size) * fft.rfft(front, size), size)[:n]
    strength = float(fibre_strength(medium, fibre.diameter_um)[0])
    run_mm = _middles(n * STEP_MM)[:n] + STEP_MM / 2  # both grids begin half a step late
    return run_mm, strength * wave


def _pull_mm2(electrode: Electrode, medium: Medium, fibres: UnitFibres, run_mm: Floats) -> Floats:
    """Return ``W'(z0 + u) - W'(z0 - u)``, each as far as the fibre reaches.

    Shape ``(n_fibres, n)``; of the step that holds an end only a share counts.
    """
    x, y, z = (v[:, None] for v in (fibres.x_mm, fibres.y_mm, fibres.end_plate_mm))
    near = nearest_mm(fibres.diameter_um)[:, None]
    pull = np.zeros((fibres.n_fibres, run_mm.size))
    for sign, half_mm in zip((1.0, -1.0), fibres.half_lengths_mm, strict=True):
        slope = sensitivity_slope(electrode, x, y, z + sign * run_mm, medium.anisotropy, near)
        pull += sign * slope * np.clip((half_mm[:, None] - run_mm) / STEP_MM + 0.5, 0.0, 1.0)
    return pull


def _middles(length_mm: float) -> Floats:
    """Return the middles of the steps that cover a length."""
    n = int(np.ceil(length_mm / STEP_MM)) + 1
    return np.asarray(STEP_MM * (np.arange(n) + 0.5), np.float64)
