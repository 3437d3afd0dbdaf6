"""The catalogue of the gallery: what is shown, at which sweep and gain, and how it is made."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.configuration import merged, nearest, read_table, validated
from emgsim.errors import UsageError
from emgsim.scenario import SCHEMA, Scenario, scenario_from
from emgsim.shipped import PACKAGE

CATALOGUE = PACKAGE / "catalogue" / "gallery.toml"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Raster(_Table):
    """Sweeps one below the other: as time goes on, or triggered by discharges."""

    sweeps: int = Field(ge=2, le=20)
    by: Literal["time", "largest", "kind"] = "time"  # the largest source, or all of the kind
    sweep_ms_div: float | None = Field(None, gt=0, le=10_000)  # None: the screen's
    gain_uv_div: float | None = Field(None, gt=0, le=100_000)  # None: the screen's


class Entry(_Table):
    """One exhibit of the catalogue."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    kind: str  # of the activity, condition or artefact, "tremor" or "healthy"
    title: str
    group: str
    words: str  # what to look and to listen for
    sweep_ms_div: float = Field(gt=0, le=10_000)
    gain_uv_div: float = Field(gt=0, le=100_000)
    seconds: float | None = Field(None, gt=0, le=20)  # at rest; None: the scenario has phases
    start_s: float = Field(0.0, ge=0)  # of the screen and of the raster
    is_triggered: bool = False  # the screen waits for a discharge of the largest source
    raster: Raster | None = None
    scenario: dict[str, Any] = Field(default_factory=dict)  # over what all have in common

    @model_validator(mode="after")
    def _its_length_is_said_once(self) -> Self:
        if (self.seconds is None) == ("phases" not in self.scenario):
            raise ValueError(f"{self.id} needs either seconds (at rest) or scenario.phases")
        return self


class _Catalogue(_Table):
    common: dict[str, Any]
    exhibit: tuple[Entry, ...] = Field(min_length=1)


def entries(only: Iterable[str] = ()) -> tuple[Entry, ...]:
    """Return the exhibits of the catalogue, in its order.

    Parameters
    ----------
    only
        Kinds, or ids of single exhibits; empty: all.

    Raises
    ------
    UsageError
        If there is no such kind or id; the nearest is named.

    Examples
    --------
    >>> [entry.id for entry in entries(["tremor", "pop"])]
    ['tremor', 'pop']
    """
    found = _catalogue().exhibit
    kinds = {entry.kind for entry in found}
    known = kinds | {entry.id for entry in found}
    wanted = set(only)
    for name in sorted(wanted - known):
        raise UsageError(
            f"--only: no kind {name!r} in the gallery{nearest(name, known)}",
            todo=f"name one or more of {', '.join(sorted(kinds))}",
        )
    return tuple(e for e in found if not wanted or {e.kind, e.id} & wanted)


@cache
def _catalogue() -> _Catalogue:
    return validated(_Catalogue, read_table(CATALOGUE), str(CATALOGUE))


def scenario_toml(entry: Entry, seed: int) -> str:
    """Return the scenario of an entry as the text of a scenario file."""
    head = {"schema": SCHEMA, "id": entry.id, "title": entry.title, "seed": seed}
    table = merged(_catalogue().common, entry.scenario)
    if entry.seconds is not None:
        table["phases"] = [{"kind": "rest", "duration_s": entry.seconds}]
    return "".join(f"{key} = {_toml(value)}\n" for key, value in {**head, **table}.items())


def scenario_of(entry: Entry, seed: int) -> Scenario:
    """Return the scenario of an entry, read as a user's file with the same text would be.

    Raises
    ------
    InputError
        If the catalogue's scenario has mistakes.
    """
    table = tomllib.loads(scenario_toml(entry, seed))
    return scenario_from(table, f"{CATALOGUE}, {entry.id}")


def _toml(value: object) -> str:
    """Write a value as in a TOML file: tables in one line, a list of tables in one line each."""
    if isinstance(value, Mapping):
        pairs = (f"{key} = {_toml(below)}" for key, below in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list):
        items = [_toml(item) for item in value]
        is_long = len(items) > 1 and isinstance(value[0], Mapping)
        return "[\n  " + ",\n  ".join(items) + ",\n]" if is_long else f"[{', '.join(items)}]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers, booleans: as in JSON
