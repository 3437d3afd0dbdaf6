"""A limb: bone, muscle, fat and skin as cylinders about one axis, air about them.

Layout after Farina, Mesin, Martina & Merletti 2004 (IEEE TBME 51:415); the solution here is our own
derivation. The potential of a point current at radius r0 is a sum over angular orders n and an
integral over wavenumbers k along the fibres. In one layer each term is a mixture of the modified
Bessel functions ``I_n(k r)`` and ``K_n(k r)``; in muscle, whose conductivity along the fibres is A
times that across them, of ``I_n(sqrt(A) k r)`` and ``K_n(sqrt(A) k r)``. Potential and radial
current are continuous at every boundary, and no current leaves the skin.

Instead of a 7 x 7 system per term, potential and radial current are carried from the skin inward
and from the bone outward, and meet at the muscle's surface. What carries them are slopes and ratios
of Bessel functions (`_Bessel`): nothing overflows, and thin layers lose few digits.

A limb conducts along its axis as a wire does: far away the potential of a current falls by the
same amount on every millimetre. That part, ``1 / k^2`` at order 0, is added in closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from emgsim.physiology.surface.conductor import Layers, disc

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEPERS = 12.0  # terms that distance has made smaller than exp(-12) are left out
REACH = 3.0  # radii, times sqrt(A), between the images that a sum instead of an integral makes
WIRE_RADII = 0.75  # the length, over the radius, on which the closed part starts at z = 0
NEAREST_RADII = 1 / 60  # of a current under the pad: nearer, terms would be in the millions
BESIDE_AXIS_MM = 1e-6  # taken for 0, of a bone or of a current on the axis: K_n is finite there
EXTRA_ORDERS = 20  # above the last, from which the downward recurrence of I_n starts


@dataclass(frozen=True, kw_only=True)
class Cylinder:
    """A limb about its bone; the muscle's circle touches the fat from within, below the pads.

    A flattened muscle is a band that is wrapped round the limb: bent about its axis, in the middle
    of the band as wide as it is.

    With the radius it tends to `emgsim.physiology.surface.planar.Plane`. Its fibres run along the
    axis. `pick_up` is exact within 0.02 % of its steepest change along z; the tests double what is
    cut off (`NEPERS`, `REACH`) to show it. A current must lie deeper under the pad than a sixtieth
    of the limb's radius.

    Raises
    ------
    ValueError
        If the muscle does not fit between the bone and the fat.
    """

    layers: Layers
    limb_radius_mm: float  # to the skin's surface: girth / 2 pi
    muscle_radius_mm: float  # of the circle that holds the muscle's fibres
    flatness: float = 1.0  # of the muscle, see `Conductor.places`
    bone_radius_mm: float = 0.0  # 0: no bone
    sigma_bone_s_m: float = 0.02  # [R]

    def __post_init__(self) -> None:
        if not (self.bone_radius_mm >= 0 and self.sigma_bone_s_m > 0):
            raise ValueError(
                "bone_radius_mm must be >= 0 and sigma_bone_s_m > 0, "
                f"got {self.bone_radius_mm:g} and {self.sigma_bone_s_m:g}"
            )
        if not self.muscle_radius_mm > 0:
            raise ValueError(f"muscle_radius_mm must be > 0, got {self.muscle_radius_mm:g}")
        may_hold_the_axis = self.bone_radius_mm == 0 and self.flatness == 1
        thick_mm = self.flatness * self.muscle_radius_mm * (1.0 if may_hold_the_axis else 2.0)
        least_mm = self.bone_radius_mm + thick_mm + self.layers.cover_mm
        if not self.limb_radius_mm >= least_mm:
            raise ValueError(
                f"limb_radius_mm must be >= {least_mm:g}, for a muscle of radius "
                f"{self.muscle_radius_mm:g} between a bone of radius {self.bone_radius_mm:g} and "
                f"{self.layers.cover_mm:g} of fat and skin, got {self.limb_radius_mm:g}"
            )
        widest_mm = math.pi * self._band_radius_mm
        if self.flatness < 1 and not self.muscle_radius_mm / self.flatness <= widest_mm:
            raise ValueError(
                f"flatness must be >= {self.muscle_radius_mm / widest_mm:.3g}, or a muscle of "
                f"radius {self.muscle_radius_mm:g} reaches all round a limb of "
                f"{self.limb_radius_mm:g}, got {self.flatness:g}"
            )

    @property
    def surface_radius_mm(self) -> float:
        """From the axis to the muscles' surface, where the fat begins."""
        return self.limb_radius_mm - self.layers.cover_mm

    @property
    def _band_radius_mm(self) -> float:
        """From the axis to the middle of a flattened muscle."""
        return self.surface_radius_mm - self.flatness * self.muscle_radius_mm

    def places(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """Return how deep fibres lie under the fat, and how far aside on the skin; see `Conductor`.

        Raises
        ------
        ValueError
            If a fibre lies outside the muscle's circle, and may so lie in fat or bone.
        """
        furthest_mm = float(np.hypot(x_mm, y_mm).max(initial=0.0))
        if furthest_mm > self.muscle_radius_mm * (1 + 1e-9):
            raise ValueError(
                f"x_mm, y_mm must lie within muscle_radius_mm ({self.muscle_radius_mm:g}) of the "
                f"muscle's centre, got {furthest_mm:g}"
            )
        if self.flatness < 1:
            aside = np.asarray(x_mm / self.flatness / self._band_radius_mm)
            return self.flatness * (self.muscle_radius_mm - y_mm), self.limb_radius_mm * aside
        up_mm = y_mm + self.surface_radius_mm - self.muscle_radius_mm
        depth_mm = np.maximum(self.surface_radius_mm - np.hypot(x_mm, up_mm), 0.0)
        return depth_mm, self.limb_radius_mm * np.arctan2(x_mm, up_mm)

    def pick_up(
        self, depth_mm: Floats, across_mm: Floats, z_mm: Floats, pad_radius_mm: float
    ) -> Floats:
        """Return what a disc on the skin picks up of a point current; see `Conductor`.

        A full turn of ``across_mm`` is the limb's girth. Far along z it goes on falling by
        ``2 sigma_radial / sum(sigma_axial (R_outer^2 - R_inner^2))`` per mm, over all layers.

        Raises
        ------
        ValueError
            If a depth is not in the muscle or too close to the pad, or the pad's radius is < 0.
        """
        self._check(depth_mm, pad_radius_mm)
        radius_mm = np.maximum(self.surface_radius_mm - depth_mm, BESIDE_AXIS_MM)
        k, n_orders, n_waves = self._terms(depth_mm, radius_mm, np.abs(z_mm).max())
        limb = self._limb(n_orders.max(), k)
        wire = np.exp(-((WIRE_RADII * self.limb_radius_mm * k) ** 2)) / k**2 / self._conductance
        orders = np.arange(n_orders.max())
        weight = disc(np.hypot(k, orders[:, None] / self.limb_radius_mm) * pad_radius_mm)
        weight[1:] *= 2.0
        around = np.cos(np.outer(across_mm / self.limb_radius_mm, orders))
        along = np.cos(np.outer(k, z_mm))
        scale = 2.0 / np.pi * self.layers.sigma_radial_s_m * (2 * k[0])  # dk is twice the first k
        out = np.empty((depth_mm.size, across_mm.size, z_mm.size))
        for row, radius, n, m in zip(out, radius_mm, n_orders, n_waves, strict=True):
            spectrum = weight[:n, :m] * limb.response(radius, n, m)
            row[:] = scale * (around[:, :n] @ spectrum - wire[:m]) @ along[:m]
        return out - self._wire_fall(z_mm)

    def _check(self, depth_mm: Floats, pad_radius_mm: float) -> None:
        if not pad_radius_mm >= 0:
            raise ValueError(f"pad_radius_mm must be >= 0, got {pad_radius_mm:g}")
        least_mm = max(0.0, NEAREST_RADII * self.limb_radius_mm - self.layers.cover_mm)
        most_mm = self.surface_radius_mm - self.bone_radius_mm
        wrong = depth_mm[(depth_mm < least_mm) | (depth_mm > most_mm)]
        if wrong.size:
            raise ValueError(
                f"depth_mm must be in {least_mm:.3g}..{most_mm:.3g}, from a sixtieth of the limb's "
                f"radius under the skin down to the bone, got {wrong[0]:g}"
            )

    def _terms(
        self, depth_mm: Floats, radius_mm: Floats, farthest_mm: float
    ) -> tuple[Floats, Ints, Ints]:
        """Return wavenumbers, and for each current how many orders and wavenumbers still count."""
        step = np.pi / (farthest_mm / 2 + REACH * self._stretch * self.limb_radius_mm)
        decay_mm = self._stretch * depth_mm + self.layers.cover_mm
        n_waves = np.ceil(NEPERS / decay_mm / step).astype(np.int64)
        n_orders = np.ceil(NEPERS / np.log(self.limb_radius_mm / radius_mm)).astype(np.int64) + 1
        # Halfway between multiples of the step: the wire's pole at 0 is met nowhere.
        return step * (np.arange(n_waves.max()) + 0.5), n_orders, n_waves

    @property
    def _stretch(self) -> float:
        """Return how many times longer muscle's potentials are along its fibres than across."""
        return float(np.sqrt(self.layers.anisotropy))

    @property
    def _conductance(self) -> float:
        """Return that of the limb along its axis, over 2 pi, in S/m mm2."""
        tissue, surface2 = self.layers, self.surface_radius_mm**2
        bone2, fat2 = self.bone_radius_mm**2, (self.surface_radius_mm + tissue.fat_mm) ** 2
        return 0.5 * (
            self.sigma_bone_s_m * bone2
            + tissue.sigma_axial_s_m * (surface2 - bone2)
            + tissue.sigma_fat_s_m * (fat2 - surface2)
            + tissue.sigma_skin_s_m * (self.limb_radius_mm**2 - fat2)
        )

    def _wire_fall(self, z_mm: Floats) -> Floats:
        """Return what `pick_up` takes out of its sum: ``exp(-(b k)^2) / k^2`` over wavenumbers."""
        b = WIRE_RADII * self.limb_radius_mm
        u = np.abs(z_mm) / (2 * b)
        length = 2 * b * (u * special.erf(u) + np.exp(-(u**2)) / np.sqrt(np.pi))
        return np.asarray(self.layers.sigma_radial_s_m / self._conductance * length)

    def _limb(self, n_orders: int, k: Floats) -> _Limb:
        """Return the layers joined at the muscle's surface, for all orders and wavenumbers."""
        tissue, surface_mm = self.layers, self.surface_radius_mm
        skin, fat, under = (
            _bessel(n_orders, k * radius_mm)
            for radius_mm in (self.limb_radius_mm, surface_mm + tissue.fat_mm, surface_mm)
        )
        outside = _Outside(np.ones_like(skin.rise), np.zeros_like(skin.rise))
        outside = _inward(outside, skin, fat, tissue.sigma_skin_s_m)
        outside = _inward(outside, fat, under, tissue.sigma_fat_s_m)
        surface = _bessel(n_orders, self._stretch * k * surface_mm)
        bone = self._bone(n_orders, k)
        share = _share_of_k(bone, surface)
        rise = tissue.sigma_radial_s_m * (surface.rise - share * surface.fall)
        joined = 1.0 / (rise * outside.potential + (1.0 + share) * outside.current)
        return _Limb(self._stretch * k, surface, bone, joined)

    def _bone(self, n_orders: int, k: Floats) -> _Bone:
        radius_mm = max(self.bone_radius_mm, BESIDE_AXIS_MM)
        inside = self.sigma_bone_s_m * _bessel(n_orders, k * radius_mm).rise
        muscle = _bessel(n_orders, self._stretch * k * radius_mm)
        sigma = self.layers.sigma_radial_s_m
        return _Bone(muscle, (sigma * muscle.rise - inside) / (sigma * muscle.fall + inside))


class _Bessel(NamedTuple):
    """Slopes of the modified Bessel functions of all orders at x: each ``(n_orders, n_x)``.

    ``rise`` is ``x I_n'(x) / I_n(x)``, ``fall`` is ``-x K_n'(x) / K_n(x)``: positive, from n at
    x = 0 up to x.
    """

    x: Floats
    rise: Floats
    fall: Floats


class _Outside(NamedTuple):
    """Potential and outward radial current (over 2 pi) at a radius, over the skin's potential."""

    potential: Floats
    current: Floats


class _Bone(NamedTuple):
    """The bone's surface seen from muscle, and how much K_n its conductivity adds to I_n there."""

    surface: _Bessel
    contrast: Floats


class _Limb(NamedTuple):
    """Muscle up to its surface, and the skin's potential over the current's share that gets there.

    ``stretched_k`` is the wavenumber in muscle, sqrt(A) k.
    """

    stretched_k: Floats
    surface: _Bessel
    bone: _Bone
    joined: Floats

    def response(self, radius_mm: float, n_orders: int, n_waves: int) -> Floats:
        """Return the skin's potential for a unit current at a radius, ``(n_orders, n_waves)``.

        By Green's function: the solution that fits the bone, at the current, times that which fits
        the skin, at the skin, over their Wronskian.
        """
        part = np.s_[:n_orders, :n_waves]
        source = _bessel(n_orders, self.stretched_k[:n_waves] * radius_mm)
        surface = _cut(self.surface, part)
        bone = _Bone(_cut(self.bone.surface, part), self.bone.contrast[part])
        share = _share_of_k(bone, source)
        return np.asarray(self.joined[part] * _ratio_of_i(source, surface) * (1.0 + share))


def _cut(bessel: _Bessel, part: tuple[slice, slice]) -> _Bessel:
    return _Bessel(bessel.x[part[1]], bessel.rise[part], bessel.fall[part])


def _bessel(n_orders: int, x: Floats) -> _Bessel:
    """Return the slopes at ``x`` by recurrence: of I_n downward, of K_n upward, as both are stable.

    Far above, I_n starts from Amos 1974 (Math Comp 28:239): ``I_(n+1) / I_n`` is close to
    ``x / (n + 1/2 + sqrt((n + 3/2)^2 + x^2))``.
    """
    rise, fall = np.empty((n_orders, x.size)), np.empty((n_orders, x.size))
    square = x**2
    top = n_orders + EXTRA_ORDERS
    slope = top + square / (top + 0.5 + np.sqrt((top + 1.5) ** 2 + square))
    for n in range(top - 1, -1, -1):
        slope = n + square / (slope + n + 1)
        if n < n_orders:
            rise[n] = slope
    fall[0] = x * special.k1e(x) / special.k0e(x)
    for n in range(1, n_orders):
        fall[n] = n + square / (fall[n - 1] + n - 1)
    return _Bessel(x, rise, fall)


def _ratio_of_i(inner: _Bessel, outer: _Bessel) -> Floats:
    """Return ``I_n`` at an inner radius over that at an outer one, at most 1."""
    x, y = inner.x, outer.x
    ratio = np.empty_like(outer.rise)
    ratio[0] = special.i0e(x) / special.i0e(y) * np.exp(x - y)
    n = np.arange(1, len(ratio))[:, None]
    ratio[1:] = x / y * (outer.rise[1:] + n) / (inner.rise[1:] + n)
    return np.asarray(np.cumprod(ratio, axis=0))


def _ratio_of_k(inner: _Bessel, outer: _Bessel) -> Floats:
    """Return ``K_n`` at an outer radius over that at an inner one, at most 1."""
    x, y = inner.x, outer.x
    ratio = np.empty_like(outer.fall)
    ratio[0] = special.k0e(y) / special.k0e(x) * np.exp(x - y)
    n = np.arange(len(ratio) - 1)[:, None]
    ratio[1:] = x / y * (outer.fall[:-1] + n) / (inner.fall[:-1] + n)
    return np.asarray(np.cumprod(ratio, axis=0))


def _inward(outside: _Outside, outer: _Bessel, inner: _Bessel, sigma_s_m: float) -> _Outside:
    """Return potential and current at a layer's inner radius, from those at its outer one."""
    k_ratio = _ratio_of_k(inner, outer)
    both = _ratio_of_i(inner, outer) * k_ratio
    scale = 1.0 / ((outer.rise + outer.fall) * k_ratio)
    potential, current = outside
    bent = outer.rise * inner.fall - outer.fall * inner.rise * both
    return _Outside(
        scale * ((outer.rise + outer.fall * both) * potential + (1 - both) / sigma_s_m * current),
        scale * (sigma_s_m * bent * potential + (inner.fall + inner.rise * both) * current),
    )


def _share_of_k(bone: _Bone, at: _Bessel) -> Floats:
    """Return the part of K_n over that of I_n in the solution that fits the bone."""
    shrunk = _ratio_of_i(bone.surface, at) * _ratio_of_k(bone.surface, at)
    return np.asarray(bone.contrast * shrunk)
