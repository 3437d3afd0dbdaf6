"""The cells of a campaign: one run each, of one scenario on one rig, with everything filled in."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from emgsim.bench.rig import Rig, load_rig
from emgsim.campaigns.campaign import PLACE, Campaign, Sweep, Value
from emgsim.configuration import read_table, refused
from emgsim.errors import EmgsimError
from emgsim.exam.examination import Examination, load_examination
from emgsim.records.journal import Line
from emgsim.scenario import Scenario, load_scenario
from emgsim.shipped import find

RIG = "rig."  # before the keys of a rig, as of `emgsim run --set`
SAFE = re.compile(r"[^A-Za-z0-9._-]+")
Subject = Scenario | Examination


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run of a campaign.

    ``id`` names its folder; ``scenario`` and ``rig`` are the stems of their files, ``values`` those
    of the sweeps by name.
    """

    id: str
    scenario: str
    rig: str
    seed: int
    values: Mapping[str, Value]
    prepare: str | None
    subject: Subject = field(repr=False)
    on: Rig = field(repr=False)
    files: Mapping[str, Path] = field(repr=False)

    @property
    def bench(self) -> str:
        """What breaks as one: a real rig whatever is swept, a virtual one as it is swept."""
        if self.on.kind == "bench":
            return self.rig
        return f"{self.rig} {json.dumps(self.on.resolved(), sort_keys=True)}"

    def table(self) -> Line:
        """Return what a record says of it, whatever becomes of it."""
        return {
            "id": self.id,
            "scenario": self.scenario,
            "title": self.subject.title,
            "kind": "scenario" if isinstance(self.subject, Scenario) else "examination",
            "rig": self.rig,
            "seed": self.seed,
            "values": dict(self.values),
        }


def cells_of(campaign: Campaign, where: str) -> tuple[Cell, ...]:
    """Return the cells of a campaign in the order in which they are run.

    Rig by rig, so that each is gone from once; then by the sweeps, the first one slowest, by
    scenario and by seed.

    Parameters
    ----------
    campaign
        Its scenarios and rigs are loaded with every value of every sweep.
    where
        What messages call it.

    Raises
    ------
    InputError
        If a scenario or a rig cannot be loaded at some value; all mistakes are named.
    """
    loading = _Loading()
    made: list[Cell] = []
    for rig, values, scenario in product(campaign.rigs, _points(campaign), campaign.scenarios):
        on = loading.rig(rig, _overrides(campaign.sweeps, values, of_rig=True))
        subject = loading.subject(scenario, _overrides(campaign.sweeps, values, of_rig=False))
        if on is None or subject is None:
            continue
        for seed in campaign.seeds or (subject.seed,):
            made.append(
                Cell(
                    id=_id(len(made) + 1, scenario, rig, seed, values),
                    scenario=Path(scenario).stem,
                    rig=Path(rig).stem,
                    seed=seed,
                    values=values,
                    prepare=_prepare(campaign, values),
                    subject=subject,
                    on=on,
                    files={"scenario": find("scenarios", scenario), "rig": find("rigs", rig)},
                )
            )
    if loading.mistakes:
        raise refused(list(loading.mistakes), where)
    return tuple(made)


def digest_of(cells: tuple[Cell, ...]) -> str:
    """Return the SHA-256 of all that the cells are run with; by it a resumed one is the same."""
    tables = [[c.table(), c.subject.resolved(), c.on.resolved(), c.prepare] for c in cells]
    return hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()


def _points(campaign: Campaign) -> Iterator[dict[str, Value]]:
    """Yield every combination of the sweeps' values."""
    names = [sweep.name for sweep in campaign.sweeps]
    for values in product(*(sweep.values for sweep in campaign.sweeps)):
        yield dict(zip(names, values, strict=True))


def _overrides(
    sweeps: tuple[Sweep, ...], values: Mapping[str, Value], *, of_rig: bool
) -> tuple[str, ...]:
    """Return the values as ``key.path=value``, those of the rig or those of the scenario."""
    return tuple(
        f"{sweep.key.removeprefix(RIG)}={json.dumps(values[sweep.name])}"
        for sweep in sweeps
        if sweep.key is not None and sweep.key.startswith(RIG) == of_rig
    )


def _id(number: int, scenario: str, rig: str, seed: int, values: Mapping[str, Value]) -> str:
    """Return the name of a cell, which any disk takes as that of a folder."""
    swept = [f"{name}{value}" for name, value in values.items()]
    words = [f"{number:03d}", Path(scenario).stem, Path(rig).stem, f"seed{seed}", *swept]
    return SAFE.sub("_", "-".join(words))


def _prepare(campaign: Campaign, values: Mapping[str, Value]) -> str | None:
    """Return the command that prepares the rig, each sweep's value one word of it."""
    if campaign.prepare is None:
        return None
    return PLACE.sub(lambda place: shlex.quote(str(values[place[1]])), campaign.prepare)


class _Loading:
    """Scenarios and rigs, each loaded once with the same values, and what is wrong with them."""

    def __init__(self) -> None:
        self.mistakes: dict[str, None] = {}  # each once, in their order
        self._subjects: dict[tuple[str, ...], Subject | None] = {}
        self._rigs: dict[tuple[str, ...], Rig | None] = {}

    def subject(self, name: str, overrides: tuple[str, ...]) -> Subject | None:
        """Return a scenario or an examination, None if it has mistakes."""
        key = (name, *overrides)
        if key not in self._subjects:
            self._subjects[key] = None
            try:
                self._subjects[key] = _subject(name, overrides)
            except EmgsimError as error:
                self._note("scenario", name, overrides, error)
        return self._subjects[key]

    def rig(self, name: str, overrides: tuple[str, ...]) -> Rig | None:
        """Return a rig, None if it has mistakes."""
        key = (name, *overrides)
        if key not in self._rigs:
            self._rigs[key] = None
            try:
                self._rigs[key] = load_rig(name, overrides=overrides)
            except EmgsimError as error:
                self._note("rig", name, overrides, error)
        return self._rigs[key]

    def _note(self, kind: str, name: str, overrides: tuple[str, ...], error: EmgsimError) -> None:
        values = f" with {', '.join(overrides)}" if overrides else ""
        what = error.what.replace("\n", "\n  ")
        self.mistakes[f"{kind} {Path(name).stem}{values}: {what}"] = None


def _subject(name: str, overrides: tuple[str, ...]) -> Subject:
    schema = str(read_table(find("scenarios", name)).get("schema"))
    if schema.startswith("emgsim.examination/"):
        return load_examination(name, overrides=overrides).on(None)
    return load_scenario(name, overrides=overrides)
