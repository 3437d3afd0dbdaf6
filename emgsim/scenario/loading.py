"""Scenarios from their files: what they name of the catalogues and of other files filled in."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Literal

from emgsim.analysis.plan import Step, SurfacePlan
from emgsim.configuration import (
    Table,
    merged,
    nearest,
    read_table,
    refused,
    validated,
    with_overrides,
)
from emgsim.errors import InputError
from emgsim.scenario.catalogues import catalogue
from emgsim.scenario.model import Scenario
from emgsim.shipped import find

EFFORT_COLUMNS = ["time_s", "effort_mvc"]
PAD_COLUMNS = ["along_mm", "across_mm"]
IN_PLACE_OF_A_NAME = {
    "muscle": "its radius_mm, pool and fibres here",
    "electrode": "its kind and its dimensions",
}


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
    name, known = own["name"], catalogue(f"{key}s")
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
