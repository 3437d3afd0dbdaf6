"""Surface electrodes in numbers; [S], [M], [R], [P] as in `emgsim.physiology.parameters`.

Which pads make which channel is worked out in `emgsim.physiology.surface`. Discs of gel or metal on
the skin: `pad_mm` is their diameter.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters

MOST_PADS = 512
TOUCHING_MM = 1e-6  # rounding of places on the skin

Place = tuple[float, float]  # along the fibres and across, mm
Pitch = Annotated[float, Field(gt=0, le=100)]


class SkinElectrode(Parameters):
    """What all surface electrodes share: where they stick, what is below, and how they touch.

    Their centre lies ``centre_z_mm`` along the fibres from the centre of the end-plate band, and
    ``centre_across_mm`` aside of the line above the muscle's middle, measured on the skin.
    ``angle_deg`` turns the electrode's long axis from the fibres' +z to the across direction.
    ``tilt_deg`` is how steeply the fibres below dive into the depth towards +z. The muscle's own
    layer of fat is `Muscle.fat_mm`.
    """

    pad_mm: float = Field(10.0, gt=0, le=50)
    centre_z_mm: float = Field(20.0, ge=-500, le=500)
    centre_across_mm: float = Field(0.0, ge=-500, le=500)
    angle_deg: float = Field(0.0, ge=-180, le=180)
    tilt_deg: float = Field(0.0, ge=-20, le=20)  # as steep as pennate muscles are below a pad [S]
    conductor: Literal["plane", "cylinder"] = "plane"
    skin_mm: float = Field(1.0, ge=0.1, le=5)  # 0.8-2 [R]
    sigma_skin_s_m: float = Field(1.0, gt=0, le=5)  # wet [R]; dry 4e-4, Lowery 2002 [M]
    sigma_fat_s_m: float = Field(0.05, gt=0, le=1)  # 0.02-0.05 [R]
    limb_radius_mm: float = Field(50.0, ge=5, le=250)  # a cylinder's, to the skin; upper arm [P]
    bone_radius_mm: float = Field(0.0, ge=0, le=100)  # a cylinder's, about its axis; 0: no bone
    sigma_bone_s_m: float = Field(0.02, gt=0, le=1)  # [R]
    impedance_kohm: float = Field(5.0, gt=0, le=2000)  # prepared skin 1-10, dry 50-500 [M]
    noise_uv: float = Field(2.0, ge=0, le=50)  # rms of the contact; 1-20, Huigen 2002 [S]
    lead_off: tuple[Annotated[int, Field(ge=0)], ...] = ()  # channels, from 0, off the skin

    @property
    def own_places_mm(self) -> tuple[Place, ...]:
        """Centres of the pads along the electrode's long axis and across it, from its centre."""
        raise NotImplementedError

    @property
    def places_mm(self) -> tuple[Place, ...]:
        """Centres of the pads on the skin: along the fibres, and across."""
        turn = math.radians(self.angle_deg)
        c, s = math.cos(turn), math.sin(turn)
        return tuple(
            (self.centre_z_mm + c * a - s * b, self.centre_across_mm + s * a + c * b)
            for a, b in self.own_places_mm
        )

    @property
    def extent_mm(self) -> float:
        """Largest dimension of what records."""
        places = self.own_places_mm
        return self.pad_mm + max((math.dist(a, b) for a, b in combinations(places, 2)), default=0.0)

    @model_validator(mode="after")
    def _pads_have_room(self) -> Self:
        n_pads = len(self.own_places_mm)
        if not 1 <= n_pads <= MOST_PADS:
            raise ValueError(f"the electrode must have 1..{MOST_PADS} pads, got {n_pads}")
        nearest_mm = _nearest_mm(self.own_places_mm)
        if nearest_mm <= self.pad_mm + TOUCHING_MM:
            raise ValueError(
                f"pad_mm must be < {nearest_mm:.4g}, the least distance of two pads' centres, or "
                f"they touch, got {self.pad_mm:g}"
            )
        return self

    @model_validator(mode="after")
    def _pads_fit_round_the_limb(self) -> Self:
        if self.conductor == "plane":
            return self
        across = [place[1] for place in self.places_mm]
        wrapped_mm = max(across) - min(across) + self.pad_mm
        girth_mm = 2 * math.pi * self.limb_radius_mm
        if wrapped_mm >= girth_mm:
            raise ValueError(
                f"the electrode must be less than the limb's girth of {girth_mm:.4g} mm across, or "
                f"its ends overlap, got {wrapped_mm:.4g}; use fewer pads or a larger limb_radius_mm"
            )
        return self


