"""An examination: one patient, the muscles that are needled, and what they are expected to show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from emgsim.analysis.plan import NeedlePlan, Stretch
from emgsim.artefacts.parameters import Artefact
from emgsim.configuration import (
    Table,
    merged,
    nearest,
    read_table,
    validated,
    with_overrides,
)
from emgsim.errors import InputError
from emgsim.exam.protocol import Protocol
from emgsim.exam.schedule import LEVEL_RAMP_S, Step, schedule
from emgsim.physiology.parameters import Muscle
from emgsim.physiology.parameters.conditions import Condition, reaches
from emgsim.physiology.parameters.spontaneous import InsertionalBurst, SpontaneousActivity
from emgsim.scenario import SCHEMA as SCENARIO_SCHEMA
from emgsim.scenario import (
    Acquisition,
    Needle,
    PlacedConcentric,
    Requirements,
    Scenario,
    ScenarioLimit,
    muscle_catalogue,
    nerve_catalogue,
    scenario_from,
)
from emgsim.shipped import find
from emgsim.verdict import Limit

SCHEMA = "emgsim.examination/1"

AXES = {
    "active_denervation", "muap_type", "recruitment", "stability", "special_discharges",
}  # fmt: skip
LEAST_PROBABILITY = 0.5  # that a finding must have to be the finding
NORMAL_AFTER_S = 0.15  # insertional activity after the movement: normal 0.05-0.3 s,
IRRITABLE_AFTER_S = 0.5  # increased beyond (Daube & Rubin 2009 [M])
IRRITABLE = {
    "axonal_loss", "radiculopathy", "entrapment", "motor_neuron_disease", "myositis", "myotonia",
}  # fmt: skip
APART = 0.4  # radii of the muscle, by which the places of visits differ at most [P]
GOLDEN = 0.618034  # its multiples fill a range evenly, however many are taken

# What any device of this class must do with the recording of any muscle
CHAIN_LIMITS = (
    ScenarioLimit(
        measurement="amplitude.error_pct.loopback", low=-2.0, high=2.0, unit="%",
        source="stimulus check: beyond it nothing about the device can be concluded",
    ),
    ScenarioLimit(
        measurement="align.residual_us.device", high=10.0, unit="us",
        source="a tenth of the shortest rise time that counts as a change",
    ),
    ScenarioLimit(
        measurement="amplitude.error_pct.device", low=-1.0, high=1.0, unit="%",
        source="gain.accuracy, research class",
    ),
    ScenarioLimit(
        measurement="amplitude.polarity.device", low=1.0, high=1.0,
        source="negative up is a convention of the display, not of the amplifier",
    ),
    ScenarioLimit(
        measurement="link.lost_samples.device", high=0.0, source="samples.missing: none"
    ),
)  # fmt: skip
# Beside them where units are to be told apart. Two decompositions of one muscle differ by chance:
# loopback and device by 0.00 in the mean of 45 muscles (SE 0.01), with an SD of 0.07 from muscle to
# muscle. So a single one proves a loss of the margin, 0.05, only beyond two SD more.
UNITS_LIMIT = ScenarioLimit(
    measurement="discharges.f1_loss.device",
    high=0.2,
    source="non-inferiority margin 0.05, and two SD of what chance makes of one muscle",
)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _require_axes(shows: Mapping[str, str]) -> None:
    if strangers := sorted(set(shows) - AXES):
        raise ValueError(f"shows must name axes ({', '.join(sorted(AXES))}), got {strangers}")


class MuscleExam(_Table):
    """One muscle of an examination."""

    muscle: Muscle
    conditions: tuple[Condition, ...] = ()  # of this muscle alone, after those of the patient
    spontaneous: tuple[SpontaneousActivity, ...] = ()  # found at each of the places named
    at_places: tuple[Annotated[int, Field(ge=1)], ...] = ()  # numbers; empty: at all of them
    shows: dict[str, str] = Field(default_factory=dict)  # axis: value, of those that are judged
    limits: tuple[ScenarioLimit, ...] = ()  # of further measurements of this muscle
    requirement: Requirements = ()  # one id, or a list: what the findings of `shows` verify

    @model_validator(mode="after")
    def _axes_exist(self) -> Self:
        _require_axes(self.shows)
        return self

    def reached_by(self, conditions: Iterable[Condition]) -> tuple[Condition, ...]:
        """Return those of the patient's conditions that reach this muscle, and its own."""
        return (*(c for c in conditions if reaches(c, self.muscle)), *self.conditions)


class Lesion(_Table):
    """Where the lesion truly is, by the names of `emgsim.localisation`."""

    kind: Literal["none", "root", "nerve", "plexus", "diffuse", "muscle", "junction"]
    name: str


