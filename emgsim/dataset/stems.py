"""The parts that a recording is the sum of: near units, background, noise, artefacts.

``stem-background`` is the motor units whose MUAP is below `NEAR_UV`, ``stem-near`` all other
muscle fibres, spontaneous activity among them. ``stem-noise`` is what the electrode and the
amplifier always add, ``stem-artefacts`` the rest: what a saturated amplifier cuts off, or a
converter rounds, is there, too. So the four sum to ``clean``, whatever the chain does.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import Artefact, Place
from emgsim.physiology import conditions
from emgsim.physiology.patient import Patient
from emgsim.physiology.sounding import Sounding
from emgsim.physiology.track import track
from emgsim.placing import needle_way
from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.seeds import stream
from emgsim.simulation import simulate
from emgsim.simulation.noise import own_noise

Floats = NDArray[np.float64]

NEAR_UV = 50.0  # peak to peak on any channel: below it a MUAP is not measured; our choice
EPOCH_S = 1.0  # by which the simulation hands discharges on, and draws their jitter
NOISE = ("thermal", "amplifier", "skin_electrode")  # artefacts that are there all the time


def stems_of(
    scenario: Scenario, patient: Patient, clean: Recording, truth: Truth, *, for_playing: bool
) -> dict[str, Recording]:
    """Return the four stems of a recording.

    Parameters
    ----------
    scenario, patient
        What was simulated.
    clean, truth
        What came of it.
    for_playing
        Whether it was made to be played; then there is no noise in it.

    Returns
    -------
    dict
        By path, each of the shape of ``clean``; their sum is ``clean`` but for rounding.
    """
    bare = scenario.model_copy(update={"artefacts": ()})
    muscle, _ = simulate(bare, for_playing=True, patient=patient)
    background_uv = _background_uv(scenario, patient, muscle, truth)
    noise_uv = np.zeros_like(background_uv)
    if not for_playing:
        silent = replace(muscle, samples_uv=noise_uv)
        noise_uv = apply(silent, (), _noises(scenario), patient.seed)[0].samples_uv
    parts = {
        "stem-near": muscle.samples_uv - background_uv,
        "stem-background": background_uv,
        "stem-noise": noise_uv,
        "stem-artefacts": clean.samples_uv - muscle.samples_uv - noise_uv,
    }
    return {path: replace(clean, samples_uv=uv) for path, uv in parts.items()}


def is_near(unit: MotorUnit) -> bool:
    """Tell whether a unit's MUAP is large enough to stand out."""
    return bool(unit.muap_uv.size and np.ptp(unit.muap_uv, axis=0).max() >= NEAR_UV)


def _noises(scenario: Scenario) -> list[Artefact]:
    """Return the noise that the simulation adds; the electrode's own if the scenario has none."""
    named = [artefact for artefact in scenario.artefacts if artefact.kind in NOISE]
    found = sorted([*named, *own_noise(scenario)], key=lambda artefact: artefact.place)
    return [artefact for artefact in found if artefact.place <= Place.AMPLIFIER]


def _background_uv(scenario: Scenario, patient: Patient, muscle: Recording, truth: Truth) -> Floats:
    """Let the far units discharge again, each with the jitter that it had."""
    tip, moves = needle_way(scenario, patient)
    way = track(tip, moves)
    out_uv = np.zeros(muscle.samples_uv.shape, order="F")
    for unit in truth.units:
        if is_near(unit):
            continue
        order = unit.id - 1
        sounding = Sounding(
            patient.fibres(order),
            patient.end_plates(order),
            partial(patient.voices, order),
            way,
            rate_hz=muscle.rate_hz,
            chance=stream(patient.seed, "junctions", order),
            release=conditions.release_law(scenario.conditions),
        )
        epochs = np.floor(unit.discharge_times_s / EPOCH_S)
        for epoch in np.unique(epochs):
            sounding.discharge(unit.discharge_times_s[epochs == epoch])
        sounding.sound(out_uv, 0)
    return np.asarray(out_uv)
