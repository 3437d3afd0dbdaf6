"""What a scenario holds, and which of it fits together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from emgsim.analysis.plan import NeedlePlan, Plan
from emgsim.artefacts.parameters import Artefact, check_order
from emgsim.configuration import Table, models_in
from emgsim.physiology.parameters import Muscle, Phase
from emgsim.physiology.parameters.conditions import Condition
from emgsim.physiology.parameters.effort import total_s
from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.parameters.surface import SkinElectrode
from emgsim.recording import SURFACE_KINDS
from emgsim.scenario.placed import Electrode, Needle, PlacedConcentric
from emgsim.verdict import Limit, requirement_ids

SCHEMA = "emgsim.scenario/1"
SAME_TIME_S = 1e-9  # sums of durations are exact to far less
NEEDLE_BAND_HZ = 10_000.0  # the standard upper limit of needle EMG; IFCN 2020
HIGHEST_OF_RATE = 0.45  # the rest up to half the rate is left to the anti-alias filter
SURFACE_ACQUISITION = {"rate_hz": 2048.0, "highest_hz": 500.0}  # of the usual grid amplifier [R]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Acquisition(_Table):
    """How the simulated EMG is sampled."""

    rate_hz: float = Field(48_000.0, ge=2_000, le=1_000_000)
    highest_hz: float | None = Field(None, gt=0)  # of the band; None: 10 kHz or 0.45 of the rate

    @model_validator(mode="after")
    def _rate_holds_the_band(self) -> Self:
        if self.highest_hz is not None and self.highest_hz > HIGHEST_OF_RATE * self.rate_hz:
            raise ValueError(
                f"rate_hz must be >= {self.highest_hz / HIGHEST_OF_RATE:g} for a band up to "
                f"highest_hz = {self.highest_hz:g}, got {self.rate_hz:g}"
            )
        return self

    @property
    def band_hz(self) -> float:
        """Highest frequency that is kept whole."""
        if self.highest_hz is not None:
            return self.highest_hz
        return min(NEEDLE_BAND_HZ, HIGHEST_OF_RATE * self.rate_hz)


Requirements = Annotated[
    tuple[str, ...], BeforeValidator(requirement_ids, json_schema_input_type=str | tuple[str, ...])
]


class ScenarioLimit(_Table):
    """A limit that a measurement of the run must hold."""

    measurement: str
    low: float | None = None
    high: float | None = None
    unit: str = "1"
    source: str = ""
    requirement: Requirements = ()  # one id, or a list: what the limit verifies

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
        return Limit(**self.model_dump(exclude={"requirement"}), requirements=self.requirement)


class Neighbour(_Table):
    """A muscle beside the scenario's own, which electrodes on the skin hear too: crosstalk.

    It lies under the same fat, is healthy, and makes an effort of its own; behind its last phase
    it rests.
    """

    muscle: Muscle
    across_mm: float = Field(ge=-500, le=500)  # from the scenario's muscle to it, on the skin
    along_mm: float = Field(0.0, ge=-500, le=500)  # from the scenario's end plates to its own
    phases: tuple[Phase, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _lies_aside(self) -> Self:
        if self.across_mm == 0:
            raise ValueError("across_mm must not be 0, where the scenario's own muscle lies, got 0")
        return self


class Scenario(_Table):
    """A virtual patient, an examination of one muscle, its analysis and its limits."""

    format: Annotated[Literal["emgsim.scenario/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    description: str = ""
    seed: int = Field(ge=0)
    muscle: Muscle
    conditions: tuple[Condition, ...] = ()  # in the order in which they befell the patient
    spontaneous: tuple[SpontaneousActivity, ...] = ()
    electrode: Electrode = PlacedConcentric()
    phases: tuple[Phase, ...] = Field(min_length=1)
    neighbours: tuple[Neighbour, ...] = ()
    acquisition: Acquisition = Acquisition()
    artefacts: tuple[Artefact, ...] = ()
    analysis: Annotated[Plan, Field(discriminator="kind")] = NeedlePlan()
    limits: tuple[ScenarioLimit, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _as_the_electrode_wants(cls, table: object) -> object:
        """Fill in plan and sampling by the kind of electrode, where they are left to it."""
        if not isinstance(table, Mapping):
            return table
        electrode = table.get("electrode")
        kind = electrode.get("kind") if isinstance(electrode, Mapping) else None
        is_surface = kind in SURFACE_KINDS
        filled = dict(table)
        if is_surface and "acquisition" not in table:
            filled["acquisition"] = SURFACE_ACQUISITION
        plan = table.get("analysis", {})
        if isinstance(plan, Mapping):
            filled["analysis"] = {"kind": "surface" if is_surface else "needle", **plan}
        return filled

    @model_validator(mode="after")
    def _plan_fits_the_electrode(self) -> Self:
        wanted = "surface" if isinstance(self.electrode, SkinElectrode) else "needle"
        if self.analysis.kind != wanted:
            raise ValueError(
                f"analysis.kind must be {wanted!r} for a {self.electrode.kind} electrode, "
                f"got {self.analysis.kind!r}"
            )
        return self

    @model_validator(mode="after")
    def _skin_hears_no_spontaneous_activity(self) -> Self:
        if isinstance(self.electrode, SkinElectrode) and self.spontaneous:
            raise ValueError(
                f"spontaneous must be empty for a {self.electrode.kind} electrode: single fibres "
                f"and end plates are not heard on the skin, got {self.spontaneous[0].kind!r}"
            )
        return self

    @model_validator(mode="after")
    def _neighbours_fit(self) -> Self:
        if not self.neighbours:
            return self
        electrode = self.electrode
        if not isinstance(electrode, SkinElectrode):
            raise ValueError(
                f"neighbours must be empty for a {electrode.kind} electrode: only the skin hears "
                f"them, got {self.neighbours[0].muscle.name!r}"
            )
        for number, neighbour in enumerate(self.neighbours):
            effort_s = total_s(neighbour.phases)
            if effort_s > self.duration_s + SAME_TIME_S:
                raise ValueError(
                    f"neighbours.{number}.phases must last no longer than the scenario's "
                    f"{self.duration_s:g} s, got {effort_s:g}"
                )
            farthest_mm = math.pi * electrode.limb_radius_mm
            if electrode.conductor == "cylinder" and abs(neighbour.across_mm) > farthest_mm:
                raise ValueError(
                    f"neighbours.{number}.across_mm must be within {farthest_mm:.4g}, half the "
                    f"limb's girth, got {neighbour.across_mm:g}"
                )
        return self

    @model_validator(mode="after")
    def _electrode_is_in_the_muscle(self) -> Self:
        electrode, radius, fibres = self.electrode, self.muscle.radius_mm, self.muscle.fibres
        if isinstance(electrode, SkinElectrode):
            return self
        if electrode.extent_mm > 2 * radius:
            raise ValueError(
                f"electrode must be smaller than the muscle's {2 * radius:g} mm, "
                f"got {electrode.extent_mm:g} mm"
            )
        tip = electrode.ends_at  # it may begin in the skin
        if tip.x_mm**2 + tip.y_mm**2 >= radius**2:
            raise ValueError(
                f"electrode.tip lies outside the muscle of radius {radius:g} mm, "
                f"got x_mm = {tip.x_mm:g}, y_mm = {tip.y_mm:g}"
            )
        if abs(tip.z_mm) >= fibres.length_mm / 2:
            raise ValueError(
                f"electrode.tip.z_mm lies beyond the fibres' half length of "
                f"{fibres.length_mm / 2:g} mm, got {tip.z_mm:g}"
            )
        return self

    @model_validator(mode="after")
    def _artefacts_fit(self) -> Self:
        check_order(self.artefacts)
        if any(artefact.kind == "crosstalk" for artefact in self.artefacts):
            raise ValueError(
                "artefacts: crosstalk needs the recording of a neighbour, which a scenario does "
                "not have; give neighbours, which electrodes on the skin hear, or use "
                "emgsim.artefacts.composition.apply"
            )
        return self

    @model_validator(mode="after")
    def _moves_follow_each_other(self) -> Self:
        if isinstance(self.electrode, SkinElectrode):
            return self
        for before, after in pairwise(self.electrode.moves):
            if after.at_s < before.at_s + before.duration_s:
                raise ValueError(
                    f"electrode.moves: at_s must be >= the end of the move before "
                    f"({before.at_s + before.duration_s:g}), got {after.at_s:g}"
                )
        return self

    @property
    def needle(self) -> Needle:
        """The electrode, which must be a needle, wires or an array in the muscle.

        Raises
        ------
        ValueError
            If it is on the skin.
        """
        if isinstance(self.electrode, SkinElectrode):
            raise ValueError(f"the electrode must be in the muscle, got {self.electrode.kind}")
        return self.electrode

    @property
    def duration_s(self) -> float:
        """Length of all phases together."""
        return total_s(self.phases)

    def resolved(self) -> Table:
        """Return the scenario with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def kinds(of: Literal["conditions", "activities", "artefacts"]) -> dict[str, str]:
    """Return the kinds that a scenario may name, each with what it is."""
    key = "spontaneous" if of == "activities" else of
    found: dict[str, str] = {}
    for model in models_in(Scenario.model_fields[key].annotation):
        words = (model.__doc__ or "").strip().splitlines()[0]
        found[str(model.model_fields["kind"].default)] = words.rstrip(".")
    return found
