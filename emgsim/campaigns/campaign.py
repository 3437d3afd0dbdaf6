"""Campaign files: which scenarios are run on which rigs, with which seeds, and what is swept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.configuration import Table, nearest, read_table, validated

SCHEMA = "emgsim.campaign/1"
PLACE = re.compile(r"\{(\w+)\}")  # of a sweep's value in the command that prepares the rig
TIMEOUT_S = 600.0
Seed = Annotated[int, Field(ge=0)]
Value = bool | int | float | str


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Sweep(_Table):
    """One axis of a campaign: the values that a key takes, or the labels that a command gets.

    ``key`` is what `emgsim run --set` takes: a path in the scenario, or after ``rig.`` in the rig.
    Without one the values are labels: the command that prepares the rig names the sweep in braces.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    key: str | None = Field(None, min_length=1)
    values: tuple[Value, ...] = Field(min_length=1)
    unit: str = ""

    @property
    def is_numeric(self) -> bool:
        """Whether it has at least two numbers, against which something can be drawn."""
        return len(self.values) > 1 and all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in self.values
        )


class Campaign(_Table):
    """Every scenario on every rig with every seed, at every value of every sweep."""

    format: Annotated[Literal["emgsim.campaign/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_-]+$")
    title: str = ""
    description: str = ""
    scenarios: tuple[str, ...] = Field(min_length=1)  # shipped names or paths; examinations too
    rigs: tuple[str, ...] = Field(("virtual",), min_length=1)
    seeds: tuple[Seed, ...] = ()  # empty: each scenario's own
    sweeps: tuple[Sweep, ...] = ()
    detector: str = "emgsim"
    detector_timeout_s: float = Field(TIMEOUT_S, gt=0)
    prepare: str | None = None  # a command that makes the device ready, before each cell
    prepare_timeout_s: float = Field(TIMEOUT_S, gt=0)

    @model_validator(mode="after")
    def _says_each_thing_once(self) -> Self:
        if mistakes := [*self._repeated(), *self._labels()]:
            raise ValueError("\n".join(mistakes))
        return self

    def _repeated(self) -> Iterator[str]:
        """Yield what stands there twice: two cells of one name could not be told apart."""
        names: dict[str, list[object]] = {
            "scenarios": [Path(name).stem for name in self.scenarios],
            "rigs": [Path(name).stem for name in self.rigs],
            "seeds": [*self.seeds],
            "sweeps": [sweep.name for sweep in self.sweeps],
            "sweeps' keys": [sweep.key for sweep in self.sweeps if sweep.key],
        }
        names |= {
            f"values of the sweep {s.name!r}": [repr(v) for v in s.values] for s in self.sweeps
        }
        for what, those in names.items():
            twice = sorted({str(one) for one in those if those.count(one) > 1})
            if twice:
                yield f"{what} must differ, got {', '.join(twice)} more than once"

    def _labels(self) -> Iterator[str]:
        """Yield what the command that prepares the rig and the sweeps do not know of each other."""
        known, named = {sweep.name for sweep in self.sweeps}, set(PLACE.findall(self.prepare or ""))
        for name in sorted(named - known):
            yield f"prepare: there is no sweep {name!r}{nearest(name, known)}"
        for sweep in self.sweeps:
            if sweep.key is None and len(sweep.values) > 1 and sweep.name not in named:
                yield (
                    f"the sweep {sweep.name!r} has {len(sweep.values)} labels that change nothing: "
                    f"give it a key, or name {{{sweep.name}}} in prepare"
                )

    def resolved(self) -> Table:
        """Return the campaign with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def load_campaign(path: Path) -> Campaign:
    """Load a campaign's file; scenarios and rigs that stand beside it become absolute paths.

    Raises
    ------
    InputError
        If there is no such file, or it has mistakes; all of them are named.
    """
    campaign = validated(Campaign, read_table(path), str(path))
    return campaign.model_copy(
        update={
            "scenarios": tuple(_beside(path, name) for name in campaign.scenarios),
            "rigs": tuple(_beside(path, name) for name in campaign.rigs),
        }
    )


def _beside(path: Path, name: str) -> str:
    """Return the file that a campaign names by its path from there; any other name as it is."""
    beside = path.parent / name
    return str(beside.resolve()) if beside.is_file() else name
