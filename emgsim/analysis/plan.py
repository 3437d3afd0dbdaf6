"""Analysis plans: what is looked for in a recording, and with which settings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NeedlePlan(BaseModel):
    """Decomposition of needle EMG at slight to moderate effort."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["needle"] = "needle"
    highpass_hz: float = Field(400.0, gt=0)  # sharpens spikes against the slow floor
    lowpass_hz: float = Field(5000.0, gt=0)
    threshold: float = Field(5.0, gt=1)  # of detection, in robust SD of the filtered noise
    window_ms: tuple[float, float] = (5.0, 6.0)  # MUAP window before and after its spike
    min_rate_hz: float = Field(2.0, gt=0)  # a unit that fires more slowly is not kept
    max_units: int = Field(16, ge=1, le=64)