class Visit(_Table):
    """One date at which the same patient is examined."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    weeks: float = Field(ge=0, le=2600)  # after the lesion, or after the beginning of a treatment
    conditions: tuple[Condition, ...] = ()  # of the patient by then, in place of the examination's
    expect: Literal["improved", "unchanged", "worse"] | None = None  # since the visit before
    shows: dict[str, str] | None = None  # by then, in place of what each muscle shows

    @model_validator(mode="after")
    def _axes_exist(self) -> Self:
        _require_axes(self.shows or {})
        return self


class Examination(_Table):
    """A patient, the protocol of his examination, and what his muscles are expected to show."""

    format: Annotated[Literal["emgsim.examination/1"], Field(alias="schema")]
    id: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    description: str = ""
    seed: int = Field(ge=0)
    age_years: float = Field(40.0, ge=0, le=120)
    conditions: tuple[Condition, ...] = ()  # in the order in which they befell the patient
    electrode: Needle = PlacedConcentric()
    protocol: Protocol = Protocol()
    acquisition: Acquisition = Acquisition()
    artefacts: tuple[Artefact, ...] = ()
    muscles: tuple[MuscleExam, ...] = Field(min_length=1)
    lesion: Lesion | None = None  # what the localisation must name among its first three
    visits: tuple[Visit, ...] = ()  # of the same patient; empty: he is seen once

    @model_validator(mode="after")
    def _muscles_differ(self) -> Self:
        names = [exam.muscle.name for exam in self.muscles]
        if len(set(names)) < len(names):
            raise ValueError(f"muscles must differ, got {', '.join(names)}")
        return self

    @model_validator(mode="after")
    def _visits_follow_each_other(self) -> Self:
        names, weeks = [v.name for v in self.visits], [v.weeks for v in self.visits]
        if len(set(names)) < len(names):
            raise ValueError(f"visits must have names that differ, got {', '.join(names)}")
        if any(later <= before for before, later in pairwise(weeks)):
            raise ValueError(f"visits.weeks must increase, got {weeks}")
        if self.visits and self.visits[0].expect is not None:
            raise ValueError(
                f"visits.expect must not be given for the first one, got {self.visits[0].expect!r}"
            )
        return self

    def on(self, visit: str | None) -> Examination:
        """Return the examination of the visit of that name; without visits, itself.

        Raises
        ------
        InputError
            If it has several visits and none of them is named, or has none of that name.
        """
        names = [one.name for one in self.visits]
        if visit in names:
            return self.at_visit(names.index(visit))
        if visit is None and not names:
            return self
        known = f"the visits {', '.join(names)}" if names else "no visits"
        got = "none was named" if visit is None else f"got {visit!r}"
        raise InputError(
            f"the examination has {known}, and {got}",
            where=f"examination {self.id}",
            todo="name one with --visit" if names else "leave --visit out",
        )

    def at_visit(self, number: int) -> Examination:
        """Return the examination of one visit, from 0 on.

        Nobody finds the same fibres twice: at each visit the needle goes to other depths. The first
        visit's places are those of the protocol.

        Raises
        ------
        InputError
            If there is no such visit.
        """
        if not 0 <= number < len(self.visits):
            raise InputError(
                f"a visit must be one of 0..{len(self.visits) - 1}, got {number}"
                if self.visits
                else "the examination has no visits",
                where=f"examination {self.id}",
                todo="add a table of [[visits]]",
            )
        visit, aside = self.visits[number], (GOLDEN * number + 0.5) % 1.0 - 0.5
        protocol, by = self.protocol, aside * min(APART, *self.protocol.depths)
        elsewhere = {"depths": tuple(depth + by for depth in protocol.depths)}
        shown = {} if visit.shows is None else {"shows": visit.shows}
        return self.model_copy(
            update={
                "id": f"{self.id}_{visit.name}",
                "title": f"{self.title}, {visit.name.replace('_', ' ')}",
                "conditions": visit.conditions,
                "muscles": tuple(exam.model_copy(update=shown) for exam in self.muscles),
                "protocol": Protocol.model_validate(protocol.model_dump() | elsewhere),
                "visits": (),
            }
        )

    def steps(self, exam: MuscleExam) -> tuple[tuple[Step, ...], float]:
        """Return what is done in a muscle, and how long it takes in seconds."""
        return schedule(self.protocol, exam.muscle.radius_mm, exam.muscle.fibres.length_mm)

    def scenario(self, exam: MuscleExam) -> Scenario:
        """Return one muscle's examination as a scenario: one recording, in which the needle moves.

        Raises
        ------
        InputError
            If the needle would leave the muscle.
        """
        steps, duration_s = self.steps(exam)
        conditions = exam.reached_by(self.conditions)
        plain = exam.muscle
        self._require_inside(plain)
        hole = self.protocol.hole(plain.radius_mm, plain.fibres.length_mm)
        electrode = self.electrode.model_dump(mode="json") | {
            "tip": hole.model_dump(mode="json"),
            "moves": [_move(step) for step in steps if step.kind in ("insertion", "move", "seek")],
        }
        bursts = _bursts(steps, [condition.kind for condition in conditions])
        here = [a.model_dump(mode="json") for a in _spontaneous(exam, steps)]
        table = {
            "schema": SCENARIO_SCHEMA,
            "id": f"{self.id}_{plain.name}",
            "title": f"{self.title}: {plain.name.replace('_', ' ')}",
            "description": self.description,
            "seed": self.seed,
            "muscle": plain.model_dump(mode="json"),
            "conditions": [condition.model_dump(mode="json") for condition in conditions],
            "spontaneous": [*(burst.model_dump(mode="json") for burst in bursts), *here],
            "electrode": electrode,
            "phases": list(_phases(steps, duration_s)),
            "acquisition": self.acquisition.model_dump(mode="json"),
            "artefacts": [artefact.model_dump(mode="json") for artefact in self.artefacts],
            "analysis": NeedlePlan(stretches=stretches(steps)).model_dump(mode="json"),
            "limits": [limit.model_dump(mode="json") for limit in self._limits(exam)],
        }
        return scenario_from(table, f"examination {self.id}, {plain.name}")

    def _limits(self, exam: MuscleExam) -> tuple[ScenarioLimit, ...]:
        """Return the limits of a muscle's recording: its own in place of those of any chain."""
        own = {limit.measurement: limit for limit in exam.limits if not _is_of_findings(limit)}
        chain = (*CHAIN_LIMITS, *([UNITS_LIMIT] if self.protocol.slight_sites else []))
        return tuple(({limit.measurement: limit for limit in chain} | own).values())

    def _require_inside(self, muscle: Muscle) -> None:
        """Refuse a protocol that leads the needle out of a muscle on its way."""
        radius_mm, length_mm = muscle.radius_mm, muscle.fibres.length_mm
        for number, tip in enumerate(self.protocol.places(radius_mm, length_mm), start=1):
            if math.hypot(tip.x_mm, tip.y_mm) >= radius_mm or abs(tip.z_mm) >= length_mm / 2:
                raise InputError(
                    f"place {number} lies outside the muscle of radius {radius_mm:g} mm and fibres "
                    f"of {length_mm:g} mm, at x_mm = {tip.x_mm:.3g}, y_mm = {tip.y_mm:.3g}, "
                    f"z_mm = {tip.z_mm:.3g}",
                    where=f"examination {self.id}, {muscle.name}",
                    todo="lessen protocol.depths or protocol.tilt_deg",
                )

    def resolved(self) -> Table:
        """Return the examination with every default filled in, ready for JSON."""
        return self.model_dump(mode="json", by_alias=True)


