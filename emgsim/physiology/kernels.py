"""The potentials of many fibres, compiled: the sums of `emgsim.physiology.potential`, in one pass.

The readable reference makes a wave for each fibre and reads it at the instants asked for. Here the
grid along a fibre follows the output instead: the wave runs a whole number of steps from sample to
sample, so nothing is interpolated. What makes it fast:

- the slope of the action potential, ``(3 x^2 - 2 x^3) exp(-2 x)``, is convolved with by a
  recursion of four sums ``sum_j (n - j)^m q^(n - j) path_j``, m = 0 to 3, ``q = exp(-2 step)``;
- a fibre's step is as coarse as its distance from metal allows;
- beyond some core lengths a handful of points with the same first and second moments stand for
  all facets of the core.

Where the fibre begins and ends inside a step, the path is integrated as a piecewise cubic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import NEAREST_MM, Electrode

Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])

AMPLITUDE_MV_MM3 = 768.0  # of the action potential
STEPS_PER_DISTANCE = 4.0  # steps in the distance to the nearest metal, as seen along the fibre
LONGEST_STEP_MM = 0.08  # a far fibre errs by 3e-4 of its peak, when its front meets the tendon
FACETS_WITHIN = 30.0  # standard deviations of the core's points: the far points err by 1e-5 there
WAVE_MM = 16.0  # behind the front; beyond it the action potential is gone


def _compiled(function: Function) -> Function:
    """Compile, and keep the machine code beside the source if that folder can be written."""
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache: compile anew in each process
        return cast(Function, numba.njit(error_model="numpy")(function))


def add_fibre_potentials(
    out: Floats, rate_hz: float, electrode: Electrode, medium: Medium, fibres: UnitFibres
) -> None:
    """Add the potential of every fibre, in microvolts, to ``out``.

    Parameters
    ----------
    out
        Shape ``(n_samples,)``; sample k lies ``k / rate_hz`` after the discharge.
    rate_hz
        Sampling rate.
    electrode, medium
        What listens, and in what.
    fibres
        Where the fibres lie, and when their end plates are excited.
    """
    ratio = medium.sigma_intracellular_s_m / (4 * np.pi * medium.sigma_radial_s_m)
    area_mm2 = np.pi * (fibres.diameter_um / 2000.0) ** 2
    table = np.column_stack(
        [
            fibres.x_mm,
            fibres.y_mm,
            fibres.end_plate_mm,
            *fibres.half_lengths_mm,
            1e3 * fibres.velocity_m_s,
            fibres.delay_s,
            1000.0 * medium.source_gain * area_mm2 * ratio,
        ]
    )
    _add_fibres(out, rate_hz, table, _pick_up(electrode, medium.anisotropy))


class _PickUp(NamedTuple):
    """What listens, as arrays: all points, the few that stand for them far off, and the shaft."""

    near_mm: Floats
    near_weights: Floats
    far_mm: Floats
    far_weights: Floats
    reach_mm: float  # of all points, as seen along the fibre
    shaft: Floats  # x, y, z of its tip and its length; empty if the reference is remote
    shaft_radius_mm: float
    anisotropy: float
    nearest_mm: float  # an argument, since a cached kernel keeps another module's constants


class _Steps(NamedTuple):
    """How the steps along a fibre meet the samples."""

    sample: int  # the first one after the excitation of the end plate
    lead: int  # the step that the front has reached at that sample
    inner: int  # steps from sample to sample
    step_mm: float
    gain: float  # microvolts of a path of one per step


def _pick_up(electrode: Electrode, anisotropy: float) -> _PickUp:
    """Return the electrode as arrays; few points with the moments of all serve far fibres."""
    points = np.ascontiguousarray(electrode.points_mm, dtype=np.float64)
    weights = np.ascontiguousarray(electrode.weights, dtype=np.float64)
    far, far_weights, reach_mm = points, weights, 0.0
    if weights.size > 4:
        centre = weights @ points
        offset = points - centre
        variance, axis = np.linalg.eigh(offset.T @ (offset * weights[:, None]))
        long, short = (axis[:, k] * np.sqrt(max(variance[k], 0.0)) for k in (2, 1))
        far = np.array([centre + i * long + j * short for i in (-1, 1) for j in (-1, 1)])
        far_weights = np.full(4, 0.25)
        reach_mm = FACETS_WITHIN * float(np.sqrt(anisotropy * variance[2]))
    shaft = [] if electrode.shaft_mm is None else [*electrode.shaft_mm, electrode.shaft_length_mm]
    return _PickUp(
        near_mm=points,
        near_weights=weights,
        far_mm=far,
        far_weights=far_weights,
        reach_mm=reach_mm,
        shaft=np.array(shaft, dtype=np.float64),
        shaft_radius_mm=float(electrode.shaft_radius_mm),
        anisotropy=float(anisotropy),
        nearest_mm=NEAREST_MM,
    )


@_compiled
def _add_fibres(out: Floats, rate_hz: float, table: Floats, pick_up: _PickUp) -> None:
    """Add fibre after fibre to ``out``."""
    for f in range(table.shape[0]):
        x, y, z0, half_a, half_b, velocity_mm_s, delay_s, strength = table[f]
        sample = math.ceil(delay_s * rate_hz)
        ran_mm = (sample / rate_hz - delay_s) * velocity_mm_s
        per_sample_mm = velocity_mm_s / rate_hz
        near_mm = math.sqrt(pick_up.anisotropy) * _nearest(x, y, pick_up)
        inner = math.ceil(per_sample_mm / min(near_mm / STEPS_PER_DISTANCE, LONGEST_STEP_MM))
        step_mm = per_sample_mm / inner
        lead = 1 + math.ceil(ran_mm / step_mm)  # one step more than reaches back to the end plate
        path = np.zeros(lead + 4 + math.ceil(max(half_a, half_b, 0.0) / step_mm))
        for sign, half_mm in ((1.0, half_a), (-1.0, half_b)):
            if half_mm <= 0.0:
                continue
            first_mm = ran_mm - lead * step_mm
            begin, end = -first_mm / step_mm, (half_mm - first_mm) / step_mm
            n = math.ceil(end) + 3
            z = z0 + sign * (first_mm + step_mm * np.arange(n))
            path[:n] += sign * _slope(x, y, z, pick_up) * _inside(n, begin, end)
        gain = strength * AMPLITUDE_MV_MM3 * step_mm
        _add_wave(out, path, _Steps(sample, lead, inner, step_mm, gain))


@_compiled
def _nearest(x: float, y: float, pick_up: _PickUp) -> float:
    """Return a fibre's distance from the nearest metal in the cross-section, mm."""
    points, shaft = pick_up.near_mm, pick_up.shaft
    square = np.inf
    for p in range(points.shape[0]):
        square = min(square, (x - points[p, 0]) ** 2 + (y - points[p, 1]) ** 2)
    nearest_mm = max(math.sqrt(square), pick_up.nearest_mm)
    if shaft.size:
        beyond_mm = max(shaft[1] - y, y - shaft[1] - shaft[3], 0.0)
        aside_mm = max(abs(x - shaft[0]), pick_up.shaft_radius_mm)
        nearest_mm = min(nearest_mm, math.hypot(aside_mm, beyond_mm))
    return nearest_mm


