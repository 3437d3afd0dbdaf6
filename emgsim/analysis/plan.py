"""Analysis plans: what is looked for in a recording, and with which settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

SAME_S = 1e-9  # sums of durations are not exact


class Step(BaseModel):
    """Something that the patient did, from when to when: "full flexion"."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    onset_s: float
    offset_s: float

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.offset_s <= self.onset_s:
            raise ValueError(
                f"offset_s must be > onset_s ({self.onset_s:g}), got {self.offset_s:g}"
            )
        return self


class Stretch(Step):
    """A time in which needle and effort stayed as they were: one step of an examination."""

    kind: Literal["insertion", "rest", "slight", "strong"]


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
        _check_order("stretches", self.stretches)
        return self


class SurfacePlan(BaseModel):
    """Amplitude, spectrum and velocity of surface EMG; on a grid, its motor units too."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["surface"] = "surface"
    task: Literal["contractions", "low_load", "flexion_relaxation"] = "contractions"
    steps: tuple[Step, ...] = ()  # what was done when; empty: contractions are looked for
    mvc_uv: float | None = Field(None, gt=0)  # rms of a maximal effort; gaps are told against it
    noise_uv: float | None = Field(None, gt=0)  # rms of electrode and amplifier, 20-450 Hz
    mains_hz: float | None = Field(None, ge=45, le=65)  # left out of the spectrum; None: no mains
    # Of a grid of 16 channels or more it is "standard" if nothing is said, of fewer "none"
    decomposition: Literal["none", "standard", "thorough"] | None = None

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> Self:
        _check_order("steps", self.steps)
        return self

    @model_validator(mode="after")
    def _gaps_have_a_measure(self) -> Self:
        if self.task == "low_load" and (self.mvc_uv is None or self.noise_uv is None):
            raise ValueError(
                "mvc_uv and noise_uv must be given for task = 'low_load': a gap is told by both"
            )
        return self

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """None: a surface electrode does not go from site to site."""
        return ()


Plan = NeedlePlan | SurfacePlan


def plan_kind(table: Mapping[str, object]) -> type[NeedlePlan] | type[SurfacePlan]:
    """Return the model of a table of a plan; of a needle if it does not say."""
    return SurfacePlan if table.get("kind") == "surface" else NeedlePlan


def _check_order(name: str, steps: Sequence[Step]) -> None:
    for before, after in pairwise(steps):
        if after.onset_s < before.offset_s - SAME_S:
            raise ValueError(
                f"{name}: onset_s of {after.name!r} must be >= the end of {before.name!r} "
                f"({before.offset_s:g}), got {after.onset_s:g}"
            )
