"""The potential of one muscle fibre at an electrode, end effects included.

A fibre carries an intracellular action potential from its end plate to both tendons. Its membrane
current is the second spatial derivative of that potential. Windowing *before* the derivative
(Farina & Merletti 2001, IEEE TBME 48:637) makes generation at the end plate and extinction at the
tendons come for free, and the net current is zero at every instant. By parts::

    phi(t) = K [ int_0^L1 e'(v t - u) W'(z0 + u) du - int_0^L2 e'(v t - u) W'(z0 - u) du ]
    K      = G pi (d/2)^2 sigma_i / (4 pi sigma_r)

with e the action potential along the fibre, W the electrode's sensitivity to a point source on the
fibre (core minus cannula), z0 the end plate. Both integrals convolve with the same e', so one
convolution serves both directions.

This is the readable reference: arrays and plain formulas, no tricks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emgsim.physiology.parameters import ConcentricNeedle, Medium, TipPosition

Floats = NDArray[np.float64]

NEAREST_MM = 0.030  # a fibre cannot lie closer to a metal surface
ACTION_POTENTIAL_MM = 14.0  # beyond it exp(-2 x) has died away to 1e-9 of the peak
CORE_FACETS = (5, 13)  # rings and spokes of the core's ellipse


def action_potential_mv(x_mm: Floats) -> Floats:
    """Return the potential above rest at ``x`` mm behind the front, mV.

    ``768 x^3 exp(-2 x)``: Rosenfalck 1969 compressed twofold by Nandedkar & Stalberg 1983; its
    peak of 129.0 mV stands at 1.5 mm.
    """
    x = np.maximum(x_mm, 0.0)
    return np.asarray(768.0 * x**3 * np.exp(-2.0 * x))


def action_potential_slope_mv_mm(x_mm: Floats) -> Floats:
    """Return the derivative of `action_potential_mv`, mV/mm."""
    x = np.maximum(x_mm, 0.0)
    return np.asarray(768.0 * (3.0 * x**2 - 2.0 * x**3) * np.exp(-2.0 * x))


@dataclass(frozen=True, kw_only=True)
class Electrode:
    """An electrode as the bench of the potential sees it: weighted points, and a straight shaft.

    ``points_mm`` is ``(n_points, 3)``, ``weights`` ``(n_points,)`` with sum 1. The shaft, the
    reference, runs parallel to y from ``shaft_mm`` upward for ``shaft_length_mm``; None: remote.
    """

    points_mm: Floats
    weights: Floats
    shaft_mm: tuple[float, float, float] | None = None
    shaft_length_mm: float = 0.0
    shaft_radius_mm: float = 0.0


def point_electrode(x_mm: float, y_mm: float, z_mm: float) -> Electrode:
    """Return an ideal point electrode against a remote reference."""
    return Electrode(points_mm=np.array([[x_mm, y_mm, z_mm]]), weights=np.ones(1))


def concentric_electrode(
    needle: ConcentricNeedle, tip: TipPosition, facets: tuple[int, int] = CORE_FACETS
) -> Electrode:
    """Return a concentric needle: facets of the elliptic core, with the cannula as reference.

    The bevel faces +x; the core's long axis lies in the x-y plane, ``bevel_deg`` off the shaft.
    ``facets`` are the numbers of rings and of spokes; each facet stands for the same area.
    """
    rings, spokes = facets
    radius = np.sqrt((np.arange(rings) + 0.5) / rings)
    angle = 2 * np.pi * (np.arange(spokes) + 0.5) / spokes
    r, a = (g.ravel() for g in np.meshgrid(radius, angle, indexing="ij"))
    short_mm = needle.core_mm / 2 * r * np.cos(a)
    long_mm = needle.core_length_mm / 2 * r * np.sin(a)
    bevel = np.radians(needle.bevel_deg)
    points = np.column_stack(
        [
            tip.x_mm - long_mm * np.sin(bevel),
            tip.y_mm + long_mm * np.cos(bevel),
            tip.z_mm + short_mm,
        ]
    )
    # The core's centre lies in the middle of the bevel, whose length is cannula / tan(bevel);
    # the closed part of the cannula begins where the bevel ends.
    bevel_mm = needle.cannula_mm / np.tan(bevel)
    shaft = (tip.x_mm - needle.cannula_mm / 2, tip.y_mm + bevel_mm / 2, tip.z_mm)
    return Electrode(
        points_mm=points,
        weights=np.full(points.shape[0], 1 / points.shape[0]),
        shaft_mm=shaft,
        shaft_length_mm=needle.cannula_length_mm,
        shaft_radius_mm=needle.cannula_mm / 2,
    )


def sensitivity_slope(
    electrode: Electrode, x_mm: Floats, y_mm: Floats, z_mm: Floats, anisotropy: float
) -> Floats:
    """Return ``dW/dz``: how the electrode's pick-up of a point source changes along the fibre.

    For a point, ``W = 1 / sqrt(A r^2 + z^2)``. For the shaft W is the mean of that over a line
    parallel to y, in closed form: with ``q^2 = x^2 + z^2 / A``, the integral is
    ``asinh(y / q) / sqrt(A)`` between the line's ends.

    Parameters
    ----------
    electrode
        The electrode.
    x_mm, y_mm
        Shape ``(n_fibres, 1)``: the fibres' places in the cross-section.
    z_mm
        Shape ``(n_fibres, n_z)``: places along each fibre.
    anisotropy
        Axial over radial conductivity, A.

    Returns
    -------
    ndarray
        Shape ``(n_fibres, n_z)``, 1/mm2.
    """
    slope = np.zeros(np.broadcast_shapes(x_mm.shape, z_mm.shape))
    for (px, py, pz), weight in zip(electrode.points_mm, electrode.weights, strict=True):
        r2 = np.maximum((x_mm - px) ** 2 + (y_mm - py) ** 2, NEAREST_MM**2)
        dz = z_mm - pz
        square = anisotropy * r2 + dz * dz
        slope -= weight * dz / (square * np.sqrt(square))
    if electrode.shaft_mm is not None:
        sx, sy, sz = electrode.shaft_mm
        dz = z_mm - sz
        q2 = np.maximum((x_mm - sx) ** 2, electrode.shaft_radius_mm**2) + dz**2 / anisotropy
        scale = dz / (anisotropy**1.5 * electrode.shaft_length_mm * q2)
        for end, sign in ((sy + electrode.shaft_length_mm, 1.0), (sy, -1.0)):
            y = end - y_mm
            slope += sign * scale * y / np.sqrt(y**2 + q2)
    return slope


def fibre_potentials_uv(
    electrode: Electrode,
    medium: Medium,
    *,
    x_mm: Floats,
    y_mm: Floats,
    end_plate_mm: Floats,
    half_lengths_mm: tuple[Floats, Floats],
    diameter_um: Floats,
    step_mm: float = 0.04,
) -> Floats:
    """Return the potential of each fibre against the distance its action potential has run.

    Parameters
    ----------
    electrode, medium
        What listens, and in what.
    x_mm, y_mm, end_plate_mm, diameter_um
        Shape ``(n_fibres,)``.
    half_lengths_mm
        Two arrays ``(n_fibres,)``: from the end plate to the +z and to the -z tendon.
    step_mm
        Grid along the fibre.

    Returns
    -------
    ndarray
        Shape ``(n_fibres, n_steps)``, microvolts; column k is the instant ``v t = k step_mm``.
        After the last column the potential is zero, since the wave has gone.
    """
    longest_mm = float(max(half_lengths_mm[0].max(), half_lengths_mm[1].max()))
    n_path = int(np.ceil(longest_mm / step_mm)) + 1
    n_ap = int(np.ceil(ACTION_POTENTIAL_MM / step_mm))
    run_mm = np.arange(n_path, dtype=np.float64) * step_mm
    x, y, z0 = x_mm[:, None], y_mm[:, None], end_plate_mm[:, None]
    path = np.zeros((x_mm.size, n_path))
    for sign, half_mm in ((1.0, half_lengths_mm[0]), (-1.0, half_lengths_mm[1])):
        slope = sensitivity_slope(electrode, x, y, z0 + sign * run_mm, medium.anisotropy)
        path += sign * slope * _share_inside(run_mm, half_mm[:, None], step_mm)
    front = action_potential_slope_mv_mm(np.arange(n_ap, dtype=np.float64) * step_mm) * step_mm
    n = fft.next_fast_len(n_path + n_ap, real=True)
    wave = fft.irfft(fft.rfft(path, n, axis=1) * fft.rfft(front, n), n, axis=1)
    radius_mm = diameter_um / 2000.0
    ratio = medium.sigma_intracellular_s_m / (4 * np.pi * medium.sigma_radial_s_m)
    strength = medium.source_gain * np.pi * radius_mm**2 * ratio
    return np.asarray(1000.0 * strength[:, None] * wave[:, : n_path + n_ap])


def _share_inside(run_mm: Floats, half_mm: Floats, step_mm: float) -> Floats:
    """Return the trapezoid weights of each grid point: half at the end plate, partial at the end.

    The fibre ends between two grid points; the last two weights make the quadrature exact for a
    function that is linear there.
    """
    weight = np.clip((half_mm - run_mm) / step_mm, 0.0, 1.0)
    partial = weight - 0.5 * weight**2  # of the cell that begins at this point, for its left end
    right = np.zeros_like(weight)
    right[:, 1:] = 0.5 * weight[:, :-1] ** 2
    return partial + right
