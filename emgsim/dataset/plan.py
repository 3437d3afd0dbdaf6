"""Dataset files: which patients are recorded how often, what varies, and what is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from emgsim.configuration import nearest, read_table, validated, with_overrides
from emgsim.dataset.made import SPLITS, DatasetHead, Split
from emgsim.dataset.parameters import Parameter, Table, each
from emgsim.errors import EmgsimError, InputError
from emgsim.shipped import find

SCHEMA = "emgsim.dataset/1"
Format = Literal["npz", "bids", "wav", "nwb", "zarr"]
OWN_KEYS = ("seed", "schema", "id")  # that no parameter may vary
PLAIN = {  # what a key that the plan itself decides is called there
    "seed": "two items of one seed would clash; the plan's own seed gives each its own",
    "schema": "it says what the file is",
    "id": "it names the scenario",
}


class Splits(Table):
    """Shares of the subjects of each split; all recordings of a subject are in one of them."""

    train: float = Field(0.7, ge=0, le=1)
    validation: float = Field(0.15, ge=0, le=1)
    test: float = Field(0.15, ge=0, le=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError(
                f"train, validation and test must sum to 1, got "
                f"{self.train + self.validation + self.test:g}"
            )
        return self

    @property
    def shares(self) -> dict[Split, float]:
        """Share of each split by name."""
        return {name: getattr(self, name) for name in SPLITS}


class Variant(Table):
    """One of several recordings that differ in this alone: same person, same seed."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    set: tuple[str, ...] = ()  # key=value each, on top of all else


