"""Scenarios: what a virtual patient does, what is recorded, and which limits must hold."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.analysis.plan import NeedlePlan
from emgsim.configuration import Table, merged, nearest, read_table, validated, with_overrides
from emgsim.errors import InputError
from emgsim.physiology.parameters import ConcentricNeedle, Muscle, TipPosition
from emgsim.shipped import PACKAGE, find
from emgsim.verdict import Limit

SCHEMA = "emgsim.scenario/1"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Phase(_Table):
    """One stretch of the examination: rest, or a contraction that is held."""

    kind: Literal["rest", "hold"]
    duration_s: float = Field(gt=0, le=3600)
    level_mvc: float = Field(0.0, ge=0, le=1)  # fraction of maximal voluntary force
    ramp_s: float = Field(0.5, ge=0)  # time in which a hold reaches its level

    @model_validator(mode="after")
    def _levels_fit_the_kind(self) -> Self:
        if self.kind == "rest" and self.level_mvc > 0:
            raise ValueError(f"level_mvc must be 0 at rest, got {self.level_mvc:g}")
        if self.kind == "hold" and self.level_mvc == 0:
            raise ValueError("level_mvc must be > 0 in a hold; use kind = 'rest'")
        if self.kind == "hold" and self.ramp_s >= self.duration_s:
            raise ValueError(
                f"ramp_s must be < duration_s ({self.duration_s:g}), got {self.ramp_s:g}"
            )
        return self


class Needle(ConcentricNeedle):
    """The electrode of the scenario and where its tip lies."""

    kind: Literal["concentric_needle"] = "concentric_needle"
    tip: TipPosition = TipPosition()


class Acquisition(_Table):
    """How the simulated EMG is sampled."""

    rate_hz: float = Field(48_000.0, ge=2_000, le=1_000_000)


class ScenarioLimit(_Table):
    """A limit that a measurement of the run must hold."""

    measurement: str
    low: float | None = None
    high: float | None = None
    unit: str = "1"
    source: str = ""

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("a limit needs low or high, or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"low must be <= high ({self.high:g}), got {self.low:g}")
        return self

    @property
    def limit(self) -> Limit:
        """The limit as `judge` takes it."""
        return Limit(**self.model_dump())


class Scenario(_Table):
    """A virtual patient, an examination of one muscle, its analysis and its limits."""

    format: Annotated[Literal["emgsim.scenario/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    description: str = ""
    seed: int = Field(ge=0)
    muscle: Muscle
    electrode: Needle = Needle()
    phases: tuple[Phase, ...] = Field(min_length=1)
    acquisition: Acquisition = Acquisition()
    analysis: NeedlePlan = NeedlePlan()
    limits: tuple[ScenarioLimit, ...] = ()

    @model_validator(mode="after")
    def _needle_is_in_the_muscle(self) -> Self:
        tip, radius = self.electrode.tip, self.muscle.radius_mm
        if tip.x_mm**2 + tip.y_mm**2 >= radius**2:
            raise ValueError(
                f"electrode.tip lies outside the muscle of radius {radius:g} mm, "
                f"got x_mm = {tip.x_mm:g}, y_mm = {tip.y_mm:g}"
            )
        if abs(tip.z_mm) >= self.muscle.fibres.length_mm / 2:
            raise ValueError(
                f"electrode.tip.z_mm lies beyond the fibres' half length of "
                f"{self.muscle.fibres.length_mm / 2:g} mm, got {tip.z_mm:g}"
            )
        return self

    @property
    def duration_s(self) -> float:
        """Length of all phases together."""
        return sum(phase.duration_s for phase in self.phases)

    def resolved(self) -> Table:
        """Return the scenario with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


@cache
def muscle_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of muscles as tables by name."""
    with (PACKAGE / "catalogue" / "muscles.toml").open("rb") as file:
        return tomllib.load(file)


def load_scenario(name: str | Path, *, overrides: Iterable[str] = ()) -> Scenario:
    """Load a scenario by its shipped name or by its path.

    Parameters
    ----------
    name
        ``"healthy_biceps"``, or the path of a TOML file.
    overrides
        ``key.path=value`` each, as of ``--set``.

    Raises
    ------
    InputError
        If there is no such file, or it has mistakes; all of them are named.

    Examples
    --------
    >>> load_scenario("healthy_biceps").duration_s
    12.0
    """
    path = find("scenarios", name)
    table = with_overrides(read_table(path), overrides)
    return validated(Scenario, _with_muscle(table, str(path)), str(path))


def _with_muscle(table: Table, where: str) -> Table:
    """Fill in the muscle's catalogue entry below what the scenario says of it."""
    muscle = table.get("muscle")
    if not isinstance(muscle, Mapping) or not isinstance(muscle.get("name"), str):
        return table
    name = muscle["name"]
    known = muscle_catalogue()
    if name not in known and "pool" not in muscle:
        raise InputError(
            f"1 mistake:\n  - muscle.name: no muscle {name!r} in the catalogue"
            f"{nearest(name, known)}",
            where=where,
            todo="name one of the catalogue, or give its radius_mm, pool and fibres here",
        )
    return {**table, "muscle": merged(known.get(name, {}), muscle)}
