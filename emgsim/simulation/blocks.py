"""A simulation as blocks of samples, and the truth of those made so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.composition import Stages, stages
from emgsim.artefacts.parameters import Artefact, Place
from emgsim.errors import InputError
from emgsim.physiology import conditions, effort, electrodes
from emgsim.physiology.discharges import STEP_S, Epoch, discharge_epochs
from emgsim.physiology.parameters import Phase
from emgsim.physiology.parameters.surface import SkinElectrode
from emgsim.physiology.patient import Patient
from emgsim.physiology.pool import thresholds
from emgsim.physiology.surface import montage
from emgsim.recording import Channel, Event, Recording, Truth
from emgsim.scenario import Scenario
from emgsim.simulation.needle import NeedleListening
from emgsim.simulation.noise import own_noise
from emgsim.simulation.patients import blaming, patient_of
from emgsim.simulation.surface import SurfaceListening

Floats = NDArray[np.float64]

BLOCK_S = 1.0


def channels_of(scenario: Scenario) -> tuple[Channel, ...]:
    """Return names, kinds and references of what a scenario records; nothing is simulated.

    Examples
    --------
    >>> from emgsim.scenario import load_scenario
    >>> len(channels_of(load_scenario("hd_tibialis_anterior")))
    64
    """
    if isinstance(scenario.electrode, SkinElectrode):
        return montage.recording_channels(scenario.electrode)
    return electrodes.recording_channels(scenario.needle)


def simulate(
    scenario: Scenario,
    *,
    seed: int | None = None,
    for_playing: bool = False,
    fibre_truth: bool = False,
    patient: Patient | None = None,
) -> tuple[Recording, Truth]:
    """Simulate a scenario.

    Parameters
    ----------
    scenario
        What the patient does and how it is recorded.
    seed
        Takes the place of the scenario's own seed.
    for_playing
        Whether the recording will be played through a wire. The wire and the device behind it have
        noise, limits and a converter of their own: a needle's thermal noise, and artefacts from the
        amplifier on, are then left out. A bench has no skin, whose noise stays.
    fibre_truth
        Whether the truth holds each near fibre's arrival at each discharge.
    patient
        From `patient_of`, to simulate one patient several times: what is built stays built.

    Returns
    -------
    recording : Recording
        Microvolts at the electrode, shape ``(n_samples, n_channels)``.
    truth : Truth
        Every discharge of every active unit, its MUAP, effort and force, artefacts, the needle.

    Raises
    ------
    InputError
        If the effort recruits no unit, or the needle finds no place that it was to seek.
    """
    running = Simulation(
        scenario, seed=seed, for_playing=for_playing, fibre_truth=fibre_truth, patient=patient
    )
    blocks = list(running)
    recording = Recording(
        samples_uv=np.concatenate([block.samples_uv for block in blocks]),
        rate_hz=scenario.acquisition.rate_hz,
        channels=blocks[0].channels,
    )
    return recording, running.truth()


class Simulation:
    """A scenario as an iterator of blocks of samples, and the truth of those made so far.

    Memory does not grow with the recording's length, the truth's own lists excepted. Any length of
    block gives the same samples: discharges are drawn by epochs of a fixed length, and each sample
    is the same sum.

    Parameters
    ----------
    scenario, seed, for_playing, fibre_truth, patient
        As of `simulate`.
    block_s
        Length of a block; the last one may be shorter.

    Raises
    ------
    InputError
        If a block would hold no sample, or the needle finds no place that it was to seek.

    Examples
    --------
    >>> from emgsim.scenario import load_scenario
    >>> running = Simulation(lasting(load_scenario("healthy_biceps"), 3.0), block_s=0.7)
    >>> [block.n_samples for block in running]
    [33600, 33600, 33600, 33600, 9600]
    >>> len(running.truth().units) > 50
    True
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        seed: int | None = None,
        block_s: float = BLOCK_S,
        for_playing: bool = False,
        fibre_truth: bool = False,
        patient: Patient | None = None,
    ) -> None:
        self._scenario = scenario
        self._patient = patient or patient_of(scenario, seed=seed)
        self._listening = _listening(scenario, self._patient, fibre_truth=fibre_truth)
        rate_hz = self._patient.sampling.rate_hz
        self._n_block = round(block_s * rate_hz)
        if self._n_block < 1:
            raise InputError(f"block_s must hold a sample, got {block_s:g}")
        self._n_samples = round(scenario.duration_s * rate_hz)
        n_channels = len(self._listening.channels)
        self._stages = _stages(scenario, self._patient, for_playing, n_channels)
        self._epochs = _epochs(scenario, self._patient)
        self._drawn: list[Epoch] = []
        self._events: list[Event] = []
        self._made = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Recording:
        """Return the next block.

        Raises
        ------
        InputError
            After the last block, if the patient made an effort and no unit has discharged.
        """
        if self._made >= self._n_samples:
            self._events += self._stages.finish()
            raise StopIteration
        rate_hz, channels = self._patient.sampling.rate_hz, self._listening.channels
        n = min(self._n_block, self._n_samples - self._made)
        self._draw_until(self._listening.wanted_s(self._made + n))
        samples_uv = np.zeros((n, len(channels)), order="F")
        self._listening.sound(samples_uv, self._made)
        samples_uv, events = self._stages.step(samples_uv, self._made)
        self._events += events
        start_s = self._made / rate_hz
        self._made += n
        return Recording(samples_uv=samples_uv, rate_hz=rate_hz, channels=channels, start_s=start_s)

    def _draw_until(self, time_s: float) -> None:
        while self._drawn_s < time_s and (epoch := next(self._epochs, None)) is not None:
            self._listening.discharge(epoch)
            self._drawn.append(epoch)

    @property
    def _drawn_s(self) -> float:
        return self._drawn[-1].end_s if self._drawn else 0.0

    def truth(self) -> Truth:
        """Return the truth of the samples made so far.

        Raises
        ------
        InputError
            If the patient made an effort and no unit has discharged.
        """
        scenario, rate_hz = self._scenario, self._patient.sampling.rate_hz
        wanted = np.concatenate([epoch.effort for epoch in self._drawn] or [np.zeros(0)])
        if wanted.max(initial=0.0) > 0 and not self._listening.hears_units:
            raise InputError(
                f"no unit of {scenario.muscle.name} discharges at {wanted.max():.3g} of MVC",
                where=f"scenario {scenario.id}",
                todo="raise phases.level_mvc or its duration_s",
            )
        pool = self._patient.muscle.pool
        heard = self._listening.heard(
            thresholds(pool) / pool.maximal_excitation, self._made / rate_hz
        )
        events = [*_phase_events(scenario.phases), *heard.events, *self._events]
        return Truth(
            units=heard.units,
            muap_rate_hz=rate_hz,
            events=tuple(sorted(events, key=lambda event: event.onset_s)),
            effort_times_s=np.asarray(np.arange(wanted.size) * STEP_S, dtype=np.float64),
            effort=wanted,
            force=np.concatenate([epoch.force for epoch in self._drawn] or [np.zeros(0)]),
            conditions=() if self._patient.body is None else self._patient.body.conditions,
            spontaneous=heard.spontaneous,
            needle=heard.needle,
            needle_path=heard.needle_path,
            stays=heard.stays,
        )


