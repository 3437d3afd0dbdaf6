"""What lies between muscle fibres and the pads on the skin: the layers, and what a conductor does.

A conductor answers two questions: where a fibre of the muscle's cross-section lies as seen from the
skin, and what a pad there picks up of a point current. `planar` and `cylinder` are such conductors.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Muscle, fat and skin, from the inside out: conductivities and thicknesses.

    The defaults are physiology's table of surface models: fat 0.05 S/m, wet skin 1 S/m, 1 mm thick.
    """

    sigma_radial_s_m: float  # of muscle, across its fibres
    sigma_axial_s_m: float  # of muscle, along them
    fat_mm: float  # may be 0
    skin_mm: float = 1.0  # 0.8-2 [R]; may be 0
    sigma_fat_s_m: float = 0.05  # 0.02-0.05 [R]
    sigma_skin_s_m: float = 1.0  # wet [R]; dry 4e-4, Lowery 2002 [M]

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self)):
            value = getattr(self, name)
            if name.endswith("_mm") and not value >= 0:
                raise ValueError(f"{name} must be >= 0, got {value:g}")
            if name.endswith("_s_m") and not value > 0:
                raise ValueError(f"{name} must be > 0, got {value:g}")

    @property
    def anisotropy(self) -> float:
        """Axial over radial conductivity of muscle."""
        return self.sigma_axial_s_m / self.sigma_radial_s_m

    @property
    def cover_mm(self) -> float:
        """What lies between the muscle's surface and the pad: fat and skin."""
        return self.fat_mm + self.skin_mm


class Conductor(Protocol):
    """What lies between muscle fibres and the pads on the skin."""

    @property
    def layers(self) -> Layers:
        """Return its layers."""

    def places(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """Return how deep fibres lie under the muscle's surface, and how far aside on the skin.

        Motor units are laid out in a circle. A muscle that is flatter has an ellipse of like area:
        depths are those of the circle times its ``flatness``, and places aside over it.

        Parameters
        ----------
        x_mm, y_mm
            Shape ``(n,)``: places in the circle.

        Returns
        -------
        tuple
            Two arrays ``(n,)``, mm. Aside is 0 right below the skin at x = 0, and positive to +x.
        """

    def pick_up(
        self, depth_mm: Floats, across_mm: Floats, z_mm: Floats, pad_radius_mm: float
    ) -> Floats:
        """Return what a disc on the skin picks up of a point current in the muscle.

        It is the potential of a unit current times ``4 pi sigma_radial``, so that in endless muscle
        it would be ``1 / sqrt(A r^2 + z^2)``. One additive constant, the same for all places, is
        free: fibres carry no net current.

        Parameters
        ----------
        depth_mm
            Shape ``(n_depths,)``: of the current under the muscle's surface.
        across_mm
            Shape ``(n_across,)``: from the pad to the current, measured on the skin; even in it.
        z_mm
            Shape ``(n_z,)``: from the pad to the current along the fibres; even in it.
        pad_radius_mm
            Of the disc; 0 is a point.

        Returns
        -------
        ndarray
            Shape ``(n_depths, n_across, n_z)``, 1/mm.
        """


def disc(kr: Floats) -> Floats:
    """Return what a disc leaves of a wave, ``2 J1(k r) / (k r)``; 1 for a point."""
    kr = np.maximum(kr, 1e-9)
    return np.asarray(2.0 * special.j1(kr) / kr)
