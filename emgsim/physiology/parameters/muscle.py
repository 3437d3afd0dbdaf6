"""The muscle in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`."""

from __future__ import annotations

import math
from typing import Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters
from emgsim.physiology.parameters.pool import Pool


class Fibres(Parameters):
    """Muscle fibres: how many, how thick, how long, and where their end plates are."""

    per_unit_smallest: int = Field(ge=1)  # fibres of the first motor unit
    per_unit_largest: int = Field(ge=1)  # fibres of the last motor unit
    density_per_mm2: float = Field(3.5, gt=0)  # of one unit in its territory: SFEMG fibre density
    diameter_smallest_unit_um: float = Field(46.0, ge=15, le=110)  # Hamilton-Wright & Stashuk 2005
    diameter_largest_unit_um: float = Field(64.0, ge=15, le=110)  # the same
    diameter_sd_um: float = Field(5.5, ge=0, le=20)  # within one unit, the same: 5-6
    length_mm: float = Field(gt=5)
    end_plate_band_mm: float = Field(10.0, ge=0)  # width over the muscle; Aquilonius 1984 [M]
    end_plate_sd_mm: float = Field(1.2, ge=0)  # within one unit, 1.0-1.5, fits phase counts
    branch_velocity_m_s: float = Field(5.0, gt=0)  # main axon branch inside the muscle


class Medium(Parameters):
    """Conductivities and source strength (Andreassen & Rosenfalck 1981; Nandedkar & Stalberg 1983).

    ``source_gain`` 0.45 is an empirical factor: textbook constants alone over-predict concentric
    amplitudes about twofold; all published anchors together allow 0.32-0.48.
    """

    sigma_intracellular_s_m: float = Field(1.01, gt=0)
    sigma_radial_s_m: float = Field(0.063, gt=0)
    sigma_axial_s_m: float = Field(0.33, gt=0)
    source_gain: float = Field(0.45, gt=0, le=2)

    @property
    def anisotropy(self) -> float:
        """Axial over radial conductivity."""
        return self.sigma_axial_s_m / self.sigma_radial_s_m


class Muscle(Parameters):
    """A muscle of the catalogue."""

    name: str
    radius_mm: float = Field(gt=1)  # of its cross-section, taken as a circle
    fat_mm: float = Field(0.0, ge=0, le=60)  # between muscle and skin
    nerve: str = ""
    roots: dict[str, float] = Field(default_factory=dict)  # share of each root's axons; sum 1
    pool: Pool
    fibres: Fibres
    medium: Medium = Medium()

    @model_validator(mode="after")
    def _roots_share_the_axons(self) -> Self:
        total = sum(self.roots.values())
        if self.roots and (min(self.roots.values()) <= 0 or abs(total - 1) > 1e-6):
            raise ValueError(f"roots must be > 0 and add up to 1, got {total:g}")
        return self

    @model_validator(mode="after")
    def _territories_fit(self) -> Self:
        largest_mm = math.sqrt(self.fibres.per_unit_largest / self.fibres.density_per_mm2 / math.pi)
        if largest_mm > self.radius_mm:
            raise ValueError(
                f"radius_mm must be >= the largest territory's {largest_mm:.3g} mm, "
                f"got {self.radius_mm:g}"
            )
        return self