def _listening(
    scenario: Scenario, patient: Patient, *, fibre_truth: bool
) -> NeedleListening | SurfaceListening:
    """Return the scenario's electrode, where it is."""
    if not isinstance(scenario.electrode, SkinElectrode):
        return NeedleListening(scenario, patient, fibre_truth=fibre_truth)
    with blaming(scenario):
        return SurfaceListening(scenario.electrode, patient, scenario.neighbours)


def _epochs(scenario: Scenario, patient: Patient) -> Iterator[Epoch]:
    """Return the discharges of the patient's motor neurons as he makes the effort."""
    phases = conditions.conditioned_phases(scenario.phases, scenario.conditions)
    return discharge_epochs(
        patient.muscle.pool,
        phases,
        patient.seed,
        twitch_share=patient.twitch_share,
        healthy=patient.healthy.pool,
    )


def _stages(scenario: Scenario, patient: Patient, for_playing: bool, n_channels: int) -> Stages:
    """Return the artefacts that the recording gets, in the order of the signal's way."""
    wanted: list[Artefact] = [*scenario.artefacts, *own_noise(scenario)]
    if for_playing:
        wanted = [a for a in wanted if a.place < Place.AMPLIFIER and a.kind != "thermal"]
    return stages(
        sorted(wanted, key=lambda artefact: artefact.place),
        patient.sampling.rate_hz,
        patient.seed,
        n_channels=n_channels,
    )


def _phase_events(phases: tuple[Phase, ...]) -> list[Event]:
    events, begin_s = [], 0.0
    for phase in phases:
        kind = "rest" if phase.peak_mvc == 0 else "contraction"
        end_s = begin_s + phase.duration_s
        grade = phase.peak_mvc or None
        events.append(
            Event(kind=kind, onset_s=begin_s, offset_s=end_s, grade=grade, source=phase.name)
        )
        begin_s = end_s
    return events


def lasting(scenario: Scenario, duration_s: float) -> Scenario:
    """Return the scenario with its last phases cut, or its last one stretched, to a length.

    Raises
    ------
    InputError
        If the length is not positive, or does not fit the phases.
    """
    where = f"scenario {scenario.id}"
    phases = effort.lasting(scenario.phases, duration_s, where=where)
    return scenario.model_copy(update={"phases": phases})
