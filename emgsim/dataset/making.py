"""An item made: its recordings, its truth and its labels, from the plan and the item alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from emgsim.configuration import with_overrides
from emgsim.dataset.items import Items
from emgsim.dataset.labels import labels_of
from emgsim.dataset.made import Item, Made
from emgsim.dataset.plan import Source
from emgsim.errors import EmgsimError, InputError
from emgsim.recording import Recording
from emgsim.scenario import Scenario, scenario_from

if TYPE_CHECKING:
    from emgsim.exam.examination import MuscleExam
    from emgsim.physiology.patient import Patient


def make(items: Items, item: Item) -> Made:
    """Simulate one item.

    With a rig ``clean`` is what is played: the electrode's noise and what an amplifier would add
    come from the rig then, and not twice.

    Raises
    ------
    EmgsimError
        If its values do not fit its scenario; the message names the item.
    """
    plan = items.plan
    try:
        scenario, exam = scenario_of(items.source_of(item), item)
        made = _simulated(items, item, scenario, exam)
        if not plan.rig_table:
            return made
        from emgsim.dataset.played import play_in_process

        played = play_in_process(made.recordings["clean"], plan.rig_table, item.seed)
        return replace(made, recordings={**made.recordings, **played})
    except EmgsimError as error:
        error.where = f"item {item.id} ({', '.join(item.overrides) or item.scenario})"
        raise
    except ValueError as error:
        raise InputError(
            f"its values do not fit each other: {error}",
            where=f"item {item.id} ({', '.join(item.overrides)})",
            todo="narrow the parameters of the plan",
        ) from error


def scenario_of(source: Source, item: Item) -> tuple[Scenario, MuscleExam | None]:
    """Return the scenario of an item, and what an examination says of its muscle.

    Raises
    ------
    InputError
        If its values do not fit the scenario.
    """
    where = f"scenario {source.id}"
    table = with_overrides(source.table, item.overrides)
    if not source.muscles:
        return scenario_from(table, where), None
    from emgsim.exam.examination import examination_from

    exam = examination_from(table, where).on(None)
    chosen = next((m for m in exam.muscles if m.muscle.name == item.parameters["muscle"]), None)
    if chosen is None:
        raise InputError(
            f"the examination has no muscle {item.parameters['muscle']!r} any more",
            where=where,
            todo="vary what is in the muscles, not their list",
        )
    return exam.scenario(chosen), chosen


def patient_of_subject(scenario: Scenario, person_seed: int, seed: int) -> Patient:
    """Return a subject as a recording finds him.

    His fibres and what a condition did to them follow from the subject's seed; when they discharge,
    jitter and block follow from the recording's.
    """
    from emgsim.physiology.body import healthy_body
    from emgsim.simulation import patient_of

    patient = patient_of(scenario, seed=person_seed)
    body = patient.body or healthy_body(scenario.muscle, person_seed)
    return replace(patient, seed=seed, body=body)


def _simulated(items: Items, item: Item, scenario: Scenario, exam: MuscleExam | None) -> Made:
    from emgsim.simulation import simulate

    plan = items.plan
    patient = patient_of_subject(scenario, items.person_seed(item), item.seed)
    is_played = bool(plan.rig_table)
    clean, truth = simulate(
        scenario, for_playing=is_played, fibre_truth=plan.fibre_truth, patient=patient
    )
    recordings: dict[str, Recording] = {"clean": clean}
    if plan.stems:
        from emgsim.dataset.stems import stems_of

        recordings |= stems_of(scenario, patient, clean, truth, for_playing=is_played)
    return Made(
        item=item,
        recordings=recordings,
        truth=truth,
        labels=labels_of(item, items.source_of(item), scenario, truth, exam),
        scenario=scenario.resolved(),
    )
