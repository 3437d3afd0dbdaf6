"""The patient of a scenario, before anything is heard of him."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emgsim.errors import InputError
from emgsim.physiology import conditions
from emgsim.physiology.body import healthy_body
from emgsim.physiology.patient import Patient
from emgsim.physiology.voices import Sampling
from emgsim.scenario import Scenario


def patient_of(scenario: Scenario, *, seed: int | None = None) -> Patient:
    """Return the patient of a scenario; without conditions nothing of him is built yet.

    Raises
    ------
    InputError
        If a condition does not fit the muscle, or contradicts another one.
    """
    seed = scenario.seed if seed is None else seed
    acquisition, body = scenario.acquisition, None
    if scenario.conditions:
        with blaming(scenario):
            body = conditions.apply(scenario.conditions, healthy_body(scenario.muscle, seed), seed)
    return Patient(
        muscle=scenario.muscle if body is None else body.muscle,
        electrode=scenario.electrode,
        sampling=Sampling(rate_hz=acquisition.rate_hz, band_hz=acquisition.band_hz),
        seed=seed,
        body=body,
    )


@contextmanager
def blaming(scenario: Scenario) -> Iterator[None]:
    """Tell of a value that the physiology refuses as a mistake of the scenario."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            str(error), where=f"scenario {scenario.id}", todo="mend the scenario"
        ) from error
