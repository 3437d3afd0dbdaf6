"""A flat limb: muscle without end below, a layer of fat and one of skin above, air on top.

In wavenumbers kx across and kz along the fibres, with ``k^2 = kx^2 + kz^2`` and the muscle's
``ka^2 = kx^2 + A kz^2``, a unit current at depth y0 makes on the skin the potential (after Farina &
Merletti 2001, IEEE TBME 48:637; fat h thick, skin s)::

    H = exp(-ka y0) / (sigma_r ka P + sigma_f k Q)
    P = cosh(k s) cosh(k h) + (sigma_s / sigma_f) sinh(k s) sinh(k h)
    Q = cosh(k s) sinh(k h) + (sigma_s / sigma_f) sinh(k s) cosh(k h)

A disc of radius r hears its mean, ``2 J1(k r) / (k r)`` times that. As H is without bound at k = 0,
a half-space's closed form, ``2 / sqrt(A (x^2 + d^2) + z^2)`` for a current at depth d, is taken off
before the sums over kx and kz and added after them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology.surface.conductor import Layers, disc

Floats = NDArray[np.float64]

LEAST_DISTANCE_MM = 1.0  # from the pad to a current: nearer ones ask for too many wavenumbers
DECAY = 16.0  # natural logarithms: exp(-16) = 1e-7 is what the highest wavenumbers still carry
MARGIN_MM = 250.0  # beyond the farthest place: the sums repeat at twice the two together


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Flat layers over a muscle whose cross-section is a circle about (0, 0), or a flattened one.

    The circle touches the fat at ``y = muscle_radius_mm``. Tests hold differences along the fibres
    to 0.5 % of the largest one against closed forms, from a depth below the pad of 1.5 mm on.
    """

    layers: Layers
    muscle_radius_mm: float
    flatness: float = 1.0  # see `Conductor.places`

    def places(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """Return how deep fibres lie under the muscle's surface, and how far aside on the skin.

        See `Conductor.places`.

        Raises
        ------
        ValueError
            If a fibre lies above the muscle.
        """
        depth_mm = self.muscle_radius_mm - y_mm
        if np.any(depth_mm < 0):
            raise ValueError(
                f"y_mm must be <= {self.muscle_radius_mm:g}, the muscle's radius, "
                f"got {np.max(y_mm):g}"
            )
        return self.flatness * depth_mm, np.asarray(x_mm / self.flatness, np.float64)

    def pick_up(
        self, depth_mm: Floats, across_mm: Floats, z_mm: Floats, pad_radius_mm: float
    ) -> Floats:
        """Return what a disc on the skin picks up of a point current in the muscle.

        See `Conductor.pick_up`.

        Raises
        ------
        ValueError
            If a current lies above the muscle, or nearer to the pad than 1 mm.
        """
        layers = self.layers
        nearest_mm = float(np.min(depth_mm))
        if nearest_mm < 0 or nearest_mm + layers.cover_mm < LEAST_DISTANCE_MM:
            raise ValueError(
                f"depth_mm must be >= 0, and >= {LEAST_DISTANCE_MM:g} mm with the fat and skin of "
                f"{layers.cover_mm:g} mm, got {nearest_mm:g}"
            )
        a = layers.anisotropy
        kx = _wavenumbers(nearest_mm + layers.cover_mm, np.abs(across_mm).max())
        kz = _wavenumbers(np.sqrt(a) * nearest_mm + layers.cover_mm, np.abs(z_mm).max())
        k = np.hypot(kx[:, None], kz)
        ka = np.hypot(kx[:, None], np.sqrt(a) * kz)
        skin = _skin_share(layers, k, ka) * disc(k * pad_radius_mm)
        weights = _trapezoid(kx)[:, None] * _trapezoid(kz) * 4.0 / np.pi
        below_mm = _half_space_mm(layers)
        across = np.cos(np.outer(across_mm, kx))
        along = np.cos(np.outer(kz, z_mm))
        picked = np.empty((depth_mm.size, across_mm.size, z_mm.size))
        for i, depth in enumerate(depth_mm):
            rest = np.exp(-ka * depth) * (skin - np.exp(-ka * below_mm)) / ka
            rest[0, 0] = 0.0  # bounded there, and of no width
            square = across_mm[:, None] ** 2 + (depth + below_mm) ** 2
            picked[i] = across @ (weights * rest) @ along + 2.0 / np.sqrt(a * square + z_mm**2)
        return picked


def _wavenumbers(nearest_mm: float, farthest_mm: float) -> Floats:
    """Return wavenumbers from 0 to where a current so near fades, 1/mm; first is nearly 0."""
    step = np.pi / (farthest_mm + MARGIN_MM)
    k = step * np.arange(np.ceil(DECAY / nearest_mm / step) + 1)
    k[0] = 1e-9 * step  # nothing is divided by 0
    return np.asarray(k)


def _trapezoid(k: Floats) -> Floats:
    """Return each wavenumber's width in an integral from 0."""
    width = np.full(k.size, k[1])
    width[0] /= 2
    return width


def _skin_share(layers: Layers, k: Floats, ka: Floats) -> Floats:
    """Return ``sigma_r ka exp(ka y0) H``: 1 without fat and skin; no exponential can overflow."""
    ratio = layers.sigma_skin_s_m / layers.sigma_fat_s_m
    in_skin, in_fat = np.exp(-2 * k * layers.skin_mm), np.exp(-2 * k * layers.fat_mm)
    p = (1 + in_skin) * (1 + in_fat) + ratio * (1 - in_skin) * (1 - in_fat)
    q = (1 + in_skin) * (1 - in_fat) + ratio * (1 - in_skin) * (1 + in_fat)
    shunt = layers.sigma_fat_s_m / layers.sigma_radial_s_m * k / ka
    return np.asarray(4.0 * np.exp(-k * layers.cover_mm) / (p + shunt * q))


def _half_space_mm(layers: Layers) -> float:
    """Return how much deeper a current in a half-space makes the same far field, about.

    At small k, H is ``1 / (sigma_r ka) - y0 / sigma_r - sheet k^2 / (sigma_r ka)^2``, the sheet
    being the conductance of fat and skin; k over ka lies between its values along and across.
    """
    sheet = layers.sigma_fat_s_m * layers.fat_mm + layers.sigma_skin_s_m * layers.skin_mm
    mean_share = (1 + 1 / layers.anisotropy) / 2
    return max(layers.cover_mm, sheet / layers.sigma_radial_s_m * mean_share)
