"""The labels of an item: what a reader or an algorithm is to find, as plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emgsim.dataset.made import Item
from emgsim.dataset.plan import Source
from emgsim.dataset.stems import is_near, near_limit_uv
from emgsim.recording import Event, Stay, Truth
from emgsim.scenario import Scenario

if TYPE_CHECKING:
    from emgsim.exam.examination import MuscleExam

Row = dict[str, Any]

ARTEFACT = "artefact."
EFFORT = ("rest", "contraction")


def labels_of(
    item: Item, source: Source, scenario: Scenario, truth: Truth, exam: MuscleExam | None
) -> Row:
    """Return the labels of an item.

    What was not simulated is null: a simulated muscle has no side, and a scenario that names no age
    has none. ``expected`` is what an examination's file says that its findings must be.
    """
    muscle = scenario.muscle
    electrode = scenario.electrode.model_dump(mode="json", exclude={"tip", "moves", "seek"})
    limit_uv = near_limit_uv(scenario)
    return {
        "id": item.id,
        "scenario": item.scenario,
        "subject": item.subject,
        "split": item.split,
        "pair": item.pair,
        "variant": item.variant,
        "parameters": dict(item.parameters),
        "muscle": muscle.name,
        "side": None,
        "age_years": source.age_years,
        "conditions": [c.model_dump(mode="json") for c in scenario.conditions],
        "is_healthy": not scenario.conditions,
        "expected": {} if exam is None else dict(exam.shows),
        "electrode": electrode,
        "needle_start": dict(truth.needle),
        "needle_path": [dict(place) for place in truth.needle_path],
        "effort": [_span(e, "level_mvc") for e in truth.events if e.kind in EFFORT],
        "artefacts": [_span(e, "grade") for e in truth.events if e.kind.startswith(ARTEFACT)],
        "sites": _sites(scenario, truth),
        "n_units": len(truth.units),
        "n_near_units": sum(is_near(unit, limit_uv) for unit in truth.units),
        "near_limit_uv": limit_uv,
        "force_max_mvc": float(truth.force.max(initial=0.0)),
        "tissue": muscle.medium.model_dump(mode="json")
        | {"temperature_c": muscle.temperature_c, "fat_mm": muscle.fat_mm},
        "rate_hz": scenario.acquisition.rate_hz,
        "duration_s": scenario.duration_s,
    }


def _sites(scenario: Scenario, truth: Truth) -> list[Row]:
    """Return what there is to find at each place at which the needle rested."""
    limit_uv = near_limit_uv(scenario)
    stays = truth.stays or (Stay(onset_s=0.0, offset_s=scenario.duration_s, units=truth.units),)
    return [_site(stay, truth, limit_uv) for stay in stays]


def _site(stay: Stay, truth: Truth, limit_uv: float) -> Row:
    sources = {source.name for source in truth.spontaneous}
    there = [e for e in truth.events if e.onset_s < stay.offset_s and e.offset_s > stay.onset_s]
    near = [unit for unit in stay.units if is_near(unit, limit_uv)]
    return {
        "onset_s": stay.onset_s,
        "offset_s": stay.offset_s,
        "n_near_units": len(near),
        "spontaneous": [
            _span(e, "grade") | {"source": e.source} for e in there if e.source in sources
        ],
    }


def _span(event: Event, grade: str) -> Row:
    kind = event.kind.removeprefix(ARTEFACT)
    span = {"kind": kind, "onset_s": event.onset_s, "offset_s": event.offset_s}
    return span if event.grade is None else {**span, grade: event.grade}
