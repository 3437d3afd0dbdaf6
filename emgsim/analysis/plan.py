"""Analysis plans: what is looked for in a recording, and with which settings."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SAME_S = 1e-9  # sums of durations are not exact


class Stretch(BaseModel):
    """A time in which needle and effort stayed as they were: one step of an examination."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)  # of the step: "rest 3"
    kind: Literal["insertion", "rest", "slight", "strong"]
    onset_s: float
    offset_s: float

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.offset_s <= self.onset_s:
            raise ValueError(
                f"offset_s must be > onset_s ({self.onset_s:g}), got {self.offset_s:g}"
            )
        return self


class NeedlePlan(BaseModel):
    """Decomposition of needle EMG at slight to moderate effort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["needle"] = "needle"
    highpass_hz: float = Field(400.0, gt=0)  # sharpens spikes against the slow floor
    lowpass_hz: float = Field(5000.0, gt=0)
    threshold: float = Field(5.0, gt=1)  # of detection, in robust SD of the filtered noise
    window_ms: tuple[float, float] = (5.0, 6.0)  # MUAP window before and after its spike
    min_rate_hz: float = Field(2.0, gt=0)  # a unit that fires more slowly is not kept
    max_units: int = Field(16, ge=1, le=64)  # in a stretch
    stretches: tuple[Stretch, ...] = ()  # what was done when; empty: one effort, one place

    @model_validator(mode="after")
    def _stretches_follow_each_other(self) -> Self:
        for before, after in pairwise(self.stretches):
            if after.onset_s < before.offset_s - SAME_S:
                raise ValueError(
                    f"stretches: onset_s of {after.name!r} must be >= the end of {before.name!r} "
                    f"({before.offset_s:g}), got {after.onset_s:g}"
                )
        return self
