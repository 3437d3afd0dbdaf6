"""What somebody has approved: the measurements of a few runs, with a name, a reason and a digest.

A baseline is a TOML file that is committed. It is proposed from runs that passed, and approved by a
named person in a step of its own; whoever changes the file by hand breaks its digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.configuration import nearest, read_table, validated
from emgsim.errors import InputError, UsageError

PROPOSED = "proposed"  # the folder in it, of what nobody has approved yet
SCHEMA = "emgsim.baseline/1"
NAME = r"[a-z0-9_.-]+"
PASSED = ("pass", "conditional_pass", "not_judged")

Table = dict[str, Any]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )


class Approved(_Part):
    """One measurement of a baseline: a value for each run, and what difference matters."""

    id: str
    unit: str
    margin: float = Field(gt=0)  # a difference as large as this matters
    values: tuple[float, ...] = Field(min_length=1)


class Baseline(_Part):
    """The measurements of runs that are alike but for their seeds."""

    format: Annotated[Literal["emgsim.baseline/1"], Field(alias="schema")]
    id: str = Field(pattern=f"^{NAME}$")
    scenario: str
    rig: str
    device: str = ""  # maker, model and firmware
    detector: str = ""
    commit: str = ""  # of the code that ran
    runs: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    measurements: tuple[Approved, ...] = Field(min_length=1)
    replaces: str = ""  # digest of the baseline that it took the place of
    by: str = ""
    on: date | None = None
    reason: str = ""
    digest: str = ""

    @model_validator(mode="after")
    def _has_a_value_of_each_run(self) -> Self:
        for one in self.measurements:
            if len(one.values) != len(self.runs):
                raise ValueError(
                    f"{one.id}: one value for each of the {len(self.runs)} runs, "
                    f"got {len(one.values)}"
                )
        if len(self.seeds) != len(self.runs):
            raise ValueError(f"seeds: one for each of the {len(self.runs)} runs")
        return self

    @property
    def is_approved(self) -> bool:
        """Whether somebody has approved it."""
        return bool(self.by and self.reason and self.on)

    def measured_digest(self) -> str:
        """Return the SHA-256 of all but the digest itself."""
        table = self.model_dump(mode="json", by_alias=True, exclude={"digest"})
        return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()


def proposed(
    name: str,
    records: Sequence[Mapping[str, Any]],
    margins: Mapping[str, float],
    *,
    replaces: str = "",
) -> Baseline:
    """Return a baseline of runs, which nobody has approved yet.

    Parameters
    ----------
    name
        Of the baseline.
    records
        Of completed runs that passed, as `emgsim.records.folders.record_table` returns them.
    margins
        Of each measurement that is to be watched, the difference that matters, in its unit.
    replaces
        Digest of the baseline that this one is to take the place of.

    Raises
    ------
    UsageError
        If the name is none, a run did not pass, the runs are not alike, two have the same seed, or
        a measurement is in none of them.
    """
    if not records:
        raise UsageError("a baseline needs runs, got none")
    if not re.fullmatch(NAME, name):
        raise UsageError(
            "a baseline's name is of small letters, digits, dots, hyphens and underscores, "
            f"got {name!r}"
        )
    _refuse_unlike(records)
    for record in records:
        if record.get("status") != "completed" or record.get("verdict") not in PASSED:
            raise UsageError(
                f"run {record['run_id']} did not pass: {record.get('status')}, "
                f"{str(record.get('verdict')).replace('_', ' ')}",
                todo="a baseline is made of runs that passed; repeat it, or find out why",
            )
    seeds = [int(record["seed"]) for record in records]
    if len(set(seeds)) < len(seeds):
        raise UsageError(
            f"each run of a baseline needs a seed of its own, got {seeds}",
            todo="runs of one seed are equal, and say nothing of how the others scatter",
        )
    first = records[0]
    return Baseline(
        format=SCHEMA,
        id=name,
        scenario=_id_of(first, "scenario"),
        rig=_id_of(first, "rig"),
        device=device_of(first),
        detector=str(first.get("detector", {}).get("name", "")),
        commit=str(first.get("checkout", {}).get("commit", "")),
        runs=tuple(str(record["run_id"]) for record in records),
        seeds=tuple(seeds),
        measurements=tuple(_measured(id, margin, records) for id, margin in margins.items()),
        replaces=replaces,
    )


def write_proposed(baseline: Baseline, folder: Path) -> Path:
    """Write a proposal to where proposals wait in a folder of baselines, and return its file."""
    path = folder / PROPOSED / f"{baseline.id}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(baseline_text(baseline), encoding="utf-8")
    return path


def approved(baseline: Baseline, *, by: str, reason: str, on: date) -> Baseline:
    """Return a baseline with the name of whoever approves it, the reason and its digest.

    Raises
    ------
    UsageError
        If name or reason are empty.
    """
    if not by.strip() or not reason.strip():
        raise UsageError(
            f"approval needs a name and a reason, got {by!r} and {reason!r}",
            todo="say who approves it, and why it is right",
        )
    named = baseline.model_copy(update={"by": by, "reason": reason, "on": on, "digest": ""})
    return named.model_copy(update={"digest": named.measured_digest()})


def load_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises
    ------
    InputError
        If there is no such file, it has mistakes, or it was changed after somebody approved it.
    """
    found = validated(Baseline, read_table(path), str(path))
    if found.is_approved and found.digest != found.measured_digest():
        raise InputError(
            f"the baseline was changed after {found.by} approved it: its digest is "
            f"{found.measured_digest()[:12]}, approved was {found.digest[:12] or 'none'}",
            where=str(path),
            todo="take the file from the repository again, or propose and approve a new one",
        )
    return found