def expected(exam: MuscleExam, path: str) -> list[Limit]:
    """Return the limits that a muscle's expected findings are, on one path.

    Beside the axes that it shows these are its own limits of ``runs.<kind>.<path>``, the number of
    runs at rest that are named so.
    """
    name = exam.muscle.name
    shown = [
        Limit(
            measurement=f"{name}.{axis}.{value}.{path}",
            low=LEAST_PROBABILITY,
            unit="1",
            source="expected findings",
            requirements=exam.requirement,
        )
        for axis, value in exam.shows.items()
    ]
    runs = [
        replace(limit.limit, measurement=f"{name}.{limit.measurement}")
        for limit in exam.limits
        if _is_of_findings(limit) and limit.measurement.endswith(f".{path}")
    ]
    return [*shown, *runs]


def _is_of_findings(limit: ScenarioLimit) -> bool:
    """Tell whether a limit is of what is concluded from the findings, and not of the recording."""
    return limit.measurement.startswith("runs.")


def stretches(steps: Sequence[Step]) -> tuple[Stretch, ...]:
    """Return the stretches of a recording that are each analysed by itself.

    Insertional activity is heard from the end of a movement to the rest that follows, and the rest
    before a slight effort belongs to it.
    """
    found, still_s = [], 0.0
    for step in steps:
        if step.kind in ("insertion", "move", "seek"):
            still_s = step.offset_s
            continue
        if step.kind == "rest" and step.onset_s > still_s:
            name = step.name.replace("rest", "insertion")
            found.append(
                Stretch(name=name, kind="insertion", onset_s=still_s, offset_s=step.onset_s)
            )
        onset_s = still_s if step.kind == "slight" else step.onset_s
        found.append(
            Stretch(name=step.name, kind=step.kind, onset_s=onset_s, offset_s=step.offset_s)
        )
    return tuple(found)