class SurfaceBipolar(SkinElectrode):
    """Two discs along the fibres, the one nearer the end plates against the other.

    10 mm discs, 20 mm apart, and no farther than a quarter of the fibres' length (SENIAM, Hermens
    2000 [S]).
    """

    kind: Literal["surface_bipolar"] = "surface_bipolar"
    apart_mm: float = Field(20.0, gt=0, le=200)

    @property
    def own_places_mm(self) -> tuple[Place, ...]:
        """Centres of the two discs."""
        return (-self.apart_mm / 2, 0.0), (self.apart_mm / 2, 0.0)


class BellyTendon(SkinElectrode):
    """One disc over the muscle's belly, recording against another over or beyond its tendon.

    10 mm discs (Buschbacher's compound potentials [S]). The belly's lies at the electrode's centre,
    over the end plates: there the potential begins with its negative phase.
    """

    kind: Literal["belly_tendon"] = "belly_tendon"
    centre_z_mm: float = Field(0.0, ge=-500, le=500)
    apart_mm: float = Field(40.0, gt=0, le=500)  # [P] a hand muscle's belly to its joint

    @property
    def own_places_mm(self) -> tuple[Place, ...]:
        """Centres of the belly's disc and the tendon's."""
        return (0.0, 0.0), (self.apart_mm, 0.0)


class SurfaceGrid(SkinElectrode):
    """A grid of pads: rows follow one another along the long axis, columns across it.

    8 x 8 with a pitch of 4 or 10 mm; 13 x 5 with 4 or 8 mm, which lacks one corner; contacts of
    1.5-3 mm [R]. A channel whose pad is missing is not recorded.
    """

    kind: Literal["surface_grid"] = "surface_grid"
    pad_mm: float = Field(2.0, gt=0, le=50)
    rows: int = Field(8, ge=1, le=MOST_PADS)
    columns: int = Field(8, ge=1, le=MOST_PADS)
    pitch_mm: Pitch | tuple[Pitch, Pitch] = 4.0  # or along and across
    missing: tuple[tuple[int, int], ...] = ()  # row and column, from 0
    montage: Literal["monopolar", "single_differential", "double_differential", "laplacian"] = (
        "monopolar"
    )

    @model_validator(mode="after")
    def _missing_pads_are_of_the_grid(self) -> Self:
        for row, column in self.missing:
            if not (0 <= row < self.rows and 0 <= column < self.columns):
                raise ValueError(
                    f"missing: must lie on the grid of {self.rows} x {self.columns}, "
                    f"counted from 0, got {row}, {column}"
                )
        return self

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """Row and column of every pad that is there, row by row."""
        gone = set(self.missing)
        places = ((r, c) for r in range(self.rows) for c in range(self.columns))
        return tuple(place for place in places if place not in gone)

    @property
    def own_places_mm(self) -> tuple[Place, ...]:
        """Centres of the pads that are there."""
        along, across = (
            self.pitch_mm if isinstance(self.pitch_mm, tuple) else (self.pitch_mm, self.pitch_mm)
        )
        return tuple(
            (along * (r - (self.rows - 1) / 2), across * (c - (self.columns - 1) / 2))
            for r, c in self.pads
        )


class SurfacePads(SkinElectrode):
    """Pads anywhere, each against a remote reference: ``pads_mm`` are along and across."""

    kind: Literal["surface_pads"] = "surface_pads"
    pad_mm: float = Field(2.0, gt=0, le=50)
    pads_mm: tuple[Place, ...] = Field(min_length=1, max_length=MOST_PADS)

    @property
    def own_places_mm(self) -> tuple[Place, ...]:
        """Centres of the pads."""
        return self.pads_mm


SurfaceKind = Annotated[
    SurfaceBipolar | BellyTendon | SurfaceGrid | SurfacePads, Field(discriminator="kind")
]


def _nearest_mm(places: tuple[Place, ...]) -> float:
    """Return the least distance between two places."""
    return min((math.dist(a, b) for a, b in combinations(places, 2)), default=math.inf)
