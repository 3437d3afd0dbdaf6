"""What is done in one muscle: where the needle goes, how long it listens, what the patient does."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.physiology.parameters import Seek, TipPosition


class Protocol(BaseModel):
    """The examination of one muscle through one hole in the skin.

    The needle is led into each quadrant in turn, and rests there at each depth. From the first
    places on it looks for a unit and hears a slight effort; from some also the strongest one. The
    defaults are the least that is honest: eight places of rest or more, twenty MUAPs, three efforts
    (Daube & Rubin 2009, Muscle Nerve 39:244; AANEM).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    quadrants: int = Field(4, ge=1, le=8)
    depths: tuple[float, ...] = Field((0.45, 0.95), min_length=1)  # along the shaft, in radii of
    #   the muscle, from its surface
    tilt_deg: float = Field(20.0, ge=0, le=45)  # of the shaft into a quadrant [P]
    z_mm: float | None = None  # of the hole; None: a sixth of the fibres' length from their middle
    move_s: float = Field(0.3, gt=0, le=5)  # of each movement of the needle
    settle_s: float = Field(0.6, gt=0, le=10)  # until insertional activity is over; it is part of
    #   none of the rests
    rest_s: float = Field(2.0, ge=0.5, le=600)  # at each place
    slight_sites: int = Field(6, ge=0)  # places at which a slight effort is heard, the first ones
    slight_s: float = Field(5.0, ge=1, le=60)
    slight_mvc: float = Field(0.05, gt=0, le=0.3)
    strong_sites: int = Field(3, ge=0)  # of them also with the strongest effort, the last ones
    strong_s: float = Field(2.5, ge=1, le=10)
    strong_mvc: float = Field(0.9, gt=0, le=1)
    reaction_s: float = Field(0.2, ge=0, le=2)  # of the patient, to what he is asked for [M]
    seek: Seek = Seek(track_mm=4.0)

    @model_validator(mode="after")
    def _sites_follow_each_other(self) -> Self:
        if not all(0 < depth < 1.8 for depth in self.depths):
            raise ValueError(f"depths must be in 0..1.8 radii, got {list(self.depths)}")
        if self.slight_sites > self.n_places:
            raise ValueError(
                f"slight_sites must be <= the {self.n_places} places, got {self.slight_sites}"
            )
        if self.strong_sites > self.slight_sites:
            raise ValueError(
                f"strong_sites must be <= slight_sites ({self.slight_sites}), "
                f"got {self.strong_sites}"
            )
        return self

    @property
    def n_places(self) -> int:
        """Number of places at which the needle rests."""
        return self.quadrants * len(self.depths)

    def hole(self, radius_mm: float, length_mm: float) -> TipPosition:
        """Return where the needle enters the muscle: on its surface, beside the end plates."""
        z_mm = length_mm / 6 if self.z_mm is None else self.z_mm
        return TipPosition(x_mm=0.0, y_mm=0.97 * radius_mm, z_mm=z_mm)

    def places(self, radius_mm: float, length_mm: float) -> Iterator[TipPosition]:
        """Yield the places of rest, quadrant by quadrant, from the surface inwards.

        Parameters
        ----------
        radius_mm, length_mm
            Of the muscle, and of its fibres.
        """
        hole = self.hole(radius_mm, length_mm)
        lean = math.radians(self.tilt_deg)
        for quadrant in range(self.quadrants):
            # Askew to the fibres: two quadrants in line along them would hear the same ones.
            azimuth_deg = 360.0 * (quadrant + 0.25) / self.quadrants
            azimuth = math.radians(azimuth_deg)
            for depth in self.depths:
                along_mm = depth * radius_mm
                # the shaft leans towards its azimuth, so the tip goes the other way
                aside_mm = along_mm * math.sin(lean)
                yield TipPosition(
                    x_mm=hole.x_mm - aside_mm * math.cos(azimuth),
                    y_mm=hole.y_mm - along_mm * math.cos(lean),
                    z_mm=hole.z_mm - aside_mm * math.sin(azimuth),
                    tilt_deg=self.tilt_deg,
                    tilt_azimuth_deg=azimuth_deg,
                )
