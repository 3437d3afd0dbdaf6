"""Scenarios: what a virtual patient does, what is recorded, and which limits must hold."""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from emgsim.analysis.plan import NeedlePlan, Plan, Step, SurfacePlan
from emgsim.artefacts.parameters import Artefact, check_order
from emgsim.configuration import (
    Table,
    merged,
    models_in,
    nearest,
    read_table,
    refused,
    validated,
    with_overrides,
)
from emgsim.errors import InputError
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    FineWire,
    Macro,
    Monopolar,
    Muscle,
    NeedleMove,
    Parameters,
    Phase,
    Seek,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.parameters.conditions import Condition
from emgsim.physiology.parameters.effort import total_s
from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.parameters.surface import (
    BellyTendon,
    SkinElectrode,
    SurfaceBipolar,
    SurfaceGrid,
    SurfacePads,
)
from emgsim.recording import SURFACE_KINDS
from emgsim.shipped import PACKAGE, find
from emgsim.verdict import Limit, requirement_ids

SCHEMA = "emgsim.scenario/1"
EFFORT_COLUMNS = ["time_s", "effort_mvc"]
PAD_COLUMNS = ["along_mm", "across_mm"]
SAME_TIME_S = 1e-9  # sums of durations are exact to far less
IN_PLACE_OF_A_NAME = {
    "muscle": "its radius_mm, pool and fibres here",
    "electrode": "its kind and its dimensions",
}
NEEDLE_BAND_HZ = 10_000.0  # the standard upper limit of needle EMG; IFCN 2020
HIGHEST_OF_RATE = 0.45  # the rest up to half the rate is left to the anti-alias filter
SURFACE_ACQUISITION = {"rate_hz": 2048.0, "highest_hz": 500.0}  # of the usual grid amplifier [R]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Placed(Parameters):
    """Where an electrode's recording surface begins, and how it moves."""

    tip: TipPosition = TipPosition()
    moves: tuple[NeedleMove, ...] = ()
    seek: Seek | None = None  # advance from the tip until a unit is near; None: stay there

    @property
    def ends_at(self) -> TipPosition:
        """Where it lies after its last move."""
        place = self.tip.model_dump()
        for move in self.moves:
            place |= {k: v for k, v in move.model_dump().items() if k in place and v is not None}
        return TipPosition(**place)


class PlacedConcentric(ConcentricNeedle, _Placed):
    """A concentric needle, placed."""


class PlacedMonopolar(Monopolar, _Placed):
    """A monopolar needle, placed."""


class PlacedSingleFibre(SingleFibre, _Placed):
    """A single-fibre needle, placed."""


class PlacedMacro(Macro, _Placed):
    """A macro needle, placed."""


class PlacedFineWire(FineWire, _Placed):
    """Two fine wires, placed."""


class PlacedThinFilm(ThinFilm, _Placed):
    """A thin-film array, placed."""


def _concentric_by_default(value: object) -> object:
    """Take an electrode of no kind for the concentric needle, the commonest by far."""
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "concentric_needle", **value}
    return value


Needle = Annotated[
    PlacedConcentric
    | PlacedMonopolar
    | PlacedSingleFibre
    | PlacedMacro
    | PlacedFineWire
    | PlacedThinFilm,
    Field(discriminator="kind"),
    BeforeValidator(_concentric_by_default),
]
Electrode = Annotated[
    PlacedConcentric
    | PlacedMonopolar
    | PlacedSingleFibre
    | PlacedMacro
    | PlacedFineWire
    | PlacedThinFilm
    | SurfaceBipolar
    | BellyTendon
    | SurfaceGrid
    | SurfacePads,
    Field(discriminator="kind"),
    BeforeValidator(_concentric_by_default),
]


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


def muscle_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of muscles as tables by name."""
    return _catalogue("muscles")


def nerve_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of nerves: who supplies which muscle, and what suffers beyond a site."""
    return _catalogue("nerves")


def electrode_catalogue() -> Mapping[str, Any]:
    """Return the catalogue of electrodes as tables by name."""
    return _catalogue("electrodes")


def kinds(of: Literal["conditions", "activities", "artefacts"]) -> dict[str, str]:
    """Return the kinds that a scenario may name, each with what it is."""
    key = "spontaneous" if of == "activities" else of
    found: dict[str, str] = {}
    for model in models_in(Scenario.model_fields[key].annotation):
        words = (model.__doc__ or "").strip().splitlines()[0]
        found[str(model.model_fields["kind"].default)] = words.rstrip(".")
    return found


@cache
def _catalogue(kind: str) -> Mapping[str, Any]:
    with (PACKAGE / "catalogue" / f"{kind}.toml").open("rb") as file:
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
    return scenario_from(table, str(path), folder=path.parent)