class Source(Table):
    """A scenario's or an examination's file as it was read: what an item is made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    id: str
    muscles: tuple[str, ...] = ()  # of an examination, each recorded; empty: a scenario's file
    age_years: float | None = None  # of the patient; None: the file does not say it
    table: dict[str, Any]


class Plan(Table):
    """Every recording of a dataset, as rules: an item is a function of these and its number."""

    format: Annotated[Literal["emgsim.dataset/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    title: str = Field(min_length=1)
    description: str = ""
    licence: str = Field(min_length=1)  # SPDX identifier
    authors: tuple[str, ...] = Field(min_length=1)
    version: str = "1.0.0"
    seed: int = Field(ge=0, lt=2**63)
    scenarios: tuple[str, ...] = Field(min_length=1)  # shipped names or paths; examinations too
    subjects: int = Field(ge=1)  # of each scenario
    recordings: int = Field(1, ge=1)  # of each subject, at each point of the grids
    set: tuple[str, ...] = ()  # key=value each, of every scenario
    parameters: tuple[Parameter, ...] = ()
    variants: tuple[Variant, ...] = ()  # paired counterfactuals
    splits: Splits = Splits()
    stems: bool = False
    fibre_truth: bool = False
    rig: str = ""  # plays each recording in process; "": none
    rig_set: tuple[str, ...] = ()
    formats: tuple[Format, ...] = Field(("npz",), min_length=1)
    sources: tuple[Source, ...] = ()  # of a resolved plan: the scenarios' files
    rig_table: dict[str, Any] = Field(default_factory=dict)  # of a resolved plan: the rig

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if mistakes := [*self._repeated(), *self._keys(), *self._scenarios(), *self._formats()]:
            raise ValueError("\n".join(mistakes))
        return self

    def _repeated(self) -> Iterator[str]:
        lists: dict[str, list[str]] = {
            "scenarios": [Path(name).stem for name in self.scenarios],
            "parameters": [one.key for one in each(self.parameters) if not one.scenarios],
            "variants": [variant.name for variant in self.variants],
            "formats": list(self.formats),
        }
        for what, names in lists.items():
            if twice := sorted({one for one in names if names.count(one) > 1}):
                yield f"{what} must differ, got {', '.join(twice)} more than once"

    def _keys(self) -> Iterator[str]:
        varied = [one.key for one in each(self.parameters)]
        given = [(word, "set") for word in self.set] + [
            (word, f"variants.{variant.name}") for variant in self.variants for word in variant.set
        ]
        for word, where in [(f"{key}=", "parameters") for key in varied] + given:
            key, equals, _ = word.partition("=")
            if not equals:
                yield f"{where}: needs key.path=value, got {word!r}"
            elif key.strip() in OWN_KEYS:
                yield f"{where}: {key.strip()} must not be varied: {PLAIN[key.strip()]}"

    def _scenarios(self) -> Iterator[str]:
        known = {Path(name).stem for name in self.scenarios}
        for one in each(self.parameters):
            for name in sorted({*one.scenarios} - known):
                yield f"parameters.{one.key}: there is no scenario {name!r}{nearest(name, known)}"

    def _formats(self) -> Iterator[str]:
        if "zarr" in self.formats and "npz" not in self.formats:
            yield "formats: zarr shards are packed from the npz files; name npz too"

    @property
    def head(self) -> DatasetHead:
        """What the dataset is called, by whom, and under which licence."""
        return DatasetHead(
            id=self.id, title=self.title, description=self.description, licence=self.licence,
            authors=self.authors, version=self.version,
        )  # fmt: skip

    def resolved(self) -> dict[str, Any]:
        """Return the plan with every default and file filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the resolved plan: what makes two folders parts of one dataset."""
        return hashlib.sha256(json.dumps(self.resolved(), sort_keys=True).encode()).hexdigest()


def load_plan(path: Path) -> Plan:
    """Load a dataset's file, and the scenarios and the rig that it names.

    Raises
    ------
    InputError
        If there is no such file, or it or a file that it names has mistakes; all are named.
    """
    plan = validated(Plan, read_table(path), str(path))
    if plan.sources or plan.rig_table:
        raise InputError(
            "sources and rig_table are filled in when the plan is read",
            where=str(path),
            todo="leave them out; name the files under scenarios and rig",
        )
    found, mistakes = [], []
    for name in plan.scenarios:
        try:
            found.append(_source(path, name, plan))
        except EmgsimError as error:
            mistakes.append(f"scenarios, {name}: {error.what}")
    rig_table: dict[str, Any] = {}
    try:
        rig_table = _rig_table(path, plan)
    except EmgsimError as error:
        mistakes.append(f"rig, {plan.rig}: {error.what}")
    if mistakes:
        raise InputError("\n".join(mistakes), where=str(path), todo="mend each of them")
    return plan.model_copy(update={"sources": tuple(found), "rig_table": rig_table})


def plan_from(table: dict[str, Any], where: str) -> Plan:
    """Return the plan of a resolved table, as ``dataset.json`` has it.

    Raises
    ------
    InputError
        If it is none.
    """
    plan = validated(Plan, table, where)
    if not plan.sources:
        raise InputError("the plan does not hold its scenarios", where=where, todo="make it anew")
    return plan


def _beside(path: Path, name: str) -> str:
    """Return the file that a plan names by its path from there; any other name as it is."""
    beside = path.parent / name
    return str(beside) if beside.is_file() else name


def _source(path: Path, name: str, plan: Plan) -> Source:
    """Read the file of a scenario or of an examination, and try it as it is."""
    from emgsim.exam.examination import load_examination
    from emgsim.scenario import load_scenario

    where = find("scenarios", _beside(path, name))
    table = read_table(where)
    if str(table.get("schema")).startswith("emgsim.examination/"):
        exam = load_examination(where, overrides=plan.set).on(None)
        muscles = tuple(one.muscle.name for one in exam.muscles)
        return Source(id=exam.id, muscles=muscles, age_years=exam.age_years, table=table)
    scenario = load_scenario(where, overrides=plan.set)
    phases = with_overrides(table, plan.set).get("phases")
    if isinstance(phases, list) and any(isinstance(p, dict) and "path" in p for p in phases):
        table = {**table, "phases": scenario.resolved()["phases"]}  # no file stands beside an item
    return Source(id=scenario.id, table=table)


def _rig_table(path: Path, plan: Plan) -> dict[str, Any]:
    """Read the rig, which must be a virtual one."""
    if not plan.rig:
        return {}
    from emgsim.bench.rig import load_rig

    rig = load_rig(_beside(path, plan.rig), overrides=plan.rig_set)
    if rig.virtual is None:
        raise InputError(
            f"a dataset is made in process, and rig {rig.id} is a real one",
            where=plan.rig,
            todo="name a virtual rig; `emgsim campaign` plays on real ones",
        )
    return rig.resolved()
