"""From a scenario to a recording with its exact truth, whole or block by block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgsim.artefacts.composition import Stages, stages
from emgsim.artefacts.parameters import Artefact, Place, Thermal
from emgsim.errors import InputError
from emgsim.physiology import conditions, effort
from emgsim.physiology.body import healthy_body
from emgsim.physiology.conditions.at_rest import resting_activity
from emgsim.physiology.discharges import STEP_S, Epoch, discharge_epochs
from emgsim.physiology.electrodes import impedance_ohm, recording_channels
from emgsim.physiology.parameters import Phase, TipPosition
from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.patient import Patient
from emgsim.physiology.pool import thresholds
from emgsim.physiology.sounding import Sounding
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.source import Source
from emgsim.physiology.spontaneous.surroundings import Site
from emgsim.physiology.track import track
from emgsim.physiology.voices import Sampling
from emgsim.placing import Rested, needle_way, rests
from emgsim.recording import Event, MotorUnit, Recording, SpontaneousSource, Stay, Truth
from emgsim.scenario import Scenario
from emgsim.seeds import occurrences, stream

Floats = NDArray[np.float64]

BLOCK_S = 1.0


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
        noise, limits and a converter of their own: the electrode's thermal noise, and artefacts
        from the amplifier on, are then left out.
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
        with _blaming(scenario):
            body = conditions.apply(scenario.conditions, healthy_body(scenario.muscle, seed), seed)
    return Patient(
        muscle=scenario.muscle if body is None else body.muscle,
        electrode=scenario.electrode,
        sampling=Sampling(rate_hz=acquisition.rate_hz, band_hz=acquisition.band_hz),
        seed=seed,
        body=body,
    )


@contextmanager
def _blaming(scenario: Scenario) -> Iterator[None]:
    """Tell of a value that the physiology refuses as a mistake of the scenario."""
    try:
        yield
    except ValueError as error:
        raise InputError(
            str(error), where=f"scenario {scenario.id}", todo="mend the scenario"
        ) from error


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
        self._fibre_truth = fibre_truth
        self._channels = recording_channels(scenario.electrode)
        sampling = self._patient.sampling
        self._n_block = round(block_s * sampling.rate_hz)
        if self._n_block < 1:
            raise InputError(f"block_s must hold a sample, got {block_s:g}")
        self._n_samples = round(scenario.duration_s * sampling.rate_hz)
        self._tip, moves = needle_way(scenario, self._patient)
        self._track = track(self._tip, moves)
        self._rests = rests(self._track, moves, scenario.duration_s)
        self._stages = _stages(scenario, self._patient, for_playing)
        self._epochs = _epochs(scenario, self._patient)
        self._drawn: list[Epoch] = []
        self._units: dict[int, Sounding] = {}
        self._sources = self._spontaneous()
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
        sampling = self._patient.sampling
        n = min(self._n_block, self._n_samples - self._made)
        self._draw_until((self._made + n + 1) / sampling.rate_hz + sampling.ringing_s)
        samples_uv = np.zeros((n, len(self._channels)), order="F")
        for order in sorted(self._units):
            self._units[order].sound(samples_uv, self._made)
        for _, sounding in self._sources:
            sounding.sound(samples_uv, self._made)
        samples_uv, events = self._stages.step(samples_uv, self._made)
        self._events += events
        start_s = self._made / sampling.rate_hz
        self._made += n
        return Recording(
            samples_uv=samples_uv,
            rate_hz=sampling.rate_hz,
            channels=self._channels,
            start_s=start_s,
        )

    def _draw_until(self, time_s: float) -> None:
        """Draw epochs, hand their discharges to the units, and leave what the needle has left."""
        while self._drawn_s < time_s and (epoch := next(self._epochs, None)) is not None:
            for order, times_s in enumerate(epoch.trains):
                if times_s.size:
                    self._unit(order).discharge(times_s)
            self._drawn.append(epoch)
            self._patient.keep(self._track.tips_from(self._drawn_s))

    @property
    def _drawn_s(self) -> float:
        return self._drawn[-1].start_s + self._drawn[-1].n_steps * STEP_S if self._drawn else 0.0

    def _unit(self, order: int) -> Sounding:
        if order not in self._units:
            patient = self._patient
            self._units[order] = Sounding(
                patient.fibres(order),
                patient.end_plates(order),
                partial(patient.voices, order),
                self._track,
                rate_hz=patient.sampling.rate_hz,
                chance=stream(patient.seed, "junctions", order),
                fibre_truth=self._fibre_truth,
                release=conditions.release_law(self._scenario.conditions),
            )
        return self._units[order]

    def _spontaneous(self) -> list[tuple[Source, Sounding]]:
        """Return what discharges by itself; it is drawn at once, since that is little."""
        scenario, patient = self._scenario, self._patient
        activities = self._activities()
        if not activities:
            return []  # the tip may then be in the skin
        numbers = occurrences(activity.kind for activity, _ in activities)
        found: list[Source] = []
        with _blaming(scenario):
            for (activity, tip), number in zip(activities, numbers, strict=True):
                site = Site(
                    muscle=patient.muscle,
                    tip=tip,
                    unit_fibres=patient.fibres,
                    orphans=None if patient.body is None else patient.body.orphans,
                )
                found += sources(activity, site, scenario.duration_s, patient.seed, number)
        return [(source, self._sounding(source)) for source in found]

    def _activities(self) -> list[tuple[SpontaneousActivity, TipPosition]]:
        """Return what the scenario names and what follows from the conditions, each with its place.

        What is named lies where the needle rests when it begins; what follows is found wherever
        the needle rests.
        """
        scenario, patient = self._scenario, self._patient
        found = [(own, self._resting_at(own.onset_s)) for own in scenario.spontaneous]
        if patient.body is None:
            return found
        own = {activity.kind for activity in scenario.spontaneous}
        for number, (onset_s, offset_s, tip, _) in enumerate(self._rests):
            here = resting_activity(scenario.conditions, patient.body, tip, patient.seed, number)
            while_there = {"onset_s": onset_s, "offset_s": offset_s} if self._moves else {}
            found += [(a.model_copy(update=while_there), tip) for a in here if a.kind not in own]
        return found

    def _resting_at(self, time_s: float) -> TipPosition:
        """Return where the needle rests at a time, or comes to rest after it."""
        later = [rest.tip for rest in self._rests if rest.offset_s > time_s]
        return later[0] if later else self._rests[-1].tip

    @property
    def _moves(self) -> bool:
        return bool(self._scenario.electrode.moves)

    def _sounding(self, source: Source) -> Sounding:
        patient = self._patient
        fibres = source.fibres
        sounding = Sounding(
            fibres,
            np.arange(fibres.n_fibres),
            partial(patient.source_voices, source),
            self._track,
            rate_hz=patient.sampling.rate_hz,
            chance=stream(patient.seed, f"junctions of {source.name}"),
        )
        sounding.discharge(source.times_s, source.gains)
        return sounding

    def truth(self) -> Truth:
        """Return the truth of the samples made so far.

        Raises
        ------
        InputError
            If the patient made an effort and no unit has discharged.
        """
        scenario, rate_hz = self._scenario, self._patient.sampling.rate_hz
        pool = self._patient.muscle.pool
        threshold = thresholds(pool) / pool.maximal_excitation
        wanted = np.concatenate([epoch.effort for epoch in self._drawn] or [np.zeros(0)])
        if wanted.max(initial=0.0) > 0 and not self._units:
            raise InputError(
                f"no unit of {scenario.muscle.name} discharges at {wanted.max():.3g} of MVC",
                where=f"scenario {scenario.id}",
                todo="raise phases.level_mvc or its duration_s",
            )
        return Truth(
            units=tuple(
                self._motor_unit(order, float(threshold[order])) for order in sorted(self._units)
            ),
            muap_rate_hz=rate_hz,
            events=self._all_events(),
            effort_times_s=np.asarray(np.arange(wanted.size) * STEP_S, dtype=np.float64),
            effort=wanted,
            force=np.concatenate([epoch.force for epoch in self._drawn] or [np.zeros(0)]),
            conditions=() if self._patient.body is None else self._patient.body.conditions,
            spontaneous=tuple(
                self._spontaneous_source(source, sounding) for source, sounding in self._sources
            ),
            needle=self._tip.model_dump(),
            needle_path=tuple(
                {"time_s": time_s, **tip.model_dump()} for time_s, tip in self._track.ends
            ),
            stays=self._stays(threshold) if self._moves else (),
        )

    def _motor_unit(self, order: int, threshold: float) -> MotorUnit:
        unit = self._units[order]
        heard = self._heard(order, threshold, *unit.muap())
        return replace(heard, discharge_times_s=unit.times_s, fibres=unit.fibre_truth())

    def _heard(self, order: int, threshold: float, first: int, muap_uv: Floats) -> MotorUnit:
        """Return a unit that has not discharged yet, its MUAP beginning at a sample."""
        rate_hz = self._patient.sampling.rate_hz
        return MotorUnit(
            id=order + 1,
            muscle=self._scenario.muscle.name,
            threshold=threshold,
            n_fibres=self._patient.fibres(order).n_fibres,
            discharge_times_s=np.zeros(0),
            muap_uv=muap_uv,
            muap_start_s=first / rate_hz,
            arrival_s=(first + int(np.argmax(np.abs(muap_uv[:, 0])))) / rate_hz,
        )

    def _stays(self, threshold: Floats) -> tuple[Stay, ...]:
        """Return what the needle heard from each place at which it rested."""
        ends_s = self._made / self._patient.sampling.rate_hz
        return tuple(
            Stay(
                onset_s=rest.onset_s,
                offset_s=min(rest.offset_s, ends_s),
                units=tuple(self._units_at(rest, threshold)),
            )
            for rest in self._rests
            if rest.onset_s < ends_s
        )

    def _units_at(self, rest: Rested, threshold: Floats) -> Iterator[MotorUnit]:
        """Yield the units that discharged during a rest of the needle, and can be seen there."""
        for order, unit in sorted(self._units.items()):
            times_s = unit.times_s
            times_s = times_s[(times_s >= rest.onset_s) & (times_s < rest.offset_s)]
            if times_s.size and (seen := unit.muap_at(rest.station)) is not None:
                heard = self._heard(order, float(threshold[order]), *seen)
                yield replace(heard, discharge_times_s=times_s)

    def _spontaneous_source(self, source: Source, sounding: Sounding) -> SpontaneousSource:
        first, potential_uv = sounding.muap()
        return SpontaneousSource(
            name=source.name,
            kind=source.kind,
            discharge_times_s=source.times_s,
            gains=source.gains,
            potential_uv=potential_uv,
            potential_start_s=first / self._patient.sampling.rate_hz,
            unit_id=None if source.unit is None else source.unit + 1,
        )

    def _all_events(self) -> tuple[Event, ...]:
        moves = [
            Event(kind="needle_move", onset_s=move.at_s, offset_s=move.at_s + move.duration_s)
            for move in self._scenario.electrode.moves
        ]
        own = [source.event for source, _ in self._sources]
        events = [*_phase_events(self._scenario.phases), *moves, *own, *self._events]
        return tuple(sorted(events, key=lambda event: event.onset_s))


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


def _stages(scenario: Scenario, patient: Patient, for_playing: bool) -> Stages:
    """Return the artefacts that the recording gets, in the order of the signal's way."""
    wanted: list[Artefact] = list(scenario.artefacts)
    if for_playing:
        wanted = [a for a in wanted if a.place < Place.AMPLIFIER and a.kind != "thermal"]
    elif not any(artefact.kind == "thermal" for artefact in wanted):
        resistance = impedance_ohm(scenario.electrode, 1e3, scenario.muscle.medium).real[:, 0]
        wanted += [
            Thermal(resistance_ohm=float(ohm), channels=(channel,))
            for channel, ohm in enumerate(resistance)
        ]
    return stages(
        sorted(wanted, key=lambda artefact: artefact.place),
        patient.sampling.rate_hz,
        patient.seed,
        n_channels=len(recording_channels(scenario.electrode)),
    )


def _phase_events(phases: tuple[Phase, ...]) -> list[Event]:
    events, begin_s = [], 0.0
    for phase in phases:
        kind = "rest" if phase.peak_mvc == 0 else "contraction"
        end_s = begin_s + phase.duration_s
        grade = phase.peak_mvc or None
        events.append(Event(kind=kind, onset_s=begin_s, offset_s=end_s, grade=grade))
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