@_compiled
def _slope(x: float, y: float, z: Floats, pick_up: _PickUp) -> Floats:
    """Return ``dW/dz`` at the places ``z``, as `potential.sensitivity_slope` does."""
    slope = np.zeros(z.size)
    far, reach_mm, a = pick_up.far_mm, pick_up.reach_mm, pick_up.anisotropy
    cx, cy, cz = far[:, 0].mean(), far[:, 1].mean(), far[:, 2].mean()
    room = max(reach_mm**2 - a * ((x - cx) ** 2 + (y - cy) ** 2), 0.0)
    step_mm = z[1] - z[0]
    middle, reach = (cz - z[0]) / step_mm, math.sqrt(room) / abs(step_mm)
    begin = min(max(math.ceil(middle - reach), 0), z.size)
    end = min(max(math.ceil(middle + reach), begin), z.size)
    for part in (slice(0, begin), slice(end, z.size)):
        _add_points(slope[part], x, y, z[part], (far, pick_up.far_weights), pick_up)
    part = slice(begin, end)
    _add_points(slope[part], x, y, z[part], (pick_up.near_mm, pick_up.near_weights), pick_up)
    if pick_up.shaft.size:
        _add_shaft(slope, x, y, z, pick_up)
    return slope


@_compiled
def _add_points(
    slope: Floats, x: float, y: float, z: Floats, heard: tuple[Floats, Floats], pick_up: _PickUp
) -> None:
    """Add the slope of ``weight / sqrt(A r^2 + z^2)`` of each point."""
    points, weights = heard
    for p in range(weights.size):
        pz, weight = points[p, 2], weights[p]
        r2 = max((x - points[p, 0]) ** 2 + (y - points[p, 1]) ** 2, pick_up.nearest_mm**2)
        across = pick_up.anisotropy * r2
        for i in range(z.size):
            dz = z[i] - pz
            square = across + dz * dz
            slope[i] -= weight * dz / (square * math.sqrt(square))


