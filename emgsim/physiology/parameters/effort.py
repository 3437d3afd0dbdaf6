"""What the patient does: an effort is a sequence of phases, each one of the kinds below.

Efforts are fractions of the force of a maximal voluntary contraction (MVC).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from emgsim.physiology.parameters.base import Parameters

Duration = Annotated[float, Field(gt=0, le=3600)]
Level = Annotated[float, Field(ge=0, le=1)]  # fraction of maximal voluntary force


class _Phase(Parameters):
    name: str = Field("", max_length=40)  # what the patient does meanwhile: "full flexion"


class Rest(_Phase):
    """No effort."""

    kind: Literal["rest"] = "rest"
    duration_s: Duration
    level_mvc: Level = 0.0
    ramp_s: float = Field(0.5, ge=0)  # has no effect; scenarios of before carry it

    @model_validator(mode="after")
    def _rest_is_rest(self) -> Self:
        if self.level_mvc > 0:
            raise ValueError(f"level_mvc must be 0 at rest, got {self.level_mvc:g}")
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return 0.0


class Hold(_Phase):
    """A contraction that rises to its level and is held until the end of the phase."""

    kind: Literal["hold"] = "hold"
    duration_s: Duration
    level_mvc: Level = 0.0
    ramp_s: float = Field(0.5, ge=0)  # time in which it reaches its level, part of the duration

    @model_validator(mode="after")
    def _levels_fit_the_kind(self) -> Self:
        if self.level_mvc == 0:
            raise ValueError("level_mvc must be > 0 in a hold; use kind = 'rest'")
        if self.ramp_s >= self.duration_s:
            raise ValueError(
                f"ramp_s must be < duration_s ({self.duration_s:g}), got {self.ramp_s:g}"
            )
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return self.level_mvc


class Ramp(_Phase):
    """An effort that goes evenly from one level to another."""

    kind: Literal["ramp"] = "ramp"
    duration_s: Duration
    from_mvc: Level = 0.0
    to_mvc: Level

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return max(self.from_mvc, self.to_mvc)


class Trapezoid(_Phase):
    """A contraction that rises, is held, and falls; the plateau is what the two ramps leave."""

    kind: Literal["trapezoid"] = "trapezoid"
    duration_s: Duration
    level_mvc: Level = Field(gt=0)
    rise_s: float = Field(ge=0)
    fall_s: float = Field(ge=0)

    @model_validator(mode="after")
    def _ramps_fit(self) -> Self:
        if self.rise_s + self.fall_s > self.duration_s:
            raise ValueError(
                f"rise_s + fall_s must be <= duration_s ({self.duration_s:g}), "
                f"got {self.rise_s + self.fall_s:g}"
            )
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return self.level_mvc


class Sinusoid(_Phase):
    """An effort that swings about a mean, and begins there, rising."""

    kind: Literal["sinusoid"] = "sinusoid"
    duration_s: Duration
    mean_mvc: Level
    amplitude_mvc: Level  # from the mean to the crest
    frequency_hz: float = Field(gt=0, le=5)  # force is tracked by hand to some 2 Hz [P]

    @model_validator(mode="after")
    def _swing_stays_inside(self) -> Self:
        low, high = self.mean_mvc - self.amplitude_mvc, self.mean_mvc + self.amplitude_mvc
        if low < 0 or high > 1:
            raise ValueError(
                f"mean_mvc -+ amplitude_mvc must stay in 0..1, got {low:.3g}..{high:.3g}"
            )
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return self.mean_mvc + self.amplitude_mvc


class Tremor(_Phase):
    """A held level whose drive waxes and wanes: grouped discharges at the tremor's frequency."""

    kind: Literal["tremor"] = "tremor"
    duration_s: Duration
    level_mvc: Level = Field(gt=0)
    depth: float = Field(0.5, gt=0, le=1)  # of the modulation; 1: silence between the groups
    frequency_hz: float = Field(5.0, ge=4, le=12)  # parkinsonian 4-6, essential 4-12,
    #   physiological 8-12 Hz (Deuschl 1998, Mov Disord 13 suppl 3:2) [M]

    @model_validator(mode="after")
    def _crest_stays_inside(self) -> Self:
        if self.peak_mvc > 1:
            raise ValueError(f"level_mvc * (1 + depth) must be <= 1, got {self.peak_mvc:.3g}")
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return self.level_mvc * (1 + self.depth)


class LowLoad(_Phase):
    """Light work as at a keyboard: a low level that is left for moments, the EMG gaps.

    In the upper trapezius typing takes 2-6 % of the maximum; gaps of more than 0.2 s come 4-10
    times a minute in healthy workers, 0-3 times in painful muscles (Veiersted 1993, Mathiassen
    1995 [M]).
    """

    kind: Literal["low_load"] = "low_load"
    duration_s: Duration
    level_mvc: Level = Field(gt=0)
    gaps_per_min: float = Field(ge=0, le=60)
    gap_s: float = Field(1.0, ge=0.2, le=10)  # mean; each from half to one and a half times it [P]
    ramp_s: float = Field(0.1, gt=0, le=1)  # into a gap and out of it [P]
    pattern: int = Field(1, ge=0)  # which of the random sequences of gaps

    @model_validator(mode="after")
    def _gaps_leave_time_for_work(self) -> Self:
        busy_s = self.gaps_per_min * (1.5 * self.gap_s + 2 * self.ramp_s)
        if busy_s > 45:
            raise ValueError(
                "gaps_per_min * (1.5 * gap_s + 2 * ramp_s) must be <= 45 s of a minute, "
                f"got {busy_s:.3g}"
            )
        return self

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return self.level_mvc


class Points(_Phase):
    """An effort given point by point, with straight lines between: what a file becomes."""

    kind: Literal["points"] = "points"
    times_s: tuple[Annotated[float, Field(ge=0, le=3600)], ...] = Field(min_length=2)
    levels_mvc: tuple[Level, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _points_make_a_line(self) -> Self:
        if len(self.times_s) != len(self.levels_mvc):
            raise ValueError(
                f"levels_mvc must have as many values as times_s ({len(self.times_s)}), "
                f"got {len(self.levels_mvc)}"
            )
        if self.times_s[0] != 0:
            raise ValueError(f"times_s must begin at 0, got {self.times_s[0]:g}")
        for before, after in pairwise(self.times_s):
            if after <= before:
                raise ValueError(f"times_s must rise, got {before:g} before {after:g}")
        return self

    @property
    def duration_s(self) -> float:
        """Length of the phase: its last time."""
        return self.times_s[-1]

    @property
    def peak_mvc(self) -> float:
        """Highest effort of the phase."""
        return max(self.levels_mvc)


Phase = Annotated[
    Rest | Hold | Ramp | Trapezoid | Sinusoid | Tremor | LowLoad | Points,
    Field(discriminator="kind"),
]


def total_s(phases: Sequence[Phase]) -> float:
    """Return the length of all phases together, in seconds."""
    return sum(phase.duration_s for phase in phases)
