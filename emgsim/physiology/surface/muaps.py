"""The potentials of motor units on the skin.

As in `emgsim.physiology.potential`, each half of a fibre carries its action potential e from the
end plate to the tendon. By parts once more, and at frequencies f with ``s = 2 pi i f / v``, a half
of length L makes at a pad::

    Phi(f) = K E(s) / v [ s int_0^L W(u) exp(-s u) du  -  W(0)  +  W(L) exp(-s L) ]
    E(s)   = 6 a s / (s + kappa)^4      of  e'(x) = a (3 x^2 - kappa x^3) exp(-kappa x)

with W what the pad picks up u mm from the end plate (`Conductor.pick_up`). The first term travels,
the others are the wave's beginning at the end plate and its end at the tendon. A constant that is
added to W changes nothing, since a fibre carries no net current. W is smooth, so Gauss's rule takes
the integral, and what a fibre sends to all pads is one product of two matrices.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.physiology.fibres import UnitFibres
from emgsim.physiology.parameters import Medium
from emgsim.physiology.potential import ACTION_POTENTIALS, WAVE_DECAYS, fibre_strength
from emgsim.physiology.surface.conductor import Layers
from emgsim.physiology.surface.lead_field import LeadField

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]

BAND_SHARE = 0.9  # of half the rate: up to here the band is whole, then it falls like half a cosine
RINGING_S = 0.02  # room behind the last wave for what the band's limit spreads
FINENESS = 8.0  # natural logarithms: what the sums over places on a fibre may leave out
LEAST_PLACES = 12
FIBRES_AT_ONCE = 16  # their matrices stay in the processor's cache


def surface_muap_uv(
    fibres: UnitFibres,
    field: LeadField,
    medium: Medium,
    *,
    n_samples: int,
    rate_hz: float,
    velocity_scale: float = 1.0,
) -> Floats:
    """Return what every pad hears of one discharge of a motor unit, against a remote reference.

    Every fibre has its own depth, end plate, tendons, velocity and delay. The potential is limited
    to 0.9 of half the rate, without delay: nothing folds back. Rates of 2 or 4 kHz suit the skin;
    what lies above is a few percent of a unit's potential, and the cost grows with the rate's
    square.

    Parameters
    ----------
    fibres
        The motor unit.
    field
        What the pads pick up of it.
    medium
        Its conductivities must be those of the field's muscle.
    n_samples, rate_hz
        The window; sample k lies ``k / rate_hz`` after the discharge.
    velocity_scale
        Factor on all velocities: below 1 in fatigue.

    Returns
    -------
    ndarray
        Shape ``(n_pads, n_samples)``, microvolts.

    Raises
    ------
    ValueError
        If the scale or the rate is not > 0, if medium and field differ, or if a fibre lies beyond
        the field.
    """
    if not (velocity_scale > 0 and rate_hz > 0):
        raise ValueError(
            f"velocity_scale and rate_hz must be > 0, got {velocity_scale:g} and {rate_hz:g}"
        )
    _must_be_one_muscle(medium, field.conductor.layers)
    v_mm_s = 1e3 * velocity_scale * fibres.velocity_m_s
    n = _window(fibres, v_mm_s, medium, n_samples, rate_hz)
    f_hz = fft.rfftfreq(n, 1 / rate_hz)
    spectrum = np.zeros((field.pads.places_mm.shape[0], f_hz.size), np.complex128)
    rule = _gauss(_n_places(fibres, v_mm_s, field, rate_hz))
    for begin in range(0, fibres.n_fibres, FIBRES_AT_ONCE):
        some = np.arange(begin, min(begin + FIBRES_AT_ONCE, fibres.n_fibres))
        spectrum += _spectrum(fibres.subset(some), v_mm_s[some], f_hz, field, medium, rule)
    share = (f_hz * 2 / rate_hz - BAND_SHARE) / (1 - BAND_SHARE)
    spectrum *= rate_hz * np.cos(np.pi / 2 * np.clip(share, 0.0, 1.0)) ** 2
    return np.asarray(fft.irfft(spectrum, n, axis=1)[:, :n_samples])


class _Rule(NamedTuple):
    """Gauss's rule from 0 to 1."""

    places: Floats
    weights: Floats


@lru_cache(maxsize=64)  # the units of a muscle need a few sizes
def _gauss(n_places: int) -> _Rule:
    places, weights = np.polynomial.legendre.leggauss(n_places)
    return _Rule((places + 1) / 2, weights / 2)


