"""The motor neuron pool in numbers; [S], [M], [P] as in `emgsim.physiology.parameters`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters


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
