"""How the needle moves, in numbers."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters

PLACE = ("x_mm", "y_mm", "z_mm", "rotation_deg", "tilt_deg", "tilt_azimuth_deg")


class Seek(Parameters):
    """The clinical rule for the needle's place: advance until a unit is close.

    A MUAP that rises in 500 us or less comes from a unit whose territory holds the tip (Barkhaus &
    Nandedkar; Stalberg et al. 1986).
    """

    rise_us: float = Field(500.0, gt=0, le=5000)
    amplitude_uv: float = Field(100.0, gt=0)  # smaller ones are not worth a site [P]
    step_mm: float = Field(0.1, gt=0, le=2)  # of the advance along the shaft
    track_mm: float = Field(8.0, gt=0, le=60)  # longest advance


class NeedleMove(Parameters):
    """One movement of the needle, at an even speed; what is not named stays as it is."""

    at_s: float = Field(ge=0, le=86_400)
    duration_s: float = Field(0.2, gt=0, le=60)  # a step of the examining hand
    x_mm: float | None = None
    y_mm: float | None = None
    z_mm: float | None = None
    rotation_deg: float | None = None
    tilt_deg: float | None = None
    tilt_azimuth_deg: float | None = None
    seek: Seek | None = None  # from there advance until a unit is near, if one is on the track

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if self.seek is None and all(getattr(self, name) is None for name in PLACE):
            raise ValueError(f"a move must change one of {', '.join(PLACE)}, or seek")
        return self