@_compiled
def _add_shaft(slope: Floats, x: float, y: float, z: Floats, pick_up: _PickUp) -> None:
    """Take away the slope of the mean over the shaft, both of its ends over one denominator."""
    sx, sy, sz, length_mm = pick_up.shaft
    aside2 = max((x - sx) ** 2, pick_up.shaft_radius_mm**2)
    low, high = sy - y, sy + length_mm - y
    scale = 1.0 / (pick_up.anisotropy**1.5 * length_mm)
    for i in range(z.size):
        dz = z[i] - sz
        q2 = aside2 + dz * dz / pick_up.anisotropy
        to_high, to_low = math.sqrt(high * high + q2), math.sqrt(low * low + q2)
        difference = high * to_low - low * to_high
        slope[i] += scale * dz * difference / (q2 * to_high * to_low)


@_compiled
def _inside(n: int, begin: float, end: float) -> Floats:
    """Return the weights of ``n`` steps in the integral from ``begin`` to ``end``, both in steps.

    One deep inside and nought outside. Between them each whole cell counts as the integral of the
    cubic through its four neighbours, (-1, 13, 13, -1) / 24, and the cell cut by an end in part.
    """
    weight = np.ones(n)
    cell = math.floor(begin)
    for k, share in enumerate(_end_weights(begin - cell)):
        if 0 <= cell - 1 + k < n:
            weight[cell - 1 + k] += share - 1.0
    weight[: max(cell - 1, 0)] -= 1.0
    cell = math.ceil(end)
    for k, share in enumerate(_end_weights(cell - end)):
        if 0 <= cell + 1 - k < n:
            weight[cell + 1 - k] += share - 1.0
    weight[cell + 2 :] -= 1.0
    return weight


@_compiled
def _end_weights(s: float) -> tuple[float, float, float, float]:
    """Return the weights of the steps -1, 0, 1, 2 in the integral from ``s``, 0 to 1, upward."""
    s2 = s * s
    return (
        (s2 * (s2 / 4 - s + 1) - 1 / 4) / 6,
        (13 / 12 - s * (s2 * s / 4 - 2 * s2 / 3 - s / 2 + 2)) / 2 - 1 / 24,
        (13 / 12 + s2 * (s2 / 4 - s / 3 - 1)) / 2 + 1 / 2,
        (-1 / 4 - s2 * (s2 / 4 - 1 / 2)) / 6 + 25 / 24,
    )


@_compiled
def _add_wave(out: Floats, path: Floats, steps: _Steps) -> None:
    """Convolve the path with the action potential's slope, and add each ``inner``-th step."""
    step_mm = steps.step_mm
    q = math.exp(-2.0 * step_mm)
    gain2, gain3 = steps.gain * 3.0 * step_mm**2, steps.gain * 2.0 * step_mm**3
    # Euler and Maclaurin's fourth-order term at the front, where the slope is 3 x^2 - 8 x^3 ...
    gain0, gain1 = steps.gain * step_mm**3 / 15.0, steps.gain * step_mm**2 / 80.0
    until = path.size + math.ceil(WAVE_MM / step_mm)
    until = min(until, steps.lead + (out.size - 1 - steps.sample) * steps.inner + 1)
    s0 = s1 = s2 = s3 = 0.0
    wait, k = steps.lead, steps.sample
    for i in range(until):
        s3 = q * s3 + q * (3.0 * (s2 + s1) + s0)
        s2 = q * s2 + q * (2.0 * s1 + s0)
        s1 = q * s1 + q * s0
        s0 = q * s0 + (path[i] if i < path.size else 0.0)
        if wait == 0:
            if k >= 0:
                out[k] += gain2 * s2 - gain3 * s3
                if 0 < i < path.size - 1:
                    out[k] += gain0 * path[i] + gain1 * (path[i + 1] - path[i - 1])
            k += 1
            wait = steps.inner
        wait -= 1