def scenario_from(table: Table, where: str, *, folder: Path = Path()) -> Scenario:
    """Return the scenario of a table, what it names of the catalogues and files filled in.

    Parameters
    ----------
    table
        As a scenario file has it.
    where
        What messages call it.
    folder
        What the paths in it are relative to.

    Raises
    ------
    InputError
        If it has mistakes; all of them are named.
    """
    for key in ("muscle", "electrode"):
        table = _from_catalogue(table, key, where)
    table = _with_pads_file(_with_effort_files(table, folder), folder, where)
    table = _with_neighbours(table, folder, where)
    return _with_steps(validated(Scenario, table, where))


def _with_steps(scenario: Scenario) -> Scenario:
    """Tell the plan of a surface recording what the patient does when, if phases have names."""
    plan = scenario.analysis
    if not isinstance(plan, SurfacePlan) or plan.steps:
        return scenario
    ends_s = list(accumulate(phase.duration_s for phase in scenario.phases))
    steps = tuple(
        Step(name=phase.name, onset_s=end_s - phase.duration_s, offset_s=end_s)
        for phase, end_s in zip(scenario.phases, ends_s, strict=True)
        if phase.name
    )
    return scenario.model_copy(update={"analysis": plan.model_copy(update={"steps": steps})})


def _with_neighbours(table: Table, folder: Path, where: str) -> Table:
    """Fill in each neighbour's muscle and effort as the scenario's own."""
    neighbours = table.get("neighbours")
    if not isinstance(neighbours, list):
        return table
    filled = [
        _from_catalogue(
            _with_effort_files(dict(one), folder), "muscle", where, f"neighbours.{number}."
        )
        if isinstance(one, Mapping)
        else one
        for number, one in enumerate(neighbours)
    ]
    return {**table, "neighbours": filled}


def _from_catalogue(
    table: Table, key: Literal["muscle", "electrode"], where: str, path: str = ""
) -> Table:
    """Fill in the catalogue's entry of that name below what the scenario says itself."""
    own = table.get(key)
    if not isinstance(own, Mapping) or not isinstance(own.get("name"), str):
        return table
    name, known = own["name"], _catalogue(f"{key}s")
    is_described = key == "muscle" and "pool" in own  # a muscle of the scenario's own
    if name not in known and not is_described:
        raise InputError(
            f"1 mistake:\n  - {path}{key}.name: no {key} {name!r} in the catalogue"
            f"{nearest(name, known)}",
            where=where,
            todo=f"name one of the catalogue, or give {IN_PLACE_OF_A_NAME[key]}",
        )
    entry = known.get(name, {})
    if key == "electrode":  # its entry is a kind with dimensions and has no name
        own = {k: v for k, v in own.items() if k != "name"}
    return {**table, key: merged(entry, own)}


def _with_effort_files(table: Table, folder: Path) -> Table:
    """Read the phases of ``kind = "file"`` as points."""
    phases = table.get("phases")
    if not isinstance(phases, list):
        return table
    return {
        **table,
        "phases": [
            _effort_points(folder / str(phase["path"]))
            if isinstance(phase, Mapping) and phase.get("kind") == "file" and "path" in phase
            else phase
            for phase in phases
        ],
    }


def _effort_points(path: Path) -> Table:
    """Read an effort from CSV as a phase."""
    todo = "give a CSV file of two columns: time_s from 0 on, effort_mvc from 0 to 1"
    points = _two_columns(path, EFFORT_COLUMNS, "the effort", todo)
    return {
        "kind": "points",
        "times_s": [time_s for time_s, _ in points],
        "levels_mvc": [level for _, level in points],
    }


def _with_pads_file(table: Table, folder: Path, where: str) -> Table:
    """Read the places of an electrode of pads, if it names a file of them."""
    electrode = table.get("electrode")
    if not isinstance(electrode, Mapping) or electrode.get("kind") != "surface_pads":
        return table
    if "path" not in electrode:
        return table
    if "pads_mm" in electrode:
        raise refused(["electrode: pads_mm and path must not stand together; give one"], where)
    todo = "give a CSV file of two columns: along_mm, along the fibres, and across_mm"
    pads_mm = _two_columns(folder / str(electrode["path"]), PAD_COLUMNS, "the pads", todo)
    own = {key: value for key, value in electrode.items() if key != "path"}
    return {**table, "electrode": {**own, "pads_mm": pads_mm}}


def _two_columns(path: Path, columns: list[str], what: str, todo: str) -> list[tuple[float, float]]:
    """Read pairs of numbers from CSV: the columns' names on the first line, then a pair a line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        if not rows or [word.strip() for word in rows[0]] != columns:
            raise ValueError(f"line 1 must be {','.join(columns)}")
        return [_pair(number, row) for number, row in enumerate(rows[1:], 2)]
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot read {what}: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            todo=todo,
        ) from error


def _pair(number: int, row: list[str]) -> tuple[float, float]:
    """Return the two numbers of a line.

    Raises
    ------
    ValueError
        If there are not two, or they are no finite numbers.
    """
    try:
        first, second = (float(word) for word in row)
    except ValueError:
        first = second = math.nan
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ValueError(f"line {number} must be two numbers, got {','.join(row)!r}")
    return first, second
