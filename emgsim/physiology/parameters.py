"""What a muscle is made of: one frozen model per physical thing, a source beside every number.

The sources in brackets: [S] printed in the paper named, [M] the classic paper quoted from memory,
[P] our proposal where no published number was found.
"""

from __future__ import annotations

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Parameters(BaseModel):
    """Base of all parameter objects: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pool(Parameters):
    """Motor neurons in order of size (Fuglevand, Winter & Patla 1993, J Neurophysiol 70:2470)."""

    n_units: int = Field(ge=1, le=5000)  # motor units in the muscle
    recruitment_range: float = Field(30.0, gt=1, le=500)  # RR: last over first threshold
    twitch_range: float = Field(100.0, gt=1, le=1000)  # RP: largest over smallest twitch [M]
    minimal_rate_hz: float = Field(8.0, gt=0, le=50)  # MFR, 5-10 pps [M]
    peak_rate_first_hz: float = Field(35.0, gt=0, le=100)  # PFR_1, 35-45 pps [M]
    peak_rate_drop_hz: float = Field(10.0, ge=-60, le=60)  # PFR_D: later units peak lower [M]
    rate_gain: float = Field(1.0, gt=0)  # pps per unit of excitation (thresholds begin at ~1)
    isi_cov: float = Field(0.15, ge=0, le=0.5)  # 7.6-46 %, median of needle recordings 0.14 [S]

    @model_validator(mode="after")
    def _last_unit_can_fire(self) -> Self:
        last_hz = self.peak_rate_first_hz - self.peak_rate_drop_hz
        if last_hz <= self.minimal_rate_hz:
            raise ValueError(
                f"peak_rate_first_hz - peak_rate_drop_hz must be > minimal_rate_hz "
                f"({self.minimal_rate_hz:g}), got {last_hz:g}"
            )
        return self


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


class ConcentricNeedle(Parameters):
    """A concentric needle: an elliptic core on the bevel, its cannula as reference.

    Standard needle: core wire 0.15 mm, bevel 15 degrees, hence an ellipse of 0.15 x 0.58 mm
    (0.07 mm2); cannula 0.46 mm (26 G), of which the distal 15 mm count (IFCN 2020, Clin
    Neurophysiol 131:243). The shaft stands at right angles to the fibres.
    """

    core_mm: float = Field(0.15, gt=0, le=1)
    bevel_deg: float = Field(15.0, gt=1, le=90)
    cannula_mm: float = Field(0.46, gt=0, le=2)
    cannula_length_mm: float = Field(15.0, gt=0)

    @property
    def core_length_mm(self) -> float:
        """Long axis of the core's ellipse."""
        return self.core_mm / math.sin(math.radians(self.bevel_deg))


class TipPosition(Parameters):
    """Where the centre of the needle's core lies: across (x), depth (y) and along the fibres (z).

    The origin is the middle of the muscle's cross-section at the centre of the end-plate band; the
    shaft comes from +y.
    """

    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = Field(20.0)
