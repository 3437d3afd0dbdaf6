"""The muscle in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters
from emgsim.physiology.parameters.pool import Pool

GAUSSIAN_TERRITORY_SD = 1 / math.sqrt(2 * math.log(1000))  # of its radius: 99.9 % lie inside
FULLEST = 0.4  # share of a territory that its fibres' spacings may cover; chance stalls at 0.547
LEAST_FLATNESS = 0.3  # three times as wide as a circle, and a third as thick [P]
AGED_FROM_YEARS = 30.0  # the reference age of the default muscle
AGED_TO_YEARS = 71.0  # Piasecki 2015: mean age of the older group


class Fibres(Parameters):
    """Muscle fibres: how many, how thick, how long, and where their end plates are."""

    per_unit_smallest: int = Field(ge=1)  # fibres of the first motor unit
    per_unit_largest: int = Field(ge=1)  # fibres of the last motor unit
    density_per_mm2: float = Field(3.5, gt=0)  # of one unit in its territory: SFEMG fibre density
    # Between fibres of one unit: the 3-4 nearest of a mosaic of 400/mm2 are others' [R iemg]
    spacing_mm: float = Field(0.06, ge=0, le=0.5)
    # Even over a circle, or Gaussian with 99.9 % inside it [R iemg, MyoGen]
    territory: Literal["disc", "gaussian"] = "disc"
    diameter_smallest_unit_um: float = Field(46.0, ge=15, le=110)  # Hamilton-Wright & Stashuk 2005
    diameter_largest_unit_um: float = Field(64.0, ge=15, le=110)  # the same
    # Within one unit, the same: 5-6, or 10-16 %. Fitted with the end plates' to rows A15-A19
    diameter_sd_um: float = Field(5.0, ge=0, le=20)
    length_mm: float = Field(gt=5)
    tendon_scatter: float = Field(0.05, ge=0, le=0.2)  # SD of each end over the length [P]
    end_plate_band_mm: float = Field(10.0, ge=0)  # width over the muscle; Aquilonius 1984 [M]
    end_plate_sd_mm: float = Field(0.8, ge=0)  # within one unit, 0.5-3; fitted to rows A15-A19
    branch_velocity_m_s: float = Field(5.0, gt=0)  # main axon branch inside the muscle

    @model_validator(mode="after")
    def _fibres_have_room(self) -> Self:
        peak = 0.5 / GAUSSIAN_TERRITORY_SD**2 if self.territory == "gaussian" else 1.0
        widest_mm = 2 * math.sqrt(FULLEST / (math.pi * peak * self.density_per_mm2))
        if self.spacing_mm > widest_mm:
            raise ValueError(
                f"spacing_mm must be <= {widest_mm:.3g} mm for {self.density_per_mm2:g} fibres "
                f"per mm2 in a {self.territory}, got {self.spacing_mm:g}"
            )
        return self

    @model_validator(mode="after")
    def _end_plates_lie_on_the_fibres(self) -> Self:
        sd_mm = math.hypot(self.end_plate_sd_mm, self.tendon_scatter * self.length_mm)
        least_mm = self.end_plate_band_mm + 6 * sd_mm  # 3 SD at either end
        if self.length_mm <= least_mm:
            raise ValueError(
                f"length_mm must be > {least_mm:.3g} mm, or end plates scatter beyond the tendons, "
                f"got {self.length_mm:g}"
            )
        return self


class Junctions(Parameters):
    """Neuromuscular junctions: how surely and how evenly they transmit, and who is reached late.

    The safety factor, end-plate potential over threshold, is log-normal over the end plates. An
    end plate of factor 4 has the jitter ``jitter_us``, one of factor F three times that over
    ``F - 1``, and blocks with probability ``Phi((1 - F) / 0.25)`` [P].
    """

    jitter_us: float = Field(17.0, ge=0, le=200)  # SD: an MCD of 27 us for a pair [C, S]
    safety_factor: float = Field(4.0, gt=0, le=20)  # median; 3-5 in health [P]
    safety_factor_spread: float = Field(0.13, ge=0, le=1)  # of its logarithm: 95 % within 3-5 [P]
    late_share: float = Field(0.0, ge=0, le=1)  # of fibres reached by slow sprouts: satellites
    late_delay_s: float = Field(4e-3, gt=0, le=0.05)  # their mean, gamma; early sprouts [C]


class Medium(Parameters):
    """Conductivities and source strength (Andreassen & Rosenfalck 1981; Nandedkar & Stalberg 1983).

    ``source_gain`` 0.40 is an empirical factor: textbook constants alone over-predict concentric
    amplitudes more than twofold. Published anchors together allow 0.32-0.48; inside it the value
    was fitted to the MUAPs of biceps and tibialis anterior (rows A15, A17 and A18 of the acceptance
    table), with the reach of a single-fibre electrode (A11: 0.31 mm, 0.25-0.36) and macro
    amplitudes (A24) in view.
    """

    sigma_intracellular_s_m: float = Field(1.01, gt=0)
    sigma_radial_s_m: float = Field(0.063, gt=0)
    sigma_axial_s_m: float = Field(0.33, gt=0)
    source_gain: float = Field(0.40, gt=0, le=2)
    # The first for needle EMG, since its rise times fit; Rosenfalck's for surface models (C.1)
    action_potential: Literal["nandedkar_stalberg", "rosenfalck"] = "nandedkar_stalberg"

    @property
    def anisotropy(self) -> float:
        """Axial over radial conductivity."""
        return self.sigma_axial_s_m / self.sigma_radial_s_m


class Muscle(Parameters):
    """A muscle of the catalogue.

    Its motor units are laid out in a circle, and a needle hears a few millimetres of it. The skin
    hears the whole muscle: there ``thickness_mm`` makes an ellipse of the circle, of like area.
    """

    name: str
    radius_mm: float = Field(gt=1)  # of its cross-section, taken as a circle
    thickness_mm: float | None = Field(None, gt=1)  # below the skin; None: the circle's diameter
    fat_mm: float = Field(0.0, ge=0, le=60)  # between muscle and skin
    temperature_c: float = Field(37.0, ge=15, le=43)  # of the muscle: velocities and jitter
    nerve: str = ""
    roots: dict[str, float] = Field(default_factory=dict)  # share of each root's axons; sum 1
    pool: Pool
    fibres: Fibres
    junctions: Junctions = Junctions()
    medium: Medium = Medium()

    @model_validator(mode="after")
    def _roots_share_the_axons(self) -> Self:
        total = sum(self.roots.values())
        if self.roots and (min(self.roots.values()) <= 0 or abs(total - 1) > 1e-6):
            raise ValueError(f"roots must be > 0 and add up to 1, got {total:g}")
        return self

    @property
    def flatness(self) -> float:
        """Thickness over the diameter of a circle of the same area."""
        return 1.0 if self.thickness_mm is None else self.thickness_mm / (2 * self.radius_mm)

    @model_validator(mode="after")
    def _is_no_thicker_than_wide(self) -> Self:
        if not LEAST_FLATNESS <= self.flatness <= 1:
            raise ValueError(
                f"thickness_mm must be in {2 * LEAST_FLATNESS * self.radius_mm:g}.."
                f"{2 * self.radius_mm:g}, for a radius_mm of {self.radius_mm:g}, "
                f"got {self.thickness_mm:g}"
            )
        return self

    @model_validator(mode="after")
    def _territories_fit(self) -> Self:
        most = max(self.fibres.per_unit_smallest, self.fibres.per_unit_largest)
        largest_mm = math.sqrt(most / self.fibres.density_per_mm2 / math.pi)
        if largest_mm > self.radius_mm:
            raise ValueError(
                f"radius_mm must be >= the largest territory's {largest_mm:.3g} mm, "
                f"got {self.radius_mm:g}"
            )
        return self


def aged(muscle: Muscle, years: float) -> Muscle:
    """Return a muscle as age leaves it: fewer motor units, the rest with more fibres each.

    From 30 to 71 years 40 % of the units are lost, and the survivors grow by 50 % (Piasecki 2015,
    PMC4889636 [S]); linear in between and beyond. They adopt fibres inside their territories, so
    their fibre density grows likewise: by 16 % at 71 years as SFEMG counts it, published 10-20 %
    (Gilchrist 1992 [M]). Fibres get 8 % thinner (Lexell 1988 [M]: type II 26 % of their area in 60
    years, type I nothing). Biceps MUAPs then last 0.03 ms longer per year; published 0.04 [M].

    Parameters
    ----------
    muscle
        As it is at 30 years.
    years
        Age, 18 to 100; up to 30 nothing changes.

    Raises
    ------
    ValueError
        If the age is none of an adult, or the fibres find no room.

    Examples
    --------
    >>> fibres = Fibres(per_unit_smallest=40, per_unit_largest=200, length_mm=60)
    >>> old = aged(Muscle(name="x", radius_mm=9, pool=Pool(n_units=100), fibres=fibres), 71)
    >>> old.pool.n_units, old.fibres.per_unit_largest
    (60, 300)
    """
    if not 18 <= years <= 100:
        raise ValueError(f"years must be in 18..100, got {years:g}")
    share = max(0.0, (years - AGED_FROM_YEARS) / (AGED_TO_YEARS - AGED_FROM_YEARS))
    growth = 1 + 0.5 * share
    fibres = muscle.fibres.model_dump()
    for name in ("per_unit_smallest", "per_unit_largest"):
        fibres[name] = round(growth * fibres[name])
    for name in ("diameter_smallest_unit_um", "diameter_largest_unit_um"):
        fibres[name] = max(15.0, (1 - 0.08 * share) * fibres[name])
    fibres["density_per_mm2"] *= growth
    n_units = max(1, round((1 - 0.4 * share) * muscle.pool.n_units))
    pool = muscle.pool.model_copy(update={"n_units": n_units})
    return muscle.model_copy(update={"pool": pool, "fibres": Fibres.model_validate(fibres)})
