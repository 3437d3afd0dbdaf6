"""Where the needle goes: where it begins, how it moves, and where it rests meanwhile.

An examiner listens while he advances. What he hears decides where he stops, so the places of a
needle that seeks are known only when the patient is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emgsim.errors import InputError
from emgsim.physiology import conditions
from emgsim.physiology.discharges import recruited
from emgsim.physiology.parameters import NeedleMove, Seek, TipPosition
from emgsim.physiology.parameters.track import PLACE
from emgsim.physiology.patient import Patient
from emgsim.physiology.seeking import seek_tip
from emgsim.physiology.track import Track
from emgsim.scenario import Scenario


class Rested(NamedTuple):
    """A rest of the needle, from the end of one move to the beginning of the next one."""

    onset_s: float
    offset_s: float
    tip: TipPosition
    station: int  # of the track


def needle_way(scenario: Scenario, patient: Patient) -> tuple[TipPosition, tuple[NeedleMove, ...]]:
    """Return where the needle begins, and its moves with every place named.

    A needle that seeks while it moves stays where it was put if it finds nothing; one that is to
    begin at a unit and finds none is an error.

    Raises
    ------
    InputError
        If the needle finds no place that it was to begin at.
    """
    electrode = scenario.needle
    phases = conditions.conditioned_phases(scenario.phases, scenario.conditions)
    tip = electrode.tip
    if electrode.seek is not None:
        hardest = max(phase.peak_mvc for phase in phases)
        tip = _sought(patient, hardest, tip, electrode.seek, scenario)
    moves, here = [], tip
    for move in electrode.moves:
        named = {name: v for name in PLACE if (v := getattr(move, name)) is not None}
        here = here.model_copy(update=named)
        if move.seek is not None:
            effort = _next_effort(scenario, move.at_s + move.duration_s)
            here = seek_tip(patient, _active(patient, effort), here, move.seek) or here
        moves.append(move.model_copy(update={**here.model_dump(), "seek": None}))
    return tip, tuple(moves)


def rests(track: Track, moves: Sequence[NeedleMove], duration_s: float) -> tuple[Rested, ...]:
    """Return where and when the needle rests; a needle that does not move rests once."""
    onsets_s = [0.0, *(round(move.at_s + move.duration_s, 9) for move in moves)]
    offsets_s = [*(move.at_s for move in moves), duration_s]
    return tuple(
        Rested(onset_s, offset_s, track.tips[station], station)
        for onset_s, offset_s, station in zip(onsets_s, offsets_s, track.rests, strict=True)
        if offset_s > onset_s
    )


def _sought(
    patient: Patient, effort: float, tip: TipPosition, rule: Seek, scenario: Scenario
) -> TipPosition:
    found = seek_tip(patient, _active(patient, effort), tip, rule)
    if found is None:
        raise InputError(
            f"no unit rises within {rule.rise_us:g} us at {effort:.3g} of MVC along "
            f"{rule.track_mm:g} mm from the tip",
            where=f"scenario {scenario.id}",
            todo="begin elsewhere (electrode.tip), go farther (electrode.seek.track_mm), or raise "
            "the effort",
        )
    return found


def _active(patient: Patient, effort: float) -> list[int]:
    """Return the units that an effort recruits."""
    pool, healthy = patient.muscle.pool, patient.healthy.pool
    found = recruited(pool, effort, twitch_share=patient.twitch_share, healthy=healthy)
    return [int(order) for order in found]


def _next_effort(scenario: Scenario, time_s: float) -> float:
    """Return the highest level of the first effort that ends after a time; 0 if there is none."""
    begin_s = 0.0
    for phase in conditions.conditioned_phases(scenario.phases, scenario.conditions):
        begin_s += phase.duration_s
        if begin_s > time_s and phase.peak_mvc > 0:
            return phase.peak_mvc
    return 0.0