def find_baseline(name: str, folder: Path) -> Path:
    """Return the file of a baseline, by its name or its path.

    Raises
    ------
    InputError
        If there is none, or nobody has approved it; the message names the nearest.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path
    found = folder / f"{name}.toml"
    if not found.is_file() and (waiting := folder / PROPOSED / found.name).is_file():
        raise InputError(
            f"baseline {name} is only proposed: nobody has approved it",
            where=str(waiting),
            todo=f"`emgsim golden approve {name} --by NAME --reason TEXT`",
        )
    if not found.is_file():
        known = (file.stem for file in folder.glob("*.toml"))
        raise InputError(
            f"no baseline is called {name!r}{nearest(name, known)}",
            where=str(folder),
            todo="`emgsim golden list` shows those that there are",
        )
    return found


def baseline_text(baseline: Baseline) -> str:
    """Return a baseline as TOML."""
    table = baseline.model_dump(mode="json", by_alias=True)
    measurements = table.pop("measurements")
    lines = [f"{key} = {_toml(key, value)}" for key, value in table.items() if value is not None]
    for one in measurements:
        lines += ["", "[[measurements]]"]
        lines += [f"{key} = {_toml(key, value)}" for key, value in one.items()]
    return "\n".join(lines) + "\n"


def device_of(record: Mapping[str, Any]) -> str:
    """Return maker, model and firmware of a run's device, "" where it has none."""
    who = record.get("identities", {}).get("device", {})
    return ",".join(str(who[key]) for key in ("maker", "model", "firmware") if key in who)


def _refuse_unlike(records: Sequence[Mapping[str, Any]]) -> None:
    tells: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "scenario": lambda r: _id_of(r, "scenario"),
        "rig": lambda r: _id_of(r, "rig"),
        "device": device_of,
        "detector": lambda r: str(r.get("detector", {}).get("name", "")),
    }
    for what, tell in tells.items():
        seen = sorted({tell(record) for record in records})
        if len(seen) > 1:
            raise UsageError(
                f"the runs of a baseline are of one {what}, got {' and '.join(seen)}",
                todo="make a baseline of each",
            )


def _id_of(record: Mapping[str, Any], part: str) -> str:
    return str(record.get(part, {}).get("id", ""))


def values_of(id: str, records: Iterable[Mapping[str, Any]]) -> tuple[list[float], str]:
    """Return a measurement's value in each run, NaN where it has none, and its unit.

    The unit is empty if none of the runs has the measurement.
    """
    rows = [{m["id"]: m for m in record["measurements"]}.get(id) for record in records]
    units = [str(row["unit"]) for row in rows if row is not None]
    values = [
        math.nan if row is None or row["value"] is None else float(row["value"]) for row in rows
    ]
    return values, units[0] if units else ""


def _measured(id: str, margin: float, records: Sequence[Mapping[str, Any]]) -> Approved:
    values, unit = values_of(id, records)
    known = {str(m["id"]) for record in records for m in record["measurements"]}
    if id not in known:
        raise UsageError(
            f"no run has a measurement {id!r}{nearest(id, known)}",
            todo="see the runs' record.json for what they have measured",
        )
    if any(math.isnan(value) for value in values):
        runs = [str(r["run_id"]) for r, v in zip(records, values, strict=True) if math.isnan(v)]
        raise UsageError(
            f"{id} was not measured in {', '.join(runs)}",
            todo="leave the run out, or the measurement",
        )
    return Approved(id=id, unit=unit, margin=margin, values=tuple(values))


def _toml(key: str, value: Any) -> str:
    """Return a value as TOML: JSON's strings, numbers and lists of them are TOML's as well."""
    return str(value) if key == "on" else json.dumps(value, ensure_ascii=False)
