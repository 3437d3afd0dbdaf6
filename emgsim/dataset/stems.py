"""The parts that a recording is the sum of: near units, background, noise, artefacts.

``stem-background`` is the motor units whose MUAP is below `near_limit_uv`, ``stem-near`` all other
muscle fibres, spontaneous activity among them. ``stem-noise`` is what the electrode and the
amplifier always add, ``stem-artefacts`` the rest: what a saturated amplifier cuts off, or a
converter rounds, is there, too. So the four sum to ``clean``, whatever the chain does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.composition import apply
from emgsim.artefacts.parameters import Artefact
from emgsim.physiology import conditions
from emgsim.physiology.discharges import Epoch, discharge_epochs
from emgsim.physiology.parameters.surface import SkinElectrode, SurfaceKind
from emgsim.physiology.patient import Patient
from emgsim.physiology.sounding import Sounding
from emgsim.physiology.track import track
from emgsim.placing import needle_way
from emgsim.recording import MotorUnit, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.seeds import stream
from emgsim.simulation import simulate
from emgsim.simulation.noise import own_noise
from emgsim.simulation.surface import SurfaceListening

Floats = NDArray[np.float64]
Parts = tuple[Floats, Floats]  # near units, and background

NEAR_UV = 50.0  # peak to peak on any channel: below it a MUAP is not measured; our choice
# On the skin, where a mean unit has 41 to 60 uV from belly to tendon (MUSIX, Cao 2020 Muscle Nerve
# [S]), less of a difference, and a contact at least 1 uV rms of noise [P].
SKIN_NEAR_UV = 20.0
BLOCK = 4096  # samples that are mixed at once
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
        Whether it was made to be played; then only the skin's noise is in it.

    Returns
    -------
    dict
        By path, each of the shape of ``clean``; their sum is ``clean`` but for rounding.
    """
    electrode = scenario.electrode
    if isinstance(electrode, SkinElectrode):
        near_uv, background_uv = _on_the_skin(electrode, scenario, patient, clean, truth)
    else:
        near_uv, background_uv = _in_the_muscle(scenario, patient, truth)
    silent = replace(clean, samples_uv=np.zeros_like(background_uv))
    noises = _noises(scenario, for_playing=for_playing)
    noise_uv = apply(silent, (), noises, patient.seed)[0].samples_uv
    parts = {
        "stem-near": near_uv,
        "stem-background": background_uv,
        "stem-noise": noise_uv,
        "stem-artefacts": clean.samples_uv - near_uv - background_uv - noise_uv,
    }
    return {path: replace(clean, samples_uv=uv) for path, uv in parts.items()}


def near_limit_uv(scenario: Scenario) -> float:
    """Return the peak to peak from which on a MUAP stands out under a scenario's electrode."""
    return SKIN_NEAR_UV if isinstance(scenario.electrode, SkinElectrode) else NEAR_UV


def is_near(unit: MotorUnit, limit_uv: float) -> bool:
    """Tell whether a unit's MUAP is large enough to stand out."""
    return bool(unit.muap_uv.size and np.ptp(unit.muap_uv, axis=0).max() >= limit_uv)


def _noises(scenario: Scenario, *, for_playing: bool) -> list[Artefact]:
    """Return the noise that the simulation adds; the electrode's own if the scenario has none."""
    everything = [*scenario.artefacts, *own_noise(scenario)]
    found = sorted((a for a in everything if a.kind in NOISE), key=lambda artefact: artefact.place)
    if for_playing:  # a bench adds its own, but it has no skin
        return [artefact for artefact in found if artefact.kind == "skin_electrode"]
    return found


def _on_the_skin(
    electrode: SurfaceKind, scenario: Scenario, patient: Patient, clean: Recording, truth: Truth
) -> Parts:
    """Let near and far units discharge again, each as slow as it was."""
    limit_uv = near_limit_uv(scenario)
    near = {unit.id - 1 for unit in truth.units if is_near(unit, limit_uv)}
    far = {unit.id - 1 for unit in truth.units} - near
    near_uv, far_uv = (
        _skin_uv(SurfaceListening(electrode, patient), _epochs(scenario, patient), clean, orders)
        for orders in (near, far)
    )
    return near_uv, far_uv


def _epochs(scenario: Scenario, patient: Patient) -> Iterator[Epoch]:
    """Return the discharges of the recording, from its beginning."""
    return discharge_epochs(
        patient.muscle.pool,
        conditions.conditioned_phases(scenario.phases, scenario.conditions),
        patient.seed,
        twitch_share=patient.twitch_share,
        healthy=patient.healthy.pool,
    )


def _skin_uv(
    listening: SurfaceListening, epochs: Iterator[Epoch], clean: Recording, orders: set[int]
) -> Floats:
    """Return what the skin hears of some units alone; the others tire them as they did."""
    out_uv, heard_s = np.zeros(clean.samples_uv.shape, order="F"), 0.0
    for first in range(0, len(out_uv), BLOCK):
        block_uv = out_uv[first : first + BLOCK]
        wanted_s = listening.wanted_s(first + len(block_uv))
        while heard_s < wanted_s and (epoch := next(epochs, None)) is not None:
            trains = [t if order in orders else t[:0] for order, t in enumerate(epoch.trains)]
            listening.discharge(replace(epoch, trains=trains))
            heard_s = epoch.end_s
        listening.sound(block_uv, first)
    return out_uv


def _in_the_muscle(scenario: Scenario, patient: Patient, truth: Truth) -> Parts:
    """Let the muscle sound without artefacts, and its far units once more."""
    bare = scenario.model_copy(update={"artefacts": ()})
    muscle, _ = simulate(bare, for_playing=True, patient=patient)
    background_uv = _background_uv(scenario, patient, muscle, truth)
    return muscle.samples_uv - background_uv, background_uv


def _background_uv(scenario: Scenario, patient: Patient, muscle: Recording, truth: Truth) -> Floats:
    """Let the far units discharge again, each with the jitter that it had."""
    tip, moves = needle_way(scenario, patient)
    way = track(tip, moves)
    out_uv = np.zeros(muscle.samples_uv.shape, order="F")
    for unit in truth.units:
        if is_near(unit, NEAR_UV):
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
