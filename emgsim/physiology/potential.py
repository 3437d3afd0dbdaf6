"""The potential of one muscle fibre at an electrode, end effects included.

A fibre carries an intracellular action potential from its end plate to both tendons. Its membrane
current is the second spatial derivative of that potential. Windowing *before* the derivative
(Farina & Merletti 2001, IEEE TBME 48:637) makes generation at the end plate and extinction at the
tendons come for free, and the net current is zero at every instant. By parts::

    phi(t) = K [ int_0^L1 e'(v t - u) W'(z0 + u) du - int_0^L2 e'(v t - u) W'(z0 - u) du ]
    K      = G pi (d/2)^2 sigma_i / (4 pi sigma_r)

with e the action potential along the fibre, W the electrode's sensitivity to a point source on the
fibre (what records minus its reference), z0 the end plate. Both integrals convolve with the same
e', so one convolution serves both directions.

This is the readable reference: arrays and plain formulas, no tricks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from emgsim.physiology.parameters import Medium

Floats = NDArray[np.float64]

NEAREST_MM = 0.030  # a fibre's centre cannot lie closer to a metal surface, nor than its radius


class ActionPotential(NamedTuple):
    """An intracellular action potential ``amplitude x^3 exp(-decay x)``, x mm behind its front."""

    amplitude_mv_mm3: float
    decay_per_mm: float


ACTION_POTENTIALS = {
    # Nandedkar & Stalberg 1983: Rosenfalck's curve compressed twofold; 129.0 mV at 1.5 mm.
    "nandedkar_stalberg": ActionPotential(768.0, 2.0),
    # Rosenfalck 1969, of surface models; the same 129.0 mV at 3 mm.
    "rosenfalck": ActionPotential(96.0, 1.0),
}
NANDEDKAR_STALBERG = ACTION_POTENTIALS["nandedkar_stalberg"]
WAVE_DECAYS = 30.0  # beyond so many decay lengths the action potential is 1e-9 of its peak


def action_potential_mv(x_mm: Floats, shape: ActionPotential = NANDEDKAR_STALBERG) -> Floats:
    """Return the potential above rest at ``x`` mm behind the front, mV."""
    x = np.maximum(x_mm, 0.0)
    return np.asarray(shape.amplitude_mv_mm3 * x**3 * np.exp(-shape.decay_per_mm * x))


def action_potential_slope_mv_mm(
    x_mm: Floats, shape: ActionPotential = NANDEDKAR_STALBERG
) -> Floats:
    """Return the derivative of `action_potential_mv`, mV/mm."""
    x = np.maximum(x_mm, 0.0)
    amplitude, decay = shape
    return np.asarray(amplitude * (3.0 * x**2 - decay * x**3) * np.exp(-decay * x))


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A straight conductor: where it starts, its direction of length 1, and what it weighs.

    ``start_mm`` and ``direction`` are ``(3,)``. ``weight`` is that of the mean potential over the
    whole line, negative for a reference. No fibre is closer to it than ``radius_mm``.
    """

    start_mm: Floats
    direction: Floats
    length_mm: float
    radius_mm: float
    weight: float

    def __post_init__(self) -> None:
        shapes = np.shape(self.start_mm), np.shape(self.direction)
        if shapes != ((3,), (3,)):
            raise ValueError(f"start_mm, direction: expected (3,) and (3,), got {shapes}")
        size = float(np.linalg.norm(self.direction))
        if abs(size - 1.0) > 1e-9:
            raise ValueError(f"direction must have the length 1, got {size:g}")
        if not (self.length_mm > 0 and self.radius_mm >= 0):
            raise ValueError(
                "length_mm must be > 0 and radius_mm >= 0, "
                f"got {self.length_mm:g} and {self.radius_mm:g}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Shield:
    """The needle's own body, which keeps part of what lies behind from the points.

    ``centre_mm`` and ``facing`` are ``(2,)``, both in the cross-section: where the points are, and
    that part of the direction that they face, not longer than 1. ``share``, up to a half, is what
    a source right behind the body loses; `heard_share` says what others do.
    """

    centre_mm: Floats
    facing: Floats
    radius_mm: float
    share: float

    def __post_init__(self) -> None:
        shapes = np.shape(self.centre_mm), np.shape(self.facing)
        if shapes != ((2,), (2,)):
            raise ValueError(f"centre_mm, facing: expected (2,) and (2,), got {shapes}")
        size = float(np.linalg.norm(self.facing))
        if size > 1.0 + 1e-9:
            raise ValueError(f"facing must not be longer than 1, got {size:g}")
        if not (self.radius_mm > 0 and 0 <= self.share <= 0.5):
            raise ValueError(
                "radius_mm must be > 0 and share in 0..0.5, "
                f"got {self.radius_mm:g} and {self.share:g}"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Electrode:
    """One channel as a fibre sees it: weighted points, and weighted straight lines.

    ``points_mm`` is ``(n_points, 3)``, ``weights`` ``(n_points,)``. What records weighs +1 in all,
    its reference -1; without a reference it is remote. A ``shield`` stands behind the points, not
    the lines. Its arrays are not to be written into: an electrode that has moved is another one.
    """

    points_mm: Floats
    weights: Floats
    lines: tuple[Line, ...] = ()
    shield: Shield | None = None

    def __post_init__(self) -> None:
        shapes = np.shape(self.points_mm), np.shape(self.weights)
        if shapes != ((*shapes[1], 3), shapes[1]) or len(shapes[1]) != 1:
            raise ValueError(
                f"points_mm, weights: expected (n_points, 3) and (n_points,), got {shapes}"
            )


def point_electrode(x_mm: float, y_mm: float, z_mm: float) -> Electrode:
    """Return an ideal point electrode against a remote reference."""
    return Electrode(points_mm=np.array([[x_mm, y_mm, z_mm]]), weights=np.ones(1))


def line_electrode(*lines: Line) -> Electrode:
    """Return an electrode of straight conductors only."""
    return Electrode(points_mm=np.zeros((0, 3)), weights=np.zeros(0), lines=lines)


def difference(one: Electrode, other: Electrode) -> Electrode:
    """Return what one electrode records against another.

    Raises
    ------
    ValueError
        If one of them is shielded: its shield would stand behind the other's points too.
    """
    if one.shield or other.shield:
        raise ValueError("difference: both electrodes must have no shield; add it to the result")
    turned = tuple(replace(line, weight=-line.weight) for line in other.lines)
    return Electrode(
        points_mm=np.concatenate([one.points_mm, other.points_mm]),
        weights=np.concatenate([one.weights, -other.weights]),
        lines=(*one.lines, *turned),
    )


def heard_share(electrode: Electrode, x_mm: Floats, y_mm: Floats) -> Floats:
    """Return the share of a fibre's pick-up that the shield leaves the points, shape as ``x_mm``.

    Metal changes the field about a cylinder of radius R as ``(R / r)^2``. Here, smooth at the metal
    as well and with the angle theta off the way that the points face,

        1 - share (1 - cos theta) R^2 / (r^2 + R^2)

    so that what lies ahead loses nothing, and what lies right behind at distance R loses ``share``.
    Nearer to the centre than a fibre can lie, ahead and behind pass into each other. The form is
    our choice [P]; angle and distance are those of the cross-section.
    """
    shield = electrode.shield
    if shield is None:
        return np.ones_like(x_mm)
    dx, dy = x_mm - shield.centre_mm[0], y_mm - shield.centre_mm[1]
    square = dx**2 + dy**2
    ahead = dx * shield.facing[0] + dy * shield.facing[1]
    behind = 1.0 - ahead / np.sqrt(square + NEAREST_MM**2)
    return np.asarray(1.0 - shield.share * behind / (1.0 + square / shield.radius_mm**2))


def sensitivity_slope(
    electrode: Electrode,
    x_mm: Floats,
    y_mm: Floats,
    z_mm: Floats,
    anisotropy: float,
    nearest_mm: ArrayLike = NEAREST_MM,
) -> Floats:
    """Return ``dW/dz``: how the electrode's pick-up of a point source changes along the fibre.

    For a point, ``W = 1 / sqrt(A r^2 + z^2)``, less what a shield keeps away (`heard_share`); for
    a line, see `_line_slope`.

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
    nearest_mm
        One number or ``(n_fibres, 1)``: a fibre nearer to metal than this lies this far from it.

    Returns
    -------
    ndarray
        Shape ``(n_fibres, n_z)``, 1/mm2.
    """
    slope = np.zeros(np.broadcast_shapes(x_mm.shape, z_mm.shape))
    nearest2 = np.asarray(nearest_mm, np.float64) ** 2
    for (px, py, pz), weight in zip(electrode.points_mm, electrode.weights, strict=True):
        dz = pz - z_mm
        square = anisotropy * np.maximum((px - x_mm) ** 2 + (py - y_mm) ** 2, nearest2) + dz**2
        slope += weight * dz / (square * np.sqrt(square))
    slope *= heard_share(electrode, x_mm, y_mm)
    for line in electrode.lines:
        slope += line.weight * _line_slope(line, x_mm, y_mm, z_mm, anisotropy, nearest2)
    return slope


def _line_slope(
    line: Line, x_mm: Floats, y_mm: Floats, z_mm: Floats, anisotropy: float, nearest2: Floats
) -> Floats:
    """Return ``dW/dz`` of the mean of ``1 / sqrt(A r^2 + z^2)`` over a line of any direction.

    Seen in the cross-section the line runs at the rate ``across`` per mm of its length, passes the
    fibre ``aside`` mm off, and starts ``along`` mm beyond the nearest point. With ``dz`` from the
    source to the line's start, the squared distance from its point s is

        g(s) = A ((along + across s)^2 + aside^2) + (dz + tz s)^2,

    and ``int (dz + tz s) g^-3/2 ds``, wanted here, is in closed form

        (m (along + across s) - tz aside^2) / ((a aside^2 + m^2) sqrt(g(s)))

    with ``m = across dz - tz along`` and ``a = A across^2 + tz^2``. Neither fibre nor line bends,
    so ``aside`` belongs to the pair of them, and its floor is smooth along both.
    """
    (sx, sy, sz), (tx, ty, tz) = line.start_mm, line.direction
    across = float(np.hypot(tx, ty))
    hx, hy = (tx / across, ty / across) if across > 0 else (1.0, 0.0)
    along = (sx - x_mm) * hx + (sy - y_mm) * hy
    floor2 = np.maximum(nearest2, line.radius_mm**2)
    aside2 = np.maximum(((sx - x_mm) * hy - (sy - y_mm) * hx) ** 2, floor2)
    dz = sz - z_mm
    m = across * dz - tz * along
    scale = 1.0 / (line.length_mm * ((anisotropy * across**2 + tz**2) * aside2 + m**2))
    total = np.zeros(np.broadcast_shapes(along.shape, dz.shape))
    for s, sign in ((line.length_mm, 1.0), (0.0, -1.0)):
        place = along + across * s
        root = np.sqrt(anisotropy * (place**2 + aside2) + (dz + tz * s) ** 2)
        total += sign * scale * (m * place - tz * aside2) / root
    return total


def fibre_strength(medium: Medium, diameter_um: Floats) -> Floats:
    """Return K of each fibre in microvolts per mV/mm, shape as ``diameter_um``."""
    ratio = medium.sigma_intracellular_s_m / (4 * np.pi * medium.sigma_radial_s_m)
    return np.asarray(1000.0 * medium.source_gain * np.pi * (diameter_um / 2000.0) ** 2 * ratio)


def nearest_mm(diameter_um: Floats) -> Floats:
    """Return how near a fibre's centre may come to a point of metal (physiology C.5)."""
    return np.maximum(NEAREST_MM, diameter_um / 2000.0)


def fibre_potentials_uv(
    electrode: Electrode,
    medium: Medium,
    *,
    x_mm: Floats,
    y_mm: Floats,
    end_plate_mm: Floats,
    half_lengths_mm: tuple[Floats, Floats],
    diameter_um: Floats,
    step_mm: float = 0.01,
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
        Grid along the fibre; a twentieth of the distance from the metal is fine enough.

    Returns
    -------
    ndarray
        Shape ``(n_fibres, n_steps)``, microvolts; column k is the instant ``v t = k step_mm``.
        After the last column the potential is zero, since the wave has gone.
    """
    shape = ACTION_POTENTIALS[medium.action_potential]
    longest_mm = float(max(half_lengths_mm[0].max(), half_lengths_mm[1].max(), 0.0))
    n_ap = int(np.ceil(WAVE_DECAYS / shape.decay_per_mm / step_mm))
    run_mm = step_mm * np.arange(-2.0, np.ceil(longest_mm / step_mm) + 3.0)
    x, y, z0 = x_mm[:, None], y_mm[:, None], end_plate_mm[:, None]
    nearest = nearest_mm(diameter_um)[:, None]
    path = np.zeros((x_mm.size, run_mm.size))
    for sign, half_mm in ((1.0, half_lengths_mm[0]), (-1.0, half_lengths_mm[1])):
        z = z0 + sign * run_mm
        slope = sensitivity_slope(electrode, x, y, z, medium.anisotropy, nearest)
        path += sign * slope * _share_inside(run_mm, np.maximum(half_mm, 0.0)[:, None], step_mm)
    behind_mm = step_mm * np.arange(n_ap, dtype=np.float64)
    front = action_potential_slope_mv_mm(behind_mm, shape) * step_mm
    n = fft.next_fast_len(run_mm.size + n_ap, real=True)
    wave = fft.irfft(fft.rfft(path, n, axis=1) * fft.rfft(front, n), n, axis=1)
    strength = fibre_strength(medium, diameter_um)[:, None]
    return np.asarray(strength * wave[:, 2 : run_mm.size + n_ap])


def _share_inside(run_mm: Floats, half_mm: Floats, step_mm: float) -> Floats:
    """Return the weight of each grid point in the integral from 0 to ``half_mm``, over the step.

    Between two points the integrand is the cubic through the four about them, so the grid reaches
    two steps beyond both ends, and the ends may lie anywhere between points.
    """
    return _bump_integral((half_mm - run_mm) / step_mm) - _bump_integral(-run_mm / step_mm)


def _bump_integral(x: Floats) -> Floats:
    """Return the integral up to x, in steps, of one point's share in the interpolating cubics."""
    far = np.minimum(np.abs(x), 2.0)
    near = np.minimum(far, 1.0)
    inner = near - near**2 / 4 - near**3 / 3 + near**4 / 8
    far = np.maximum(far, 1.0)
    outer = far - 11 * far**2 / 12 + far**3 / 3 - far**4 / 24 - 3 / 8
    return np.asarray(0.5 + np.sign(x) * (inner + outer))