def _move(step: Step) -> Table:
    place = {} if step.tip is None else step.tip.model_dump(mode="json")
    seek = None if step.seek is None else step.seek.model_dump(mode="json")
    return {"at_s": step.onset_s, "duration_s": step.duration_s, **place, "seek": seek}


def _phases(steps: Sequence[Step], duration_s: float) -> Iterable[Table]:
    """Yield the efforts, and the rests between them."""
    at_s = 0.0
    for step in (s for s in steps if s.level_mvc > 0):
        if step.onset_s > at_s:
            yield {"kind": "rest", "duration_s": round(step.onset_s - at_s, 6)}
        yield {
            "kind": "hold",
            "duration_s": round(step.duration_s, 6),
            "level_mvc": step.level_mvc,
            "ramp_s": LEVEL_RAMP_S,
        }
        at_s = step.offset_s
    if duration_s > at_s:
        yield {"kind": "rest", "duration_s": round(duration_s - at_s, 6)}


def _bursts(steps: Sequence[Step], kinds: Iterable[str]) -> list[InsertionalBurst]:
    """Return what each movement of the needle provokes; longer where fibres are irritable."""
    after_s = IRRITABLE_AFTER_S if IRRITABLE & set(kinds) else NORMAL_AFTER_S
    return [
        InsertionalBurst(onset_s=step.onset_s, movement_s=step.duration_s, after_s=after_s)
        for step in steps
        if step.kind in ("insertion", "move")
    ]


def _spontaneous(exam: MuscleExam, steps: Sequence[Step]) -> list[SpontaneousActivity]:
    """Return the muscle's own activity, at each of its places as long as the needle is there."""
    arrivals = [step for step in steps if step.kind in ("insertion", "move")]
    leaves_s = [*(step.onset_s for step in arrivals[1:]), None]
    wanted = exam.at_places or range(1, len(arrivals) + 1)
    spans = [
        {"onset_s": arrivals[n - 1].offset_s, "offset_s": leaves_s[n - 1]}
        for n in wanted
        if n <= len(arrivals)
    ]
    return [own.model_copy(update=span) for span in spans for own in exam.spontaneous]


def load_examination(name: str | Path, *, overrides: Iterable[str] = ()) -> Examination:
    """Load an examination by its shipped name or by its path.

    Parameters
    ----------
    name
        ``"radiculopathy_c7"``, or the path of a TOML file.
    overrides
        ``key.path=value`` each, as of ``--set``.

    Raises
    ------
    InputError
        If there is no such file, or it has mistakes; all of them are named.
    """
    path = find("scenarios", name)
    table = with_overrides(read_table(path), overrides)
    return examination_from(table, str(path))


def examination_from(table: Table, where: str) -> Examination:
    """Return the examination of a table, what it names of the catalogues filled in.

    A muscle is named, ``muscle = "deltoid"``, or is a table with its name and what differs; an
    entrapment may name its ``site`` of the catalogue of nerves in place of nerve and muscles.

    Raises
    ------
    InputError
        If it has mistakes; all of them are named.
    """
    muscles = table.get("muscles")
    if isinstance(muscles, list):
        table = {**table, "muscles": [_with_muscle(m, where) for m in muscles]}
    conditions = table.get("conditions")
    if isinstance(conditions, list):
        table = {**table, "conditions": [_with_site(c, where) for c in conditions]}
    return validated(Examination, table, where)


def _with_muscle(row: object, where: str) -> object:
    if not isinstance(row, Mapping):
        return row
    own = row.get("muscle")
    own = {"name": own} if isinstance(own, str) else own
    if not isinstance(own, Mapping) or "pool" in own:
        return row
    name, known = str(own.get("name")), muscle_catalogue()
    if name not in known:
        raise InputError(
            f"1 mistake:\n  - muscles.muscle: no muscle {name!r} in the catalogue"
            f"{nearest(name, known)}",
            where=where,
            todo="name one of `emgsim list muscles`",
        )
    return {**row, "muscle": merged(known[name], own)}


def _with_site(row: object, where: str) -> object:
    if not isinstance(row, Mapping) or "site" not in row:
        return row
    sites, name = nerve_catalogue()["sites"], str(row["site"])
    if name not in sites:
        raise InputError(
            f"1 mistake:\n  - conditions.site: no site {name!r} in the catalogue"
            f"{nearest(name, sites)}",
            where=where,
            todo=f"name one of {', '.join(sorted(sites))}",
        )
    rest: dict[str, Any] = {key: value for key, value in row.items() if key != "site"}
    return {**sites[name], **rest}
