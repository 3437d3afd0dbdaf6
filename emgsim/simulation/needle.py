"""What a needle hears of a patient: units and spontaneous activity, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from emgsim.physiology import conditions
from emgsim.physiology.conditions.at_rest import resting_activity
from emgsim.physiology.discharges import Epoch
from emgsim.physiology.electrodes import positions_mm, recording_channels
from emgsim.physiology.parameters import TipPosition
from emgsim.physiology.parameters.spontaneous import SpontaneousActivity
from emgsim.physiology.patient import Patient
from emgsim.physiology.sounding import Sounding
from emgsim.physiology.spontaneous.activities import sources
from emgsim.physiology.spontaneous.source import Source
from emgsim.physiology.spontaneous.surroundings import Site
from emgsim.physiology.track import track
from emgsim.placing import Rested, needle_way, rests
from emgsim.recording import Event, MotorUnit, SpontaneousSource, Stay
from emgsim.scenario import Scenario
from emgsim.seeds import occurrences, stream
from emgsim.simulation.heard import Heard, motor_unit
from emgsim.simulation.patients import blaming

Floats = NDArray[np.float64]


class NeedleListening:
    """A needle in a patient's muscle.

    Parameters
    ----------
    scenario, patient
        Who is examined, and how.
    fibre_truth
        Whether the truth holds each near fibre's arrival at each discharge.

    Raises
    ------
    InputError
        If the needle finds no place that it was to seek.
    """

    def __init__(self, scenario: Scenario, patient: Patient, *, fibre_truth: bool) -> None:
        self._scenario, self._patient = scenario, patient
        self._fibre_truth = fibre_truth
        self._tip, moves = needle_way(scenario, patient)
        self.channels = tuple(  # each where it is when the recording begins
            replace(channel, position_mm=(float(x), float(y), float(z)))
            for channel, (x, y, z) in zip(
                recording_channels(scenario.needle),
                positions_mm(scenario.needle, self._tip).round(9),
                strict=True,
            )
        )
        self._track = track(self._tip, moves)
        self._rests = rests(self._track, moves, scenario.duration_s)
        self._units: dict[int, Sounding] = {}
        self._sources = self._spontaneous()

    @property
    def hears_units(self) -> bool:
        """Whether a motor neuron has discharged."""
        return bool(self._units)

    def wanted_s(self, end_sample: int) -> float:
        """Return up to which time discharges must be known before a sample is complete."""
        sampling = self._patient.sampling
        return (end_sample + 1) / sampling.rate_hz + sampling.ringing_s

    def discharge(self, epoch: Epoch) -> None:
        """Hand discharges to the units, and leave what the needle has left."""
        for order, times_s in enumerate(epoch.trains):
            if times_s.size:
                self._unit(order).discharge(times_s)
        self._patient.keep(self._track.tips_from(epoch.end_s))

    def sound(self, samples_uv: Floats, first_sample: int) -> None:
        """Add what is heard to a block ``(n_samples, n_channels)``."""
        for order in sorted(self._units):
            self._units[order].sound(samples_uv, first_sample)
        for _, sounding in self._sources:
            sounding.sound(samples_uv, first_sample)

    def heard(self, threshold: Floats, until_s: float) -> Heard:
        """Return the truth until a time; ``threshold`` is that of each unit of the pool."""
        moves = self._scenario.needle.moves
        move_events = (
            Event(kind="needle_move", onset_s=move.at_s, offset_s=move.at_s + move.duration_s)
            for move in moves
        )
        return Heard(
            units=tuple(
                self._motor_unit(order, float(threshold[order])) for order in sorted(self._units)
            ),
            events=(*move_events, *(source.event for source, _ in self._sources)),
            spontaneous=tuple(
                self._spontaneous_source(source, sounding) for source, sounding in self._sources
            ),
            needle=self._tip.model_dump(),
            needle_path=tuple(
                {"time_s": time_s, **tip.model_dump()} for time_s, tip in self._track.ends
            ),
            stays=self._stays(threshold, until_s) if moves else (),
        )

    # -- units -----------------------------------------------------------------------------------

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

    def _motor_unit(self, order: int, threshold: float) -> MotorUnit:
        unit = self._units[order]
        heard = motor_unit(self._patient, order, threshold, *unit.muap())
        return replace(heard, discharge_times_s=unit.times_s, fibres=unit.fibre_truth())

    def _stays(self, threshold: Floats, until_s: float) -> tuple[Stay, ...]:
        """Return what the needle heard from each place at which it rested."""
        return tuple(
            Stay(
                onset_s=rest.onset_s,
                offset_s=min(rest.offset_s, until_s),
                units=tuple(self._units_at(rest, threshold)),
            )
            for rest in self._rests
            if rest.onset_s < until_s
        )

    def _units_at(self, rest: Rested, threshold: Floats) -> Iterator[MotorUnit]:
        """Yield the units that discharged during a rest of the needle, and can be seen there."""
        for order, unit in sorted(self._units.items()):
            times_s = unit.times_s
            times_s = times_s[(times_s >= rest.onset_s) & (times_s < rest.offset_s)]
            if times_s.size and (seen := unit.muap_at(rest.station)) is not None:
                heard = motor_unit(self._patient, order, float(threshold[order]), *seen)
                yield replace(heard, discharge_times_s=times_s)

    # -- spontaneous activity ----------------------------------------------------------------------

    def _spontaneous(self) -> list[tuple[Source, Sounding]]:
        """Return what discharges by itself; it is drawn at once, since that is little."""
        scenario, patient = self._scenario, self._patient
        activities = self._activities()
        if not activities:
            return []  # the tip may then be in the skin
        numbers = occurrences(activity.kind for activity, _ in activities)
        found: list[Source] = []
        with blaming(scenario):
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
        has_moves = bool(scenario.needle.moves)
        for number, (onset_s, offset_s, tip, _) in enumerate(self._rests):
            here = resting_activity(scenario.conditions, patient.body, tip, patient.seed, number)
            while_there = {"onset_s": onset_s, "offset_s": offset_s} if has_moves else {}
            found += [(a.model_copy(update=while_there), tip) for a in here if a.kind not in own]
        return found

    def _resting_at(self, time_s: float) -> TipPosition:
        """Return where the needle rests at a time, or comes to rest after it."""
        later = [rest.tip for rest in self._rests if rest.offset_s > time_s]
        return later[0] if later else self._rests[-1].tip

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