def _must_be_one_muscle(medium: Medium, layers: Layers) -> None:
    """Raise if a fibre's strength and the field would be of different conductivities."""
    for name in ("sigma_radial_s_m", "sigma_axial_s_m"):
        ours, theirs = getattr(medium, name), getattr(layers, name)
        if ours != theirs:
            raise ValueError(f"medium.{name} must be the field's {theirs:g}, got {ours:g}")


def _window(
    fibres: UnitFibres, v_mm_s: Floats, medium: Medium, n_samples: int, rate_hz: float
) -> int:
    """Return for how many samples to compute, so that no late wave comes in at the beginning."""
    tail_mm = WAVE_DECAYS / ACTION_POTENTIALS[medium.action_potential].decay_per_mm
    run_mm = np.maximum(*fibres.half_lengths_mm) + tail_mm
    last_s = float(np.max(fibres.delay_s + run_mm / v_mm_s, initial=0.0)) + RINGING_S
    return int(fft.next_fast_len(max(n_samples, int(np.ceil(last_s * rate_hz))), real=True))


def _n_places(fibres: UnitFibres, v_mm_s: Floats, field: LeadField, rate_hz: float) -> int:
    """Return how many places on each half tell the highest frequency and the least distance.

    Places ``step`` apart mistake a wavenumber k for ``2 pi / step - k``, of which a pad at distance
    D hears ``exp(-D (2 pi / step - k))``. Gauss's places are widest, pi / 2 times the mean, in the
    middle.
    """
    longest_mm = max(float(half.max(initial=0.0)) for half in fibres.half_lengths_mm)
    highest = np.pi * rate_hz / float(v_mm_s.min(initial=np.inf))
    return LEAST_PLACES + int(longest_mm * (highest + FINENESS / field.nearest_mm) / 4)


def _spectrum(
    fibres: UnitFibres, v_mm_s: Floats, f_hz: Floats, field: LeadField, medium: Medium, rule: _Rule
) -> Complexes:
    """Return the spectrum of some fibres' potentials at every pad, shape ``(n_pads, n_f)``."""
    shape = ACTION_POTENTIALS[medium.action_potential]
    s = 2j * np.pi * f_hz / v_mm_s[:, None]
    source = 6.0 * shape.amplitude_mv_mm3 * s / (s + shape.decay_per_mm) ** 4
    source *= (fibre_strength(medium, fibres.diameter_um) / v_mm_s)[:, None]
    source *= np.exp(-2j * np.pi * f_hz * fibres.delay_s[:, None])
    up_mm, down_mm = (half[:, None] for half in fibres.half_lengths_mm)
    run_mm = np.concatenate([up_mm * rule.places, down_mm * rule.places], axis=1)
    weights_mm = np.concatenate([up_mm * rule.weights, down_mm * rule.weights], axis=1)
    signs = np.repeat([1.0, -1.0], rule.places.size)
    ends_mm = np.concatenate([0.0 * up_mm, up_mm, down_mm], axis=1)
    z_mm = np.concatenate([signs * run_mm, [0.0, 1.0, -1.0] * ends_mm], axis=1)
    picked = field.along(fibres, fibres.end_plate_mm[:, None] + z_mm)
    n = run_mm.shape[1]
    path = picked[:, :n] * weights_mm[:, :, None]
    ends = picked[:, n:] * np.array([[-2.0], [1.0], [1.0]])  # two waves begin at the end plate
    travelling = _sent(path, run_mm / v_mm_s[:, None], f_hz)
    standing = _sent(ends, ends_mm / v_mm_s[:, None], f_hz)
    return np.asarray(
        np.einsum("if,ipf->pf", source * s, travelling) + np.einsum("if,ipf->pf", source, standing)
    )


def _sent(picked: Floats, arrival_s: Floats, f_hz: Floats) -> Complexes:
    """Return the sums of what pads pick up at places that a wave reaches at different times.

    ``picked`` is ``(n_fibres, n_places, n_pads)``, ``arrival_s`` ``(n_fibres, n_places)``; the
    result, ``(n_fibres, n_pads, n_f)``. Frequencies are even: their phases are powers.
    """
    phases = np.empty((*arrival_s.shape, f_hz.size), np.complex128)
    phases[..., 0] = 1.0
    done = 1
    while done < f_hz.size:
        more = min(done, f_hz.size - done)
        turn = np.exp(-2j * np.pi * f_hz[done] * arrival_s)
        np.multiply(phases[..., :more], turn[..., None], out=phases[..., done : done + more])
        done += more
    both = picked.transpose(0, 2, 1) @ phases.view(np.float64)  # real and imaginary parts in turn
    return both.view(np.complex128)
